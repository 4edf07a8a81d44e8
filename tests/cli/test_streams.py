"""Commands whose streams are closed, full, or hold letters of another encoding: told, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from istmo.kit.i18n import Catalogue
from istmo.settings import load_settings

from .running import ISTMO, WAIT, new_node, started


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running node's folder."""
    folder = tmp_path_factory.mktemp("streams") / "node"
    new_node(folder)
    with started("serve", "--data", folder) as serving:
        serving.says("worker_connected")
        yield folder


def run(
    node: Path, *words: str | bytes, redirect: str = "", lang: str = "en", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command through a shell that redirects its streams."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *ISTMO, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        # Buffered as for everybody, whatever the machine of the tests is set to: a buffer that was not
        # taken is tried again at Python's end.
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "",
            "ISTMO_LANG": lang,
            "ISTMO_DATA": str(node),
            **environment,
        },
        timeout=WAIT,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    assert b"Exception ignored" not in done.stderr
    return done


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "-"),
        ("account", "add", "eva", "--password-stdin"),
        ("account", "password", "admin", "--password-stdin"),
        ("case", "note", "case--x", "-"),
        ("serve", "--supervised"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.long)])
def test_a_closed_standard_input_is_told(node: Path, words: tuple[str, ...], lang: str) -> None:
    done = run(node, *words, redirect="<&-", lang=lang)
    assert done.returncode == 1
    assert Catalogue().text(lang, "error.cli.no_input") in done.stderr.decode()


def test_a_question_that_nobody_can_answer_is_not_taken_for_yes(node: Path, tmp_path: Path) -> None:
    bundle = {
        "type": "bundle",
        "id": "bundle--6f9e2f0c-3f1b-4a52-9d11-0c7e5a6d0b11",
        "objects": [
            {
                "type": "indicator",
                "spec_version": "2.1",
                "id": "indicator--6f9e2f0c-3f1b-4a52-9d11-0c7e5a6d0001",
                "created": "2026-03-02T08:00:00.000Z",
                "modified": "2026-03-02T08:00:00.000Z",
                "name": "Servidor de mando",
                "pattern": "[ipv4-addr:value = '203.0.113.1']",
                "pattern_type": "stix",
                "valid_from": "2026-03-02T08:00:00Z",
            }
        ],
    }
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(bundle))
    done = run(node, "publish", str(path), "--audience", "region", "--tlp", "amber", redirect="<&-")
    assert done.returncode == 1
    assert Catalogue().text("en", "error.cli.not_confirmed") in done.stderr.decode()


@pytest.mark.parametrize("redirect", [">&-", ">/dev/full"])
@pytest.mark.parametrize(
    "words",
    [("doctor", "--json"), ("doctor",), ("source", "list", "--json"), ("--help",), ("doctor", "--help")],
    ids=" ".join,
)
def test_output_that_cannot_be_written_is_told_once(
    node: Path, words: tuple[str, ...], redirect: str
) -> None:
    done = run(node, *words, redirect=redirect)
    assert done.returncode == 1
    assert len(done.stderr.decode().splitlines()) == 2, "what happened, and what to do"


def test_nothing_at_all_can_be_said_and_the_status_says_it(node: Path) -> None:
    assert run(node, "doctor", "--json", redirect=">&- 2>&-").returncode == 1
    assert run(node, "doctor", "--json", redirect=">/dev/full 2>/dev/full").returncode == 1


def test_so_it_does_where_a_command_ends_with_a_status_of_its_own(node: Path) -> None:
    key = next(one for one in (node / "keys").iterdir() if one.stat().st_mode & 0o777 == 0o600)
    key.chmod(0o644)
    try:
        assert run(node, "doctor", "--json", redirect="").returncode == 1, "it found something"
        assert run(node, "doctor", "--json", redirect=">/dev/full 2>/dev/full").returncode == 1
        assert b"\n" in run(node, "doctor", "--json", redirect=">/dev/full").stderr
    finally:
        key.chmod(0o600)


def test_a_file_name_that_is_no_utf_8_has_its_result(node: Path, tmp_path: Path) -> None:
    for name, text in ((b"a\xf1o.json", '{"n":1}\n'), (b"da\xf1ado.json", '["x"]\n')):
        (tmp_path / os.fsdecode(name)).write_text(text)
    done = run(node, "ingest", str(tmp_path), "--json")
    told = json.loads(done.stdout.decode())
    assert (told["accepted"], told["unreadable_total"]) == (2, 1)
    assert any("da\ufffdado" in one["place"] for one in told["unreadable"])


@pytest.mark.parametrize("lang", [pytest.param("es", marks=pytest.mark.long), "en"])
def test_a_line_that_nests_too_deep_is_told_with_the_limit(node: Path, tmp_path: Path, lang: str) -> None:
    depth = load_settings(node).limits.json_depth
    (tmp_path / "deep.json").write_text('{"a":' * (depth + 1) + "1" + "}" * (depth + 1) + "\n")
    done = run(node, "ingest", str(tmp_path / "deep.json"), lang=lang)
    told = Catalogue().text(lang, "error.detect.line_too_deep", limit=depth)
    assert told in done.stderr.decode()


@pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.long)])
def test_a_file_that_ends_early_is_told_by_its_name(node: Path, tmp_path: Path, lang: str) -> None:
    path = tmp_path / "cut.json"
    path.write_text(
        '{"type":"bundle","id":"bundle--6f9e2f0c-3f1b-4a52-9d11-0c7e5a6d0a11","objects":[{"a":1},'
    )
    done = run(node, "import", str(path), lang=lang)
    said = done.stderr.decode()
    assert done.returncode == 1
    assert f"! {path}" in said
    assert "! -1" not in said


@pytest.mark.parametrize(
    "words", [("search", b"\xff"), ("case", "show", b"\xff"), ("account", "add", b"\xff")], ids=str
)
def test_an_argument_that_is_no_utf_8_is_told(node: Path, words: tuple[str | bytes, ...]) -> None:
    done = run(node, *words)
    assert done.returncode == 1
    assert Catalogue().text("en", "error.cli.not_utf8") in done.stderr.decode()


def test_a_terminal_without_accents_is_spoken_to_all_the_same(node: Path) -> None:
    done = run(node, "doctor", lang="es", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert run(node, "source", "add", "Cortafuegos del año").returncode == 0
    ascii_only, plain = (
        json.loads(run(node, "source", "list", "--json", lang="es", **how).stdout)["items"]
        for how in ({"PYTHONIOENCODING": "ascii"}, {})
    )
    # Counts of what was sent just now may come in between the two.
    told = [
        [(one["name"], one["settings"], one["created"]) for one in items] for items in (ascii_only, plain)
    ]
    assert told[0] == told[1] != []


def test_a_table_in_a_file_keeps_each_row_on_its_line(node: Path) -> None:
    made = json.loads(
        run(node, "source", "add", "Servidores del año de la aduana " + "x" * 60, "--json").stdout
    )
    listed = run(node, "source", "list").stdout.decode().splitlines()
    (line,) = [line for line in listed if made["id"] in line]
    assert "x" * 60 in line


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4, 0.8])
def test_ctrl_c_right_after_the_start_is_no_error(tmp_path: Path, delay: float) -> None:
    new_node(tmp_path / "node")
    serving = subprocess.Popen(
        [*ISTMO, "serve", "--data", str(tmp_path / "node")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        serving.wait(delay)
    os.killpg(serving.pid, signal.SIGINT)
    said, _ = serving.communicate(timeout=WAIT)
    # On a busy machine Python itself may still be starting: what it says then is not ours to change.
    assert b"Traceback" not in said or b"istmo" not in said, said.decode()


def test_ctrl_c_in_a_terminal_is_not_the_business_of_a_process_aside(tmp_path: Path) -> None:
    aside = subprocess.Popen(
        [sys.executable, "-m", "istmo.detect.aside", str(tmp_path)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + WAIT
    ignored = 1 << (signal.SIGINT - 1)
    while not _ignores(aside.pid) & ignored:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # the pace of looking
    aside.send_signal(signal.SIGINT)
    _, said = aside.communicate(timeout=WAIT)
    assert (aside.returncode, said) == (0, b"")


def _ignores(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigIgn:"):
            return int(line.split()[1], 16)
    return 0
