"""Help in both languages for every command and option; click's own words among them."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from istmo.cli.main import COMMANDS, istmo
from istmo.kit import cli
from istmo.kit.cli import CATALOGUE, language_of, speak, translate_click

LANGUAGES = ("es", "en")
ENGLISH = re.compile(
    r"\b(Usage|Options|Commands|Show this|required|default|TEXT|INTEGER|RANGE|FOLDER|DIRECTORY|FILENAME)\b"
)


def every_command() -> Iterator[tuple[str, ...]]:
    def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        if isinstance(command, click.Group):
            context = click.Context(command, info_name="istmo")
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None, name
                yield from walk(found, (*path, name))

    yield from walk(istmo, ())


PATHS = list(every_command())
PORTS = "1<=x<=65535"


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    speak(request.param)
    translate_click()
    yield request.param
    speak("es")


def run(*arguments: str) -> click.testing.Result:
    return CliRunner().invoke(istmo, list(arguments), prog_name="istmo")


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_has_its_help(path: tuple[str, ...], language: str) -> None:
    shown = run(*path, "--help")
    assert shown.exit_code == 0, shown.output
    assert "⟦" not in shown.output
    if language == "es":
        assert not ENGLISH.search(shown.output), ENGLISH.search(shown.output)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_option_says_what_it_does(path: tuple[str, ...], language: str) -> None:
    command: click.Command = istmo
    context = click.Context(command, info_name="istmo")
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            record = parameter.get_help_record(context)
            assert record is not None, parameter.opts
            assert len(record[1]) > 5, parameter.opts


def test_the_list_of_commands_is_whole() -> None:
    assert list(COMMANDS) == [path[0] for path in PATHS if len(path) == 1]


# What click says that no command of ours can make it say, or that only a programmer reads.
_NEVER_SAID = (
    "deprecated", "DeprecationWarning", "Could not determine name", "No options defined but",
    "Arguments take exactly", "Name '{name}' defined twice", "Boolean option", "Value must be an iterable",
    "Do you want to continue?", "Confirm the action", "Press any key", "Repeat for confirmation",
    "Error: The two entered", "Unknown color", "Error: invalid input", "Choose from", "Choice(",
    "{value!r} does not match", "{len_type} values", "is not a valid UUID", "env var", "(dynamic)",
    "Show the version",
)  # fmt: skip


def words_of_click() -> Iterator[str]:
    folder = Path(click.__file__).parent
    for name in ("core", "decorators", "exceptions", "formatting", "parser", "termui", "types"):
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("_", "ngettext")
            ):
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield argument.value


def test_clicks_own_words_are_translated() -> None:
    wanted = {word for word in words_of_click() if not word.startswith(_NEVER_SAID)}
    wanted = {word for word in wanted if not any(never in word for never in _NEVER_SAID)}
    for language in LANGUAGES:
        missing = [word for word in sorted(wanted) if not CATALOGUE.has(language, f"click.{word}")]
        assert missing == []


@pytest.mark.parametrize(
    ("arguments", "key", "values"),
    [
        (("bogus",), "No such command {name!r}.", {"name": "bogus"}),
        (("--bogus",), "No such option {name!r}.", {"name": "--bogus"}),
        (("retract", "x"), "Missing option", {}),
        (("retract",), "Missing argument", {}),
        (("init", "--port", "x"), "{value!r} is not a valid {number_type}.", {"value": "x"}),
        (
            ("init", "--port", "0"),
            "{value} is not in the range {range}.",
            {"value": 0, "range": PORTS},
        ),
        (("retract", "x", "--reason"), "Option {name!r} requires an argument.", {"name": "--reason"}),
        (("doctor", "more"), "Got unexpected extra argument ({args})", {"args": "more"}),
        (("doctor", "--json=1"), "Option {name!r} does not take a value.", {"name": "--json"}),
    ],
)
def test_what_was_typed_wrongly_is_told_in_the_askers_language(
    arguments: tuple[str, ...], key: str, values: dict[str, Any], language: str
) -> None:
    shown = run(*arguments)
    assert shown.exit_code == 2
    words = CATALOGUE.entry(language, f"click.{key}")[0].format(**values)
    assert words in " ".join(shown.output.split())
    if language == "es":
        assert not ENGLISH.search(shown.output)


def test_the_language_may_be_asked_for_at_any_place() -> None:
    for arguments in (["--lang", "en", "doctor"], ["doctor", "--lang", "en"], ["doctor", "--lang=en"]):
        assert language_of(arguments, {"LANG": "es_GT.UTF-8"}) == "en"
        assert run(*arguments, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "es"),
        ({"LANG": "C.UTF-8"}, "es"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "es_HN.UTF-8"}, "es"),
        ({"LANG": "es_HN", "ISTMO_LANG": "en"}, "en"),
        ({"ISTMO_LANG": "fr"}, "es"),
        ({"ISTMO_LANG": ""}, "es"),
    ],
)
def test_the_language_of_the_machine_leads_where_none_is_asked_for(
    environment: dict[str, str], expected: str
) -> None:
    assert language_of([], environment) == expected


@given(st.lists(st.text(max_size=12)), st.dictionaries(st.sampled_from(["LANG", "LC_ALL"]), st.text()))
def test_some_language_is_always_spoken(arguments: list[str], environment: dict[str, str]) -> None:
    assert language_of(arguments, environment) in LANGUAGES


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "s\n", "Sí\n", " si \n"])
def test_yes_is_yes_in_either_language(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    cli.Teller().confirm("cli.istmo")


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "no\n", "siempre\n", "yellow\n"])
def test_anything_else_is_no(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    with pytest.raises(click.Abort):
        cli.Teller().confirm("cli.istmo")
