"""A worker answers SQL over what it has stored, one statement at a time, and stops when told."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from istmo.detect import wire
from istmo.settings import Limits

from .conftest import Rig

ENDLESS = "SELECT count(*) FROM range(1000000000000) a, range(1000) b WHERE a.range * b.range % 7 = 3"


def end_of(rig: Rig, request: int) -> tuple[list[wire.SqlRows], wire.SqlRows]:
    some = []
    while True:
        part = rig.hear(wire.SqlRows, lambda one: one.request == request)
        some.append(part)
        if part.done:
            return some, part


def test_stored_events_are_asked_by_a_statement(rig: Rig) -> None:
    rig.send(*({"n": n, "Image": "a" if n % 3 else "b"} for n in range(9)))
    rig.say(wire.AskSql(901, "SELECT Image, count(*) AS n FROM events GROUP BY Image ORDER BY n"))
    parts, last = end_of(rig, 901)
    assert last.problem is None
    assert [one for part in parts for one in part.columns] == [("Image", "VARCHAR"), ("n", "BIGINT")]
    assert [orjson.loads(row) for part in parts for row in part.rows] == [["b", 3], ["a", 6]]


def test_one_statement_at_a_time_and_one_that_is_called_off_makes_room(rig: Rig) -> None:
    for message in (wire.AskSql(901, ENDLESS), wire.AskSql(902, "SELECT 1"), wire.Cancel(901)):
        rig.say(message)
    ends = [rig.hear(wire.SqlRows, lambda one: one.done) for _ in range(2)]
    told = {one.request: one.problem.code for one in ends if one.problem is not None}
    assert told == {901: "detect.search_cancelled", 902: "detect.search_busy"}
    rig.say(wire.AskSql(903, "SELECT 1"))
    assert end_of(rig, 903)[1].problem is None


@pytest.fixture
def limited(make_rig: Callable[..., Rig], limits: Limits) -> Rig:
    rig = make_rig(limits=limits)
    rig.start()
    rig.accept()
    return rig


@pytest.mark.parametrize("limits", [Limits(search_seconds=1)])
def test_a_statement_has_the_seconds_of_the_settings(limited: Rig) -> None:
    limited.say(wire.AskSql(901, ENDLESS))
    assert end_of(limited, 901)[1].problem == wire.Problem("", "detect.sql_cut_short", {"seconds": 1})


@pytest.mark.parametrize("limits", [Limits(search_rows=5)])
def test_a_statement_has_the_rows_of_the_settings(limited: Rig) -> None:
    limited.say(wire.AskSql(901, "FROM range(100)", limit=50))
    parts, last = end_of(limited, 901)
    assert sum(len(part.rows) for part in parts) == 5
    assert last.problem == wire.Problem("", "detect.sql_cut_rows", {"limit": 5})


def test_a_statement_that_its_process_does_not_survive_is_told_as_such(rig: Rig) -> None:
    rig.say(wire.AskSql(901, "SELECT length(repeat('x', 2000000000))"))
    problem = end_of(rig, 901)[1].problem
    assert problem is not None and problem.code in ("detect.sql_died", "detect.sql_memory")
    rig.send({"Image": "a"})
    rig.say(wire.AskSql(902, "SELECT count(*) FROM events"))
    assert end_of(rig, 902)[0][-2].rows == [b"[1]"], "and the worker goes on"
