"""A whole node, watched by the kernel: what it answers for is on disk first."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from istmo.cli.demo.region import make_node
from machine import missing

from .asking import indicator, publish

CALLS = "trace=fsync,fdatasync,write,pwrite64,pwritev,recvfrom,sendto,sendmsg,writev"
MARK = "Marca que el disco debe tener"
WAL = "node.db-wal>"
POST = '"POST /api/v1/objects/publish'


@pytest.mark.strace
def test_what_is_published_is_on_disk_before_the_answer_goes_out(tmp_path: Path) -> None:
    """House invariant 5: ``kill -9`` alone proves little; here the kernel is seen to be told."""
    strace = shutil.which("strace")
    if not strace:
        missing("needs strace")
    trace = tmp_path / "trace"
    node = make_node(tmp_path / "gt", "CSIRT Guatemala", "GT")
    # -s: a page of the log whole, so that the published words are found in it.
    traced = (str(strace), "-f", "--seccomp-bpf", "-y", "-s", "4400", "-e", CALLS, "-o", str(trace))
    node.program = (*traced, *node.program)
    try:
        node.start()
        publish(node, indicator("203.0.113.5", MARK), audience=node.settings.member)
    finally:
        node.stop()
    calls = calls_of(trace)
    asked = next(n for n, (_, call) in enumerate(calls) if call.startswith("recvfrom(") and POST in call)
    connection = calls[asked][1].split("(", 1)[1].split(",", 1)[0]
    answered = next(
        n for n, (_, call) in enumerate(calls) if n > asked
        and re.match(r"(sendto|sendmsg|writev?)\(" + re.escape(connection), call)
    )  # fmt: skip
    assert "HTTP/1.1 200" in calls[answered][1], calls[answered][1][:200]
    before = calls[asked:answered]
    written = [(n, thread) for n, (thread, call) in enumerate(before) if MARK in call and WAL in call[:300]]
    assert written, "the published object never went to the log of the database"
    last, writer = written[-1]
    assert any(
        thread == writer and re.match(r"f(data)?sync\(", call) and WAL in call
        for thread, call in before[last:]
    ), "answered before the disk had it"


def calls_of(trace: Path) -> list[tuple[str, str]]:
    """(thread, call) in the order in which each began; syncs and what was received, in which it ended."""
    calls: list[tuple[str, str]] = []
    begun: dict[str, str] = {}
    for line in trace.read_text("utf-8", "replace").splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if resumed := re.match(r"<\.\.\. (\w+) resumed>", call):
            start = begun.pop(pid, "")
            if "sync(" in start or start.startswith("recvfrom("):
                calls.append((pid, start + call[resumed.end() :]))
        elif call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
            if "sync(" not in call and not call.startswith("recvfrom("):
                calls.append((pid, begun[pid]))
        else:
            calls.append((pid, call))
    return calls
