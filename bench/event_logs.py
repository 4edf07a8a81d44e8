"""Windows event logs end to end: ``istmo hunt`` with a whole release of rules, beside Hayabusa and Chainsaw.

The recorded attacks are unpacked first; every program reads them as files, rules as they are published, and
writes its findings to a file. Programs take turns on one core. Ours runs without what an earlier run kept
(the start a responder has once) and with it. A rival is found on PATH or in the folder ``ISTMO_RIVALS``;
Hayabusa and Chainsaw read rules and mappings from ``ISTMO_RIVALS/NAME`` as their releases lay them out;
the calls of these two have not been tried yet, as no package registry has the programs.
Ratio: CPU seconds of the quickest rival to ours; without one, of ours without what it kept to ours with it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from measure import finish, reap
from sigma_engine import SHARED, find_rival, unpack_rules, version_of

RIVALS = ("hayabusa", "chainsaw")


@dataclass
class Took:
    """What one run of a program cost."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    output: bytes

    def told(self) -> dict[str, float]:
        return {
            "cpu_s": round(self.cpu_s, 2),
            "wall_s": round(self.wall_s, 2),
            "peak_mb": round(self.peak_mb),
        }


def run(command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None) -> Took:
    """Run a program on one core to its end. Raises RuntimeError where it fails."""
    core = str(min(os.sched_getaffinity(0)))
    with (folder / "out").open("w+b") as out, (folder / "errors").open("w+b") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "-c", core, *command], stdout=out, stderr=errors, env=os.environ | dict(more or {})
        )
        process.returncode, cpu, peak = reap(process.pid)
        wall = time.perf_counter() - began
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{command[0]}: {errors.read()[-2000:].decode(errors='replace')}")
        out.seek(0)
        return Took(cpu, wall, peak, out.read())


def command_of(name: str, program: str, logs: Path, folder: Path) -> list[str]:
    """How a rival is run over a folder with its quickest options and all that it finds kept."""
    beside = Path(os.environ.get("ISTMO_RIVALS", ".")) / name
    if name == "hayabusa":
        given = ["--no-wizard", "--quiet", "--clobber", "--rules", str(beside / "rules")]
        return [program, "json-timeline", "-L", "-d", str(logs), *given, "-o", str(folder / "timeline")]
    mapping = beside / "mappings" / "sigma-event-logs-all.yml"
    given = ["--sigma", str(folder / "rules"), "--mapping", str(mapping), "--preprocess", "--json"]
    return [program, "hunt", str(logs), *given, "--output", str(folder / "timeline")]


def unpack_logs(target: Path, most: int) -> int:
    """The recorded logs, or every n-th of them so that there are about ``most``; how many there are."""
    with zipfile.ZipFile(SHARED / "evtx" / "evtx_attack_samples.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.lower().endswith(".evtx"))
        taken = names[:: max(1, len(names) // most)] if most else names
        for place, name in enumerate(taken):
            (target / f"{place:04}.evtx").write_bytes(archive.read(name))
    return len(taken)


def measure(folder: Path, *, quick: bool) -> tuple[dict[str, Any], float]:
    logs, rules, cache = (folder / name for name in ("logs", "rules", "cache"))
    for path in (logs, rules):
        path.mkdir()
    cache.mkdir(mode=0o700)
    result: dict[str, Any] = {
        "logs": unpack_logs(logs, 60 if quick else 0),
        "rule_files": unpack_rules(rules),
    }
    (folder / "empty.jsonl").write_bytes(b"{}\n")
    hunt = [sys.executable, "-m", "istmo", "hunt"]
    given = ["--rules", str(rules), "--json"]
    programs = {name: find_rival(name) for name in RIVALS}
    result |= {f"{name}_version": version_of(at) if at else "not installed" for name, at in programs.items()}
    runs: dict[str, list[Took]] = {}
    for place in range(1 if quick else 3):
        bare = {"XDG_CACHE_HOME": str(folder / f"bare{place}")}
        kept = {"XDG_CACHE_HOME": str(cache)}
        Path(bare["XDG_CACHE_HOME"]).mkdir(mode=0o700)
        if not place:
            run([*hunt, str(logs), *given], folder, kept)
        runs.setdefault("first_run", []).append(run([*hunt, str(logs), *given], folder, bare))
        runs.setdefault("later_run", []).append(run([*hunt, str(logs), *given], folder, kept))
        runs.setdefault("start", []).append(run([*hunt, str(folder / "empty.jsonl"), *given], folder, kept))
        for name, program in programs.items():
            if program:
                runs.setdefault(name, []).append(run(command_of(name, program, logs, folder), folder))
    best = {name: min(took, key=lambda one: one.cpu_s) for name, took in runs.items()}
    result |= {name: one.told() for name, one in best.items()}
    result["told"] = counts(best["later_run"].output)
    rivals = [best[name].cpu_s for name in RIVALS if name in best]
    against = min(rivals) if rivals else best["first_run"].cpu_s
    return result, against / best["later_run"].cpu_s


def counts(output: bytes) -> dict[str, Any]:
    """The numbers of a report."""
    report = orjson.loads(output)
    return {
        name: value if isinstance(value, int) else len(value)
        for name, value in report.items()
        if isinstance(value, int | list)
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="some of the logs, one round")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result, ratio = measure(Path(folder), quick=chosen.quick)
    finish(
        result,
        chosen.json,
        f"ratio {ratio:.2f}: CPU seconds of the quickest rival (else our first run) to a later run of ours",
    )


if __name__ == "__main__":
    main()
