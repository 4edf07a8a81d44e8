"""Sightings: to the origin alone, at once the first time, coalesced after, counted only where they belong."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.errors import InvalidInput, NotFound
from istmo.intel.objects import RetractionReason
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.policy import Person, Role
from istmo.store import jobs
from machine import on_sqlite

from .conftest import ANALYST, OBSERVER, SHORT, Node, indicator

GT, HN, SV = SHORT["gt"], SHORT["hn"], SHORT["sv"]


def shared(gt: Node, hn: Node, tlp: Tlp = Tlp.AMBER, **more: Any) -> str:
    one = indicator(**more)
    gt.publish(one, to="region" if tlp < Tlp.RED else "Honduras", tlp=tlp)
    gt.deliver(hn)
    return str(one["id"])


def told(node: Node, object: str) -> list[tuple[str, int]]:
    return [(one.origin, one.count) for one in node.intel.sightings(ANALYST, object)]


def test_the_first_sighting_goes_back_at_once_and_to_the_origin_alone(gt: Node, hn: Node, sv: Node) -> None:
    id = shared(gt, hn)
    gt.deliver(sv)
    seen_at = hn.clock.now() - timedelta(hours=3)
    hn.see(id, 4, seen_at)
    (entry,) = hn.deliver(gt)
    assert (entry.state, entry.type, entry.header.audience) == ("accepted", "sighting", (GT,))
    assert entry.header.markings == (Tlp.AMBER.marking_id,)
    assert hn.deliver(sv) == []
    (sighting,) = gt.intel.sightings(ANALYST, id)
    assert (sighting.origin, sighting.count) == (HN, 4)
    assert sighting.first_seen == sighting.last_seen == seen_at
    data = json.loads(entry.payload or b"")
    assert (data["sighting_of_ref"], data["where_sighted_refs"]) == (id, [HN])


def test_a_growing_count_follows_once_a_while_as_versions_of_one_sighting(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    for _ in range(50):
        hn.see(id)
    assert hn.log_size() == 1
    assert hn.runner.run_due() == 0, "not due yet"
    hn.clock.advance(61)
    assert hn.runner.run_due() == 1
    assert hn.log_size() == 2
    hn.deliver(gt)
    assert told(gt, id) == [(HN, 50)]
    hn.see(id)
    hn.clock.advance(61)
    hn.runner.run_due()
    hn.deliver(gt)
    assert told(gt, id) == [(HN, 51)]


def test_nothing_new_means_no_envelope(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    hn.see(id)
    hn.clock.advance(600)
    hn.runner.run_due()
    assert hn.log_size() == 1
    with hn.store.read() as connection:
        assert jobs.dead_jobs(connection) == []


def test_first_and_last_seen_span_all_that_was_seen(gt: Node, hn: Node) -> None:
    id, now = shared(gt, hn), hn.clock.now()
    for hours in (5, 9, 1):
        hn.see(id, at=now - timedelta(hours=hours))
    hn.clock.advance(61)
    hn.runner.run_due()
    hn.deliver(gt)
    (sighting,) = gt.intel.sightings(ANALYST, id)
    assert sighting.first_seen == now - timedelta(hours=9)
    assert sighting.last_seen == now - timedelta(hours=1)


def test_seeing_ones_own_indicator_stays_at_home(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    gt.see(id, 2)
    assert gt.deliver(hn) == []
    assert told(gt, id) == [(GT, 2)]


def test_a_sealed_indicators_sighting_is_sealed(gt: Node, hn: Node) -> None:
    id = shared(gt, hn, Tlp.AMBER_STRICT)
    hn.see(id)
    (entry,) = hn.deliver(gt)
    assert (entry.header.seal, entry.state) == ("age", "accepted")


def test_what_is_not_watched_for_is_not_reported(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    gt.intel.retract(ANALYST, id, reason=RetractionReason.ERROR)
    gt.deliver(hn)
    hn.see(id)
    hn.see(new_id("indicator"))
    assert hn.log_size() == 0


def test_a_retraction_in_between_stops_the_delayed_report(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    hn.see(id)
    hn.see(id)
    gt.intel.retract(ANALYST, id, reason=RetractionReason.ERROR)
    gt.deliver(hn)
    hn.clock.advance(61)
    assert hn.runner.run_due() == 1
    assert hn.log_size() == 1


def forged(node: Node, to: Node, about: str, **more: Any) -> Any:
    at = "2026-03-02T09:00:00.000Z"
    data = {
        "type": "sighting",
        "spec_version": "2.1",
        "id": new_id("sighting"),
        "created": at,
        "modified": at,
        "sighting_of_ref": about,
        "count": 7,
        **more,
    }
    with node.store.write() as tx:
        node.ledger.append(
            tx,
            "sighting",
            json.dumps(data).encode(),
            audience={to.member, node.member},
            markings=[Tlp.GREEN.marking_id],
        )


def test_a_sighting_of_what_is_not_ours_is_refused(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    forged(gt, hn, id)
    (entry,) = gt.deliver(hn)
    assert (entry.state, entry.refusal) == ("refused", "intel.sighting_unentitled")
    assert told(hn, id) == []


def test_a_sighting_by_one_that_never_got_the_object_is_refused(gt: Node, hn: Node, sv: Node) -> None:
    one = indicator()
    gt.publish(one, to="Honduras", tlp=Tlp.AMBER)
    forged(sv, gt, one["id"])
    (entry,) = sv.deliver(gt)
    assert (entry.state, entry.refusal) == ("refused", "intel.sighting_unentitled")
    assert told(gt, one["id"]) == []


def test_anything_else_in_a_sighting_entry_is_refused(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    with pytest.raises(InvalidInput) as caught:
        forged(hn, gt, id, count=-1)
    assert caught.value.code == "stix.invalid"
    with pytest.raises(InvalidInput) as caught, hn.store.write() as tx:
        hn.ledger.append(
            tx, "sighting", json.dumps(indicator()).encode(), audience={GT}, markings=[Tlp.GREEN.marking_id]
        )
    assert caught.value.code == "intel.not_a_sighting"


def test_an_older_version_that_comes_late_changes_nothing(gt: Node, hn: Node) -> None:
    id = shared(gt, hn)
    hn.see(id)
    hn.see(id)
    hn.clock.advance(61)
    hn.runner.run_due()
    with hn.store.read() as connection:
        due = hn.ledger.due(connection, GT, 0, 10)
    for one in reversed(due):
        with gt.store.write() as tx:
            gt.ledger.receive(tx, one.envelope, key=hn.keys.public)
    assert told(gt, id) == [(HN, 2)]


def test_sightings_are_hidden_with_their_object(gt: Node, hn: Node) -> None:
    id = shared(gt, hn, Tlp.RED)
    coordinator = Person("c", "C", Role.COORDINATOR)
    assert gt.intel.sightings(coordinator, id) == ()
    with pytest.raises(NotFound):
        gt.intel.sightings(OBSERVER, id)


@on_sqlite
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([0, 1, 20, 61, 300])), min_size=1, max_size=12))
def test_in_the_end_the_origin_knows_the_whole_count_by_few_envelopes(
    make_node: Any, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("nodes")
    gt, hn = (make_node(name, f"sqlite:///{folder / name}.db") for name in ("gt", "hn"))
    id = shared(gt, hn)
    elapsed = 0
    for count, wait in steps:
        hn.see(id, count)
        hn.clock.advance(wait)
        hn.runner.run_due()
        elapsed += wait
    hn.clock.advance(61)
    hn.runner.run_due()
    hn.deliver(gt)
    assert told(gt, id) == [(HN, sum(count for count, _ in steps))]
    assert hn.log_size() <= 2 + (elapsed + 61) // 60
