"""What somebody types in the first hour: searching, publishing, taking back, pipes, and the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from istmo.kit.i18n import Catalogue

from .running import istmo, new_node, sessions, started
from .test_doctor import BUNDLE


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("newcomer") / "node"
    new_node(folder)
    (folder.parent / "bundle.json").write_text(json.dumps(BUNDLE))
    with started("serve", "--data", folder) as running:
        running.says("worker_connected")
        events = "\n".join(json.dumps({"EventID": 1, "Number": n, "Text": "x" * 200}) for n in range(2000))
        done = istmo("ingest", "-", "--data", folder, "--json", stdin=events)
        assert json.loads(done.stdout)["accepted"] == 2000
        yield folder


@pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.long)])
def test_a_query_that_means_nothing_is_told_where(node: Path, lang: str) -> None:
    done = istmo("search", "EventID:(", "--data", node, lang=lang)
    assert done.returncode == 1
    assert Catalogue().text(lang, "error.detect.query_wrong.remedy") in " ".join(done.stderr.split())
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("id", "code"),
    [
        ("indicator--00000000-0000-4000-8000-000000000000", "intel.no_object"),
        ("nonsense?x#y", "intel.no_object"),
        ("../../x", "web.no_page"),
    ],
)
@pytest.mark.parametrize("lang", [pytest.param("es", marks=pytest.mark.long), "en"])
def test_taking_back_what_is_not_there(node: Path, id: str, code: str, lang: str) -> None:
    done = istmo("retract", id, "--reason", "error", "--data", node, lang=lang)
    assert done.returncode == 1
    assert Catalogue().text(lang, f"error.{code}") in " ".join(done.stderr.split())


@pytest.mark.parametrize(("lang", "no"), [("es", "n\n"), ("en", ""), ("en", "\n")])
def test_publishing_without_saying_yes_publishes_nothing(node: Path, lang: str, no: str) -> None:
    bundle = node.parent / "bundle.json"
    done = istmo(
        "publish", bundle, "--audience", "region", "--tlp", "green", "--data", node, stdin=no, lang=lang
    )
    assert done.returncode == 1
    assert "CSIRT Prueba" in done.stderr, "who will see it was shown"
    assert Catalogue().text(lang, "click.Aborted!") in done.stderr
    listed = istmo("ledger", "show", "--data", node, "--json")
    assert BUNDLE["objects"][0]["id"] not in listed.stdout  # type: ignore[index]


def test_publishing_what_is_all_refused_is_no_success(node: Path) -> None:
    done = istmo("publish", node.parent / "bundle.json", "--audience", "region", "--yes", "--data", node)
    assert done.returncode == 1, "no marking on the objects, and none chosen"


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_goes_away_ends_the_command_in_silence(node: Path, options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "istmo", "search", "--data", str(node), "--limit", "2000", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as searching:
        assert searching.stdout is not None and searching.stderr is not None
        assert searching.stdout.readline()
        searching.stdout.close()
        said = searching.stderr.read().decode()
        searching.wait(30)
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.long)])
def test_a_node_that_does_not_run_is_told(tmp_path: Path, lang: str) -> None:
    new_node(tmp_path / "node")
    done = istmo("search", "x", "--data", tmp_path / "node", "--json", lang=lang)
    assert done.returncode == 1
    told = json.loads(done.stdout)["error"]
    assert told["code"] == "cli.no_answer"
    assert told["remedy"] == Catalogue().text(lang, "error.cli.no_answer.remedy")


def test_a_file_that_cannot_be_read_is_told_in_words(node: Path, tmp_path: Path) -> None:
    done = istmo("peer", "export", "nobody", tmp_path / "no" / "such" / "place", "--data", node)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr


# --- the demo ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.long)])
def test_the_demo_prints_one_document_and_leaves_nothing(tmp_path: Path, lang: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "istmo", "demo", "--once", "--json", "--lang", lang],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    ) as playing:
        out, err = playing.communicate(timeout=120)
        assert playing.returncode == 0, err.decode()[-2000:]
        told = json.loads(out)
        assert told["seconds"] <= 40, "what a newcomer is promised"
        assert told["ok"] and all(step["ok"] for step in told["steps"])
        assert len({pid for one in told["nodes"] for pid in one["pids"]}) == 6
        assert Catalogue().text(lang, "demo.end.ok") in " ".join(err.decode().split())
        alive = {pid for pid, _ in sessions()}
        assert not alive & {pid for one in told["nodes"] for pid in one["pids"]}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_ctrl_c_ends_the_demo_quickly_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with started("demo", lang="en") as demo:
        demo.says(Catalogue().text("en", "demo.joined")[:20])
        folders = list(tmp_path.iterdir())
        assert folders
        children = {pid for pid, parent in parents() if parent == demo.process.pid}
        assert len(children) == 3
        status, seconds = demo.signal(signal.SIGINT)
        assert seconds < 12
        assert status == 0
        assert not {pid for pid, _ in sessions()} & children
        assert not [pid for pid, _ in sessions() if str(tmp_path) in command_of(pid)]
        assert "Traceback" not in "\n".join(demo.lines)
    assert list(tmp_path.iterdir()) == []


def parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
