"""Ten million events at rest: size, how fast they come to rest, how soon something in them is found.

Recorded events are replayed hour after hour over the days before a fixed instant, each with times, a
process id and a port of its own; one in a hundred thousand carries what is then looked for. They go the
worker's own way, but for HTTP: into the log with its syncs, and closed by two processes aside meanwhile.
The folder is built once; a second run measures what is there. ``--small`` measures besides a year of
small hourly segments, before and after they are merged. Floor for free text: reading every line and
looking for the bytes, no more. Ratio: search by free text against it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import random
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from measure import finish
from mixes import recorded
from sigma_engine import SHARED

from istmo.clock import ManualClock, SystemClock
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.keeping import mergeable
from istmo.detect.eventstore.log import Batch, EventLog
from istmo.detect.eventstore.resting import Shelf
from istmo.detect.eventstore.rewriting import remove_superseded, rewrite
from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position

END = datetime(2026, 3, 1, tzinfo=UTC)
RARE = 100_000
BATCH = 500
_TIME = re.compile(rb"20\d\d-\d\d-\d\d([T ])\d\d:\d\d:\d\d")
_VARIED = re.compile(rb'"(ProcessId|SourcePort|NewProcessId)":"?[0-9a-fx]+"?')
NEEDLES = {
    "one address": "DestinationIp:198.51.100.77",
    "command line contains": 'CommandLine:"*colibri-exfil*"',
    "free text": "colibri-exfil",
    "two fields and a day": "DestinationIp:198.51.100.77 from:2026-02-27 to:2026-02-28",
}


def replayed(folder: Path, number: int, days: int) -> Iterator[bytes]:
    """Events in the order of time."""
    dice = random.Random(11)
    texts = [orjson.dumps(event) for event in recorded(folder, 60_000)]
    start, step = END - timedelta(days=days), timedelta(days=days) / number
    for n in range(number):
        when = (start + n * step).strftime("%Y-%m-%d|%H:%M:%S").encode().split(b"|")
        nonce = b'"\\1":%d' % dice.getrandbits(16)
        raw = _TIME.sub(lambda found, when=when: when[0] + found[1] + when[1], texts[n % len(texts)])
        raw = _VARIED.sub(nonce, raw)
        if n % RARE == RARE // 2:
            raw = raw[:-1] + b',"DestinationIp":"198.51.100.77","CommandLine":"x.exe colibri-exfil %d"}' % n
        yield raw


def build(root: Path, events: Iterator[bytes], clock: Any = None, **how: Any) -> dict[str, Any]:
    """Append everything, and close segments beside it."""
    log = EventLog(root, clock or SystemClock(), **how)
    slots = threading.Semaphore(16)
    problems: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def answer(problem: Any) -> None:
        if problem is not None:
            problems.put(problem)
        slots.release()

    began = time.monotonic()
    number = appended_bytes = 0
    closing: dict[int, Future[Any]] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn) as pool:
        batch: list[tuple[bytes, None]] = []
        waited = 0.0

        def send() -> None:
            slots.acquire()
            log.append(Batch("x-istmo-source--bench", list(batch), answer))
            batch.clear()

        for raw in events:
            batch.append((raw, None))
            number += 1
            appended_bytes += len(raw)
            if len(batch) < BATCH:
                continue
            send()
            if number % (BATCH * 20) == 0:
                for segment in log.segments_to_close():
                    closing.setdefault(segment, pool.submit(_close, root, segment))
                held = [one for one in closing.values() if not one.done()]
                if len(held) > 8:  # what waits to be closed takes room: do not run away from it
                    pause = time.monotonic()
                    held[0].result()
                    waited += time.monotonic() - pause
        if batch:
            send()
        for _ in range(16):
            slots.acquire()
        appended = time.monotonic() - began
        log.ask_rotation()
        log.append(Batch("x-istmo-source--bench", [(b"{}", None)], answer))
        slots.acquire()
        for segment in log.segments_to_close():
            closing.setdefault(segment, pool.submit(_close, root, segment))
        for one in closing.values():
            one.result()
    whole = time.monotonic() - began
    log.close()
    if not problems.empty():
        raise problems.get()
    return {
        "events": number,
        "bytes an event as it came": round(appended_bytes / number),
        "appended alone, events/s": round(number / max(0.001, appended - waited)),
        "at rest, events/s (two processes close)": round(number / whole),
        "at rest after, s": round(whole, 1),
    }


def _close(root: Path, segment: int) -> None:
    close_segment(EventFolder(root), segment)


def ask(root: Path, query: str, answers: Any) -> None:
    """One search in a process of its own, as the worker runs it: seconds, rows, peak MB."""
    began = time.monotonic()
    finder = Finder(EventFolder(root), parse_query(query), 1000, Position(1 << 40), 3600)
    first, rows = None, 0
    for some in finder.rows():
        first = first or time.monotonic() - began
        rows += len(some)
    status = Path("/proc/self/status").read_text()  # not ru_maxrss: that holds the memory of whoever forked
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024 / 1e6  # type: ignore[index]
    answers.put((time.monotonic() - began, first or 0.0, rows, peak))


def measured(root: Path, query: str) -> tuple[float, float, int, float]:
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    process = spawn.Process(target=ask, args=(root, query, answers))
    process.start()
    found: tuple[float, float, int, float] = answers.get()
    process.join()
    return found


def floor(root: Path) -> float:
    """Seconds to read every line and look for the bytes."""
    folder = EventFolder(root)
    began = time.monotonic()
    for closed in folder.closed():
        with FrameReader(folder.raw_path(closed)) as reader:
            for number in range(len(reader.index.frames)):
                _ = b"colibri-exfil" in reader.block(number).lower()
    return time.monotonic() - began


def restarted(root: Path) -> float:
    """Seconds until the log of a worker that starts is open."""
    began = time.monotonic()
    EventLog(root, SystemClock()).close()
    return time.monotonic() - began


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def small(root: Path, events: Path, hours: int, each: int) -> dict[str, Any]:
    """A year of small segments, and the same merged."""
    if not root.exists():
        clock = ManualClock(END - timedelta(hours=hours))
        log = EventLog(root, clock)
        done = threading.Semaphore(0)
        source = replayed(events, hours * each, hours // 24)
        for _ in range(hours):
            batch = [(next(source), None) for _ in range(each)]
            log.ask_rotation()
            log.append(Batch("x-istmo-source--bench", batch, lambda _: done.release()))
            done.acquire()
            clock.advance(3600)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, spawn) as pool:
            list(pool.map(_close, [root] * hours, log.segments_to_close(), chunksize=20))
        log.close()
    folder = EventFolder(root)
    query = NEEDLES["one address"]
    result: dict[str, Any] = {}
    for when in ("before", "merged"):
        seconds, _, rows, _ = measured(root, query)
        result[f"small segments {when}"] = len(folder.closed())
        result[f"small segments {when}, MB"] = round(size_of(root) / 1e6, 1)
        result[f"small segments {when}, one address, s"] = round(seconds, 2)
        result[f"small segments {when}, rows"] = rows
        result[f"small segments {when}, restart, s"] = round(restarted(root), 2)
        began, merged = time.monotonic(), 0
        shelf = Shelf(folder)
        while when == "before" and (run := mergeable(shelf.all(), 1 << 60, 1 << 40)):
            olds = [one.closed for one in run]
            rewrite(folder, olds, {})
            remove_superseded(folder, olds)
            shelf.refresh()
            merged += len(olds)
        if merged:
            result["small segments, merging s"] = round(time.monotonic() - began, 1)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", help="where the store is built, once; else for this run"
    )
    parser.add_argument("--events", type=Path, default=SHARED / "events-large", help="zips of JSON lines")
    parser.add_argument("--quick", action="store_true", help="20,000 events")
    parser.add_argument("--number", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--small", type=int, default=0, help="hours of a year of small segments; 8760")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.number = 20_000
    with tempfile.TemporaryDirectory(prefix="istmo-volume-") as made:
        asked.folder = asked.folder or Path(made)
        run(asked)


def run(asked: argparse.Namespace) -> None:
    """Build, measure, print."""
    root = asked.folder / "events"
    result: dict[str, Any] = {}
    if not root.exists():
        asked.folder.mkdir(parents=True, exist_ok=True)
        result = build(root, replayed(asked.events, asked.number, asked.days))
    folder = EventFolder(root)
    shelf = Shelf(folder)
    number = sum(one.lines for one in shelf.all())
    result |= {
        "stored": number,
        "segments": len(shelf.all()),
        "MB at rest": round(size_of(root) / 1e6),
        "bytes an event at rest": round(size_of(root) / max(1, number)),
        "restart, s": round(restarted(root), 2),
    }
    free_text = 0.0
    place = shelf.all()[len(shelf.all()) // 2].closed.first
    for name, query in (NEEDLES | {"id": f"id:{place}-42"}).items():
        seconds, first, rows, peak = measured(root, query)
        free_text = seconds if name == "free text" else free_text
        result[name] = f"{seconds:.2f} s, {rows} rows, the first after {first:.2f} s, {peak:.0f} MB"
    plain = floor(root)
    result["floor for free text"] = f"{plain:.2f} s"
    if asked.small:
        result |= small(asked.folder / "small", asked.events, asked.small, 40)
    line = f"free text takes {free_text / plain:.2f} times the plain reading of every line"
    finish(result, asked.json, f"ratio: {line}")


if __name__ == "__main__":
    main()
