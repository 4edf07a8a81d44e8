"""Fuzz one target, or each in turn, for as long as one likes.

``python -m tests.fuzz --seconds 600`` gives each target ten minutes, and ``python -m tests.fuzz lines
--seconds 0`` never ends. With atheris (``pip install atheris``; Linux) inputs are made where they reach new
code, and kept in ``--corpus``; without it the seeds are changed at random. Status other than 0 at the first
input that fails, which is written to ``--corpus`` as well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from .mutating import mutated
from .targets import SEEDS, TARGETS, Target

SLOWEST = 10
"""Seconds that one input may take."""


def by_atheris(name: str, target: Target, seconds: int, corpus: Path) -> None:
    """Hand over to atheris, which ends the process."""
    import atheris

    atheris.instrument_all()
    options = [
        f"-timeout={SLOWEST}",
        "-rss_limit_mb=2048",
        "-max_len=20000",
        f"-artifact_prefix={corpus}/failed-",
    ]
    if seconds:
        options.append(f"-max_total_time={seconds}")
    atheris.Setup([name, *options, str(corpus)], target)
    atheris.Fuzz()


def by_chance(name: str, target: Target, seconds: int, corpus: Path) -> int:
    """Seeds, changed at random; 1 where one fails."""
    began, tried = time.monotonic(), 0
    for data in mutated(SEEDS[name]):
        started = time.monotonic()
        try:
            target(data)
            if time.monotonic() - started > SLOWEST:
                raise TimeoutError(f"{time.monotonic() - started:.1f} s")
        except Exception:
            (corpus / "failed").write_bytes(data)
            print(f"{name}: {corpus / 'failed'}", file=sys.stderr)
            raise
        tried += 1
        if seconds and time.monotonic() - began > seconds:
            break
    print(f"{name}: {tried} inputs, none fails")
    return 0


def run(name: str, seconds: int, folder: Path) -> int:
    """One target in this process."""
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    if find_spec("atheris"):
        by_atheris(name, TARGETS[name], seconds, corpus)
    return by_chance(name, TARGETS[name], seconds, corpus)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS), help="each in turn where none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target; 0 for ever")
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "istmo-fuzz")
    asked = parser.parse_args()
    if asked.target:
        return run(asked.target, asked.seconds, asked.corpus)
    given = ["--seconds", str(asked.seconds), "--corpus", str(asked.corpus)]
    ended = [
        subprocess.run([sys.executable, "-m", "tests.fuzz", name, *given]).returncode for name in TARGETS
    ]
    return max(map(abs, ended))


if __name__ == "__main__":
    sys.exit(main())
