"""Erasing an entry of the log: who may, what goes, what stays, and that it is written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from web_site import PASSWORD, Site, make_site

from istmo.cli import ledger as commands
from istmo.clock import ManualClock
from istmo.federation.objects import Cursor
from istmo.identity import audit
from istmo.intel.objects import RetractionReason
from istmo.kit.cli import speak
from istmo.kit.client import NodeClient
from istmo.ledger.verify_node import verify_settings
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.policy.principals import Operator

WORD = "PERSONA-CON-NOMBRE"


@pytest.fixture
def site(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    made = make_site(tmp_path, clock, None)
    yield made
    made.node.store.close()


def published(site: Site) -> int:
    """The number of an entry that names a person."""
    note = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": new_id("indicator"),
        "created": "2026-03-02T08:00:00.000Z",
        "modified": "2026-03-02T08:00:00.000Z",
        "name": WORD,
        "pattern": "[ipv4-addr:value = '203.0.113.7']",
        "pattern_type": "stix",
        "valid_from": "2026-03-02T08:00:00Z",
    }
    bundle = json.dumps({"type": "bundle", "id": new_id("bundle"), "objects": [note]}).encode()
    plan = site.node.intel.publish(Operator(), bundle, audience=["region"], tlp=Tlp.AMBER, purpose="")
    return plan.items[0].sequence


def erase(site: Site, name: str, sequence: int, reason: str = "por ley") -> tuple[int, dict[str, object]]:
    path = f"/api/v1/ledger/entries/{site.node.settings.member}/{sequence}/erase"
    with site.client(**{"Accept-Language": "es"}) as client:
        answer = client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
        headers = {"X-CSRF": answer.json()["csrf"]}
        answer = client.post(path, json={"reason": reason}, headers=headers)
        return answer.status_code, answer.json()


def hear_all(site: Site) -> None:
    """The neighbour acknowledges all that was meant for it."""
    federation, ledger = site.node.federation, site.node.ledger
    (peer,) = federation.region.peers()
    with site.node.store.read() as connection:
        chain, last = ledger.chains(connection, [peer.id])[peer.id], ledger.last_sequence(connection)
    federation.acks.start()
    federation.acks.submit(peer.id, Cursor(chain.count, last, chain.head)).result(10)
    federation.acks.stop()


def trail(site: Site) -> list[tuple[str, str, str]]:
    with site.node.store.read() as connection:
        lines = audit.lines(connection, action="ledger.erase")
    return [(line.name, line.subject, line.outcome) for line in lines]


def test_an_administrator_erases_and_the_commitment_stays_so_the_log_verifies(site: Site) -> None:
    member, sequence = site.node.settings.member, published(site)
    with site.node.store.read() as connection:
        before = site.node.ledger.entry(connection, member, sequence)
    status, told = erase(site, "raiz", sequence)
    assert status == 200, told
    assert told["commitment"] == before.commitment.hex()
    assert str(told["commitment"]) in str(told["message"]) and "conservan su copia" in str(told["message"])
    with site.node.store.read() as connection:
        after = site.node.ledger.entry(connection, member, sequence)
    assert (after.state, after.payload, after.commitment) == ("erased", None, before.commitment)
    report = verify_settings(site.node.settings)
    assert report.is_good and report.erased == 1, report.problems
    assert trail(site) == [("raiz", f"{member}/{sequence}", "done")]


@pytest.mark.parametrize("name", ["ana", "rosa"])
def test_nobody_else_erases_and_the_denial_is_written_down(site: Site, name: str) -> None:
    sequence = published(site)
    status, told = erase(site, name, sequence)
    assert (status, told["error"]["code"]) == (403, "web.not_for_you")  # type: ignore[index]
    with site.node.store.read() as connection:
        assert site.node.ledger.entry(connection, site.node.settings.member, sequence).state == "accepted"
    assert [(who, outcome) for who, _, outcome in trail(site)] == [(name, "denied")]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_without_a_reason_of_fitting_length_nothing_is_erased(site: Site, reason: str) -> None:
    status, told = erase(site, "raiz", published(site), reason)
    assert (status, told["error"]["code"]) == (400, "web.no_erasure_reason")  # type: ignore[index]
    assert trail(site) == []


def test_what_is_not_there_or_erased_already_is_said(site: Site) -> None:
    sequence = published(site)
    assert erase(site, "raiz", 9_999)[0] == 404
    assert erase(site, "raiz", sequence)[0] == 200
    assert erase(site, "raiz", sequence)[0] == 409


def test_a_number_that_no_log_can_have_is_just_not_there(site: Site) -> None:
    assert [erase(site, "raiz", number)[0] for number in (0, -1, 1 << 63, 10**30)] == [404] * 4


def test_a_retraction_can_be_erased_once_everybody_has_heard_it_and_it_stands(site: Site) -> None:
    sequence = published(site)
    intel = site.node.intel
    (found,) = intel.search(Operator(), query=WORD).items
    reason = RetractionReason("error")
    (made,) = intel.retract(Operator(), found.id, reason=reason, note="la llamó " + WORD)
    status, told = erase(site, "raiz", made.by_sequence)
    assert (status, told["error"]["code"]) == (409, "ledger.not_heard_by_all")  # type: ignore[index]
    assert "CSIRT Guatemala" in told["error"]["message"]  # type: ignore[index]
    hear_all(site)
    assert erase(site, "raiz", made.by_sequence)[0] == 200
    (kept,) = intel.read(Operator(), found.id)
    assert kept.sequence == sequence
    assert kept.retraction is not None and kept.retraction.note == ""


class TestCommand:
    @pytest.fixture(params=["es", "en"])
    def language(self, request: pytest.FixtureRequest) -> Iterator[str]:
        speak(request.param)
        yield request.param
        speak("es")

    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
        """What the command would send to the node."""
        sent: list[tuple[str, object]] = []

        def call(client: NodeClient, method: str, path: str, body: object, query: object) -> object:
            if path == "/api/v1/node":
                return {"member": "identity--gt"}
            sent.append((path, body))
            return {"sequence": 3, "record": 9, "commitment": "ab" * 32}

        monkeypatch.setattr(NodeClient, "call", call)
        return sent

    def run(self, *words: str, text: str = "") -> Result:
        words = ("erase", *words, "--url", "http://127.0.0.1:9")
        return CliRunner(env={"ISTMO_TOKEN": "istmo_x"}).invoke(commands.ledger, words, input=text)

    def test_says_what_remains_and_asks_before_it_erases(
        self, sent: list[tuple[str, object]], language: str
    ) -> None:
        refused = self.run("3", "--reason", "por ley", text="n\n")
        assert refused.exit_code == 1 and sent == []
        assert {"es": "conservan su copia", "en": "keep their copies"}[language] in refused.output
        done = self.run("3", "--reason", "por ley", text="y\n")
        assert sent == [("/api/v1/ledger/entries/identity--gt/3/erase", {"reason": "por ley"})]
        assert "ab" * 32 in done.output and "⟦" not in done.output

    def test_takes_an_entry_of_another_origin_and_does_not_ask_where_told_so(
        self, sent: list[tuple[str, object]]
    ) -> None:
        done = self.run("CSIRT Honduras/3", "--reason", "por ley", "--yes")
        assert done.exit_code == 0, done.output
        assert sent == [("/api/v1/ledger/entries/CSIRT%20Honduras/3/erase", {"reason": "por ley"})]
