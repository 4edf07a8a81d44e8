"""``istmo job``: an administrator sees what gave up, and gives it another try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from litestar import Litestar
from litestar.testing import TestClient
from web_site import HOST, PASSWORD, Site, make_site

from istmo.cli.jobs import job
from istmo.clock import ManualClock
from istmo.doctor import check_running
from istmo.kit.cli import CATALOGUE, speak
from istmo.kit.client import NodeClient
from istmo.kit.signed import SignedAuth
from istmo.settings import Settings
from istmo.store.jobs import JobRunner, dead_jobs, enqueue


class Inside(NodeClient):
    """A client that is handed its connection: another command may use it after this one."""

    def __init__(self, http: TestClient[Litestar]) -> None:
        self.url, self._http = HOST, http

    def close(self) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A node; commands speak to its application by the node's own key, without a socket between."""
    made = make_site(tmp_path, clock, None)
    with made.client() as http:
        http.auth = SignedAuth(made.node.keys, clock)

        def by_key(settings: Settings, *, language: str = "en") -> NodeClient:
            http.headers["Accept-Language"] = language
            return Inside(http)

        monkeypatch.setattr(NodeClient, "by_key", by_key)
        yield made
    made.node.store.close()


@pytest.fixture(params=["es", "en"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    speak(request.param)
    yield request.param
    speak("es")


def bury(site: Site) -> int:
    """A job that has failed as often as it may; its number."""
    runner = JobRunner(site.node.store, site.clock, attempts=1)
    with site.node.store.write() as tx:
        enqueue(tx, "intel.tell", {}, site.clock.now())

    def fail(payload: object) -> None:
        raise ConnectionError("the other side is away")

    runner.handle("intel.tell", fail)
    runner.run_due()
    with site.node.store.read() as connection:
        return dead_jobs(connection)[-1].id


def run(site: Site, *words: str) -> Result:
    folder = str(site.node.settings.data)
    return CliRunner(env={"COLUMNS": "200"}).invoke(job, [*words, "--data", folder])


def test_none_is_told_as_none(site: Site, language: str) -> None:
    done = run(site, "list")
    assert done.exit_code == 0 and CATALOGUE.text(language, "cli.job.none") in done.output


def test_a_job_that_gave_up_is_listed_with_what_stopped_it(site: Site, language: str) -> None:
    number = bury(site)
    shown = run(site, "list").output
    assert str(number) in shown and "intel.tell" in shown and "the other side is away" in shown
    assert "⟦" not in shown
    (told,) = json.loads(run(site, "list", "--json").output)["items"]
    assert (told["id"], told["kind"], told["attempts"]) == (number, "intel.tell", 1)


def test_it_is_tried_again_once(site: Site, language: str) -> None:
    number = bury(site)
    done = run(site, "retry", str(number))
    assert done.exit_code == 0 and str(number) in done.output and "⟦" not in done.output
    with site.node.store.read() as connection:
        assert dead_jobs(connection) == []
    again = run(site, "retry", str(number))
    assert again.exit_code == 1
    assert CATALOGUE.text(language, "error.web.no_job", id=number) in again.output


def test_a_number_that_no_job_can_have_is_just_not_there(site: Site) -> None:
    done = run(site, "retry", str(10**30))
    assert done.exit_code == 1 and str(10**30) in done.output
    assert CATALOGUE.text("es", "error.web.no_job", id=10**30) in done.output


def test_the_doctor_names_the_commands(site: Site, language: str) -> None:
    bury(site)
    (found,) = [one for one in check_running(site.node.settings) if one.check == "jobs"]
    assert found.state == "bad"
    assert "istmo job list" in found.text() and "istmo job retry" in found.text()


@pytest.mark.parametrize("name", ["ana", "rosa"])
def test_it_is_not_for_who_does_not_administer_the_node(site: Site, name: str) -> None:
    number = bury(site)
    with site.client() as client:
        told = client.post("/api/v1/session", json={"name": name, "password": PASSWORD}).json()
        headers = {"X-CSRF": told["csrf"]}
        assert client.get("/api/v1/jobs/dead").status_code == 403
        assert client.post(f"/api/v1/jobs/{number}/retry", headers=headers).status_code == 403
    with site.node.store.read() as connection:
        assert [one.id for one in dead_jobs(connection)] == [number]
