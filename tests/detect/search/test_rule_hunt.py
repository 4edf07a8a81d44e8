"""Hunting by rules finds in what is stored just what the evaluator finds, asked one event after another."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.aside.__main__ import answers
from istmo.detect.aside.jobs import FindByRules, Found
from istmo.detect.aside.pool import Pool
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.times import to_micros
from istmo.detect.normalise import normalise
from istmo.detect.search.rule_hunt import RuleHunter
from istmo.detect.sigma import Evaluator, load_rules
from istmo.detect.wire import Position, RuleHits, WireRule
from istmo.model import instants

from .test_find import all_seen, fill

EVERYTHING = Position(1 << 40)
SYSMON = "Microsoft-Windows-Sysmon/Operational"
WHOAMI, WORD = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
RULES = rf"""
title: Who am I
id: {WHOAMI}
logsource: {{product: windows, category: process_creation}}
detection: {{s: {{Image|endswith: '\whoami.exe'}}, not_test: {{User: test}}, condition: s and not not_test}}
level: high
---
title: A word
id: {WORD}
logsource: {{product: windows}}
detection: {{words: [colibrí], condition: words}}
level: low
"""


def process(minute: int, image: str = r"C:\Windows\whoami.exe", **more: Any) -> bytes:
    time = f"2026-03-02 09:{minute:02}:00.000"
    return orjson.dumps({"Channel": SYSMON, "EventID": 1, "UtcTime": time, "Image": image} | more)


def job(rules: str = RULES, **more: Any) -> FindByRules:
    asked = {"lists": {}, "start": None, "end": None, "limit": 100, "upto": EVERYTHING, "seconds": 60.0}
    return FindByRules([WireRule("rules.yml", rules)], **(asked | more))


def parts(folder: EventFolder, asked: FindByRules) -> tuple[list[RuleHits], Found]:
    *some, last = answers(folder, asked)
    assert last.done
    return [one.by_rules for one in some if one.by_rules is not None], last


def sums(folder: EventFolder, asked: FindByRules) -> dict[str, int]:
    return {one.rule: one.count for part in parts(folder, asked)[0] for one in part.found}


IMAGES = st.sampled_from(
    [r"C:\whoami.exe", r"C:\WHOAMI.EXE", r"C:\who\\ami.exe", "whoami.exe", "", "colibrí"]
)
FIELDS = st.fixed_dictionaries(
    {
        "Channel": st.sampled_from([SYSMON, "Security", "other"]),
        "EventID": st.sampled_from([1, 3, 4688, "1"]),
        "Image": IMAGES,
        "User": st.sampled_from(["test", "TEST", "ana", None, ["ana", "test"]]),
        "Note": st.sampled_from(
            ["", "Colibrí", "colibr\u0049\u0301", '","event":{"Image":"\\whoami.exe"}', {"a": 1}]
        ),
    }
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(FIELDS, min_size=1, max_size=30))
def test_a_hunt_finds_what_the_evaluator_finds(
    tmp_path_factory: pytest.TempPathFactory, stored: list[dict[str, Any]]
) -> None:
    folder = fill(tmp_path_factory.mktemp("hunt"), [orjson.dumps(one) for one in stored])
    evaluator = Evaluator(load_rules(RULES.encode()))
    expected: Counter[str] = Counter()
    for _, seen in all_seen(folder):
        event = normalise(seen.event.data, seen.event.raw)
        expected.update(one.rule_id for one in evaluator.match(event.fields, event.logsources))
    assert sums(folder, job()) == dict(expected)


def test_matches_come_one_by_one_with_their_events_and_all_are_counted(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    told, last = parts(folder, job(limit=7))
    matches = [one for part in told for one in part.matches]
    assert len(matches) == 7 and {one.title for one in matches} == {"Who am I"}
    (found,) = told[-1].found
    assert (found.rule, found.level, found.count, len(found.events)) == (WHOAMI, "high", 30, 10)
    assert {one.event_id for one in matches} <= {seen.event.id for _, seen in all_seen(folder)}
    assert told[-1].looked == 30 and last.problem is None


def test_times_bound_a_hunt_by_when_events_happened(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    start, end = (to_micros(instants.parse(f"2026-03-02T09:{n}:00Z")) for n in (10, 15))
    assert sums(folder, job(start=start, end=end)) == {WHOAMI: 5}


def test_what_comes_in_after_the_question_is_not_looked_for(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    assert sums(folder, job(upto=Position(1, 2))) == {WHOAMI: 2}


def test_a_rule_that_cannot_be_used_is_told_by_its_line_and_the_others_hunt(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(1)])
    bad = RULES + "---\ntitle: Bad\nlogsource: {}\ndetection:\n  s: {Image|nonsense: x}\n  condition: s\n"
    told, last = parts(folder, job(bad))
    (problem,) = [one for part in told for one in part.left_out]
    assert (problem.rule, bad.splitlines()[problem.line - 1]) == ("Bad", "  s: {Image|nonsense: x}")
    assert problem.key.startswith("sigma.problem.")
    assert told[-1].found[0].count == 1 and last.done


def test_correlations_are_said_not_to_be_evaluated(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(1)])
    correlation = f"""---
title: Often
correlation: {{type: event_count, rules: [{WHOAMI}], group-by: [User], timespan: 1m, condition: {{gte: 2}}}}
"""
    told, _ = parts(folder, job(RULES + correlation))
    assert [one.key for part in told for one in part.left_out] == ["detect.rule_hunt.correlation"]


def test_a_damaged_frame_costs_its_own_events_and_is_told(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    path = folder.raw_path(folder.closed()[0])
    with FrameReader(path) as reader:
        lost = reader.index.lines
    raw = bytearray(path.read_bytes())
    raw[40] ^= 0xFF
    path.write_bytes(raw)
    told, last = parts(folder, job())
    assert last.problem is not None and last.problem.code == "detect.segments_unreadable"
    assert told[-1].found[0].count == 30 - lost


def test_a_hunt_ends_when_its_time_is_up(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])
    hunter = RuleHunter(folder, load_rules(RULES.encode()), EVERYTHING, -1.0)
    list(hunter.matches())
    assert hunter.is_cut and hunter.looked < 30
    assert parts(folder, job(seconds=-1.0))[1].problem is not None


def test_whoever_leaves_ends_the_process_that_hunts(tmp_path: Path) -> None:
    folder = fill(tmp_path, [process(n) for n in range(30)])

    async def go() -> None:
        pool = Pool(folder.root)
        answers = pool.run(job())
        assert not (await anext(answers)).done
        (process_,) = pool._busy
        await answers.aclose()
        assert process_.returncode is not None and not pool._busy and not pool._idle
        await pool.close()

    asyncio.run(go())
