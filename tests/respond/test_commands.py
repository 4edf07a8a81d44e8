"""``istmo case`` against a real server: what a person reads, and what a program does."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from click.testing import CliRunner, Result
from litestar import Litestar
from litestar.di import Provide

from istmo.cli import people
from istmo.clock import ManualClock
from istmo.errors import IstmoError
from istmo.identity.service import Identity
from istmo.kit.asking import Asker
from istmo.kit.cli import speak
from istmo.policy.principals import Operator, Person, Principal, Role
from istmo.respond import api, commands
from istmo.web import account_api
from respond.conftest import NAMES, Nation, carry
from respond.test_api import _told
from respond.test_service import ALERT, HN, SV


class Served:
    """A node's routes on a port of their own; ``run`` calls a command of istmo against them."""

    def __init__(self, nation: Nation, clock: ManualClock, who: Principal) -> None:
        app = Litestar(
            [*api.routes, *account_api.routes],
            dependencies={
                "asker": Provide(lambda: Asker(who, "es"), sync_to_thread=False),
                "respond": Provide(lambda: nation.respond, sync_to_thread=False),
                "identity": Provide(lambda: Identity(nation.store, clock), sync_to_thread=False),
                "clock": Provide(lambda: clock, sync_to_thread=False),
                "names": Provide(lambda: NAMES, sync_to_thread=False),
            },
            exception_handlers={IstmoError: _told},
            logging_config=None,
        )
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]})
        self.thread.start()

    def run(self, *arguments: str, text: str | None = None) -> Result:
        group = {one.name: one for one in (*commands.commands, *people.commands)}[arguments[0]]
        words = [*arguments[1:], "--url", self.url]
        return CliRunner(env={"ISTMO_TOKEN": "istmo_x", "COLUMNS": "200"}).invoke(group, words, input=text)

    def json(self, *arguments: str, text: str | None = None) -> dict[str, object]:
        done = self.run(*arguments, "--json", text=text)
        assert done.exit_code == 0, done.output
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        self.listening.close()


@pytest.fixture
def gt(make_nation: Callable[..., Nation]) -> Nation:
    return make_nation("gt")


@pytest.fixture
def served(gt: Nation, clock: ManualClock) -> Iterator[Served]:
    one = Served(gt, clock, gt.analyst)
    yield one
    one.close()


@pytest.fixture
def operated(gt: Nation, clock: ManualClock) -> Iterator[Served]:
    one = Served(gt, clock, Operator())
    yield one
    one.close()


@pytest.fixture(params=["es", "en"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    speak(request.param)
    yield request.param
    speak("es")


def test_a_case_by_command(served: Served, gt: Nation, hn: Nation, language: str) -> None:
    opened = served.json("case", "open", "--title", "Intrusión", "--severity", "high", "--note", "una nota")
    case = str(opened["id"])
    assert served.run("case", "note", case, "-", text="de la entrada").exit_code == 0
    shown = served.run("case", "show", case)
    assert "una nota" in shown.output
    assert "⟦" not in shown.output
    listed = served.run("case", "list", "--q", "entrada")
    assert case in listed.output
    assert {"es": "Alto", "en": "High"}[language] in listed.output
    plan = served.run("case", "share", case, HN, "--preview")
    assert "una nota" in plan.output and "TLP:AMBER" in plan.output and "⟦" not in plan.output
    seen = str(served.json("case", "share", case, HN, "--preview")["seen"])
    assert seen in plan.output.replace("\n", "")
    served.run("case", "note", case, "después de verlo")
    assert served.run("case", "share", case, HN, "--seen", seen).exit_code == 1
    again = served.run("case", "share", case, HN, "--preview", "--seen", seen)
    assert {"es": "nota (nueva)", "en": "note (new)"}[language] in again.output
    assert hn.take_from(gt) == 0
    assert served.run("case", "share", case, "csirt hn").exit_code == 0, "by name, as people write it"
    carry(gt, hn)
    assert hn.respond.read(hn.analyst, case).title == "Intrusión"


def test_what_is_not_the_asker_s_to_read_is_shown_by_its_marking(
    served: Served, gt: Nation, language: str
) -> None:
    """House invariant 1, at the terminal."""
    case = str(served.json("case", "open", "--title", "Caso", "--tlp", "RED")["id"])
    gt.respond.add_note(Person("account--boss", "rosa", Role.COORDINATOR), case, "zarzaparrilla")
    shown = served.run("case", "show", case)
    assert "zarzaparrilla" not in shown.output and "rosa" in shown.output
    assert {"es": "entrada reservada", "en": "withheld entry"}[language] in shown.output
    assert shown.output.count("TLP:RED") == 2


def test_what_cannot_be_shared_is_told_with_its_reason(served: Served, gt: Nation, language: str) -> None:
    gt.shelf.alerts = {ALERT.id: ALERT}
    case = str(served.json("case", "open", "--alert", ALERT.id)["id"])
    plan = served.run("case", "share", case, SV, "--preview")
    assert ALERT.title in plan.output
    assert "⟦" not in plan.output
    quoted = next(
        one["entry"]
        for one in served.json("case", "share", case, SV, "--preview")["refused"]  # type: ignore[attr-defined]
    )
    assert served.run("case", "share", case, SV, "--leave-out", quoted).exit_code == 0


def test_accounts_by_command(operated: Served, language: str) -> None:
    made = operated.run("account", "add", "lucia", "--role", "observer")
    assert made.exit_code == 0, made.output
    assert "⟦" not in made.output
    given = operated.run("account", "add", "otto", "--password-stdin", text="velero azul sobre el lago\n")
    assert given.exit_code == 0, given.output
    assert "velero" not in given.output
    listed = operated.run("account", "list")
    assert "lucia" in listed.output
    assert "⟦" not in listed.output
    assert operated.run("account", "disable", "lucia").exit_code == 0
    assert operated.run("account", "disable", "lucia", "--undo").exit_code == 0
    assert "password" in operated.json("account", "password", "lucia")
    assert operated.run("account", "disable", "nadie").exit_code == 1


def test_tokens_by_command(operated: Served, language: str) -> None:
    operated.run("account", "add", "lucia")
    # The server's clock stands in March 2026: a term counted from today would be too long.
    refused = operated.run("token", "add", "t", "--account", "lucia", "--scope", "read", "--days", "366")
    assert refused.exit_code == 1
    for days in ("99999999", "0", "-1"):
        never = operated.run("token", "add", "t", "--scope", "read", "--days", days)
        assert never.exit_code == 2
        assert days in never.output
    listed = operated.run("token", "list")
    assert "istmo token add" in listed.output


def test_the_title_of_a_case_from_elsewhere_does_not_steer_the_terminal(served: Served) -> None:
    for title in ("[/INC-1] Phishing en Aduanas", "[red]urgente"):
        case = str(served.json("case", "open", "--title", title)["id"])
        for done in (served.run("case", "list"), served.run("case", "show", case)):
            assert done.exit_code == 0, done.output
            assert title in done.output


@pytest.mark.parametrize("group", [*commands.commands, *people.commands], ids=lambda one: str(one.name))
def test_every_command_explains_itself(group: object, language: str) -> None:
    runner = CliRunner()
    for name in ("", *group.commands):  # type: ignore[attr-defined]
        done = runner.invoke(group, [name, "--help"] if name else ["--help"])  # type: ignore[arg-type]
        assert done.exit_code == 0, done.output
        assert "⟦" not in done.output
