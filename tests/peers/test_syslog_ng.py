"""syslog-ng, as Debian ships it and as our page configures it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from peers.conftest import Receiver, Sender, write_lines
from peers.pages import blocks, put_in

Run = Callable[[Sequence[str]], Sender]


def version(program: Sequence[str]) -> str:
    said = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0]


def command(program: Sequence[str], folder: Path, configuration: str) -> list[str]:
    path = folder / "syslog-ng.conf"
    path.write_text(f"@version: 3.38\noptions {{ time-reopen(1); }};\n{configuration}", "utf-8")
    state = folder / "state"
    state.mkdir(exist_ok=True)
    where = [
        "--persist-file",
        f"{state}/persist",
        "--pidfile",
        f"{state}/pid",
        "--control",
        f"{state}/control",
    ]
    return [*program, "-F", "--no-caps", "-f", str(path), *where]


def configuration(receiver: Receiver, folder: Path) -> str:
    destination, follow = blocks("syslog-ng", "syslog-ng")
    here = {
        "istmo.example": "127.0.0.1",
        "5514": receiver.syslog_tcp,
        "reliable(yes)": f'reliable(yes) dir("{folder}/state")',
    }
    # Debian's own source of what the machine logs is not there: the file alone is sent.
    destination = put_in(destination, here).replace(
        "log { source(s_src); destination(d_istmo); flags(flow-control); };\n", ""
    )
    return destination + put_in(follow, {"/var/log/app/app.log": folder / "app.log"})


@pytest.mark.syslog_ng
@pytest.mark.parametrize("number", [5_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_followed_file_comes_in_whole_though_syslog_ng_is_killed_in_the_middle(
    receiver: Receiver, syslog_ng: list[str], run_sender: Run, tmp_path: Path, number: int
) -> None:
    started = command(syslog_ng, tmp_path, configuration(receiver, tmp_path))
    write_lines(tmp_path / "app.log", 0, number // 2)
    sender = run_sender(started)
    receiver.wait_for(number // 10)
    sender.kill()
    write_lines(tmp_path / "app.log", number // 2, number)
    run_sender(started)
    found = receiver.wait_for(number)
    print(version(syslog_ng), "twice:", found.total() - len(found))
    assert sorted(found) == list(range(number))
