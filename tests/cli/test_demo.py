"""``istmo demo`` where something goes wrong: told in words, in one document, and with what stayed behind."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from answering import answering
from istmo.cli.demo import command as demo
from istmo.cli.demo.command import clear_away
from istmo.cli.demo.play import Material, Play, StepFailed
from istmo.cli.demo.region import RunningNode, Source
from istmo.errors import IstmoError, Unavailable
from istmo.kit.cli import Teller, speak
from istmo.kit.client import NodeAnswered
from istmo.kit.i18n import Catalogue

from .running import istmo

BUSY = {"error": {"code": "detect.busy", "message": "El nodo está ocupado.", "remedy": "Espere."}}


@pytest.fixture(params=["es", "en"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    speak(request.param)
    yield request.param
    speak("es")


# --- sending events --------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "code"), [(json.dumps(BUSY), "detect.busy"), ("<html>", "")])
def test_a_node_that_takes_no_events_is_heard_in_its_own_words(content: str, code: str) -> None:
    with answering(content.encode(), status=503) as url, pytest.raises(IstmoError) as told:
        Source(url, "secret").send([{}])
    if code:
        assert isinstance(told.value, NodeAnswered)
        assert (told.value.params["code"], told.value.params["status"]) == (code, 503)
    else:
        assert told.value.code == "cli.strange_answer"


def test_a_node_that_does_not_answer_is_told_as_such() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable) as told:
            Source(f"http://127.0.0.1:{closed.getsockname()[1]}", "secret").send([{}])
    assert told.value.code == "cli.no_answer"


# --- a step that fails -----------------------------------------------------------------------


class Broken:
    """A node, and everybody's way to its API, where everything fails in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.url = "http://127.0.0.1:1"

    def person(self, *_: object) -> Broken:
        return self

    def post(self, *_: object, **__: object) -> None:
        raise self.error


def played(error: Exception) -> Play:
    node = cast("RunningNode", Broken(error))
    never: Callable[[], dict[str, Any]] = dict
    material = Material([], b"", b"", "", "", (), never, "", "", "", datetime(2026, 3, 2, tzinfo=UTC))
    play = Play([node, node, node], material)
    assert not play.play()
    return play


@pytest.mark.parametrize(
    ("error", "key", "params"),
    [
        (NodeAnswered(503, "detect.busy", "Ocupado.", ""), "error.node.answered", {"message": "Ocupado."}),
        (
            Unavailable("cli.no_answer", url="http://x", detail="ReadTimeout"),
            "error.cli.no_answer",
            {"url": "http://x", "detail": "ReadTimeout"},
        ),
        (StepFailed("demo.nothing_found", query="a:b"), "error.demo.nothing_found", {"query": "a:b"}),
        (KeyError("accepted"), "error.demo.answer_lacks", {"field": "accepted"}),
        (OSError(28, "No space left", "/x"), "error.cli.machine", {"detail": "No space left", "file": "/x"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_step_that_fails_says_why_in_words(
    error: Exception, key: str, params: dict[str, str], language: str
) -> None:
    (step,) = played(error).steps
    assert step.document()["problem"] == Catalogue().text(language, key, **params)


# --- what stays behind -----------------------------------------------------------------------


def test_what_could_not_be_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], language: str
) -> None:
    folder = tmp_path / "demo"
    (folder / "gt" / "keys").mkdir(parents=True)
    (folder / "gt" / "keys" / "signing.key").write_text("")
    (folder / "gt" / "node.db").write_text("")
    unlink = os.unlink

    def refuse(path: str, **options: Any) -> None:
        if str(path).endswith("signing.key"):
            raise PermissionError(1, "Operation not permitted", path)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    clear_away(Teller(), folder)
    said = " ".join(capsys.readouterr().err.split())
    assert str(folder / "gt" / "keys" / "signing.key") in said
    assert Catalogue().text(language, "demo.leftovers", folder=str(folder)) in said
    assert "node.db" not in said
    monkeypatch.undo()
    clear_away(Teller(), folder)
    assert capsys.readouterr().err == ""
    assert not folder.exists()


@pytest.mark.parametrize("option", [("--url", "http://127.0.0.1:1"), ("--data", "x")])
def test_the_demo_has_nodes_of_its_own_and_takes_no_other(option: tuple[str, str]) -> None:
    done = istmo("demo", "--once", *option)
    assert done.returncode == 2
    assert option[0] in done.stderr


def test_the_nodes_of_the_demo_speak_as_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    def started(_nodes: object, environment: dict[str, str]) -> None:
        raise Unavailable("demo.region_slow", seconds=environment["ISTMO_LANG"])

    monkeypatch.setattr(demo, "make_node", lambda *_: None)
    monkeypatch.setattr(demo, "running", started)
    with pytest.raises(Unavailable) as caught:
        demo._show(Teller(), tmp_path, True)
    assert caught.value.params["seconds"] == language
