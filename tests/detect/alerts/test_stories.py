"""One alert a story, each event counted once, and nobody reads more than what it derives from allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.clock import ManualClock
from istmo.detect.objects import CloseReason, Status
from istmo.detect.records import evidence as records
from istmo.detect.records import positions
from istmo.detect.service.alerts import alert_filter
from istmo.detect.stories import KEPT_AT_EACH_END, MOST_HOSTS
from istmo.detect.wire import INDICATORS, SIGMA, Position
from istmo.errors import InvalidInput, NotFound
from istmo.model.markings import Tlp

from .room import (
    ANALYST,
    COORDINATOR,
    HERE,
    HOUR,
    OBSERVER,
    SECOND,
    T0,
    THERE,
    Room,
    hit,
)

RULE = "0f06a3a5-6a09-413f-8743-e6cf35561297"


def test_ten_thousand_events_of_one_rule_on_one_host_are_one_alert(room: Room) -> None:
    for batch in range(10):
        room.tell(
            SIGMA,
            [
                hit(RULE, batch * 1000 + line, detector=SIGMA, time=T0 + (batch * 1000 + line) * SECOND)
                for line in range(1000)
            ],
            Position(1, (batch + 1) * 1000),
        )
    (alert,) = room.alerts()
    assert (alert.count, alert.detector, alert.subject, alert.entity) == (10_000, "sigma", RULE, "CAJA-1")
    story = room.detect.read_alert(ANALYST, alert.id)
    kept = [int(one.event.partition("-")[2]) for one in story.evidence]
    assert kept == [*range(KEPT_AT_EACH_END), *range(10_000 - KEPT_AT_EACH_END, 10_000)]
    assert sum(count for _, count in story.hours) == 10_000
    assert story.hours[0] == (datetime(2026, 3, 2, 9, tzinfo=UTC), 3600)
    assert story.hosts == (("CAJA-1", 10_000),)


def test_a_rule_has_a_story_a_host_and_a_new_one_after_a_day_of_silence(room: Room) -> None:
    hits = [
        hit(RULE, 1, detector=SIGMA, host="A"),
        hit(RULE, 2, detector=SIGMA, host="B"),
        hit(RULE, 3, detector=SIGMA, host="A", time=T0 + 23 * HOUR),
        hit(RULE, 4, detector=SIGMA, host="A", time=T0 + 46 * HOUR),
        hit(RULE, 5, detector=SIGMA, host="A", time=T0 + 71 * HOUR),
    ]
    for number, one in enumerate(hits):
        room.tell(SIGMA, [one], Position(1, number + 2))
    assert sorted((one.entity, one.count) for one in room.alerts()) == [("A", 1), ("A", 3), ("B", 1)]


def test_an_indicator_has_one_story_for_all_hosts(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"), name="Mando")
    room.tell(INDICATORS, [hit(watch.id, 1, host="A"), hit(watch.id, 2, host="B", time=T0 + 90 * HOUR)])
    (alert,) = room.alerts()
    assert (alert.title, alert.count, alert.hosts, alert.entity) == ("Mando", 2, 2, "A")
    assert (alert.origin, alert.audience) == (THERE, frozenset({HERE, THERE}))
    assert room.shelf.sightings == [
        (watch.id, 2, datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 6, 3, tzinfo=UTC))
    ]


def test_a_hit_told_again_changes_nothing(room: Room) -> None:
    """Exactly once for each event and subject, live or hunted, in whatever order they are repeated."""
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    hits = [hit(watch.id, line) for line in range(5)]
    assert room.tell(INDICATORS, hits, Position(1, 5)) == 5
    assert room.tell(INDICATORS, hits, Position(1, 5)) == 0
    with room.store.write() as tx:
        hunted = [hit(watch.id, line, stored=True) for line in range(8)]
        assert room.stories.store_hunted(tx, hunted) == 3
        assert room.stories.store_hunted(tx, hunted) == 0
    (alert,) = room.alerts()
    assert (alert.count, alert.stored_count) == (8, 3)
    rule_hits = [hit(RULE, line, detector=SIGMA) for line in range(5)]
    assert room.tell(SIGMA, rule_hits, Position(1, 5)) == 5
    assert room.tell(SIGMA, rule_hits, Position(1, 5)) == 0
    with room.store.read() as connection:
        assert positions.positions(connection) == {INDICATORS: Position(1, 5), SIGMA: Position(1, 5)}


def test_position_and_alert_are_stored_together_or_not_at_all(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    with pytest.raises(ZeroDivisionError), room.store.write() as tx:
        room.stories.store(tx, INDICATORS, [hit(watch.id, 1)], Position(1, 2))
        raise ZeroDivisionError
    assert room.alerts() == []
    assert room.shelf.sightings == []
    with room.store.read() as connection:
        assert positions.positions(connection) == {}
    room.tell(INDICATORS, [hit(watch.id, 1)], Position(1, 2))
    assert [one.count for one in room.alerts()] == [1]


def test_a_position_never_moves_back(room: Room) -> None:
    room.tell(INDICATORS, [], Position(2, 7))
    room.tell(INDICATORS, [], Position(1, 9))
    with room.store.read() as connection:
        assert positions.positions(connection) == {INDICATORS: Position(2, 7)}


def test_after_closing_the_next_hit_opens_a_new_alert_that_refers_to_it(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    room.tell(INDICATORS, [hit(watch.id, 1)], Position(1, 2))
    (first,) = room.alerts()
    room.detect.set_status(ANALYST, first.id, Status.ACKNOWLEDGED)
    room.tell(INDICATORS, [hit(watch.id, 2)], Position(1, 3))
    assert [one.count for one in room.alerts()] == [2]
    room.detect.set_status(ANALYST, first.id, Status.CLOSED, reason=CloseReason.RESOLVED)
    room.tell(INDICATORS, [hit(watch.id, 2), hit(watch.id, 3)], Position(1, 4))
    by_id = {one.id: one for one in room.alerts()}
    assert by_id.pop(first.id).count == 2
    (second,) = by_id.values()
    assert (second.count, second.former, second.status) == (1, first.id, Status.OPEN)


def test_hits_of_an_indicator_that_was_taken_back_meanwhile_are_not_told(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    room.shelf.retract(watch.id)
    assert room.tell(INDICATORS, [hit(watch.id, 1)]) == 0
    assert room.alerts() == []


def test_an_alert_derived_from_red_is_shown_to_nobody_who_may_not_read_red(room: Room) -> None:
    """Invariant 1: not by list, count, filter, search, page or change, and not as a quotation."""
    red = room.shelf.publish(("ipv4", "203.0.113.77"), tlp=Tlp.RED, name="secreto")
    amber = room.shelf.publish(("ipv4", "198.51.100.1"), name="comun")
    room.tell(INDICATORS, [hit(red.id, 1), hit(amber.id, 2)])
    everything = room.alerts(COORDINATOR)
    assert {one.tlp for one in everything} == {Tlp.RED, Tlp.AMBER}
    secret = next(one for one in everything if one.tlp is Tlp.RED)
    for who in (OBSERVER, ANALYST):
        page = room.detect.list_alerts(who)
        assert ([one.title for one in page.items], page.total) == (["comun"], 1)
        assert sum(room.detect.count_alerts(who).values()) == 1
        for wanted in (alert_filter(query="secreto"), alert_filter(subject=red.id)):
            assert room.detect.list_alerts(who, wanted).total == 0
        for ask in (
            lambda who=who: room.detect.read_alert(who, secret.id),
            lambda who=who: room.detect.alert_quote(who, secret.id),
            lambda who=who: room.detect.set_status(who, secret.id, Status.ACKNOWLEDGED),
        ):
            with pytest.raises(NotFound) as refused:
                ask()
            with pytest.raises(NotFound) as absent:
                room.detect.read_alert(who, "x-istmo-alert--none")
            assert refused.value.code == absent.value.code
        assert not room.detect.may_know(who, secret.id)
    assert room.detect.may_know(COORDINATOR, secret.id)


def test_a_marking_that_was_strict_once_stays_on_the_alert(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"), tlp=Tlp.RED)
    room.tell(INDICATORS, [hit(watch.id, 1)], Position(1, 2))
    room.shelf.publish(("ipv4", "203.0.113.77"), id=watch.id, tlp=Tlp.GREEN, audience=(HERE,))
    room.tell(INDICATORS, [hit(watch.id, 2)], Position(1, 3))
    (alert,) = room.alerts()
    assert (alert.tlp, alert.audience) == (Tlp.RED, frozenset({HERE}))


def test_the_quotation_says_whose_knowledge_it_is(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    room.tell(INDICATORS, [hit(watch.id, 1)])
    room.tell(SIGMA, [hit(RULE, 1, detector=SIGMA)])
    quotes = {one.detector: room.detect.alert_quote(ANALYST, one.id) for one in room.alerts()}
    assert (quotes["indicator"].indicator, quotes["indicator"].origin) == (watch.id, THERE)
    assert quotes["indicator"].audience == {HERE, THERE}
    assert quotes["indicator"].evidence == ("2026-03-02T09:00:00.000000Z CAJA-1 DestinationIp=203.0.113.77",)
    assert (quotes["sigma"].indicator, quotes["sigma"].origin, quotes["sigma"].audience) == (None, HERE, None)


def test_what_events_claim_breaks_nothing(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    odd = [
        hit(watch.id, 1, time=-(1 << 62)),
        hit(watch.id, 2, time=1 << 62),
        hit(
            watch.id,
            3,
            host="\x00\ud800" + "h" * 5000,
            fields={"a\x00": "b\ud800\x00", "c" * 999: "d" * 99_999},
        ),
        *(hit(watch.id, 10 + number, host=f"host {number}") for number in range(MOST_HOSTS + 5)),
    ]
    room.tell(INDICATORS, odd)
    (alert,) = room.alerts()
    assert alert.count == len(odd)
    story = room.detect.read_alert(COORDINATOR, alert.id)
    assert sum(count for _, count in story.hosts) > 0
    with room.store.read() as connection:
        everywhere = records.hosts(connection, alert.row, 5000)
    assert len(everywhere) == MOST_HOSTS + 1
    assert sum(count for _, count in everywhere) == len(odd)


def test_filters_paging_and_search(room: Room) -> None:
    clock = room.clock
    assert isinstance(clock, ManualClock)
    for number in range(7):
        watch = room.shelf.publish(("ipv4", f"198.51.100.{number}"), name=f"Mando 100%_{number}")
        fields = {"DestinationIp": f"198.51.100.{number}"}
        room.tell(INDICATORS, [hit(watch.id, number, fields=fields)], Position(1, number))
        clock.advance(1)
    titles, cursor = [], None
    while True:
        page = room.detect.list_alerts(ANALYST, cursor=cursor, limit=3)
        assert page.total == 7
        titles += [one.title for one in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert titles == [f"Mando 100%_{number}" for number in reversed(range(7))]
    found = room.detect.list_alerts(ANALYST, alert_filter(query="MANDO 0%_3")).items
    assert [one.title for one in found] == ["Mando 100%_3"]
    assert room.detect.list_alerts(ANALYST, alert_filter(query="198.51.100.5")).total == 1
    assert room.detect.list_alerts(ANALYST, alert_filter(status="closed")).total == 0
    assert room.detect.list_alerts(ANALYST, alert_filter(level="high", host="CAJA-1")).total == 7
    assert room.detect.list_alerts(ANALYST, alert_filter(host="OTRA")).total == 0
    for bad in ({"status": "x"}, {"level": "x"}):
        with pytest.raises(InvalidInput):
            alert_filter(**bad)
    with pytest.raises(InvalidInput):
        room.detect.list_alerts(ANALYST, cursor="zz")


EVENTS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(-60, 60), st.sampled_from(["A", "B", ""])), max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.tuples(st.booleans(), EVENTS), max_size=8))
def test_however_hits_are_cut_and_repeated_the_alert_tells_each_event_once(
    room: Room, batches: list[tuple[bool, list[tuple[int, int, str]]]]
) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    truth: dict[int, tuple[int, str]] = {}
    for is_hunt, events in batches:
        hits = [
            hit(watch.id, line, segment=9, time=T0 + hours * HOUR, host=host) for line, hours, host in events
        ]
        with room.store.write() as tx:
            if is_hunt:
                room.stories.store_hunted(tx, hits)
            else:
                room.stories.store(tx, INDICATORS, hits, Position())
        for line, hours, host in events:
            truth.setdefault(line, (hours, host))
    found = room.detect.list_alerts(ANALYST, alert_filter(subject=watch.id)).items
    if not truth:
        assert found == ()
        return
    (alert,) = found
    story = room.detect.read_alert(ANALYST, alert.id)
    assert alert.count == len(truth) == sum(count for _, count in story.hours)
    hours = [hours for hours, _ in truth.values()]
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert (alert.first_seen, alert.last_seen) == (
        start + timedelta(hours=min(hours)),
        start + timedelta(hours=max(hours)),
    )
    assert dict(story.hosts) == {
        host: sum(1 for _, one in truth.values() if one == host)
        for host in {one for _, one in truth.values()}
    }
    assert {one.event for one in story.evidence} == {f"9-{line}" for line in truth}
