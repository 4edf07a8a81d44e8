"""Finding: what one may read and nothing else, in the list as in the count."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.errors import NotAllowed, NotFound
from istmo.intel.objects import RetractionReason, State
from istmo.model.markings import Tlp
from istmo.policy import Anonymous, Operator, Peer, Role, Scope, System, TokenHolder
from machine import on_sqlite

from .conftest import (
    ADMINISTRATOR,
    ANALYST,
    COORDINATOR,
    OBSERVER,
    OTHER_ANALYST,
    SHORT,
    Node,
    bundle,
    indicator,
    malware,
    newer,
    relationship,
)


def names(node: Node, who: object = ANALYST, **query: object) -> list[str]:
    return [one.name for one in node.intel.search(who, **query).items]  # type: ignore[arg-type]


@pytest.fixture
def filled(gt: Node) -> Node:
    levels = {tlp: indicator(f"192.0.2.{int(tlp)}", name=tlp.name) for tlp in Tlp}
    for tlp, one in levels.items():
        gt.publish(one, to="Honduras", tlp=tlp, by=COORDINATOR)
    return gt


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        (OBSERVER, 3),
        (ANALYST, 4),
        (ADMINISTRATOR, 4),
        (COORDINATOR, 5),
        (Operator(), 4),
        (System("detect"), 5),
        (TokenHolder("t", "n", Role.OBSERVER, frozenset({Scope.READ})), 3),
    ],
)
def test_house_invariant_1_list_and_count_hold_what_one_may_read(
    filled: Node, who: object, sees: int
) -> None:
    found = filled.intel.search(who)  # type: ignore[arg-type]
    assert (len(found.items), found.total) == (sees, sees)
    assert sum(filled.intel.counts(who).values()) == sees  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "who",
    [
        Anonymous(),
        Peer(SHORT["hn"]),
        TokenHolder("t", "n", Role.COORDINATOR, frozenset({Scope.PUBLISH})),
        System("?"),
    ],
)
def test_who_may_not_read_is_refused(filled: Node, who: object) -> None:
    with pytest.raises((NotAllowed, NotFound)):
        filled.intel.search(who)  # type: ignore[arg-type]
    assert filled.intel.counts(who) == {}  # type: ignore[arg-type]


def test_every_word_must_occur_and_signs_are_only_signs(gt: Node) -> None:
    gt.publish(
        indicator("192.0.2.1", name="50% Rabatt_x"),
        indicator("192.0.2.2", name="500 Rabattax", labels=["Ñandú"]),
        malware(description="Cargador \\ malo"),
        tlp=Tlp.GREEN,
    )
    assert names(gt, query="rabatt") == ["500 Rabattax", "50% Rabatt_x"]
    assert names(gt, query="50% RABATT_X") == ["50% Rabatt_x"]
    assert names(gt, query="ñandú 192.0.2.2") == ["500 Rabattax"]
    assert names(gt, query="cargador \\") == ["Loader"]
    assert names(gt, query="rabatt nothing") == []
    assert names(gt, query="192.0.2.1") == ["50% Rabatt_x"]
    assert names(gt, type="malware") == ["Loader"]
    assert len(names(gt, query="\x00' OR 1=1 --")) == 0


def test_relations_and_observables_are_found_where_they_are_asked_for(gt: Node) -> None:
    one, other = indicator(name="address"), malware(name="loader")
    value = {
        "type": "ipv4-addr",
        "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
        "value": "198.51.100.3",
    }
    gt.publish(value, one, other, relationship(one, other, description="address"), tlp=Tlp.GREEN)
    assert names(gt, parts=False) == ["loader", "address"]
    assert gt.intel.search(ANALYST, parts=False).total == 2
    assert names(gt, parts=False, query="198.51.100.3") == ["198.51.100.3"], "a value, wherever it stands"
    assert names(gt, parts=False, query="address") == ["address"]
    assert names(gt, parts=False, type="relationship") == ["indicates"]
    assert names(gt, parts=False, type="ipv4-addr") == ["198.51.100.3"]
    assert len(names(gt)) == 4


def test_filters_of_marking_and_origin(gt: Node, hn: Node) -> None:
    gt.publish(indicator(name="theirs"), tlp=Tlp.AMBER)
    gt.deliver(hn)
    hn.publish(indicator(name="ours"), tlp=Tlp.GREEN)
    assert names(hn, tlp=Tlp.AMBER) == names(hn, origin=SHORT["gt"]) == ["theirs"]
    assert names(hn, origin=SHORT["hn"]) == ["ours"]


def test_states_are_told_apart(gt: Node) -> None:
    old = indicator(name="old")
    objects = [
        indicator(name="live"),
        indicator(name="expired", valid_until="2026-03-01T10:00:00Z"),
        indicator(name="revoked", revoked=True),
        old,
        newer(old, name="new"),
        gone := indicator(name="gone"),
    ]
    for one in objects:
        gt.publish(one, tlp=Tlp.GREEN)
    gt.intel.retract(ANALYST, gone["id"], reason=RetractionReason.ERROR)
    by_state = {state: names(gt, state=state) for state in State}
    assert by_state == {
        State.LIVE: ["new", "live"],
        State.EXPIRED: ["expired"],
        State.REVOKED: ["revoked"],
        State.RETRACTED: ["gone"],
        State.SUPERSEDED: ["old"],
    }
    for state, found in by_state.items():
        for one in gt.intel.search(ANALYST, state=state).items:
            assert one.state(gt.clock.now()) is state, found
    assert names(gt) == ["gone", "new", "revoked", "expired", "live"]
    assert sorted(gt.watched().values()) == [["198.51.100.7"], ["198.51.100.7"]]


def test_an_indicator_is_watched_until_its_last_moment(gt: Node) -> None:
    one = indicator(valid_until="2026-03-02T09:00:01Z")
    gt.publish(one, tlp=Tlp.GREEN)
    assert list(gt.watched()) == [one["id"]]
    gt.clock.advance(1)
    assert gt.watched() == {}


def test_paging_goes_through_everything_once(gt: Node) -> None:
    gt.publish(*(indicator(f"192.0.2.{n}", name=f"n{n}") for n in range(25)), tlp=Tlp.GREEN)
    found, cursor = [], None
    while True:
        page = gt.intel.search(ANALYST, limit=10, cursor=cursor)
        assert page.total == 25
        found += [one.name for one in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == [f"n{n}" for n in reversed(range(25))]


def test_a_pattern_that_is_not_served_is_shared_and_says_why(gt: Node, hn: Node) -> None:
    one = indicator(pattern="[file:name LIKE '%']")
    gt.publish(one, tlp=Tlp.GREEN)
    gt.deliver(hn)
    (shown,) = hn.intel.read(ANALYST, one["id"])
    assert shown.not_detected == "pattern.not_detected.unanchored"
    assert hn.watched() == {}


def test_provenance_tells_origin_sequence_and_fingerprints(gt: Node, hn: Node) -> None:
    one = indicator()
    gt.publish(one, tlp=Tlp.GREEN)
    gt.deliver(hn)
    (there,), (here,) = gt.intel.provenance(ANALYST, one["id"]), hn.intel.provenance(ANALYST, one["id"])
    assert (here.origin, here.sequence) == (SHORT["gt"], 1)
    assert (here.commitment, here.envelope) == (there.commitment, there.envelope)
    assert len(here.commitment) == len(here.envelope) == 64


def test_who_may_know_of_a_change_is_who_may_read(gt: Node) -> None:
    red = indicator(object_marking_refs=[Tlp.RED.marking_id])
    gt.publish(red, to="Honduras", by=COORDINATOR)
    assert gt.intel.may_know(COORDINATOR, red["id"])
    assert not gt.intel.may_know(OTHER_ANALYST, red["id"])
    assert not gt.intel.may_know(COORDINATOR, "indicator--nothing")


def test_detection_can_ask_for_some_ids_alone(gt: Node) -> None:
    some = [indicator(f"192.0.2.{n}") for n in range(3)]
    gt.publish(*some, tlp=Tlp.GREEN)
    with gt.store.read() as connection:
        found = gt.intel.detectable(connection, [some[1]["id"], "indicator--unknown"])
        assert [one.id for one in found] == [some[1]["id"]]
        assert gt.intel.detectable(connection, []) == []


@on_sqlite
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12))
def test_whatever_a_name_holds_a_search_for_its_words_finds_it(
    make_node: object, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("node")
    gt: Node = make_node("gt", f"sqlite:///{folder / 'gt.db'}")  # type: ignore[operator]
    gt.intel.import_bundle(ANALYST, bundle(malware(description=name)), tlp=Tlp.GREEN)
    if name.split():
        assert gt.intel.search(ANALYST, query=name).total == 1
    gt.store.close()
