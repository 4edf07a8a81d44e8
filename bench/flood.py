"""A flood: many times what a worker can take, for minutes, by every door at once.

Senders of ``_bulk``, HEC, OTLP, newline JSON and GELF over HTTP, and of syslog and GELF over TCP, each send
as fast as they are let, over hundreds of connections. Who is told to come back later comes at once, with the
next body: a flood heeds nothing. Then each body that was answered with success is looked for in the store:
every event of it must be there, once.

Prints what was offered, taken and refused by protocol, how soon answers came, the most memory that the
worker's processes held together, and what is missing (which must be nothing). ``--seconds 600`` is the whole.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from live import SECRET, WebSide, parts_of
from measure import finish, percentile, pss_mb
from sigma_engine import unpack_rules

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader

EVENTS = 2_000
"""Of one body."""
HEC, OTLP, BULK, LINES, GELF, SYSLOG_TCP, GELF_TCP = (
    "hec",
    "otlp",
    "bulk",
    "lines",
    "gelf",
    "syslog",
    "gelf_tcp",
)
HTTP_EACH = {BULK: 80, HEC: 60, OTLP: 60, LINES: 60, GELF: 20}
"""Connections of each; four of ``_bulk`` are enough to keep a worker busy."""
STREAMS_EACH = {SYSLOG_TCP: 4, GELF_TCP: 4}
_NUMBER = re.compile(rb"flood-(\d+)-(\d+)-")


@dataclass
class Told:
    """What happened to one protocol's bodies."""

    offered: int = 0
    taken: list[int] = field(default_factory=list)
    """Numbers of bodies that were answered with success."""
    answers: Counter[str] = field(default_factory=Counter)
    millis: list[float] = field(default_factory=list)


def events(body: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A body's events: a text that names each, and an event as a host would send it."""
    for number in range(EVENTS):
        text = f"flood-{body}-{number}- session opened for user root by uid {number}"
        yield text, {"message": text, "Image": "/usr/sbin/sshd", "DestinationIp": f"10.0.{number % 256}.7"}


def request(protocol: str, body: int) -> tuple[str, bytes, dict[str, str]]:
    """Path, body and headers of one request."""
    both = list(events(body))
    json_ = {"Content-Type": "application/json"}
    match protocol:
        case "bulk":
            lines = [b'{"create":{}}\n' + orjson.dumps(event) + b"\n" for _, event in both]
            return "/_bulk", b"".join(lines), {}
        case "hec":
            return "/services/collector/event", b"".join(orjson.dumps({"event": one}) for _, one in both), {}
        case "otlp":
            records = [{"body": {"stringValue": text}} for text, _ in both]
            whole = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
            return "/v1/logs", orjson.dumps(whole), json_
        case "gelf":  # one message a request is all that it knows
            text = both[0][0]
            return "/gelf", orjson.dumps({"version": "1.1", "host": "h", "short_message": text}), json_
        case _:
            return "/api/v1/events", b"\n".join(orjson.dumps(event) for _, event in both), {}


def events_of(protocol: str) -> int:
    """Events of one body."""
    return 1 if protocol == GELF else EVENTS


class Flood:
    """All senders."""

    def __init__(self, side: WebSide, seconds: float, share: float = 1.0) -> None:
        """``share`` of the connections."""
        self._side, self._share = side, share
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._next = 0
        self.told = {one: Told() for one in (*HTTP_EACH, *STREAMS_EACH)}
        self.most_mb: Counter[str] = Counter()

    def run(self) -> None:
        """Until the time is over."""
        work: list[Callable[[], None]] = []
        for protocol, count in HTTP_EACH.items():
            work += [lambda protocol=protocol: self._post(protocol)] * max(1, round(count * self._share))  # type: ignore[misc]
        for protocol, count in STREAMS_EACH.items():
            work += [lambda protocol=protocol: self._stream(protocol)] * count  # type: ignore[misc]
        threads = [threading.Thread(target=one, daemon=True) for one in work]
        for thread in threads:
            thread.start()
        while time.monotonic() < self._end:
            time.sleep(min(1.0, max(0.0, self._end - time.monotonic())))
            held: Counter[str] = Counter()
            for part, pid in parts_of(self._side.process.pid):
                held[part] += round(pss_mb(pid))
            self.most_mb |= held | Counter({"together": held.total()})
        for thread in threads:
            thread.join(120)

    def _take_number(self) -> int:
        with self._lock:
            self._next += 1
            return self._next

    def _post(self, protocol: str) -> None:
        told = self.told[protocol]
        connection = http.client.HTTPConnection("127.0.0.1", self._side.port, timeout=120)
        scheme = "Splunk" if protocol == HEC else "Bearer"
        while time.monotonic() < self._end:
            number = self._take_number()
            path, body, headers = request(protocol, number)
            headers = headers | {"Authorization": f"{scheme} {SECRET}"}
            began = time.perf_counter()
            with self._lock:
                told.offered += events_of(protocol)
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self._lock:
                    told.answers[type(error).__name__] += 1
                continue
            is_taken = answer.status in (200, 202) and b'"errors":true' not in said.replace(b" ", b"")
            with self._lock:
                told.millis.append((time.perf_counter() - began) * 1000)
                told.answers[str(answer.status)] += 1
                if is_taken:
                    told.taken.append(number)
                if answer.status in (429, 503) and "Retry-After" not in answer.headers:
                    told.answers[f"{answer.status} without Retry-After"] += 1

    def _stream(self, protocol: str) -> None:
        """Messages without answers: what counts is that the sender is held up, and nothing grows."""
        told = self.told[protocol]
        settings = self._side.settings
        port = settings.syslog_tcp if protocol == SYSLOG_TCP else settings.gelf_tcp
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(120)
            while time.monotonic() < self._end:
                number = self._take_number()
                texts = [text for text, _ in events(number)]
                if protocol == SYSLOG_TCP:
                    body = "".join(
                        f"<38>1 2026-03-02T10:00:00Z h app - - - {text}\n" for text in texts
                    ).encode()
                else:
                    body = b"".join(
                        orjson.dumps({"version": "1.1", "host": "h", "short_message": text}) + b"\0"
                        for text in texts
                    )
                began = time.perf_counter()
                connection.sendall(body)
                with self._lock:
                    told.offered += EVENTS
                    told.taken.append(number)
                    told.millis.append((time.perf_counter() - began) * 1000)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(120)
            while connection.recv(1024):
                pass


def stored(folder: EventFolder) -> dict[int, bytearray]:
    """By body, how often each of its events is in the store."""
    found: dict[int, bytearray] = {}

    def note(block: bytes) -> None:
        # An event may name itself twice, in its text and in the line that it was read from.
        for body, number in {*_NUMBER.findall(block)}:
            counts = found.setdefault(int(body), bytearray(EVENTS))
            counts[int(number)] = min(255, counts[int(number)] + 1)

    for segment in folder.wal_segments():
        for line in folder.wal_path(segment).open("rb"):
            note(line)
    for closed in folder.closed():
        with FrameReader(folder.raw_path(closed)) as reader:
            for lines in reader:
                for line in lines:
                    note(line)
    return found


def flood(
    folder: Path, seconds: float, rules: Path | None, indicators: int, share: float = 1.0
) -> dict[str, Any]:
    """Flood a worker, and see what is there."""
    side = WebSide(folder, listeners=True)
    try:
        side.introduce(rules, indicators)
        run = Flood(side, seconds, share)
        run.run()
        time.sleep(2)  # what came over streams is stored a moment after it was read
        for _, pid in list(parts_of(side.process.pid)):
            os.kill(pid, signal.SIGKILL)  # what was acknowledged is on disk, whatever happens now
        side.process.wait()
        there = stored(EventFolder(side.settings.events))
    finally:
        if side.process.poll() is None:
            side.stop()
    missing = doubled = 0
    result: dict[str, Any] = {}
    for protocol, told in run.told.items():
        many = events_of(protocol)
        for number in told.taken:
            counts = there.get(number, bytearray(EVENTS))[:many]
            missing += counts.count(0)
            doubled += many - counts.count(0) - counts.count(1)
        millis = told.millis or [0.0]
        result[protocol] = {
            "offered": told.offered,
            "taken": len(told.taken) * many,
            "answers": dict(told.answers),
            "p50_ms": round(percentile(millis, 0.5)),
            "p99_ms": round(percentile(millis, 0.99)),
        }
    total = sum(len(counts) - counts.count(0) for counts in there.values())
    offered = sum(told.offered for told in run.told.values())
    return result | {
        "seconds": seconds,
        "offered_per_s": round(offered / seconds),
        "stored_per_s": round(total / seconds),
        "stored": total,
        "missing": missing,
        "doubled": doubled,
        "most_mb": dict(run.most_mb),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two seconds, a tenth of the connections")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--indicators", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="istmo-flood-") as made:
        rules = Path(made) / "rules"
        rules.mkdir()
        unpack_rules(rules)
        if options.quick:
            result = flood(Path(made) / "node", 2.0, rules, 1_000, 0.1)
        else:
            result = flood(Path(made) / "node", options.seconds, rules, options.indicators)
    kept = result["stored_per_s"]
    finish(
        result,
        options.json,
        f"ratio: {result['offered_per_s'] / kept:.1f} times as much was offered as was taken",
    )
    if result["missing"]:
        raise SystemExit(f"{result['missing']} events that were acknowledged are not in the store")


if __name__ == "__main__":
    main()
