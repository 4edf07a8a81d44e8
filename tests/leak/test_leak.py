"""House rule 1: no object reaches whom it is not meant for, by any path.

Two nodes that differ only in withheld things answer a third byte for byte alike, over every route there
is. The routes are listed by the program: one that is new and unknown here fails the test.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from istmo.ledger import keys as node_keys
from istmo.ledger.keys import NodeKeys
from istmo.model.markings import Tlp
from istmo.settings import load_settings
from istmo.web.app import create_app
from istmo.web.routes import RouteEntry, routes_of

from .asking import PEERS, VISIT, Answer, Asker, Question, ask, by_key, by_session, by_token, freeze_chance
from .questions import NONSENSE, Forgotten, every_question
from .worlds import (
    SECRET_WORD,
    Ids,
    Region,
    World,
    found_region,
    served,
    withhold_from_peer,
    withhold_from_role,
    write_probes,
)


@pytest.fixture(scope="module")
def region(memory: Path) -> Iterator[Region]:
    made = found_region(memory / "region")
    yield made
    made.listener.close()


@pytest.fixture(scope="module")
def more(region: Region, memory: Path) -> World:
    """The publisher with things that the peer may not know."""
    made = region.publisher.copy(memory / "more")
    withhold_from_peer(made, region)
    return made


def answers_of(
    world: World, region: Region, asker: Asker, withheld: Ids, patch: pytest.MonkeyPatch, folder: Path
) -> list[tuple[Question, Answer]]:
    """What a fresh copy of the world answers to every question."""
    fresh = world.copy(folder)
    with patch.context() as frozen:
        freeze_chance(frozen)
        node, clock = fresh.open()
        try:
            app = create_app(node)
            questions = list(every_question(routes_of(app), withheld, region.publisher.ids, asker))
            node.federation.acks.start()
            with served(node, region.listener, app):
                answers = ask(asker, node.settings.url, app.state.faces.cookie, questions, clock)
        finally:
            node.federation.acks.stop()
            node.store.close()
            shutil.rmtree(folder)
    return list(zip(questions, answers, strict=True))


def check_alike(
    base: World, more: World, region: Region, asker: Asker, patch: pytest.MonkeyPatch, folder: Path
) -> list[tuple[Question, Answer]]:
    """Every answer of ``base`` is, to the byte, the answer of ``more``; what it answered."""
    withheld = more.ids
    plain = answers_of(base, region, asker, withheld, patch, folder / "plain")
    fuller = answers_of(more, region, asker, withheld, patch, folder / "fuller")
    differing = [
        f"{question}\n{_difference(one, other)}"
        for (question, one), (_, other) in zip(plain, fuller, strict=True)
        if one != other
    ]
    told = "\n".join(differing[:20])
    assert not differing, f"{asker.name}: {len(differing)} of {len(plain)} answers differ:\n{told}"
    return fuller


def _difference(one: Answer, other: Answer) -> str:
    """Where two answers part, with a little of what stands around."""
    if one.status != other.status:
        return f"  without: {one.status} {one.body[:200]!r}\n  with:    {other.status} {other.body[:200]!r}"
    at = next((n for n, pair in enumerate(zip(one.body, other.body, strict=False)) if pair[0] != pair[1]), -1)
    if at < 0 and one.body == other.body:
        return f"  headers: {set(one.headers) ^ set(other.headers)}"
    start = max(0, at - 80)
    return f"  without: {one.body[start : at + 120]!r}\n  with:    {other.body[start : at + 120]!r}"


class TestPeer:
    """A member, and strangers, asking a node that holds things for others."""

    def askers(self, region: Region, stranger: NodeKeys) -> list[Asker]:
        return [
            replace(by_key("the member", node_keys.load(load_settings(region.peer).keys)), opens=PEERS),
            by_key("a stranger's node", stranger),
            Asker("a visitor", cookies={"visit": VISIT}, signs_in=True),
            Asker("one with no token of ours", headers={"Authorization": "Bearer istmo_no"}),
        ]

    @pytest.mark.parametrize("number", range(4), ids=["member", "stranger", "visitor", "unknown-token"])
    def test_learns_nothing_over_any_route(
        self, region: Region, more: World, number: int, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stranger = node_keys.create(folder / "keys")
        asker = self.askers(region, stranger)[number]
        if not number:
            asker = replace(asker, frames=write_probes(region, more.ids, NONSENSE.objects[0]))
        told = check_alike(region.publisher, more, region, asker, monkeypatch, folder)
        _check_word(told)
        if not number:
            frames = [one for question, one in told if question.content == asker.frames]
            assert frames[-1].status == 200 and b"intel.sighting_unentitled" in frames[-1].body


class TestPeopleOfTheNode:
    """House rule 1 inside a node: what is marked stricter than a role reads is not there for it."""

    @pytest.mark.parametrize(
        ("name", "reads"), [("olga", Tlp.AMBER), ("ana", Tlp.AMBER_STRICT)], ids=["observer", "analyst"]
    )
    def test_learn_nothing_over_any_route(
        self, region: Region, name: str, reads: Tlp, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        more = region.publisher.copy(folder / "more")
        withhold_from_role(more, reads)
        secrets = region.publisher.secrets
        for asker in (by_session(name, secrets[name]), by_token(name, secrets[f"{name} token"])):
            told = check_alike(region.publisher, more, region, asker, monkeypatch, folder)
            _check_word(told)
            assert sum(answer.status == 200 for _, answer in told) > 30, "hardly anything was answered"


def _check_word(told: list[tuple[Question, Answer]]) -> None:
    """No answer says a word of the withheld things to a question that did not hold it."""
    word = SECRET_WORD.encode()
    for question, answer in told:
        if SECRET_WORD not in str(question):
            assert word not in answer.body, question


@pytest.mark.parametrize(
    ("method", "path", "table"),
    [
        ("GET", "/api/v1/courses/{course_id:str}", "PARAMETERS"),
        ("GET", "/courses/{id:str}", "ID_BY_PATH"),
        ("POST", "/api/v1/courses", "BODIES"),
    ],
)
def test_a_new_route_cannot_be_forgotten(method: str, path: str, table: str) -> None:
    new = RouteEntry(path, method, "people", "handler")
    with pytest.raises(Forgotten, match=table):
        list(every_question([new], Ids(), Ids(), Asker("somebody")))
