"""Retraction: detection stops everywhere it went, by the origin's word alone, and nothing is deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from istmo.errors import Conflict, InvalidInput, NotAllowed, NotFound
from istmo.intel.objects import RetractionReason
from istmo.model.markings import Tlp

from .conftest import ANALYST, COORDINATOR, OBSERVER, SHORT, Node, bundle, indicator, newer

GT, HN, SV = SHORT["gt"], SHORT["hn"], SHORT["sv"]
FALSE_POSITIVE = RetractionReason.FALSE_POSITIVE


def shared(gt: Node, *nodes: Node, to: str = "region", **more: Any) -> str:
    one = indicator(**more)
    gt.publish(one, to=to, tlp=Tlp.AMBER)
    for node in nodes:
        gt.deliver(node)
    return str(one["id"])


def test_detection_stops_and_the_object_stays(gt: Node, hn: Node, sv: Node) -> None:
    id = shared(gt, hn, sv)
    (made,) = gt.intel.retract(ANALYST, id, reason=FALSE_POSITIVE, note="Es nuestro propio escáner.")
    assert made.by_sequence == 2
    for node in (hn, sv):
        (entry,) = gt.deliver(node)
        assert (entry.header.lane, entry.state) == ("fast", "accepted")
    for node in (gt, hn, sv):
        assert node.watched() == {}
        (shown,) = node.intel.read(ANALYST, id)
        assert str(shown.state(node.clock.now())) == "retracted"
        assert shown.retraction is not None
        assert (shown.retraction.reason, shown.retraction.note) == (
            FALSE_POSITIVE,
            "Es nuestro propio escáner.",
        )
        assert node.intel.raw(ANALYST, id)
        assert node.changes[-1].data["action"] == "drop"


def test_it_follows_recorded_deliveries_not_the_present_audience(gt: Node, hn: Node, sv: Node) -> None:
    one = indicator()
    gt.publish(one, to="Honduras,El Salvador", tlp=Tlp.AMBER)
    gt.publish(newer(one), to="Honduras", tlp=Tlp.AMBER)
    made = gt.intel.retract(ANALYST, one["id"], reason=FALSE_POSITIVE)
    assert [entry.sequence for entry in made] == [1, 2]
    gt.deliver(sv)
    assert [entry.state for entry in gt.deliver(hn)] == ["accepted"] * 4
    assert sv.watched() == hn.watched() == {}


def test_who_has_acknowledged_is_seen(gt: Node, hn: Node, sv: Node) -> None:
    id = shared(gt, hn)
    gt.intel.retract(ANALYST, id, reason=FALSE_POSITIVE)
    gt.deliver(hn)
    found = {
        one.member: (one.has_acknowledged, one.has_acknowledged_retraction)
        for one in gt.intel.recipients(ANALYST, id)
    }
    assert found == {HN: (True, True), SV: (False, False)}


def test_what_was_never_shared_is_retracted_at_home(gt: Node, hn: Node) -> None:
    one = indicator()
    gt.intel.import_bundle(ANALYST, bundle(one), tlp=Tlp.GREEN)
    gt.intel.retract(ANALYST, one["id"], reason=RetractionReason.ERROR)
    assert gt.deliver(hn) == []
    assert gt.watched() == {}


def test_house_invariant_3_nobody_retracts_anothers_object(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    with pytest.raises(NotAllowed):
        hn.intel.retract(COORDINATOR, id, reason=FALSE_POSITIVE)
    assert list(hn.watched()) == [id]


def forge(node: Node, to: Node, **payload: Any) -> Any:
    with node.store.write() as tx:
        # written past our own handlers, as a hostile node would
        handlers, node.ledger._handlers = node.ledger._handlers, {}
        node.ledger.append(
            tx,
            "retraction",
            json.dumps(payload).encode(),
            audience={to.member, node.member},
            markings=[Tlp.GREEN.marking_id],
            lane="fast",
        )
        node.ledger._handlers = handlers
    return node.deliver(to)[-1]


def test_a_forged_retraction_has_no_effect(gt: Node, hn: Node, sv: Node) -> None:
    id = shared(gt, hn, sv)
    target = {"origin": GT, "sequence": 1, "object": id}
    entry = forge(sv, hn, retracts=target, reason="error", note="")
    assert (entry.state, entry.refusal) == ("refused", "intel.retraction_not_origin")
    assert list(hn.watched()) == [id]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"retracts": None}, "intel.bad_retraction"),
        ({"retracts": {"origin": "x", "sequence": 1, "object": "y"}}, "intel.bad_retraction"),
        ({"retracts": {"origin": GT, "sequence": True, "object": "y"}}, "intel.bad_retraction"),
        ({"retracts": {"origin": GT, "sequence": 1, "object": "y"}}, "intel.bad_retraction"),
        ({"reason": "whim"}, "intel.bad_retraction"),
        ({"note": 7}, "intel.bad_retraction"),
        ({"note": "x" * 3000}, "intel.bad_retraction"),
        (
            {"retracts": {"origin": GT, "sequence": 1, "object": indicator()["id"]}},
            "intel.retraction_mismatch",
        ),
    ],
)
def test_a_malformed_retraction_is_refused(gt: Node, hn: Node, change: dict[str, Any], code: str) -> None:
    id = shared(gt, hn)
    payload = {
        "retracts": {"origin": GT, "sequence": 1, "object": id},
        "reason": "error",
        "note": "",
        **change,
    }
    assert forge(gt, hn, **payload).refusal == code
    assert list(hn.watched()) == [id]


def test_a_retraction_that_overtakes_its_object_waits_for_it(gt: Node, hn: Node) -> None:
    id = shared(gt)
    gt.intel.retract(ANALYST, id, reason=FALSE_POSITIVE)
    with gt.store.read() as connection:
        object, retraction = gt.ledger.due(connection, HN, 0, 10)
    for one in (retraction, object):
        with hn.store.write() as tx:
            assert hn.ledger.receive(tx, one.envelope, key=gt.keys.public).state == "accepted"
        assert hn.watched() == {}
    assert str(hn.intel.read(ANALYST, id)[0].state(hn.clock.now())) == "retracted"


def test_twice_is_told_and_changes_nothing(gt: Node) -> None:
    id = shared(gt)
    gt.intel.retract(ANALYST, id, reason=FALSE_POSITIVE)
    with pytest.raises(Conflict):
        gt.intel.retract(ANALYST, id, reason=FALSE_POSITIVE)
    assert gt.log_size() == 2


def test_who_may_not_is_refused_and_who_cannot_see_learns_nothing(gt: Node) -> None:
    id = shared(gt)
    with pytest.raises(NotAllowed):
        gt.intel.retract(OBSERVER, id, reason=FALSE_POSITIVE)
    red = indicator(object_marking_refs=[Tlp.RED.marking_id])
    gt.publish(red, to="Honduras", by=COORDINATOR)
    for hidden in (red["id"], indicator()["id"], "nonsense"):
        with pytest.raises(NotFound) as caught:
            gt.intel.retract(OBSERVER, hidden, reason=FALSE_POSITIVE)
        assert caught.value.code == "intel.no_object"
    with pytest.raises(InvalidInput):
        gt.intel.retract(ANALYST, id, reason=FALSE_POSITIVE, note="x" * 3000)


def test_a_retracted_version_does_not_come_back_and_a_new_one_does(gt: Node, hn: Node) -> None:
    one = indicator()
    gt.publish(one, tlp=Tlp.AMBER)
    gt.intel.retract(ANALYST, one["id"], reason=FALSE_POSITIVE)
    assert gt.publish(one, tlp=Tlp.AMBER).items[0].refusal == "intel.retracted_before"
    gt.publish(newer(one), tlp=Tlp.AMBER)
    gt.deliver(hn)
    assert list(hn.watched()) == [one["id"]]


def test_after_a_retraction_the_other_origin_of_the_id_is_watched(gt: Node, hn: Node) -> None:
    one = indicator()
    gt.publish(one, to="Honduras", tlp=Tlp.GREEN)
    gt.deliver(hn)
    own = newer(one, pattern="[ipv4-addr:value = '203.0.113.66']")
    hn.intel.import_bundle(ANALYST, bundle(own), tlp=Tlp.GREEN)
    gt.intel.retract(ANALYST, one["id"], reason=FALSE_POSITIVE)
    gt.deliver(hn)
    assert hn.watched() == {one["id"]: ["203.0.113.66"]}


def test_erasure_forgets_what_was_folded_out_of_the_entry(gt: Node) -> None:
    id = shared(gt)
    with gt.store.write() as tx:
        gt.ledger.erase(tx, GT, 1, "por ley")
    assert gt.watched() == {}
    with pytest.raises(NotFound):
        gt.intel.read(ANALYST, id)
