"""``istmo search`` and ``istmo ingest`` as they are typed: what is printed, and the status at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from answering import answering
from istmo.clock import ManualClock
from istmo.detect import commands, commands_lists
from istmo.kit.cli import speak
from istmo.kit.client import NodeAnswered
from istmo.kit.i18n import Catalogue

ROW = {"time": "2026-03-02T09:00:00Z", "host": "PC-07", "event": {"EventID": 1}}
TOKENS = {"ISTMO_TOKEN": "istmo_x", "ISTMO_SOURCE_TOKEN": "istmo_y"}


@pytest.fixture(params=["es", "en"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    speak(request.param)
    yield request.param
    speak("es")


def run(name: str, *arguments: str, env: dict[str, str] | None = None) -> Result:
    command: click.Command = next(one for one in commands.commands if one.name == name)
    return CliRunner(env={"COLUMNS": "200", **TOKENS, **(env or {})}).invoke(command, list(arguments))


def rows(*found: dict[str, Any], problem: dict[str, str] | None = None) -> bytes:
    last = {"done": True, "count": len(found), "problem": problem}
    return b"".join(json.dumps(one).encode() + b"\n" for one in (*found, last))


# --- search ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["\x1b[2JPC-07\x1b[31m", "PC\x9b31m", "[/b]PC-07", "PC\r\n2026 otro", "PC:a:1"]
)
def test_a_host_cannot_steer_the_terminal(host: str) -> None:
    event = {"EventID": 1, "text": "\x1b[2J\x9b31m\u202e"}
    with answering(rows({**ROW, "host": host, "event": event})) as url:
        done = run("search", "x", "--url", url)
        programs = run("search", "x", "--url", url, "--json")
    assert done.exit_code == 0, done.output
    for output in (done.output, programs.output):
        assert not set("\x1b\x9b\r\u202e") & set(output)
    assert len(done.stdout.splitlines()) == 1
    first, last = (json.loads(line) for line in programs.stdout.splitlines())
    assert (first["host"], first["event"]) == (host, event), "a program gets every letter"
    assert last["done"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_search_that_was_cut_short_says_so_and_is_no_success(
    language: str, options: tuple[str, ...]
) -> None:
    problem = {"code": "detect.search_cut_short", "text": "Se agotó el tiempo."}
    with answering(rows(ROW, problem=problem)) as url:
        done = run("search", "x", "--url", url, *options)
    assert done.exit_code == 1
    said = Catalogue().text(language, "detect.search.cut_short", message=problem["text"])
    assert said in done.stderr
    assert "PC-07" in done.stdout, "what was found is there"


@pytest.mark.parametrize("limit", ["-3", "0"])
def test_a_limit_below_one_is_refused(limit: str) -> None:
    done = run("search", "x", "--url", "http://127.0.0.1:1", "--limit", limit)
    assert done.exit_code == 2
    assert limit in done.output


# --- ingest ----------------------------------------------------------------------------------


def test_a_refused_line_is_told_in_words_to_programs_too(tmp_path: Path, language: str) -> None:
    (tmp_path / "log").write_bytes(b"{}\nno\n")
    told = {"accepted": 1, "doubled": 0, "unreadable": [], "unreadable_total": 0}
    told |= {"refused_total": 1, "refused": [{"line": 2, "code": "detect.line_too_deep"}]}
    with answering(json.dumps(told).encode()) as url:
        done = run("ingest", str(tmp_path / "log"), "--url", url, "--intake", url, "--json")
    (told,) = json.loads(done.stdout)["refused"]
    assert (told["place"], told["line"], told["code"]) == (str(tmp_path / "log"), 2, "detect.line_too_deep")
    assert told["message"] == Catalogue().outline(language, "error.detect.line_too_deep")
    assert told["remedy"] == Catalogue().text(language, "error.detect.line_too_deep.remedy")


@pytest.mark.parametrize(
    ("options", "env", "code"),
    [
        (("--url", "http://[::1"), {}, "cli.not_an_address"),
        (("--url", "nonsense"), {}, "cli.not_an_address"),
        (("--url", "http://a.example:99999"), {}, "cli.not_an_address"),
        (("--url", "http://127.0.0.1:1", "--intake", "http://[::1"), {}, "cli.not_an_address"),
        (("--url", "http://127.0.0.1:1"), {"ISTMO_TOKEN": "istmo_ñandú"}, "cli.bad_token"),
        (("--url", "http://127.0.0.1:1"), {"ISTMO_TOKEN": "istmo_x\n"}, "cli.bad_token"),
        (("--url", "http://127.0.0.1:1"), {"ISTMO_TOKEN": ""}, "cli.no_token"),
        (("--url", "http://127.0.0.1:1"), {"ISTMO_SOURCE_TOKEN": "istmo_ñandú"}, "cli.bad_token"),
    ],
)
def test_what_cannot_be_an_address_or_a_token_is_told_in_words(
    tmp_path: Path, options: tuple[str, ...], env: dict[str, str], code: str
) -> None:
    (tmp_path / "log").write_bytes(b"{}\n")
    intake = () if "--intake" in options else ("--intake", "http://127.0.0.1:1")
    done = run("ingest", str(tmp_path / "log"), *options, *intake, "--json", env=env)
    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == code
    assert "{" not in error["message"] + error["remedy"]
    for name, value in env.items():
        if value:
            assert name in error["message"]
            assert value.strip() not in done.output, "a secret is not repeated"


def test_an_answer_that_is_not_a_nodes_is_told_in_words() -> None:
    with answering(b"<html>proxy</html>") as url:
        ingest = run("ingest", "-", "--url", url, "--intake", url, "--json", env={"ISTMO_SOURCE_TOKEN": ""})
        search = run("search", "x", "--url", url, "--json")
    for done in (ingest, search):
        assert done.exit_code == 1
        assert json.loads(done.stdout)["error"]["code"] == "cli.strange_answer"


# --- value lists -----------------------------------------------------------------------------


def test_a_value_list_is_kept_from_a_file_shown_and_deleted(tmp_path: Path, language: str) -> None:
    (tmp_path / "servers").write_text("DC-1\n\n  DC-2 \n", "utf-8")
    kept = {"name": "Servidores", "values": ["DC-1", "DC-2"], "changed": None, "changed_by": "operator"}
    runner = CliRunner(env={"COLUMNS": "200", **TOKENS})
    with answering(json.dumps(kept).encode()) as url:
        done = runner.invoke(
            commands_lists.put,
            ["Servidores", str(tmp_path / "servers"), "--url", url],
            catch_exceptions=False,
        )
        dropped = runner.invoke(commands_lists.delete, ["Servidores", "--url", url])
    assert done.exit_code == dropped.exit_code == 0, done.output + dropped.output
    assert Catalogue().text(language, "detect.lists.kept", name="Servidores", n=2) in done.stdout
    with answering(json.dumps({"items": [kept]}).encode()) as url:
        shown = runner.invoke(commands_lists.show, ["--url", url])
    assert "Servidores" in shown.stdout and "2" in shown.stdout


def test_reading_files_twice_in_one_second_makes_two_sources_whose_names_say_when() -> None:
    class Node:
        """A node that has sources, by name."""

        def __init__(self) -> None:
            self.names: list[str] = []

        def post(self, _: str, asked: dict[str, str]) -> dict[str, str]:
            if asked["name"] in self.names:
                raise NodeAnswered(409, "detect.source_exists", "", "")
            self.names.append(asked["name"])
            return {"secret": "s", "id": str(len(self.names))}

    node = Node()
    clock = ManualClock(datetime(2026, 11, 28, 8, 35, 38, tzinfo=UTC))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "SystemClock", lambda: clock)
        made = [commands._passing_source(node, "HN") for _ in range(3)]  # type: ignore[arg-type]
    assert [id for _, id in made] == ["1", "2", "3"]
    said = "2026-11-28 02:35:38 −06:00"
    assert [one.partition("2026")[1] + one.partition("2026")[2] for one in node.names] == [
        said, f"{said} (2)", f"{said} (3)"
    ]  # fmt: skip
