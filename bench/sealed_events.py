"""What it costs that stored events are sealed: taking in, closing, finding a value, reading every line.

The same events go into a plain store and into a sealed one, in turns, each in a process of its own;
processor time is compared, since that is what sealing costs, and the largest memory of each is told. Floor:
the plain store. Ratio: closing a sealed segment against closing a plain one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from measure import finish, reap
from sigma_engine import SHARED
from store_volume import NEEDLES, replayed

from istmo.clock import SystemClock
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.log import Batch, EventLog
from istmo.detect.eventstore.sealing import NO_KEYS, Keys
from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position

KEYS = {"plain": NO_KEYS, "sealed": Keys([b"k" * 32])}
BATCH = 500


def append(folder: EventFolder, events: Path) -> None:
    """Everything into one write-ahead file."""
    log = EventLog(folder.root, SystemClock(), folder.keys, segment_bytes=1 << 40)
    done = threading.Semaphore(0)
    lines = events.read_bytes().splitlines()
    for start in range(0, len(lines), BATCH):
        batch: list[tuple[bytes, Any]] = [(line, None) for line in lines[start : start + BATCH]]
        log.append(Batch("bench", batch, lambda _: done.release()))
        done.acquire()
    log.ask_rotation()
    log.append(Batch("bench", [(b"{}", None)], lambda _: done.release()))
    done.acquire()
    log.close()


def search(folder: EventFolder, query: str) -> None:
    """One search, to its end."""
    list(Finder(folder, parse_query(query), 1000, Position(1 << 40), 3600).rows())


def step(name: str, form: str, root: Path, events: Path) -> None:
    """One step in this process."""
    folder = EventFolder(root, KEYS[form])
    if name == "append":
        append(folder, events)
    elif name == "close":
        close_segment(folder, 1)
    elif name != "nothing":
        search(folder, NEEDLES[name])


def measured(name: str, form: str, root: Path, events: Path) -> tuple[float, float]:
    """Processor seconds and peak memory (MB) of one step in a process of its own."""
    command = [sys.executable, __file__, "--step", name, form, str(root), str(events)]
    process = subprocess.Popen(command, env=os.environ)
    code, seconds, peak = reap(process.pid)
    process.returncode = code
    if code:
        raise RuntimeError(f"{name} {form} ended with {code}")
    return seconds, peak


STEPS = ("append", "close", "one address", "command line contains", "free text")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, default=SHARED / "events-large", help="zips of JSON lines")
    parser.add_argument("--number", type=int, default=40_000, help="events; 40,000 are about a segment")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="4,000 events, one round")
    parser.add_argument("--step", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.step:
        name, form, root, events = asked.step
        step(name, form, Path(root), Path(events))
        return
    if asked.quick:
        asked.number, asked.rounds = 4_000, 1
    with tempfile.TemporaryDirectory(prefix="istmo-sealed-") as made:
        run(asked, Path(made))


def run(asked: argparse.Namespace, folder: Path) -> None:
    """Measure in turns; print medians."""
    events = folder / "events.ndjson"
    with events.open("wb") as file:
        file.writelines(line + b"\n" for line in replayed(asked.events, asked.number, 1))
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    sizes: dict[str, int] = {}
    for _ in range(asked.rounds):
        for form in KEYS:
            root = folder / form
            shutil.rmtree(root, ignore_errors=True)
            for name in ("nothing", *STEPS):
                taken.setdefault((name, form), []).append(measured(name, form, root, events))
            sizes[form] = sum(path.stat().st_size for path in (root / "segments").iterdir())
    result: dict[str, Any] = {"events": asked.number, "MB of lines": round(events.stat().st_size / 1e6, 1)}
    ratios: dict[str, float] = {}
    for name in STEPS:
        seconds, peaks = {}, {}
        for form in KEYS:
            start = statistics.median(one for one, _ in taken["nothing", form])
            seconds[form] = statistics.median(one for one, _ in taken[name, form]) - start
            peaks[form] = statistics.median(peak for _, peak in taken[name, form])
        ratios[name] = max(0.0, seconds["sealed"]) / max(0.001, seconds["plain"])
        told = ", ".join(f"{form} {seconds[form]:.2f} s and {peaks[form]:.0f} MB" for form in KEYS)
        result[name] = f"{told}, ratio {ratios[name]:.2f}"
    result["bytes at rest, ratio"] = round(sizes["sealed"] / sizes["plain"], 3)
    value = ratios["one address"]
    finish(
        result,
        asked.json,
        f"closing sealed against plain, ratio: {ratios['close']:.2f} (a value {value:.2f})",
    )


if __name__ == "__main__":
    main()
