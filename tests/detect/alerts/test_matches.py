"""Matches of correlations folded into stories, and a stage's memory stored with its position."""

from __future__ import annotations

from typing import Any

import pytest

from istmo.detect.objects import Status
from istmo.detect.records import positions
from istmo.detect.wire import BEFORE, SIGMA, Position, StoredState, WireMatch, WireState

from .room import ANALYST, HOUR, SECOND, T0, Room, hit

DAY = 24 * HOUR
RULE = "c0ffee00-0000-4000-8000-000000000001"


def match(line: int, *, last: int = T0, group: str = "ana", **more: Any) -> WireMatch:
    """Found at a line: two events made it true."""
    values: dict[str, Any] = {
        "subject": RULE,
        "at": Position(1, line),
        "first": last - SECOND,
        "last": last,
        "type": "event_count",
        "timespan": 300 * SECOND,
        "condition": "≥ 2",
        "value": 2.0,
        "fields": [],
        "group": {"User": group},
        "number": 2,
        "events": [
            hit(RULE, line - 2, detector=SIGMA, time=last - SECOND),
            hit(RULE, line - 1, detector=SIGMA, time=last),
        ],
    }
    return WireMatch(**values | more)


def tell(
    room: Room,
    *matches: WireMatch,
    after: Position = Position(1, 100),  # noqa: B008 - frozen
    judged: int = BEFORE,
    state: WireState | None = None,
) -> None:
    with room.store.write() as tx:
        room.stories.store(tx, SIGMA, [], after, matches, judged, state)


def stored(room: Room) -> tuple[Position, int, StoredState | None]:
    with room.store.read() as connection:
        place = positions.positions(connection).get(SIGMA, Position())
        return place, positions.judged(connection, SIGMA), positions.state(connection, SIGMA)


def test_a_match_that_is_told_again_changes_nothing(room: Room) -> None:
    first = match(5)
    tell(room, first, after=Position(1, 6))
    tell(room, first, after=Position(1, 6))
    (alert,) = room.alerts()
    assert (alert.count, alert.correlation.matches) == (2, 1)


def test_what_time_alone_brings_is_told_once_between_two_events(room: Room) -> None:
    """The position stands still; up to when was judged does not."""
    early, late = match(6, group="ana"), match(6, last=T0 + SECOND, group="beto")
    tell(room, early, after=Position(1, 6), judged=T0)
    tell(room, early, late, after=Position(1, 6), judged=T0 + SECOND)
    assert sorted(one.correlation.group["User"] for one in room.alerts()) == ["ana", "beto"]
    tell(room, after=Position(1, 6), judged=T0)
    assert stored(room)[:2] == (Position(1, 6), T0 + SECOND), "neither moves back"


def test_each_group_has_a_story_a_day_of_silence_ends_it_and_closing_begins_another(room: Room) -> None:
    tell(room, match(3), after=Position(1, 3))
    tell(room, match(6, last=T0 + HOUR, group="ANA"), match(9, group="beto"), after=Position(1, 9))
    assert sorted((one.count, one.correlation.matches) for one in room.alerts()) == [(2, 1), (4, 2)]
    tell(room, match(12, last=T0 + 3 * DAY), after=Position(1, 12))
    assert len(room.alerts()) == 3
    newest = next(one for one in room.alerts() if one.last_seen.day == 5)
    room.detect.set_status(ANALYST, newest.id, Status.CLOSED, reason="resolved")  # type: ignore[arg-type]
    tell(room, match(15, last=T0 + 3 * DAY + HOUR), after=Position(1, 15))
    assert next(one for one in room.alerts() if one.former).former == newest.id


def test_one_match_that_cannot_be_stored_costs_no_other(room: Room) -> None:
    """Invariant 8."""
    tell(room, replace_events(match(3)), match(6, group="beto"), after=Position(1, 9))
    assert [one.correlation.group for one in room.alerts()] == [{"User": "beto"}]
    assert stored(room)[0] == Position(1, 9)


def replace_events(one: WireMatch) -> WireMatch:
    """The same with none, which no worker sends."""
    return WireMatch(**{name: getattr(one, name) for name in one.__struct_fields__} | {"events": []})


def test_a_memory_is_stored_with_the_position_or_not_at_all(room: Room) -> None:
    with pytest.raises(ZeroDivisionError), room.store.write() as tx:
        room.stories.store(tx, SIGMA, [], Position(1, 4), (), BEFORE, WireState("d1", b"one"))
        raise ZeroDivisionError
    assert stored(room) == (Position(), BEFORE, None)
    tell(room, after=Position(1, 4), state=WireState("d1", b"one"))
    assert stored(room)[2] == StoredState(Position(1, 4), b"one")


def test_a_memory_stands_for_later_positions_where_it_is_said_to_and_goes_where_it_is_empty(
    room: Room,
) -> None:
    tell(room, after=Position(1, 4), state=WireState("d1", b"one"))
    tell(room, after=Position(1, 5), state=WireState("another"))
    assert stored(room)[2] == StoredState(Position(1, 4), b"one")
    tell(room, after=Position(1, 6), state=WireState("d1"))
    assert stored(room)[2] == StoredState(Position(1, 6), b"one")
    tell(room, after=Position(1, 5), state=WireState("d0", b"an older one"))
    assert stored(room)[2] == StoredState(Position(1, 6), b"one")
    tell(room, after=Position(1, 7), state=WireState("", b""))
    assert stored(room)[2] is None
