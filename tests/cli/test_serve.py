"""``istmo serve``: one node a folder, told clearly where it cannot be; ended quickly, and wholly."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from istmo.cli.demo import region
from istmo.kit.i18n import Catalogue
from istmo.settings import load_settings

from .running import Started, istmo, new_node, sessions, started


def has_grown(node: Started, members: int) -> bool:
    """Whether so many processes, at the least, come to live in a command's session."""
    deadline = time.monotonic() + 20
    while len(node.family()) < members and time.monotonic() < deadline:
        time.sleep(0.02)  # the pace of polling
    return len(node.family()) >= members


def test_a_folder_is_served_once_and_stopped_wholly(tmp_path: Path) -> None:
    new_node(tmp_path / "node")
    with started("serve", "--data", tmp_path / "node") as node:
        node.says("worker_connected")
        assert has_grown(node, 3), "the web process, its worker, and that one's process for rules"
        for lang in ("es", "en"):
            second = istmo("serve", "--data", tmp_path / "node", lang=lang)
            told = Catalogue().text(
                lang, "error.cli.runs_already", folder=str(tmp_path / "node"), pid=node.process.pid
            )
            assert second.returncode == 1
            assert told in second.stderr.replace("\n", " ")
            assert "Traceback" not in second.stderr

        status, seconds = node.signal(signal.SIGINT)
        assert status == 0
        assert seconds < 8
        assert node.family() == set()
        assert not [line for line in node.lines if '"level": "error"' in line or "Traceback" in line]

    with started("serve", "--data", tmp_path / "node") as again:
        again.says("worker_connected")
        status, _ = again.signal(signal.SIGTERM)
        assert status == 0
        assert again.family() == set()


def test_ctrl_c_in_a_terminal_reaches_the_worker_too_and_is_no_error(tmp_path: Path) -> None:
    new_node(tmp_path / "node")
    with started("serve", "--data", tmp_path / "node") as node:
        node.says("worker_connected")
        status, seconds = node.signal(signal.SIGINT, group=True)
        assert status == 0
        assert seconds < 8
        assert node.family() == set()
        assert not [line for line in node.lines if "Traceback" in line]


def test_a_node_runs_in_a_folder_with_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / "a-name-that-somebody-chose-with-care" / "and-another-one-inside-of-it" / ("x" * 90)
    folder.parent.mkdir(parents=True)
    new_node(folder)
    with started("serve", "--data", folder) as node:
        node.says("worker_connected")


def test_a_supervised_node_ends_with_whoever_started_it(tmp_path: Path) -> None:
    new_node(tmp_path / "node")
    starter = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-m', 'istmo', 'serve', '--supervised', '--data', sys.argv[1]],"
        " stdin=subprocess.PIPE)\n"
        "time.sleep(600)\n"
    )
    with started(tmp_path / "node", program=(sys.executable, "-c", starter)) as starting:
        starting.says("worker_connected")
        assert has_grown(starting, 4), "the starter, the web process, its worker, and that one's for rules"
        family = starting.family()
        starting.process.kill()
        starting.process.wait(10)
        deadline = time.monotonic() + 15
        while family & {pid for pid, _ in sessions()} - {starting.process.pid}:
            assert time.monotonic() < deadline
            time.sleep(0.02)  # the pace of looking


@pytest.mark.long
def test_the_worker_ends_with_a_web_process_that_is_killed(tmp_path: Path) -> None:
    new_node(tmp_path / "node")
    for _ in range(5):  # the end of the socket and of the input come in one order or the other
        with started("serve", "--data", tmp_path / "node") as node:
            node.says("worker_connected")
            node.process.kill()
            node.process.wait(10)
            deadline = time.monotonic() + 15
            while node.family():
                assert time.monotonic() < deadline, "the worker lives on"
                time.sleep(0.02)  # the pace of looking


def test_stopping_a_node_ends_its_worker_where_the_web_process_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region, "STOP_SECONDS", 0.2)
    node = region.make_node(tmp_path / "node", "CSIRT Prueba", "GT")
    node.start()
    assert node.process is not None
    first, worker = node.pids()
    os.kill(worker, signal.SIGSTOP)  # it does not hear that its input has ended
    node.process.kill()
    node.process.wait(10)
    node.stop()
    deadline = time.monotonic() + 10
    while {pid for pid, session in sessions() if session == first}:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # the pace of looking


@pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.long)])
def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path, lang: str) -> None:
    port, _ = new_node(tmp_path / "node")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        refused = istmo("serve", "--data", tmp_path / "node", lang=lang)
    assert refused.returncode == 1
    assert Catalogue().text(lang, "error.cli.port_taken", host="127.0.0.1", port=port) in refused.stderr
    assert refused.stdout == "", "never said to be listening"
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "node" / "run").exists(), "no worker was started"


def test_an_address_that_is_not_this_machines_is_told(tmp_path: Path) -> None:
    new_node(tmp_path / "node")
    path = tmp_path / "node" / "istmo.toml"
    path.write_text(path.read_text().replace('host = "127.0.0.1"', 'host = "192.0.2.1"', 1))
    assert load_settings(tmp_path / "node").host == "192.0.2.1"
    refused = istmo("serve", "--data", tmp_path / "node")
    assert refused.returncode == 1
    assert "192.0.2.1" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("name = ", "settings.not_toml"),
        ('name = "X"\ncountry = "GT"\nnonsense = 1\n', "settings.unknown"),
        ('name = "X"\n', "settings.missing"),
        ('name = "X"\ncountry = "GT"\nport = "many"\n', "settings.wrong_type"),
    ],
)
@pytest.mark.parametrize("lang", [pytest.param("es", marks=pytest.mark.long), "en"])
def test_settings_that_will_not_do_are_told_by_name(tmp_path: Path, text: str, code: str, lang: str) -> None:
    (tmp_path / "istmo.toml").write_text(text)
    refused = istmo("serve", "--data", tmp_path, lang=lang)
    assert refused.returncode == 1
    assert Catalogue().text(lang, f"error.{code}.remedy") in refused.stderr
    assert "Traceback" not in refused.stderr
