"""Rules tried and tuned on events that a real worker stores; sources paused and given another token."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import orjson
import pytest

from istmo.clock import SystemClock
from istmo.detect.objects_rule import Exempted, RuleFilter, RuleOrder
from istmo.detect.records import rules as rule_records
from istmo.detect.service.alerts import alert_filter
from istmo.detect.stories import to_micros
from istmo.detect.wire import Position, RuleCost
from istmo.errors import InvalidInput, NotAllowed

from .room import ADMINISTRATOR, ANALYST, OBSERVER, RealWorker, Room, connection_event, hit, open_room, until

ID = "5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a11"
RULE = f"""
title: Goes out
id: {ID}
level: high
tags: [attack.t1071, attack.command-and-control]
author: Ana López
logsource: {{product: windows, category: network_connection}}
detection: {{s: {{Image|endswith: svchost.exe}}, condition: s}}
"""
CORRELATION = f"""
title: Often
id: 5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a12
correlation: {{type: event_count, rules: [{ID}], group-by: [Image], timespan: 5m, condition: {{gte: 3}}}}
"""
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
EXCEPTION = Exempted("Al proveedor", "DestinationIp", "cidr", ("203.0.113.0/24",), "Actualizaciones")


@pytest.fixture
def node(data: Path) -> Iterator[tuple[Room, RealWorker]]:
    room = open_room(data, f"sqlite:///{data / 'node.db'}", SystemClock())
    room.detect.import_rules(ANALYST, RULE.encode())
    room.link.start()
    worker = RealWorker(room)
    worker.start()
    yield room, worker
    worker.stop()
    room.link.stop()
    room.store.close()


def matches(room: Room) -> int:
    found = room.detect.list_alerts(ANALYST, alert_filter(subject=ID)).items
    return sum(one.count for one in found)


def test_an_exception_keeps_away_what_its_trial_said_and_a_source_is_paused_and_given_a_token(
    node: tuple[Room, RealWorker],
) -> None:
    room, worker = node
    detect = room.detect
    source, secret = detect.create_source(ADMINISTRATOR, "hacienda")
    events = [connection_event("203.0.113.77", number=n) for n in range(4)]
    events += [connection_event("192.0.2.1", number=n) for n in range(2)]
    with worker.sending(secret) as send:
        send(events)
        until(lambda: matches(room) == 6)
        tried = detect.try_rule(ANALYST, ID, START, END)
        assert (tried.count, tried.looked, tried.is_cut, len(tried.matches)) == (6, 6, False, 6)
        assert detect.try_rule(ANALYST, ID, END, END + timedelta(days=1)).count == 0
        kept = detect.try_exception(ANALYST, ID, EXCEPTION, START, END)
        assert (kept.before.count, kept.away) == (6, 4)
        made = detect.add_exception(ANALYST, ID, EXCEPTION)
        assert room.link.wait_rules(10)
        assert detect.try_rule(ANALYST, ID, START, END).count == 2, "what is in force counts in a trial"
        again = detect.try_exception(
            ANALYST, ID, Exempted("x", "ProcessId", "equals", ("0",), "y"), START, END
        )
        assert (again.before.count, again.away) == (2, 1)
        send(events)
        until(lambda: matches(room) == 8)
        detect.enable_rule(ANALYST, made.id, False)
        assert detect.try_rule(ANALYST, ID, START, END).count == 12
    ready = room.link.ready
    assert ready
    where = f"http://127.0.0.1:{ready.intake_port}/api/v1/events"

    def ask(token: str) -> int:
        told = {"Authorization": f"Bearer {token}"}
        event = connection_event("192.0.2.1", number=99)
        return httpx.post(where, json=event, headers=told, trust_env=False).status_code

    detect.pause_source(ADMINISTRATOR, source.id, True)
    assert ask(secret) == 429, "it is told to come again"
    detect.pause_source(ADMINISTRATOR, source.id, False)
    assert ask(secret) == 200
    _, other = detect.rotate_source(ADMINISTRATOR, source.id)
    assert (ask(secret), ask(other)) == (401, 200)


def test_only_a_plain_rule_is_tried(room: Room) -> None:
    room.detect.import_rules(ANALYST, f"{RULE}---{CORRELATION}".encode())
    with pytest.raises(InvalidInput) as refused:
        room.detect.try_rule(ANALYST, "5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a12", START, END)
    assert refused.value.code == "detect.rule_not_tried"
    with pytest.raises(NotAllowed):
        room.detect.add_exception(OBSERVER, ID, EXCEPTION)
    with pytest.raises(NotAllowed):
        room.detect.try_exception(OBSERVER, ID, EXCEPTION, START, END)


def test_hits_are_those_of_the_last_days_and_many_rules_are_switched_and_back(room: Room) -> None:
    other = RULE.replace("0a11", "0a13").replace("Goes out", "Quiet").replace("t1071", "t1071.001")
    room.detect.import_rules(ANALYST, f"{RULE}---{other}".encode())
    now = room.clock.now()
    old, new = (to_micros(now - timedelta(days=days)) for days in (40, 2))
    room.tell("sigma", [hit(ID, 1, detector="sigma", time=old), hit(ID, 2, detector="sigma", time=new)])
    since = now - timedelta(days=30)
    assert room.detect.rule_hits(ANALYST, [ID], since) == {ID: 1}
    ((_, number),) = room.detect.rule_hits_by_hour(ANALYST, ID, since)
    assert number == 1

    def found(**wanted: object) -> list[str]:
        return [one.title for one in room.detect.list_rules(ANALYST, RuleFilter(**wanted)).items]  # type: ignore[arg-type]

    assert found(has_hits=True, since=since) == ["Goes out"]
    assert found(has_hits=False, since=since) == ["Quiet"]
    assert found(tag="attack.t1071") == ["Goes out"]
    assert found(part="network_connection") == ["Goes out", "Quiet"] and found(part="network") == []
    assert found(author="ana l") == ["Goes out", "Quiet"]
    done = room.detect.switch_rules(ANALYST, RuleFilter(tag="attack.t1071"), False, expected=1)
    assert found(is_enabled=True) == ["Quiet"]
    assert room.detect.switch_rules_back(ADMINISTRATOR, done.at, False) == 0, "another's change is another's"
    assert room.detect.switch_rules_back(ANALYST, done.at, False) == 1
    assert found(is_enabled=True) == ["Goes out", "Quiet"]


def test_rules_are_listed_in_each_order_a_page_after_another(room: Room) -> None:
    texts = [RULE.replace("0a11", f"0b{at:02}").replace("Goes out", f"Rule {9 - at}") for at in range(7)]
    ids = [ID.replace("0a11", f"0b{at:02}") for at in range(7)]
    room.detect.import_rules(ANALYST, "---".join(texts).encode())
    now = room.clock.now()
    recent = to_micros(now - timedelta(days=2))
    room.tell("sigma", [hit(ids[at], n, detector="sigma", time=recent) for at in (4, 2) for n in range(at)])
    with room.store.write() as tx:
        costs = [RuleCost(ids[5], 900, 1, 1), RuleCost(ids[1], 7_000, 1, 1)]
        rule_records.set_costs(tx.connection, costs, now)
    room.clock.advance(60)
    room.detect.enable_rule(ANALYST, ids[3], False)

    def listed(order: RuleOrder) -> list[str]:
        found: list[str] = []
        cursor = None
        for _ in range(10):
            page = room.detect.list_rules(ANALYST, order=order, cursor=cursor, limit=2)
            assert page.total == 7
            found += [one.id for one in page.items]
            cursor = page.next
            if cursor is None:
                break
        return found

    assert listed(RuleOrder.TITLE) == list(reversed(ids))
    assert listed(RuleOrder.HITS) == [ids[at] for at in (4, 2, 0, 1, 3, 5, 6)]
    assert listed(RuleOrder.COST) == [ids[at] for at in (1, 5, 0, 2, 3, 4, 6)]
    assert listed(RuleOrder.UPDATED) == [ids[at] for at in (3, 0, 1, 2, 4, 5, 6)]


def test_values_to_make_exceptions_of_are_those_that_events_have_in_common(room: Room) -> None:
    room.detect.import_rules(ANALYST, RULE.encode())
    now = room.clock.now()
    hits = []
    for at in range(4):
        event = {
            "@timestamp": f"2026-03-02T09:00:0{at}Z",
            "Started": "2026-03-02 09:00:00.000",
            "EventRecordID": str(7_000 + at % 2),
            "ProcessId": "4120",
            "LogonGuid": "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}",
            "Image": "C:\\backup.exe",
            "Target": f"203.0.113.{at}",
        }
        raw = orjson.dumps(event)
        hits.append(msgspec.structs.replace(hit(ID, at, detector="sigma", time=to_micros(now)), raw=raw))
    room.tell("sigma", hits[:1], Position(1, 1))
    alone = {field for field, _, _ in room.detect.values_of_matches(ANALYST, ID)}
    assert alone == {"Image", "Target"}, "of a single event there is nothing else to choose from"
    room.tell("sigma", hits[1:])
    assert room.detect.values_of_matches(ANALYST, ID) == [("Image", "C:\\backup.exe", 4)]
