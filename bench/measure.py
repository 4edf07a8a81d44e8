"""What the benches share: percentiles, the closing line, memory of a process tree."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any


def percentile(values: list[float], part: float) -> float:
    """The value below which ``part`` (0..1) of ``values`` lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(part * (len(ordered) - 1)))]


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children.get(one, [])
    return found


def pss_mb(pid: int) -> float:
    """Proportional memory of one process, in MB (10^6 bytes); none where it has just ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """Processor time of one process, its ended children's too; none where it has just ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def reap(pid: int) -> tuple[int, float, float]:
    """Wait for a child: its exit code, CPU seconds, and the most memory it held, in MB.

    Its own high-water mark is read while it runs: what ``wait4`` tells holds this process' memory too.
    """
    peak = 0
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            status = ""
        marks = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
        peak = max([peak, *marks])
        done, code, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(code), usage.ru_utime + usage.ru_stime, peak * 1024 / 1e6
        time.sleep(0.005)


def finish(result: dict[str, Any], as_json: bool, ratio_line: str) -> None:
    """Print the figures, and last the one line that holds the ratio."""
    result = {"machine": platform.platform(), "python": platform.python_version(), **result}
    if as_json:
        print(json.dumps(result | {"summary": ratio_line}, indent=1, default=str))
    else:
        for name, value in result.items():
            print(f"{name}: {value}")
    print(ratio_line, file=sys.stderr if as_json else sys.stdout)
