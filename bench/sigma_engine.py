"""Sigma over JSON lines: all Windows rules of SigmaHQ, on recordings, with no value twice, and under attack.

Every engine is a process of its own, pinned to one core, or two of them with half of the events each on
both cores; they take turns in the same run. Loading is told apart: for a rival, what it takes for no events.
Ours works in two ways: ``istmo`` scans lines and parses those that may match, as hunts do; ``istmo_fields``
parses and normalises every event, as the worker does. Both bring events to Sigma's names within the time
measured; a rival is handed them with these names and with their log source written in. What ours knows of
witnesses it learnt of 600 recorded events a class. A rival is found on PATH or in the folder
``ISTMO_RIVALS``. Ratio: events a second of ours against rsigma's on the mix in which no value repeats, one
core; against parsing alone where there is no rsigma.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from measure import finish, reap
from mixes import ADVERSARIAL, Event, recorded, some_of_each, unrepeated, write_lines

from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.normalise.windows import line_logsources
from istmo.detect.sigma import RuleSet, collect_rules, rule_files
from istmo.detect.sigma.engine import BLOCK, Engine, PlanFolder, RawScan
from istmo.detect.sigma.evaluator import Evaluator
from istmo.detect.sigma.kept import KeptFiles
from istmo.detect.sigma.kept_rules import KeptRules

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ISTMO_SHARED_DATA", ROOT.parent / "shared" / "data"))
BATCH = 300
KINDS = ("istmo", "istmo_fields", "cold", "evaluator")
RIVALS = ("rsigma", "zircolite")
SLOW_MOST = 300
"""Events for the evaluator that asks one rule after another."""


@dataclass
class Run:
    """What one process told, or several at once."""

    events: int = 0
    seconds: float = 0.0
    load: float = 0.0
    parse: float = 0.0
    peak_mb: float = 0.0
    rules: int = 0
    found: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> int:
        return round(self.events / self.seconds) if self.seconds > 0 else 0


def find_rival(name: str) -> str | None:
    """A rival's program, in the folder of rivals or on PATH."""
    folder = os.environ.get("ISTMO_RIVALS")
    places = [folder, str(Path(folder) / "bin")] if folder else []
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))


def version_of(program: str) -> str:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    return (told.stdout or told.stderr).strip().splitlines()[0]


def unpack_rules(target: Path) -> int:
    """The Windows rules of the release, one file each in one folder."""
    count = 0
    with zipfile.ZipFile(SHARED / "sigma" / "sigma_rules.zip") as archive:
        for name in archive.namelist():
            if not name.endswith(".yml"):
                continue
            data = archive.read(name)
            if b"product: windows" in data:
                count += 1
                (target / f"{count:05}.yml").write_bytes(data)
    return count


def load(rules: Path, kept_in: Path) -> RuleSet:
    kept = KeptRules(KeptFiles(kept_in))
    ruleset = collect_rules(rule_files(rules), kept=kept)
    kept.keep()
    return ruleset


def work(kind: str, events: Path, rules: Path, kept_in: Path) -> None:
    """One engine of ours over one file, in this process: tell on standard output what it took."""
    began = time.perf_counter()
    ruleset = load(rules, kept_in)
    engine = Engine(ruleset, plans=PlanFolder(kept_in))
    slow = Evaluator(ruleset)
    run = Run(rules=len(ruleset.rules))
    ready = time.perf_counter() - began
    one_of_each = {(event.get("Channel"), event.get("EventID")): line for line, event in parsed(events)}
    began = time.perf_counter()
    scan = RawScan(engine, read, line_logsources)
    if kind == "istmo":  # opening a class that was kept is loading too
        scan.find(b"".join(one_of_each.values()))
    elif kind == "istmo_fields":
        engine.find([read(line) for line in one_of_each.values()])
    run.load = ready + time.perf_counter() - began
    gc.collect()
    gc.freeze()
    gc.disable()
    for lines in batches(events):
        began = time.perf_counter()
        for line in lines:
            orjson.loads(line)
        run.parse += time.perf_counter() - began
    if kind in ("istmo", "cold"):
        for block in blocks(events):
            began = time.perf_counter()
            run.found.update(one.rule.id for one in scan.find(block))
            run.seconds += time.perf_counter() - began
            run.events += block.count(b"\n")
    for lines in batches(events) if kind != "istmo" else ():
        began = time.perf_counter()
        normal = [read(line) for line in lines]
        if kind == "evaluator":
            for one in normal:
                run.found.update(match.rule_id for match in slow.match(one.fields, one.logsources))
        else:
            run.found.update(rule.id for _, rule in engine.find(normal))
        run.seconds += time.perf_counter() - began
        run.events += len(lines)
    sys.stdout.buffer.write(orjson.dumps(run))


def read(line: bytes, _start: int = 0) -> NormalEvent:
    return normalise(orjson.loads(line), line)


def parsed(path: Path) -> Iterator[tuple[bytes, Event]]:
    return ((line, orjson.loads(line)) for lines in batches(path) for line in lines)


def blocks(path: Path) -> Iterator[bytes]:
    """Whole lines, about as many bytes as are best scanned at a time."""
    with path.open("rb") as lines:
        while some := lines.readlines(BLOCK):
            yield b"".join(some)


def batches(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as lines:
        while batch := list(itertools.islice(lines, BATCH)):
            yield batch


@dataclass
class Started:
    """A process that is being measured; it is reaped by ``wait`` alone, which tells its own memory."""

    process: subprocess.Popen[bytes]
    output: Path
    began: float

    def wait(self) -> tuple[bytes, float, float]:
        self.process.returncode, _, peak = reap(self.process.pid)
        took = time.perf_counter() - self.began
        told = self.output.read_bytes()
        self.output.unlink()
        if self.process.returncode:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.returncode}")
        return told, took, peak


def start(command: Sequence[str], core: int, folder: Path) -> Started:
    output = folder / f"out-{core}"
    with output.open("wb") as out, (folder / f"errors-{core}").open("wb") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(["taskset", "-c", str(core), *command], stdout=out, stderr=errors)
    return Started(process, output, began)


class Bench:
    """The engines, the rules and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rules = folder / "rules"
        self.kept = folder / "kept"
        self.kept.mkdir(mode=0o700)
        self.rules.mkdir()
        self.files = unpack_rules(self.rules)
        self.rsigma = find_rival("rsigma")
        self.cores = sorted(os.sched_getaffinity(0))
        self.rsigma_load = 0.0

    def ours(self, files: Sequence[Path], kind: str = "istmo") -> Run:
        """Ours over these files at once, one process a file, with what the first run kept and no more."""
        kept = self.kept
        if kind != "cold":
            kept = self.folder / "kept_now"
            shutil.copytree(self.kept, kept)
        given = ["--work", kind, "--rules", str(self.rules), "--kept", str(kept)]
        running = [
            start([sys.executable, __file__, *given, "--events", str(path)], core, self.folder)
            for path, core in zip(files, self.cores, strict=False)
        ]
        runs = []
        for one in running:
            output, _, peak = one.wait()
            runs.append(Run(**orjson.loads(output) | {"peak_mb": peak}))
        if kind != "cold":
            shutil.rmtree(kept)
        return joined(runs)

    def rival(self, files: Sequence[Path]) -> Run:
        """Rsigma with its best options over these files at once, one process a file."""
        assert self.rsigma is not None
        command = [self.rsigma, "engine", "eval", "--rules", str(self.rules), "--input-format", "json"]
        command += ["--logsource-routing", "--bloom-prefilter", "--event"]
        running = [
            start([*command, f"@{path.with_suffix('.routed')}"], core, self.folder)
            for path, core in zip(files, self.cores, strict=False)
        ]
        told = []
        for one, path in zip(running, files, strict=False):
            output, took, peak = one.wait()
            found = Counter(
                str(orjson.loads(line)["rule_id"]) for line in output.splitlines() if line[:1] == b"{"
            )
            with path.open("rb") as lines:
                count = sum(1 for _ in lines)
            told.append(Run(count, took - self.rsigma_load, self.rsigma_load, peak_mb=peak, found=found))
        return joined(told)

    def measure_load(self) -> None:
        """What rsigma takes for no events."""
        empty = self.folder / "empty"
        empty.with_suffix(".routed").write_bytes(b"{}\n")
        empty.write_bytes(b"")
        self.rsigma_load = min(self.rival([empty]).seconds for _ in range(3))

    def write(self, name: str, events: Iterator[Event]) -> Path:
        """A mix as ours reads it, and beside it as a rival likes it best."""
        path = self.folder / f"{name}.lines"
        write_lines(events, path)
        with path.open("rb") as lines:
            write_lines((routed(orjson.loads(line)) for line in lines), path.with_suffix(".routed"))
        return path

    def halves(self, path: Path) -> list[Path]:
        """The same events as two files, and their like for rivals."""
        made = [path.with_name(f"{path.stem}-{part}.lines") for part in range(2)]
        for suffix in (".lines", ".routed"):
            lines = path.with_suffix(suffix).read_bytes().splitlines(keepends=True)
            for part, half in enumerate(made):
                half.with_suffix(suffix).write_bytes(b"".join(lines[part::2]))
        return made


def joined(runs: list[Run]) -> Run:
    """Processes that ran at once: as long as the longest, as much memory as all."""
    whole = Run(rules=runs[0].rules)
    for run in runs:
        whole.events += run.events
        whole.seconds = max(whole.seconds, run.seconds)
        whole.load = max(whole.load, run.load)
        whole.parse = max(whole.parse, run.parse)
        whole.peak_mb += run.peak_mb
        whole.found.update(run.found)
    return whole


def routed(event: Event) -> Event:
    """Sigma's names, and the narrowest log source as fields: what a rival would like of a collector."""
    normal = normalise(event)
    if not normal.logsources:
        return normal.fields
    narrow = normal.logsources[-1]
    named = {"product": narrow.product, "category": narrow.category, "service": narrow.service}
    return normal.fields | {name: value or "other" for name, value in named.items()}


def told(run: Run) -> dict[str, Any]:
    return {"events_s": run.rate, "load_s": round(run.load, 2), "peak_mb": round(run.peak_mb)}


def compare(bench: Bench, files: Sequence[Path], rounds: int) -> dict[str, Any]:
    """Ours and the rival in turns; the best of each counts, as noise only slows."""
    ours: list[Run] = []
    fields: list[Run] = []
    rivals: list[Run] = []
    for _ in range(rounds):
        ours.append(bench.ours(files))
        fields.append(bench.ours(files, "istmo_fields"))
        if bench.rsigma:
            rivals.append(bench.rival(files))
    best = max(ours, key=lambda run: run.rate)
    result: dict[str, Any] = {"events": best.events, "istmo": told(best), "matches": best.found.total()}
    parsed_best = max(fields, key=lambda run: run.rate)
    result["istmo_fields"] = told(parsed_best)
    result["parse_events_s"] = round(best.events / min(run.parse for run in ours))
    result["ratio_to_fields"] = round(best.rate / max(1, parsed_best.rate), 2)
    if rivals:
        rival = max(rivals, key=lambda run: run.rate)
        result["rsigma"] = told(rival)
        result["ratio"] = round(best.rate / max(1, rival.rate), 2)
        result["matches_rsigma"] = rival.found.total()
        differing = {
            rule: (best.found[rule], rival.found[rule])
            for rule in sorted(best.found | rival.found)
            if best.found[rule] != rival.found[rule]
        }
        result["rules_that_differ"] = differing
    else:
        result["ratio"] = round(best.rate / result["parse_events_s"], 2)
    return result


def attack(make: Callable[[random.Random], Event], most: int, dice: random.Random) -> Iterator[Event]:
    """Events of an attacker until there are ``most``, or 5,000 bytes times as many."""
    size = 0
    for _ in range(most):
        event = make(dice)
        yield event
        size += len(orjson.dumps(event))
        if size > most * 5_000:
            return


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a portion of the recordings, one round")
    options.add_argument("--json", action="store_true")
    options.add_argument("--work", choices=KINDS, help=argparse.SUPPRESS)
    for name in ("--events", "--rules", "--kept"):
        options.add_argument(name, type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.work:
        work(chosen.work, chosen.events, chosen.rules, chosen.kept)
        return
    with tempfile.TemporaryDirectory() as folder:
        result, against = measure(Bench(Path(folder)), quick=chosen.quick)
    ratio = result["no_value_repeats"]["ratio"]
    finish(result, chosen.json, f"ratio {ratio}: events a second, no value repeats, one core, to {against}")


def measure(bench: Bench, *, quick: bool) -> tuple[dict[str, Any], str]:
    count, attacked, rounds = (10_000, 1_000, 1) if quick else (0, 10_000, 2)
    result: dict[str, Any] = {"rule_files": bench.files}
    for name in RIVALS:
        program = find_rival(name)
        result[f"{name}_version"] = version_of(program) if program else "not installed"
    large = SHARED / "events-large"
    first = bench.write("first", some_of_each(large, 600))
    cold = bench.ours([first], "cold")
    result |= {"rules": cold.rules, "istmo_without_what_it_kept": told(cold)}
    if bench.rsigma:
        bench.measure_load()
    dice = random.Random(503)
    mixes = {
        "recorded": recorded(large, count),
        "no_value_repeats": (unrepeated(event, dice) for event in recorded(large, count)),
        **{name: attack(make, attacked, dice) for name, make in ADVERSARIAL.items()},
    }
    for name, events in mixes.items():
        path = bench.write(name, events)
        result[name] = compare(bench, [path], rounds)
        if name not in ADVERSARIAL and len(bench.cores) > 1:
            result[f"{name}_both_cores"] = compare(bench, bench.halves(path), rounds)
        path.with_suffix(".routed").unlink()
        path.unlink()
    few = bench.write("few", recorded(large, SLOW_MOST))
    result["evaluator"] = told(bench.ours([few], "evaluator"))
    return result, "rsigma" if bench.rsigma else "parsing alone"


if __name__ == "__main__":
    main()
