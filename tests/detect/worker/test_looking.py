"""Rules asked about what waits: by lines where many events wait, with the answers that fields give."""

from __future__ import annotations

import random

import orjson
import pytest
from structlog.testing import capture_logs

from istmo.clock import ManualClock
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.times import to_micros
from istmo.detect.sigma import Match
from istmo.detect.sigma.engine import RawScan, can_scan_lines
from istmo.detect.sigma.evaluator import RuleMatcher
from istmo.detect.sigma.fields import EventView
from istmo.detect.wire import WireRule
from istmo.detect.worker.lags import LagSample
from istmo.detect.worker.looking import FEW, Looking
from istmo.detect.worker.rule_table import RuleTable

RULE = """
title: Rule {n}
id: 11111111-1111-4111-8111-00000000000{n}
logsource: {{product: windows, category: {category}}}
detection:
  selection: {{{field}|endswith: '\\{value}.exe'}}
  condition: selection
"""
CREATED, CONNECTED = 1, 3


def rule(n: int, value: str, category: str = "process_creation", field: str = "Image") -> WireRule:
    return WireRule(f"k{n}", RULE.format(n=n, value=value, category=category, field=field))


def events(count: int, seed: int, at: int = 0) -> list[StoredEvent]:
    """Sysmon's, with half of a character, odd spellings and a thing that is no event among them."""
    dice = random.Random(seed)
    made = []
    for number in range(count):
        program = dice.choice(["mimikatz", "whoami", "calc", "CMD", "ſvchost"])
        event = {
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "EventID": dice.choice([CREATED, CONNECTED, 11]),
            "Image": f"C:\\Temp\\{program}.exe",
            "CommandLine": f'"{program}" "ñandú" {dice.random()}',
            "UtcTime": "2026-03-02 09:00:00.000",
        }
        raw = orjson.dumps(event)
        if dice.random() < 0.1:
            raw = raw.replace(b"Temp", rb"T\u0065mp")
        if dice.random() < 0.1:
            raw = raw.replace(b".exe", rb"\u002eexe")
        made.append(StoredEvent(f"1-{number}", at, "s1", raw))
    return made


def looking(*rules: WireRule, lags: LagSample | None = None) -> tuple[Looking, RuleTable]:
    table, one = RuleTable(), Looking(lags)
    table.put(list(rules), reset=True)
    one.use(table.in_force, one.scan_for(table.in_force.engine))
    return one, table


def told(one: Looking, asked: list[StoredEvent]) -> list[tuple[str, str, dict[str, object]]]:
    return [
        (event.id, rule_id, dict(match.matched))
        for event, _, rule_id, match in one.find(asked)
        if match is not None
    ]


def by_fields(one: Looking, asked: list[StoredEvent]) -> list[tuple[str, str, dict[str, object]]]:
    return [found for event in asked for found in told(one, [event])]


def test_what_waits_together_is_answered_as_each_event_alone() -> None:
    one, _ = looking(
        rule(1, "mimikatz"), rule(2, "svchost"), rule(3, "cmd", "network_connection"), rule(4, "whoami")
    )
    for seed in range(40):  # more than it takes a class to learn
        asked = events(FEW, seed)
        answers = told(one, asked)
        assert answers == by_fields(one, asked)
        assert answers


@pytest.mark.skipif(not can_scan_lines(), reason="without Hyperscan every event goes by its fields")
def test_few_events_are_read_at_once_and_many_by_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[bytes] = []
    find = RawScan.find

    def noting(self: RawScan, block: bytes) -> object:
        blocks.append(block)
        return find(self, block)

    monkeypatch.setattr(RawScan, "find", noting)
    one, _ = looking(rule(1, "mimikatz"))
    told(one, events(FEW - 1, 1))
    assert not blocks
    told(one, events(FEW, 1))
    assert [block.count(b"\n") for block in blocks] == [FEW - 1]


def test_rules_that_change_count_from_the_next_portion_on_and_the_others_stay() -> None:
    one, table = looking(rule(1, "mimikatz"), rule(2, "cmd", "network_connection"))
    asked = events(3 * FEW, 7)
    assert {found[1][-1] for found in told(one, asked)} == {"1", "2"}
    table.put([rule(1, "calc"), rule(3, "whoami")])
    one.use(table.in_force, one.scan_for(table.in_force.engine))
    answers = told(one, asked)
    assert {found[1][-1] for found in answers} == {"1", "2", "3"}
    assert answers == by_fields(one, asked)
    table.drop(["k1", "k2", "k3"])
    one.use(table.in_force, one.scan_for(table.in_force.engine))
    assert told(one, asked) == []


def test_a_scan_that_fails_costs_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = looking(rule(1, "mimikatz"))
    asked = events(FEW, 3)
    answers = told(one, asked)
    monkeypatch.setattr(RawScan, "find", _fail)
    assert told(one, asked) == answers


def test_a_rule_that_fails_is_told_once_for_each_loading_and_counted_after_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Invariant 8: one bad rule stops no other."""
    one, table = looking(rule(1, "mimikatz"), rule(2, "whoami"))
    good = [found for found in told(one, events(FEW, 3)) if found[1][-1] == "2"]
    holds = RuleMatcher.match

    def fails(self: RuleMatcher, view: EventView) -> Match:
        if self.rule.title == "Rule 1":
            raise RuntimeError("a defect")
        return holds(self, view)

    monkeypatch.setattr(RuleMatcher, "match", fails)
    with capture_logs() as logs:
        for _ in range(5):
            assert told(one, events(FEW, 3)) == good
    traces = [one["event"] for one in logs if one.get("exc_info")]
    assert sorted(traces) == sorted(
        {"rule_failed", "rules_failed_on_events", "rules_failed_on_lines"} & {*traces}
    )
    failed = [one.get("times", 1) for one in logs if one["event"] == "rule_failed"]
    assert failed[:2] == [1, 10] and set(failed) <= {1, 10, 100} and len(failed) == len(set(failed))
    table.put([rule(3, "calc")])
    one.use(table.in_force, one.scan_for(table.in_force.engine))
    with capture_logs() as logs:
        told(one, events(FEW, 3))
    assert [line["event"] for line in logs if line.get("exc_info")].count("rule_failed") == 1, "loaded anew"


def test_where_no_scan_can_be_made_rules_come_into_force_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Invariant 8: one bad rule stops no other."""
    expected = told(looking(rule(1, "mimikatz"))[0], events(FEW, 3))
    monkeypatch.setattr(RawScan, "__init__", _fail)
    assert told(looking(rule(1, "mimikatz"))[0], events(FEW, 3)) == expected


def test_lags_and_costs_are_seen_under_load_too(clock: ManualClock) -> None:
    sample = LagSample(clock)
    one, _ = looking(rule(1, "mimikatz"), lags=sample)
    for seed in range(16):
        one.find(events(FEW, seed, to_micros(clock.now())))
    assert sample.take() is not None
    assert one.in_force.engine.meter.events >= FEW


def _fail(*_: object) -> None:
    raise RuntimeError("a defect")
