"""The queue of alerts and work on it: what waits, for whom, until when; what was done, and taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.objects import CloseReason, Level, Status
from istmo.detect.objects_triage import AlertGroup, Deed, Grouping, Picked, Until
from istmo.detect.pages.alert_deeds import read_until
from istmo.detect.service.alert_work import Work
from istmo.detect.service.alerts import MINE, NOBODY, alert_filter
from istmo.detect.stories import Heading
from istmo.detect.wire import INDICATORS, SIGMA
from istmo.errors import Conflict, InvalidInput, NotAllowed, NotFound
from istmo.identity import audit
from istmo.identity.service import Identity
from istmo.model.markings import Tlp
from istmo.policy import Person
from istmo.policy.principals import Role

from .crowd import crowd
from .room import ANALYST, COORDINATOR, HERE, OBSERVER, OPERATOR, SECOND, T0, Room, hit

QUEUE = alert_filter(status="open", snoozed="no")
RULE = "0f06a3a5-6a09-413f-8743-000000000001"
SOON = timedelta(hours=1)
CLOSE = Work(Deed.CLOSE, CloseReason.EXPECTED)


def noisy(room: Room, hosts: int, rule: str = RULE) -> list[Any]:
    """A rule that matched on so many hosts: its alerts."""
    some = [hit(rule, number, detector=SIGMA, host=f"PC-{number}") for number in range(hosts)]
    with room.store.write() as tx:
        room.stories.store_hunted(tx, some)
    return list(room.detect.list_alerts(ANALYST, alert_filter(subject=rule), limit=500).items)


def lines(room: Room, **more: Any) -> list[AlertGroup]:
    return list(room.detect.list_groups(ANALYST, QUEUE, **more).items)


def people(room: Room) -> tuple[Person, Person]:
    identity = Identity(room.store, room.clock)
    made = [
        identity.create_account(OPERATOR, name, Role.ANALYST, "cuatro lanchas azules 47")
        for name in ("ana", "beto")
    ]
    return made[0][0].person, made[1][0].person


def open_now(room: Room) -> int:
    return room.detect.list_alerts(ANALYST, QUEUE).total or 0


# --- lines of the queue ----------------------------------------------------------------------------


def test_many_alerts_of_one_rule_are_one_line(room: Room) -> None:
    noisy(room, 30)
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    room.tell(INDICATORS, [hit(watch.id, 100, time=T0 + SECOND)])
    first, second = lines(room)
    assert (first.detector, first.alerts, first.hosts) == ("indicator", 1, 1)
    assert (second.subject, second.alerts, second.hosts, second.events) == (RULE, 30, 30, 30)
    by_host = lines(room, grouping=Grouping.HOST)
    assert len(by_host) == 31 and {one.host for one in by_host} > {"PC-0", "CAJA-1"}
    assert all(one.alerts == one.subjects == 1 for one in by_host)


def test_the_gravest_comes_first_and_then_what_was_seen_last(room: Room) -> None:
    crowd(room.store, 300, room.clock.now(), member=HERE, rules=12)
    found = lines(room)
    order = [(list(Level).index(one.level), one.last_seen) for one in found]
    assert order == sorted(order, reverse=True) and len(found) == 12
    alone = room.detect.list_alerts(ANALYST, QUEUE, limit=500, is_queue=True).items
    order = [(list(Level).index(one.level), one.last_seen) for one in alone]
    assert order == sorted(order, reverse=True)
    assert sum(one.alerts for one in found) == len(alone)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 9), st.sampled_from([Grouping.SUBJECT, Grouping.HOST, Grouping.NONE]))
def test_for_all_page_lengths_no_line_is_missing_or_twice(
    crowded: Room, limit: int, grouping: Grouping
) -> None:
    def ask(cursor: str | None, limit: int) -> Any:
        if grouping is Grouping.NONE:
            return crowded.detect.list_alerts(ANALYST, QUEUE, cursor=cursor, limit=limit, is_queue=True)
        return crowded.detect.list_groups(ANALYST, QUEUE, grouping, cursor=cursor, limit=limit)

    whole = ask(None, 500)
    paged: list[Any] = []
    cursor: str | None = None
    while True:
        page = ask(cursor, limit)
        paged += page.items
        if page.items:
            assert page.total == (None if grouping is Grouping.HOST else len(whole.items))
        if (cursor := page.next) is None:
            break
    assert paged == list(whole.items)


@pytest.fixture
def crowded(room: Room) -> Room:
    crowd(room.store, 60, room.clock.now(), member=HERE, rules=15)
    return room


def test_a_cursor_that_is_none_of_ours_is_refused(room: Room) -> None:
    for cursor in ("zz", "1.2", "1.2.x", "WzEsMl0=", "W10=", "bm90IGpzb24=", "WzEsMSwiYSIsWzFdXQ=="):
        for grouping in (Grouping.SUBJECT, Grouping.HOST):
            with pytest.raises(InvalidInput):
                room.detect.list_groups(ANALYST, QUEUE, grouping, cursor=cursor)
        with pytest.raises(InvalidInput):
            room.detect.list_alerts(ANALYST, QUEUE, cursor=cursor, is_queue=True)


def test_lines_count_only_what_one_may_read(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"), tlp=Tlp.RED)
    room.tell(INDICATORS, [hit(watch.id, 1)])
    assert lines(room) == []
    assert room.detect.list_groups(COORDINATOR, QUEUE).total == 1
    for grouping in (Grouping.SUBJECT, Grouping.HOST):
        assert room.detect.list_groups(OBSERVER, QUEUE, grouping).items == ()


# --- whose it is -----------------------------------------------------------------------------------


def test_an_alert_is_somebodys_and_can_be_asked_for_by_whose_it_is(room: Room) -> None:
    ana, beto = people(room)
    first, second, third = noisy(room, 3)
    detect = room.detect
    assert detect.work(ana, first.id, Work(Deed.ASSIGN, assignee="me"))[0].assignee == f"person:{ana.id}"
    assert detect.work(ana, second.id, Work(Deed.ASSIGN, assignee="BETO"))[0].assignee == f"person:{beto.id}"

    def whose(who: Person, text: str) -> set[str]:
        wanted = alert_filter(status="open", assignee=detect.assignee_of(who, text))
        return {one.id for one in detect.list_alerts(who, wanted).items}

    assert whose(ana, MINE) == {first.id} and whose(beto, MINE) == {second.id}
    assert whose(ana, "beto") == {second.id} and whose(ana, NOBODY) == {third.id}
    assert whose(ana, "nadie que haya") == set()
    with pytest.raises(InvalidInput) as refused:
        detect.work(ana, first.id, Work(Deed.ASSIGN, assignee="nadie que haya"))
    assert refused.value.code == "detect.no_such_person"
    assert detect.work(ana, first.id, Work(Deed.ASSIGN))[0].assignee == ""


def test_who_acknowledges_an_alert_that_is_nobodys_takes_it(room: Room) -> None:
    ana, beto = people(room)
    (alert,) = noisy(room, 1)
    assert room.detect.set_status(ana, alert.id, Status.ACKNOWLEDGED).assignee == f"person:{ana.id}"
    room.detect.set_status(beto, alert.id, Status.OPEN)
    again = room.detect.set_status(beto, alert.id, Status.ACKNOWLEDGED)
    assert again.assignee == f"person:{ana.id}", "what is somebody's stays theirs"


# --- put off ---------------------------------------------------------------------------------------


def test_what_is_put_off_is_back_when_its_time_is_over(room: Room) -> None:
    (alert,) = noisy(room, 1)
    until = room.clock.now() + SOON
    room.detect.work(ANALYST, alert.id, Work(Deed.SNOOZE, until=until))
    assert open_now(room) == 0 and lines(room) == []
    only = room.detect.list_alerts(ANALYST, alert_filter(snoozed="only")).items
    assert [one.id for one in only] == [alert.id]
    room.clock.advance(3601)  # type: ignore[attr-defined]
    assert open_now(room) == 1
    assert room.detect.list_alerts(ANALYST, alert_filter(snoozed="only")).total == 0


def test_it_is_back_at_once_when_its_level_rises_but_not_for_more_of_the_same(room: Room) -> None:
    hunt, low = "x-istmo-hunt--1", Heading("Búsqueda", Level.LOW, Tlp.AMBER, HERE, None)
    high = Heading("Búsqueda", Level.HIGH, Tlp.AMBER, HERE, None)

    def found(line: int, heading: Heading) -> None:
        with room.store.write() as tx:
            room.stories.store_scheduled(tx, hunt, heading, [hit(hunt, line)])

    found(1, low)
    (alert,) = room.alerts()
    _, done = room.detect.work(ANALYST, alert.id, Work(Deed.SNOOZE, until=room.clock.now() + SOON))
    found(2, low)
    assert open_now(room) == 0
    found(3, high)
    assert open_now(room) == 1
    woken, snoozed = room.detect.history(ANALYST, alert.id)
    assert (woken.deed, woken.by, snoozed.deed) == (Deed.WAKE, "system:detect", Deed.SNOOZE)
    assert room.detect.undo(ANALYST, done.change).number == 1, "nobody else has touched it"


def test_only_a_time_to_come_and_an_alert_that_is_not_closed_can_be_put_off(room: Room) -> None:
    (alert,) = noisy(room, 1)
    now = room.clock.now()
    for until in (now, now - SOON, now + timedelta(days=91)):
        with pytest.raises(InvalidInput):
            room.detect.work(ANALYST, alert.id, Work(Deed.SNOOZE, until=until))
    room.detect.work(ANALYST, alert.id, CLOSE)
    with pytest.raises(Conflict) as refused:
        room.detect.work(ANALYST, alert.id, Work(Deed.SNOOZE, until=now + SOON))
    assert refused.value.code == "detect.alert_closed"


@pytest.mark.parametrize(
    ("now", "back"), [("2026-03-02T09:30", "2026-03-02T13:00"), ("2026-03-02T13:00", "2026-03-03T13:00")]
)
def test_until_morning_is_seven_where_the_asker_is(now: str, back: str) -> None:
    there = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = read_until(Until.MORNING, there, "America/Tegucigalpa")
    assert found == datetime.fromisoformat(back).replace(tzinfo=UTC)


# --- many at once ----------------------------------------------------------------------------------


def test_a_line_is_worked_on_as_one_and_told_how_many_it_was(room: Room) -> None:
    noisy(room, 120)
    other = noisy(room, 2, rule="0f06a3a5-6a09-413f-8743-000000000002")
    done = room.detect.work_on(ANALYST, Picked(subjects=(("sigma", RULE),)), CLOSE, QUEUE)
    assert (done.number, done.left, done.deed) == (120, 0, Deed.CLOSE)
    assert open_now(room) == len(other)
    with room.store.read() as connection:
        (line,) = audit.lines(connection, limit=1)
    assert line.subject == f"{done.change} close 120"
    assert room.detect.undo(ANALYST).number == 120
    assert open_now(room) == 122
    with pytest.raises(NotFound):
        room.detect.undo(ANALYST)


def test_what_came_or_was_changed_after_the_page_was_drawn_is_left_alone(room: Room) -> None:
    first, *_ = noisy(room, 3)
    seen = room.clock.now()
    room.clock.advance(5)  # type: ignore[attr-defined]
    room.detect.work(COORDINATOR, first.id, Work(Deed.ASSIGN, assignee="me"))
    with room.store.write() as tx:
        room.stories.store_hunted(tx, [hit(RULE, 77, detector=SIGMA, host="PC-nueva")])
    done = room.detect.work_on(ANALYST, Picked(subjects=(("sigma", RULE),), seen=seen), CLOSE, QUEUE)
    assert done.number == 2
    assert {one.entity for one in room.detect.list_alerts(ANALYST, QUEUE).items} == {first.entity, "PC-nueva"}


def test_two_analysts_at_once_lose_nothing(room: Room) -> None:
    ana, beto = people(room)
    first, second = noisy(room, 2)
    seen = {one.id: one.version for one in (first, second)}
    room.detect.work(beto, first.id, Work(Deed.CLOSE, CloseReason.FALSE_POSITIVE, "respaldo nocturno"))
    done = room.detect.work_on(ana, Picked(seen), CLOSE)
    assert (done.number, done.left) == (1, 1)
    kept = room.detect.read_alert(ana, first.id).alert
    assert (kept.reason, kept.note) == (CloseReason.FALSE_POSITIVE, "respaldo nocturno")


def test_nothing_picked_too_many_and_one_who_may_not_are_told(room: Room) -> None:
    (alert,) = noisy(room, 1)
    with pytest.raises(InvalidInput) as refused:
        room.detect.work_on(ANALYST, Picked(), CLOSE)
    assert refused.value.code == "detect.nothing_picked"
    with pytest.raises(NotAllowed):
        room.detect.work_on(OBSERVER, Picked({alert.id: None}), CLOSE)
    with pytest.raises(NotAllowed):
        room.detect.undo(OBSERVER)
    assert room.detect.work_on(ANALYST, Picked({"x-istmo-alert--none": None}), CLOSE).number == 0


@pytest.mark.parametrize("number", [2_000, 10_000])
def test_as_many_lines_as_alerts_may_be_picked_and_no_more(room: Room, number: int) -> None:
    noisy(room, 3)
    others = tuple(("sigma", f"none-{n}") for n in range(number - 1))
    lines, hosts = (*others, ("sigma", RULE)), tuple(f"PC-{n}" for n in range(number))
    if number == 2_000:
        assert room.detect.work_on(ANALYST, Picked(subjects=lines), CLOSE, QUEUE).number == 3
        assert room.detect.undo(ANALYST).number == 3
        assert room.detect.work_on(ANALYST, Picked(hosts=hosts), CLOSE, QUEUE).number == 3
        return
    assert room.detect.work_on(ANALYST, Picked(subjects=lines), CLOSE, QUEUE).number == 3
    with pytest.raises(InvalidInput) as refused:
        room.detect.work_on(ANALYST, Picked(subjects=lines, hosts=hosts), CLOSE)
    assert refused.value.code == "detect.too_many_alerts"
    with pytest.raises(InvalidInput):
        room.detect.work_on(ANALYST, Picked(subjects=tuple((f"none-{n}", RULE) for n in range(2_000))), CLOSE)


def test_a_pick_reaches_nothing_that_one_may_not_read(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"), tlp=Tlp.RED)
    room.tell(INDICATORS, [hit(watch.id, 1)])
    (secret,) = room.alerts()
    for picked in (
        Picked({secret.id: None}),
        Picked(subjects=(("indicator", watch.id),)),
        Picked(hosts=("CAJA-1",)),
    ):
        done = room.detect.work_on(ANALYST, picked, CLOSE)
        assert (done.number, done.left) == (0, 0)
    assert room.alerts()[0].status is Status.OPEN
    with pytest.raises(NotFound):
        room.detect.history(ANALYST, secret.id)


# --- history and undo ------------------------------------------------------------------------------


def test_each_change_is_told_with_who_when_and_what(room: Room) -> None:
    (alert,) = noisy(room, 1)
    room.detect.set_status(ANALYST, alert.id, Status.ACKNOWLEDGED)
    room.clock.advance(3600)  # type: ignore[attr-defined]
    room.detect.set_status(COORDINATOR, alert.id, Status.CLOSED, reason=CloseReason.RESOLVED, note="listo")
    closed, taken = room.detect.history(ANALYST, alert.id)
    assert (closed.by, closed.deed, closed.at) == ("person:3", Deed.CLOSE, room.clock.now())
    assert (closed.before["status"], closed.after["status"]) == ("acknowledged", "closed")
    assert (closed.after["reason"], closed.after["note"]) == ("resolved", "listo")
    assert (taken.by, taken.after["assignee"]) == ("person:1", "person:1")


def test_undo_takes_back_ones_own_last_change_where_nobody_changed_it_since(room: Room) -> None:
    first, second = noisy(room, 2)
    done = room.detect.work_on(ANALYST, Picked({first.id: 1, second.id: 1}), CLOSE)
    with pytest.raises(NotFound):
        room.detect.undo(COORDINATOR, done.change)
    room.detect.set_status(COORDINATOR, second.id, Status.OPEN)
    back = room.detect.undo(ANALYST)
    assert (back.number, back.left, back.was) == (1, 1, Deed.CLOSE)
    assert room.detect.read_alert(ANALYST, first.id).alert.status is Status.OPEN
    undone, closed = room.detect.history(ANALYST, first.id)
    assert undone.deed is Deed.UNDO and closed.is_undone
    for change in (done.change, "", back.change, "nothing"):
        with pytest.raises(NotFound):
            room.detect.undo(ANALYST, change)


def test_undo_never_overwrites_what_somebody_did_after(room: Room) -> None:
    (alert,) = noisy(room, 1)
    _, done = room.detect.work(ANALYST, alert.id, CLOSE)
    room.detect.work(COORDINATOR, alert.id, Work(Deed.CLOSE, CloseReason.DUPLICATE, "la misma"))
    with pytest.raises(Conflict) as refused:
        room.detect.undo(ANALYST, done.change)
    assert refused.value.code == "detect.undo_too_late"
    assert room.detect.read_alert(ANALYST, alert.id).alert.note == "la misma"


@pytest.mark.parametrize("deed", [Work(Deed.ACKNOWLEDGE), CLOSE, Work(Deed.OPEN)])
def test_what_somebody_noted_stays_where_a_deed_says_nothing(room: Room, deed: Work) -> None:
    """One key of a colleague's must not take away what is read about an alert."""
    (alert,) = noisy(room, 1)
    room.detect.work(COORDINATOR, alert.id, Work(Deed.ACKNOWLEDGE, note="hablé con la sede"))
    after, done = room.detect.work(ANALYST, alert.id, deed)
    assert after.note == "hablé con la sede"
    room.detect.undo(ANALYST, done.change)
    room.detect.work_on(ANALYST, Picked({alert.id: None}), deed)
    assert room.detect.read_alert(ANALYST, alert.id).alert.note == "hablé con la sede"
    after, _ = room.detect.work(ANALYST, alert.id, Work(Deed.ACKNOWLEDGE, note="ya no"))
    assert after.note == "ya no", "who writes another one means it"


def test_what_is_picked_out_carries_its_versions_and_what_moved_on_is_counted(room: Room) -> None:
    first, second, third = noisy(room, 3)
    room.detect.work(COORDINATOR, first.id, Work(Deed.ACKNOWLEDGE))
    room.detect.work(COORDINATOR, third.id, CLOSE)
    seen = {one.id: one.version for one in (first, second)}
    chosen, left = room.detect.pick_out(ANALYST, Picked(seen), QUEUE, 50)
    assert (chosen.alerts, left) == ({second.id: second.version}, 1)
    chosen, left = room.detect.pick_out(ANALYST, Picked({third.id: None, first.id: None}), QUEUE, 50)
    assert (list(chosen.alerts), left) == ([first.id], 0), "what is closed is not taken along"
    with pytest.raises(InvalidInput):
        room.detect.pick_out(ANALYST, Picked({first.id: None, second.id: None}), QUEUE, 1)


def test_a_close_is_not_taken_back_where_a_newer_alert_tells_the_story_on(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    room.tell(INDICATORS, [hit(watch.id, 1)])
    first = room.alerts()[0].id
    _, done = room.detect.work(ANALYST, first, CLOSE)
    with room.store.write() as tx:
        room.stories.store_hunted(tx, [hit(watch.id, 2, stored=True)])
    with pytest.raises(Conflict):
        room.detect.undo(ANALYST, done.change)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [
                Work(Deed.ACKNOWLEDGE),
                Work(Deed.ACKNOWLEDGE, note="mía"),
                CLOSE,
                Work(Deed.OPEN),
                Work(Deed.ASSIGN, assignee="me"),
                Work(Deed.ASSIGN),
            ]
        ),
        min_size=1,
        max_size=5,
    )
)
def test_for_all_deeds_undoing_each_in_turn_leads_back(worked: tuple[Room, str], deeds: list[Work]) -> None:
    room, alert = worked

    def state() -> tuple[Any, ...]:
        one = room.detect.read_alert(ANALYST, alert).alert
        return one.status, one.reason, one.note, one.assignee, one.snoozed_until

    states, changes = [], []
    for deed in deeds:
        states.append(state())
        changes.append(room.detect.work(OPERATOR, alert, deed)[1].change)
        room.detect.undo(OPERATOR, changes[-1])
        assert state() == states[-1]
        room.detect.work(OPERATOR, alert, deed)


@pytest.fixture
def worked(room: Room) -> tuple[Room, str]:
    return room, noisy(room, 1)[0].id
