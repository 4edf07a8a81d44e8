"""``istmo import``, ``publish`` and ``retract`` against a real server."""

from __future__ import annotations

import io
import json
import socket
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result
from litestar import Litestar, Request, Response, post
from litestar.di import Provide
from litestar.params import RawBody

from istmo.errors import IstmoError
from istmo.intel import api, commands
from istmo.kit.asking import Asker
from istmo.kit.cli import speak
from istmo.kit.client import LONG_WORK, NodeClient
from istmo.kit.i18n import Catalogue
from istmo.model.markings import Tlp
from istmo.policy import Operator

from .conftest import Node, bundle, indicator

CATALOGUE = Catalogue(strict=True)


def failed(request: Request[Any, Any, Any], error: IstmoError) -> Response[Any]:
    told = CATALOGUE.error("es", error)
    body = {"error": {"code": error.code, "message": told.message, "remedy": told.remedy, "params": {}}}
    return Response(body, status_code=error.status)


def problem(file: str, *, is_not_served: bool = False) -> dict[str, Any]:
    """A rule that was left out, as detection tells it."""
    where = {"file": file, "line": 3, "rule": "", "code": "sigma.problem.x"}
    return where | {"text": "se dejó fuera", "not_served": is_not_served}


class Served:
    """A node's routes on a port of their own, and detection's door for rules; ``run`` calls a command."""

    def __init__(self, node: Node) -> None:
        self.rules: list[bytes] = []
        self.accepted, self.problems = 2, [problem("bad.yml")]

        @post("/api/v1/rules/import", status_code=200, sync_to_thread=True)
        def take_rules(body: RawBody) -> dict[str, Any]:
            self.rules.append(bytes(body))
            counts = {"accepted": self.accepted, "added": self.accepted, "changed": 0, "unchanged": 0}
            return counts | {"problems": self.problems}

        def given(part: Any) -> Provide:
            return Provide(lambda: part, sync_to_thread=False)

        app = Litestar(
            [*api.routes, take_rules],
            dependencies={
                "asker": given(Asker(Operator(), "es")),
                "intel": given(node.intel),
                "catalogue": given(CATALOGUE),
            },
            exception_handlers={IstmoError: failed},
            logging_config=None,
        )
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]})
        self.thread.start()

    def run(self, name: str, *arguments: str, text: str | None = None) -> Result:
        command = next(one for one in commands.commands if one.name == name)
        words = [*arguments, "--url", self.url]
        return CliRunner(env={"ISTMO_TOKEN": "istmo_x", "COLUMNS": "200"}).invoke(command, words, input=text)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        self.listening.close()


@pytest.fixture
def served(hn: Node) -> Iterator[Served]:
    one = Served(hn)
    yield one
    one.close()


@pytest.fixture(params=["es", "en"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    speak(request.param)
    yield request.param
    speak("es")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], str]:
    def write_one(name: str, content: bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return str(path)

    return write_one


def test_publish_shows_who_will_see_it_and_why_before_it_asks(
    served: Served, hn: Node, write: Any, language: str
) -> None:
    file = write("b.json", bundle(indicator(name="Baliza\x1b[2J"), indicator(confidence=999)))
    asked = ["publish", file, "--audience", "Guatemala", "--tlp", "amber"]
    refused = served.run(*asked, text="n\n")
    assert refused.exit_code == 1
    for word in ("TLP:AMBER", "Baliza", "✓ Guatemala", "✗ El Salvador", "$.confidence"):
        assert word in refused.output
    assert "⟦" not in refused.output
    assert "\x1b[2J" not in refused.output
    assert hn.log_size() == 0
    assert served.run(*asked, text="y\n").exit_code == 1, "one went out, and one was refused"
    assert hn.log_size() == 1


def test_publish_with_yes_and_json_is_for_programs(served: Served, hn: Node, write: Any) -> None:
    file = write("b.json", bundle(indicator()))
    done = served.run("publish", file, "--audience", "region", "--tlp", "green", "--yes", "--json")
    assert json.loads(done.stdout)["counts"]["publish"] == 1
    again = served.run("publish", file, "--audience", "region", "--tlp", "green")
    assert again.exit_code == 0, "nothing left to ask about"
    assert hn.log_size() == 1


def test_values_that_stand_on_a_warning_list_are_named(
    served: Served, hn: Node, write: Any, language: str
) -> None:
    def warned(values: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
        return {one: ("Public resolvers",) for one in values if one == ("ipv4", "8.8.8.8")}

    hn.intel._warned = warned
    raw = bundle(indicator(pattern="[ipv4-addr:value IN ('8.8.8.8', '203.0.113.5')]"))
    shown = served.run("publish", write("b.json", raw), "--audience", "region", "--tlp", "green", "--yes")
    assert shown.exit_code == 0, shown.output
    told = CATALOGUE.text(language, "console.publish.warned", value="8.8.8.8", lists="Public resolvers")
    assert told in " ".join(shown.output.split())
    assert "203.0.113.5" not in shown.output


def test_retract_tells_to_how_many_it_goes(served: Served, hn: Node, language: str) -> None:
    one = indicator()
    hn.publish(one, tlp=Tlp.GREEN)
    asked = ["retract", one["id"], "--reason", "false-positive", "--note", "prueba"]
    refused = served.run(*asked, text="n\n")
    assert refused.exit_code == 1
    assert one["name"] in refused.stderr, "asked by its name"
    assert hn.watched() != {}
    done = served.run(*asked, text="s\n")
    assert done.exit_code == 0
    assert "2" in done.output
    assert hn.watched() == {}
    twice = served.run("retract", one["id"], "--reason", "error", "--yes", "--json")
    assert twice.exit_code == 1
    assert json.loads(twice.stdout)["error"]["code"] == "intel.retracted_already"


@pytest.mark.parametrize("command", ["publish", "retract"])
def test_a_program_that_did_not_say_yes_gets_one_document(
    served: Served, hn: Node, write: Any, command: str
) -> None:
    one = indicator()
    file = write("b.json", bundle(one))
    if command == "retract":
        hn.publish(one, tlp=Tlp.GREEN)
    before = hn.log_size()
    asked = {
        "publish": ["publish", file, "--audience", "region", "--tlp", "green"],
        "retract": ["retract", one["id"], "--reason", "error"],
    }
    done = served.run(*asked[command], "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "cli.not_confirmed"
    assert hn.log_size() == before
    assert served.run(*asked[command], "--json", "--yes").exit_code == 0


def test_import_looks_at_the_file_to_see_what_it_is(
    served: Served, hn: Node, write: Any, language: str
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("rules/a.yml", "title: a")
    files = [
        write("bundle.txt", bundle(indicator(), indicator(confidence=-1))),
        write("rules.dat", packed.getvalue()),
        write("one.yml", b"title: b"),
    ]
    done = served.run("import", *files, "--tlp", "green")
    assert done.exit_code == 1, "one object was refused, and one rule"
    assert served.rules == [packed.getvalue(), b"title: b"]
    assert "$.confidence" in done.output
    assert "bad.yml:3" in done.output
    assert "⟦" not in done.output
    assert len(hn.watched()) == 1


def test_import_says_how_many_carry_no_marking_and_who_sees_them(
    served: Served, hn: Node, write: Any, language: str
) -> None:
    path = write("b.json", bundle(indicator(), indicator("203.0.113.1")))
    first = served.run("import", path)
    assert all(word in first.output for word in ("2 ", "TLP:RED", "--tlp")) and "⟦" not in first.output
    assert {one.tlp for one in hn.intel.search(Operator()).items} == {Tlp.RED}
    assert "TLP:RED" not in served.run("import", path, "--tlp", "green").output
    assert {one.tlp for one in hn.intel.search(Operator()).items} == {Tlp.GREEN}


def test_a_folder_is_taken_whole(served: Served, hn: Node, write: Any, tmp_path: Path) -> None:
    write("in/a/one.json", bundle(indicator()))
    write("in/two.json", bundle(indicator("203.0.113.1")))
    write("in/r/x.yml", b"title: x")
    write("in/README.md", b"no")
    done = served.run("import", str(tmp_path / "in"), "--json")
    found = json.loads(done.stdout)["files"]
    assert [one["kind"] for one in found] == ["objects", "objects", "rules"]
    with zipfile.ZipFile(io.BytesIO(served.rules[0])) as archive:
        assert archive.namelist() == ["r/x.yml"]
    (tmp_path / "empty").mkdir()
    empty = served.run("import", str(tmp_path / "empty"))
    assert empty.exit_code == 1
    assert str(tmp_path / "empty") in empty.output


@pytest.mark.parametrize(
    ("accepted", "problems", "status"),
    [
        (2, [], 0),
        (2, [problem("a.yml", is_not_served=True)], 0),
        (0, [problem("a.yml", is_not_served=True)], 1),
        (2, [problem("a.yml")], 1),
        (0, [problem("a.yml")], 1),
    ],
    ids=["all", "all that a node serves", "none that a node serves", "some refused", "all refused"],
)
def test_rules_are_in_when_all_that_a_node_serves_is_in(
    served: Served, write: Any, accepted: int, problems: list[Any], status: int
) -> None:
    served.accepted, served.problems = accepted, problems
    assert served.run("import", write("one.yml", b"title: b")).exit_code == status


def test_a_refused_bundle_is_no_success(served: Served, hn: Node, write: Any) -> None:
    assert served.run("import", write("b.json", bundle(indicator(confidence=-1))), "--json").exit_code == 1
    good = write("g.json", bundle(indicator()))
    assert served.run("import", good).exit_code == 0
    assert served.run("import", good).exit_code == 0, "here already is here"


def test_a_bad_file_costs_the_others_nothing(served: Served, hn: Node, write: Any, language: str) -> None:
    files = [
        write("bad.json", b"hello"),
        write("unreadable.json", b""),
        write("good.json", bundle(indicator())),
        write("one.yml", b"title: b"),
    ]
    Path(files[1]).unlink()
    Path(files[1]).symlink_to("/proc/self/mem")  # there, and not to be read
    served.problems = [problem("rules")]
    done = served.run("import", *files, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)["files"]
    assert [one["file"] for one in found] == files, "one document, a result each"
    assert [one.get("error", {}).get("code") for one in found] == [
        "bundle.invalid",
        "cli.machine",
        None,
        None,
    ]
    assert found[0]["error"]["message"] and found[0]["error"]["remedy"]
    assert found[2]["counts"]["publish"] == 1
    assert found[3]["problems"][0]["file"] == files[3], "named by the file, not by how it was sent"
    assert len(hn.watched()) == 1
    shown = served.run("import", *files)
    assert shown.exit_code == 1
    assert f"{files[3]}:3" in shown.output
    assert files[0] in shown.output
    assert "⟦" not in shown.output


def test_an_import_may_take_the_node_its_time(
    served: Served, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("istmo.kit.client.TIMEOUT", 0.0)
    asked: list[Any] = []
    call = NodeClient.call
    monkeypatch.setattr(NodeClient, "call", lambda *args: asked.append(args[-1]) or call(*args))
    served.run("import", write("b.json", bundle(indicator())), write("one.yml", b"title: b"))
    assert asked == [LONG_WORK, LONG_WORK]


def test_a_file_that_is_no_bundle_is_told_with_a_remedy(served: Served, write: Any) -> None:
    done = served.run("import", write("x.json", b"hello"))
    assert done.exit_code == 1
    assert "STIX" in done.output


def test_help_speaks_both_languages(language: str) -> None:
    for one in commands.commands:
        shown = CliRunner().invoke(one, ["--help"]).output
        assert "⟦" not in shown
        assert ("Marca TLP" if language == "es" else "TLP marking") in shown or one.name == "retract"
