"""Every bench can be run briefly and read by a program, and ends with one line that holds its ratio."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
PARTS = {"measure.py", "mixes.py", "bare_server.py", "bulk_floor.py", "floor_server.py", "intake_load.py"}
"""What benches share or start; not benches themselves."""
BENCHES = sorted(path for path in BENCH.glob("*.py") if path.name not in PARTS)


def calls_of(path: Path, function: str) -> list[ast.Call]:
    tree = ast.parse(path.read_text("utf-8"))
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [one for one in called if isinstance(one.func, ast.Name) and one.func.id == function]


def test_the_benches_are_there() -> None:
    assert {"propagation.py", "footprint.py", "indicators.py"} <= {path.name for path in BENCHES}


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.name)
def test_a_bench_offers_a_brief_run_and_json(path: Path) -> None:
    told = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "--quick" in told
    assert "--json" in told


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.name)
def test_a_bench_ends_with_its_ratio(path: Path) -> None:
    (finishing,) = calls_of(path, "finish")
    line = ast.unparse(finishing.args[2])
    assert "ratio" in line


def test_the_last_line_holds_the_ratio_in_both_forms() -> None:
    code = "from measure import finish; import sys; finish({'a': 1}, len(sys.argv) > 1, 'ratio: 2.00')"
    for arguments in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=BENCH,
        )
        assert (done.stdout + done.stderr).rstrip().splitlines()[-1] == "ratio: 2.00"


@pytest.mark.long
@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.name)
def test_a_brief_run_is_brief_and_ends_with_a_ratio_that_a_program_reads(path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(path), "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    last = done.stderr.rstrip().splitlines()[-1]
    assert last == told["summary"]
    assert re.search(r"ratio:? .*\d", last), last
    assert took < 50, f"{took:.0f} s"
