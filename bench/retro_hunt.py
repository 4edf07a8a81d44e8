"""Looking back over stored events: one value, and all Sigma rules, over a million events or ten.

The store is built once, of recorded events as ``store_volume.py`` builds it, in a folder that is kept. A
value search is timed beside a bare DuckDB scan of the same column of the same Parquet files; all rules of
SigmaHQ over the stored frames beside the same engine over the same events as plain JSON lines in memory.
Each measurement is a process of its own; of several rounds in turn the best counts. Ratios: seconds of ours
over seconds of the floor.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import orjson
from measure import finish
from store_volume import build, replayed

from istmo.detect.eventstore.columns import column_name
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import parse
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.normalise.windows import line_logsources
from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.search.rule_hunt import RuleHunter
from istmo.detect.sigma import RuleSet, collect_rules, rule_files
from istmo.detect.sigma.engine import Engine, PlanFolder, RawScan
from istmo.detect.sigma.kept import KeptFiles
from istmo.detect.sigma.kept_rules import KeptRules
from istmo.detect.wire import Position

SHARED = Path(os.environ.get("ISTMO_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
EVERYTHING = Position(1 << 40)
VALUES = {
    "one address": ("DestinationIp", "198.51.100.77", "DestinationIp:198.51.100.77"),
    "command line contains": ("CommandLine", "%colibri-exfil%", 'CommandLine:"*colibri-exfil*"'),
}
Told = tuple[float, int]
"""Seconds, and how much was found."""


def search(root: Path, kept: Path, name: str) -> Told:
    """A value search as the process aside does it."""
    began = time.monotonic()
    finder = Finder(EventFolder(root), parse_query(VALUES[name][2]), 10_000, EVERYTHING, 3600)
    rows = sum(len(some) for some in finder.rows())
    return time.monotonic() - began, rows


def bare(root: Path, kept: Path, name: str) -> Told:
    """DuckDB alone: the same column of the same files, and the place of each event that it finds."""
    field, value, _ = VALUES[name]
    folder = EventFolder(root)
    columns = []
    for closed in folder.closed():
        with FrameReader(folder.raw_path(closed)) as reader:
            names = [one.lower() for one in reader.index.columns]
        if field.lower() in names:
            columns.append(
                (
                    str(folder.columns_path(closed)),
                    column_name(reader.index.columns[names.index(field.lower())]),
                )
            )
    began = time.monotonic()
    connection = duckdb.connect(config={"threads": 1})
    found = 0
    for path, column in columns:
        query = f"SELECT count(*) FROM read_parquet(?) WHERE {column}::VARCHAR ILIKE ?"
        row = connection.execute(query, [path, value]).fetchone()
        found += row[0] if row else 0
    return time.monotonic() - began, found


def rules_of(kept: Path) -> RuleSet:
    """All rules of the release."""
    known = KeptRules(KeptFiles(kept))
    ruleset = collect_rules(rule_files(SHARED / "sigma" / "sigma_rules.zip"), kept=known)
    known.keep()
    return ruleset


def hunt(root: Path, kept: Path, name: str) -> Told:
    """All rules over the stored frames."""
    ruleset = rules_of(kept)
    began = time.monotonic()
    hunter = RuleHunter(EventFolder(root), ruleset, EVERYTHING, 36_000, limit=0, plans=PlanFolder(kept))
    for _ in hunter.matches():
        pass
    return time.monotonic() - began, sum(one.count for one in hunter.found())


def engine_alone(root: Path, kept: Path, name: str) -> Told:
    """The engine over the same events as plain lines; unpacking and taking them apart is not counted."""
    ruleset = rules_of(kept)
    began = time.monotonic()

    def read(line: bytes, _start: int) -> NormalEvent:
        return normalise(orjson.loads(line), line)

    scan = RawScan(Engine(ruleset, plans=PlanFolder(kept)), read, line_logsources)
    seconds, found = time.monotonic() - began, 0
    folder = EventFolder(root)
    for closed in reversed(folder.closed()):
        with FrameReader(folder.raw_path(closed)) as reader:
            for number in range(len(reader.index.frames)):
                block = b"\n".join(parse(line).raw for line in reader.lines(number))
                began = time.monotonic()
                found += sum(one.rule.id not in ruleset.silent for one in scan.find(block))
                seconds += time.monotonic() - began
    return seconds, found


def _told(what: Callable[[Path, Path, str], Told], root: Path, kept: Path, name: str, answers: Any) -> None:
    answers.put(what(root, kept, name))


def apart(what: Callable[[Path, Path, str], Told], root: Path, kept: Path, name: str = "") -> Told:
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    process = spawn.Process(target=_told, args=(what, root, kept, name, answers))
    process.start()
    found: Told = answers.get()
    process.join()
    return found


def main() -> None:
    """Build what is not there, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", type=Path, nargs="?", help="where the store is built, once; else for this run"
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="20,000 events, each thing once")
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rule-rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.events, asked.rounds = 20_000, 1
    with tempfile.TemporaryDirectory(prefix="istmo-retro-") as made:
        asked.folder = asked.folder or Path(made)
        run(asked)


def run(asked: argparse.Namespace) -> None:
    """Build, measure, print."""
    root, kept = asked.folder / f"events-{asked.events}", asked.folder / "kept"
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (root / "segments").exists():
        build(root, replayed(SHARED / "events-large", asked.events, asked.days))
    result: dict[str, Any] = {"events": asked.events}
    worst = 0.0
    for name in VALUES:
        rounds = [
            (apart(search, root, kept, name), apart(bare, root, kept, name)) for _ in range(asked.rounds)
        ]
        ours, floor = min(one for one, _ in rounds), min(one for _, one in rounds)
        worst = max(worst, ours[0] / floor[0])
        result[name] = f"{ours[0]:.3f} s, {ours[1]} found; DuckDB alone {floor[0]:.3f} s, {floor[1]} found"
    by_rules = [(apart(hunt, root, kept), apart(engine_alone, root, kept)) for _ in range(asked.rule_rounds)]
    ours, floor = min(one for one, _ in by_rules), min(one for _, one in by_rules)
    result["all rules, events/s"] = round(asked.events / ours[0])
    result["engine alone, events/s"] = round(asked.events / floor[0])
    result["matches"] = f"{ours[1]}, engine alone {floor[1]}"
    rules = ours[0] / floor[0]
    line = f"a value takes {worst:.2f} times DuckDB alone, all rules {rules:.2f} times the engine alone"
    finish(result, asked.json, f"ratio: {line}")


if __name__ == "__main__":
    main()
