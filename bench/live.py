"""A worker under load: how many events a second it takes in, and how soon an event is an alert.

``sustained``: the worker alone, its web process played here. Events come by Elasticsearch's ``_bulk``
(1,000 a body, four connections), are parsed and durably stored; every rule of a release and a million
indicators look at each. The rate counts up to where both stages have seen the last event. The floor, in
the same run: the same bodies to a server that parses each document and syncs the bodies to a file
(``bulk_floor.py``), which is what no store can leave out. Ratio: the floor's rate to ours.

``latency``: a whole node with all rules, 5,000 events a second; milliseconds from the answer to a body
(the event is accepted) to the alert of it in the node's own API, and from before the body was sent.

Needs the shared recordings. ``--quick`` for a look.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from measure import cpu_seconds, finish, percentile, pss_mb, tree
from mixes import recorded, unrepeated
from propagation import Receiver, Region
from sigma_engine import SHARED, unpack_rules

from istmo.cli.demo.region import Source, free_ports, make_node, running
from istmo.detect import wire
from istmo.settings import Settings, save_settings

SECRET = "istmo_src_bench"
BODY_EVENTS = 1_000
CONNECTIONS = 4
EVENTS_PER_SECOND = 5_000
LATENCY_BODY = 100
ACTION = b'{"create":{}}\n'


def bodies(count: int, *, repeats: bool) -> list[bytes]:
    """Recorded events as bodies of ``_bulk``."""
    dice = random.Random(1)
    made, lines = [], []
    for event in recorded(SHARED / "events-large", count):
        lines.append(orjson.dumps(event if repeats else unrepeated(event, dice)))
        if len(lines) == BODY_EVENTS:
            made.append(b"".join(ACTION + line + b"\n" for line in lines))
            lines = []
    return made


def million(count: int) -> Iterator[list[wire.WireIndicator]]:
    """Indicators of mixed kinds, in portions."""
    dice = random.Random(2)
    portion: list[wire.WireIndicator] = []
    for number in range(count):
        word = f"{dice.getrandbits(40):x}"
        match number % 4:
            case 0:
                term = ("ipv4", ".".join(str(dice.randrange(1, 255)) for _ in range(4)))
            case 1:
                term = ("domain", f"{word}.example")
            case 2:
                term = ("url", f"http://{word}.example/{word}")
            case _:
                term = ("sha256", hashlib.sha256(word.encode()).hexdigest())
        portion.append(wire.WireIndicator(f"indicator--{number}", [term]))
        if len(portion) == 20_000:
            yield portion
            portion = []
    if portion:
        yield portion


class WebSide:
    """The web process's end: tells the worker its state, hears hits, and keeps the last positions."""

    def __init__(self, folder: Path, *, listeners: bool = False) -> None:
        """``listeners``: ports for syslog and GELF over TCP too."""
        self.settings = Settings(data=folder, name="bench", country="HN", intake_port=0)
        if listeners:
            syslog_tcp, gelf_tcp = free_ports(2)
            self.settings = replace(self.settings, syslog_tcp=syslog_tcp, gelf_tcp=gelf_tcp)
        folder.mkdir()
        save_settings(self.settings)
        self.settings.run.mkdir()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.settings.run / "worker.sock"))
        listener.listen()
        command = [sys.executable, "-m", "istmo.detect.worker", str(folder), "--supervised"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self.channel = wire.Channel(listener.accept()[0])
        self.positions: dict[str, wire.Position] = {}
        self.hits = 0
        self.port = 0
        self._changed = threading.Condition()
        self._live: set[tuple[str, int]] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while (message := self.channel.receive()) is not None:
            with self._changed:
                match message:
                    case wire.Ready(intake_port=port):
                        self.port = port
                    case wire.Live(what=what, generation=generation):
                        self._live.add((what, generation))
                    case wire.Hits(detector=detector, position=position, hits=hits):
                        self.positions[detector] = max(
                            position, self.positions.get(detector, wire.Position())
                        )
                        self.hits += len(hits)
                self._changed.notify_all()

    def wait(self, condition: Any, seconds: float = 600) -> None:
        """Wait until something that was heard makes it true."""
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise SystemExit("the worker did not come so far")

    def introduce(self, rules: Path | None, indicators: int) -> None:
        """The whole state of a node."""
        self.channel.send(wire.Welcome({}, "hn", ["hn"]))
        digest = hashlib.sha256(SECRET.encode()).digest()
        source = wire.WireSource("s1", "bench", digest, ["submit"], addresses=["127.0.0.0/8"])
        self.channel.send(wire.PutSources(1, [source]))
        texts = sorted(rules.rglob("*.yml")) if rules is not None else []
        told = [wire.WireRule(str(number), path.read_text()) for number, path in enumerate(texts)]
        self.channel.send(wire.PutRules(1, told, True, {}))
        generation = 0
        for portion in million(indicators):
            generation += 1
            self.channel.send(wire.PutIndicators(generation, portion, generation == 1))
        self.channel.send(wire.Synced())
        self.wait(lambda: ("sigma", 1) in self._live and ("indicators", generation) in self._live)

    def stop(self) -> None:
        """End the worker."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)


def post_all(port: int, given: list[bytes], path: str) -> float:
    """Send all bodies over several connections; seconds until the last is answered."""
    waiting = iter(list(given))
    lock = threading.Lock()

    def work() -> None:
        http_ = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                return
            while True:
                http_.request("POST", path, body, {"Authorization": f"Bearer {SECRET}"})
                answer = http_.getresponse()
                answer.read()
                if answer.status == 200:
                    break
                time.sleep(0.05)  # busy: the protocol's own way of saying "later"

    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for one in [pool.submit(work) for _ in range(CONNECTIONS)]:
            one.result()
    return time.perf_counter() - began


def sustained(folder: Path, rules: Path, events: int, indicators: int, *, repeats: bool) -> dict[str, Any]:
    """Take in events with everything in force."""
    given = bodies(events, repeats=repeats)
    count = len(given) * BODY_EVENTS
    side = WebSide(folder)
    try:
        side.introduce(rules, indicators)
        # A node learns of its events once and keeps it: first a run in which it does.
        began = time.perf_counter()
        post_all(side.port, given, "/_bulk")
        side.wait(lambda: len(side.positions) == 2 and seen_by_all(side) >= count)
        learning = time.perf_counter() - began
        before = cpu_by_part(side.process.pid)
        began = time.perf_counter()
        answered = post_all(side.port, given, "/_bulk")
        side.wait(lambda: seen_by_all(side) >= 2 * count)
        seen = time.perf_counter() - began
        spent = {part: cpu - before.get(part, 0.0) for part, cpu in cpu_by_part(side.process.pid).items()}
        memory = sum(pss_mb(pid) for pid in tree(side.process.pid))
        size = sum(path.stat().st_size for path in side.settings.events.rglob("*") if path.is_file())
    finally:
        side.stop()
    return {
        "events": count,
        "seen_while_learning_per_s": round(count / learning),
        "answered_per_s": round(count / answered),
        "seen_by_all_per_s": round(count / seen),
        "cpu_us_an_event": {part: round(cpu / count * 1e6, 1) for part, cpu in spent.items()},
        "hits": side.hits,
        "worker_mb": round(memory),
        "stored_mb": round(size / 1e6),
    }


def parts_of(worker: int) -> Iterator[tuple[str, int]]:
    """The worker's processes: itself, the one for rules, those that close segments and search."""
    yield "worker", worker
    for pid in tree(worker)[1:]:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        yield "rules" if "worker.sigma" in command else "aside", pid


def cpu_by_part(worker: int) -> dict[str, float]:
    """Processor seconds of the worker's processes, and of this one."""
    found = {"sender": time.process_time()}
    for part, pid in parts_of(worker):
        found[part] = found.get(part, 0.0) + cpu_seconds(pid)
    return found


def seen_by_all(side: WebSide) -> int:
    """How many events every stage has seen."""
    return min(place_of(side, one) for one in wire.DETECTORS)


def place_of(side: WebSide, detector: str) -> int:
    """How many events a stage has seen, where segments are counted as the worker counts them."""
    position = side.positions[detector]
    older = 0
    for segment in range(1, position.segment):
        older += side_lines(side, segment)
    return older + position.line


_lines: dict[tuple[Path, int], int] = {}


def side_lines(side: WebSide, segment: int) -> int:
    """Lines of a segment that takes no more."""
    key = (side.settings.data, segment)
    if key not in _lines:
        from istmo.detect.eventstore.folder import Closed, EventFolder
        from istmo.detect.eventstore.frames import FrameReader

        folder = EventFolder(side.settings.events)
        try:
            with FrameReader(folder.raw_path(Closed(segment, segment))) as reader:
                _lines[key] = reader.index.lines
        except FileNotFoundError:
            _lines[key] = folder.wal_path(segment).read_bytes().count(b"\n")
    return _lines[key]


@contextmanager
def floor_server(folder: Path) -> Iterator[int]:
    """The floor, as a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("bulk_floor.py")), str(folder / "floor")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def steady(source: Source, given: list[bytes], stopping: threading.Event, told: dict[str, Any]) -> None:
    """So many events a second until told to stop."""
    began, sent, behind = time.monotonic(), 0, 0.0
    while not stopping.is_set():
        wait = began + sent / EVENTS_PER_SECOND - time.monotonic()
        if wait > 0:
            stopping.wait(wait)
        behind = max(behind, -wait)
        source._http.post("/_bulk", content=given[sent // LATENCY_BODY % len(given)])
        sent += LATENCY_BODY
    told |= {"events_per_s": round(sent / (time.monotonic() - began)), "most_behind_s": round(behind, 2)}


def latency(folder: Path, rules: Path, samples: int) -> dict[str, Any]:
    """From an accepted event to its alert."""
    from istmo.cli.demo.attack import connection

    node = make_node(folder, "bench", "HN")
    told: dict[str, Any] = {}
    lines = [line for body in bodies(20_000, repeats=True) for line in body.split(b"\n")[1::2]]
    given = [
        b"".join(ACTION + line + b"\n" for line in lines[at : at + LATENCY_BODY])
        for at in range(0, len(lines), LATENCY_BODY)
    ]
    with running([node]), ThreadPoolExecutor(4) as waiters:
        node.operator.post("/api/v1/rules/import", (SHARED / "sigma" / "sigma_rules.zip").read_bytes())
        region = Region([node], waiters)
        at = Receiver(node, waiters)
        stopping = threading.Event()
        sender = threading.Thread(target=steady, args=(node.source("load"), given, stopping, told))
        sender.start()
        accepted, whole = [], []
        time.sleep(3)
        for _ in range(samples):
            object, bundle, value = region.indicator()
            region.publisher.post("/api/v1/objects/import", bundle, tlp="amber")
            at.wait_live(object).result()
            alert = at.wait_alert(object)
            event = connection(datetime.now(UTC), "BENCH-01", "bench.exe", value, 443)
            time.sleep(0.1)
            began = time.perf_counter()
            at.source.send([event])
            answered = time.perf_counter()
            seen = alert.result()
            accepted.append((seen - answered) * 1000)
            whole.append((seen - began) * 1000)
        stopping.set()
        sender.join()
    for name, values in (("accepted_to_alert_ms", accepted), ("sent_to_alert_ms", whole)):
        told[name] = {"p50": round(percentile(values, 0.5), 1), "p99": round(percentile(values, 0.99), 1)}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=("sustained", "unrepeated", "latency"), default="")
    options = parser.parse_args()
    events, indicators, samples = (30_000, 50_000, 20) if options.quick else (300_000, 1_000_000, 200)
    result: dict[str, Any] = {}
    ratio = "ratio: none was asked for"
    with tempfile.TemporaryDirectory(prefix="istmo-live-") as made:
        folder = Path(made)
        rules = folder / "rules"
        rules.mkdir()
        unpack_rules(rules)
        for name in ("sustained", "unrepeated"):
            if options.only not in ("", name):
                continue
            how = {"repeats": name == "sustained"}
            result[name] = sustained(folder / name, rules, events, indicators, **how)
            given = bodies(events, **how)
            with floor_server(folder) as port:
                took = post_all(port, given, "/_bulk")
            floor = len(given) * BODY_EVENTS / took
            result[name]["floor_per_s"] = round(floor)
            rate = result[name]["seen_by_all_per_s"]
            ratio = (
                f"ratio: taking in, storing and detecting costs {floor / rate:.1f} times parsing and syncing"
            )
        if options.only in ("", "latency"):
            result["latency"] = latency(folder / "latency", rules, samples)
    finish(result, options.json, ratio)


if __name__ == "__main__":
    main()
