"""What a command prints: words of others shown as they are, obeyed by nothing; one document for programs."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from istmo.errors import InvalidInput
from istmo.kit.cli import Teller, command, speak, told, told_apart, told_here
from istmo.kit.client import NodeAnswered

HOSTILE = [
    "[/INC-1] Phishing en Aduanas",
    "[red]urgente[/red]",
    "[link=file:///etc/passwd]ver[/link]",
    "2001:db8:a:1 :warning:",
    "\x1b[2J\x1b]0;dueño\x07",
    "\x9b31mrojo",
    "factura\u202egpj.exe",
    "\r✓ todo bien",
]


def shown(text: str) -> str:
    """A text as it must arrive: every letter of it, and a mark where it would steer."""
    return "".join("\ufffd" if one in "\x1b\x07\x9b\r\u202e" else one for one in text)


def run(body: Callable[[Teller], None], *arguments: str, given: Any = told, text: str = "") -> Result:
    def act(teller: Teller) -> None:
        body(teller)

    made = command("act", help="cli.istmo")(given(act))
    return CliRunner(env={"COLUMNS": "200"}).invoke(made, list(arguments), input=text)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(
    "say_it",
    [
        lambda teller, text: teller.rows([], ["respond.column.title"], [[text]], "respond.no_cases"),
        lambda teller, text: teller.tell("federation.command.list.region", name=text),
        lambda teller, text: teller.note("intel.command.problem", where=text, text=text),
        lambda teller, text: teller.show({}, "detect.source.revoke_done", id=text),
        lambda teller, text: teller.line(text),
        lambda teller, text: teller.fail(InvalidInput("settings.no_node", folder=text)),
        lambda teller, text: teller.fail(NodeAnswered(400, "x.y", text, text)),
        lambda teller, text: teller.confirm("intel.command.publish.sees", member=text, why=""),
    ],
    ids=["rows", "tell", "note", "show", "line", "fail", "fail as the node said", "confirm"],
)
def test_words_of_others_are_shown_and_not_obeyed(say_it: Callable[[Teller, str], None], text: str) -> None:
    done = run(lambda teller: say_it(teller, text), text="y\n")
    assert not isinstance(done.exception, Exception), done.exception
    assert shown(text) in done.output
    assert not set("\x1b\x07\x9b\r\u202e") & set(done.output)


def test_what_stands_in_a_sentence_cannot_pass_for_a_line_of_ours() -> None:
    done = run(lambda teller: teller.note("intel.command.problem", where="x\n✓ HN", text="y\n✓ SV"))
    assert len(done.output.splitlines()) == 1


def test_json_means_the_same_and_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Teller(json=True).print_json({"titles": HOSTILE})
    Teller(json=True).print_json_line(HOSTILE)
    first, _, second = capsys.readouterr().out.rpartition("\n[")
    assert json.loads(first) == {"titles": HOSTILE}
    assert json.loads(f"[{second}") == HOSTILE
    assert not set("\x1b\x07\x9b\u202e") & set(first + second)


def test_long_work_shows_that_it_goes_on_and_with_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "TERM", "xterm"
    )  # without one, rich takes every terminal for one that cannot be drawn on
    screen = io.StringIO()
    teller = Teller(err=Console(file=screen, force_terminal=True, width=100))
    with teller.working("intel.command.import.progress", file="[red]sigma\x1b[2J.zip"):
        pass
    assert "[red]sigma\ufffd[2J.zip" in screen.getvalue()
    quiet = io.StringIO()
    with Teller(json=True, err=Console(file=quiet, force_terminal=True)).working("cli.istmo"):
        pass
    assert quiet.getvalue() == ""


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_program_that_does_not_say_yes_is_told_so_in_one_document(language: str) -> None:
    speak(language)
    try:
        done = run(lambda teller: teller.confirm("intel.command.publish.confirm"), "--json")
    finally:
        speak("es")
    assert done.exit_code == 1
    told_ = json.loads(done.stdout)["error"]
    assert told_["code"] == "cli.not_confirmed"
    assert "--yes" in told_["remedy"]


def test_a_person_that_does_not_say_yes_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    with pytest.raises(click.Abort):
        Teller().confirm("intel.command.publish.confirm")


def test_two_nodes_at_once_are_one_too_many() -> None:
    done = run(lambda teller: None, "--url", "http://127.0.0.1:1", "--data", "x", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "cli.two_nodes"


@pytest.mark.parametrize(
    ("given", "refused"), [(told, ()), (told_here, ("--url",)), (told_apart, ("--url", "--data"))]
)
def test_an_option_that_is_not_heeded_is_not_offered(given: Any, refused: tuple[str, ...]) -> None:
    for name in ("--url", "--data"):
        done = run(lambda teller: None, name, "x", given=given)
        assert done.exit_code == (2 if name in refused else 0), done.output
        assert (name in run(lambda teller: None, "--help", given=given).output) is (name not in refused)
