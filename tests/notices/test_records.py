"""What waits and what was told, on a database of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from istmo.clock import ManualClock
from istmo.notices import records
from istmo.notices.objects import Kind, Plan, Way
from istmo.store.engine import Store, metadata


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    own = [table for table in metadata.sorted_tables if table in vars(records).values()]
    with store.write() as tx:
        metadata.create_all(tx.connection, tables=own)
    yield store
    store.close()


def test_everything_comes_back_as_it_went_in(store: Store, clock: ManualClock) -> None:
    now = clock.now()
    plan = Plan(frozenset({Kind.ALERT, Kind.DISK}), "low", "mail", "ana@x.example", "22:00-06:00", False, 10)
    way = Way("w1", "a1", plan, "n", True, now, None, None, None, 1)
    with store.write() as tx:
        records.add_way(tx.connection, way)
        assert records.find_way(tx.connection, "w1") == way
        assert not records.change_plan(tx.connection, "w1", 9, plan)
        assert records.change_plan(tx.connection, "w1", 1, replace(plan, every=0))
        records.change_way(tx.connection, "w1", problem=["notices.webhook_away", {"host": "x"}], tried=now)
        (kept,) = records.all_ways(tx.connection)
        assert kept.version == 2 and kept.problem == ("notices.webhook_away", {"host": "x"})
        for _ in range(2):
            records.add_cause(tx.connection, Kind.CASE, "c1", "", now)
        (cause,) = records.first_causes(tx.connection, 10)
        records.drop_causes(tx.connection, [cause.id])
        line = {"account": "a1", "kind": Kind.ALERT, "subject": "s", "family": "", "at": now}
        records.add_notices(tx.connection, [line] * 5)
        first = records.list_notices(tx.connection, "a1", unread=True, before=None, limit=2)
        rest = records.list_notices(tx.connection, "a1", unread=True, before=first[-1].id, limit=9)
        assert len(first) == 2 and len(rest) == 3
        assert records.mark_read(tx.connection, "a1", now, id=None, upto=rest[0].id) == 3
        assert records.count_unread(tx.connection, "a1", 1) == 1
        records.add_notices(tx.connection, [line | {"account": "a2", "family": "r"}] * 2)
        records.add_notices(tx.connection, [line | {"account": "a2", "family": "r", "subject": "t"}])
        (together,) = records.list_notices(tx.connection, "a2", unread=True, before=None, limit=9)
        assert (together.subject, together.number) == ("t", 3)
        assert records.count_notices(tx.connection, "a1", unread=False) == 5
        letter = {"way": "w1", "kind": Kind.ALERT, "subject": "s", "level": "high", "at": now}
        records.add_letters(tx.connection, [letter] * 7)
        assert records.drop_letters_past(tx.connection, "w1", 5) == 2
        found = records.waiting(tx.connection, "w1", 3)
        records.put_together(tx.connection, [one.id for one in found], "b1")
        assert records.batch_of(tx.connection, "w1") == ("b1", found)
        records.drop_batch(tx.connection, "w1", "b1")
        assert records.has_waiting(tx.connection, "w1", "high")
        records.drop_old_notices(tx.connection, now + timedelta(days=1))
        assert records.list_notices(tx.connection, "a1", unread=False, before=None, limit=9) == []
        records.add_trouble(tx.connection, Kind.DISK, "disk", now)
        assert records.known_troubles(tx.connection) == {(Kind.DISK, "disk")}
        records.drop_way(tx.connection, "w1")
        assert records.console_way(tx.connection, "a1") is None
