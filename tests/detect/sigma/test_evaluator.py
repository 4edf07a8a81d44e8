"""Routing by log source, matches, and the whole release: time, memory, what was left out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.detect.sigma import Evaluator, Logsource, RuleSet, load_rules
from istmo.detect.sigma.evaluator import REMEMBERED

from .recordings import RULES


def ruleset(*logsources: str) -> RuleSet:
    documents = [
        f"title: r{n}\nid: r{n}\nlogsource: {source}\ndetection: {{s: {{A: x}}, condition: s}}\n"
        for n, source in enumerate(logsources)
    ]
    loaded = load_rules("---\n".join(documents).encode())
    assert not loaded.problems
    return loaded


PROCESS = Logsource("process_creation", "windows", "sysmon")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{product: windows}", True),
        ("{category: process_creation}", True),
        ("{category: process_creation, product: windows}", True),
        ("{product: windows, service: sysmon}", True),
        ("{product: Windows, service: SYSMON, definition: any words}", True),
        ("{category: process_creation, product: linux}", False),
        ("{category: process_creation, product: windows, service: security}", False),
        ("{service: security}", False),
        ("{category: dns_query, product: windows}", False),
    ],
)
def test_a_rule_is_asked_when_all_it_names_is_what_the_event_is(rule: str, expected: bool) -> None:
    assert bool(Evaluator(ruleset(rule)).match({"A": "x"}, PROCESS)) is expected


def test_an_event_of_several_log_sources_is_asked_about_each_once() -> None:
    evaluator = Evaluator(
        ruleset("{category: registry_event}", "{category: registry_set}", "{product: windows}")
    )
    sources = [
        Logsource("registry_event", "windows", "sysmon"),
        Logsource("registry_set", "windows", "sysmon"),
    ]
    assert [found.rule_id for found in evaluator.match({"A": "x"}, sources)] == ["r0", "r1", "r2"]


def test_category_and_service_must_be_of_the_same_log_source() -> None:
    evaluator = Evaluator(ruleset("{category: a, service: y}"))
    assert not evaluator.match({"A": "x"}, [Logsource("a", "p", "x"), Logsource("b", "p", "y")])


def test_an_event_of_an_unknown_kind_is_asked_nothing() -> None:
    assert Evaluator(ruleset("{product: windows}")).match({"A": "x"}, ()) == []


def test_a_sender_of_ever_new_classes_does_not_fill_the_memory() -> None:
    evaluator = Evaluator(ruleset("{product: windows}"))
    for n in range(REMEMBERED + 10):
        evaluator.match({}, Logsource("", "windows", f"s{n}"))
    assert len(evaluator._routes) <= REMEMBERED


def test_a_changed_rule_set_keeps_the_matchers_of_rules_that_stayed() -> None:
    loaded = ruleset("{product: a}", "{product: b}")
    first = Evaluator(loaded)
    kept = first.rules_for((Logsource("", "a", ""),))
    changed = RuleSet((loaded.rules[0], *ruleset("{service: c}", "{service: c}").rules[1:]))
    second = Evaluator(changed, first)
    assert second.rules_for((Logsource("", "a", ""),))[0] is kept[0]
    assert not second.match({"A": "x"}, Logsource("", "b", ""))
    assert [found.rule_id for found in second.match({"A": "x"}, Logsource("", "z", "c"))] == ["r1"]


def test_only_the_wanted_rules_are_kept() -> None:
    loaded = ruleset("{product: a}", "{product: b}")
    assert [rule.id for rule in loaded.only(["r1", "unknown"]).rules] == ["r1"]


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.lists(st.text(max_size=3), max_size=3),
)


@pytest.mark.shared_data
def test_no_event_makes_a_published_rule_fail(released_rules: RuleSet) -> None:
    evaluator = Evaluator(released_rules)
    sources = (Logsource("process_creation", "windows", "sysmon"), Logsource("", "windows", "security"))
    names = st.sampled_from(["Image", "CommandLine", "EventID", "User", "Data", "DestinationIp"])

    @settings(deadline=None, max_examples=60)
    @given(event=st.dictionaries(names, values))
    def asks(event: dict[str, object]) -> None:
        evaluator.match(event, sources)

    asks()


@pytest.mark.shared_data
def test_the_whole_release_is_loaded_but_for_rules_that_need_a_list_from_its_user(
    released_rules: RuleSet,
) -> None:
    assert len(released_rules.rules) > 3_700
    assert {(p.code, p.params["placeholder"]) for p in released_rules.problems} == {
        ("unknown_placeholder", "%known_cdcs%")
    }
    assert all(rule.level and rule.author and rule.id for rule in released_rules.rules)


@pytest.mark.long
@pytest.mark.shared_data
def test_the_whole_release_takes_at_most_15_seconds_and_60_megabytes(shared_data: Path) -> None:
    program = """
import json, sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
from istmo.detect.sigma import Evaluator, load_rules
before, started = resident(), time.process_time()
ruleset = load_rules(sys.argv[1])
loaded, seconds = resident() - before, time.process_time() - started
evaluator = Evaluator(ruleset)
evaluator.rules_for(tuple(sorted({rule.logsource for rule in ruleset.rules})))
print(json.dumps({"seconds": seconds, "loaded": loaded, "ready": resident() - before}))
"""
    told = subprocess.run(
        [sys.executable, "-c", program, str(shared_data / RULES)], capture_output=True, check=True, text=True
    )
    measured = json.loads(told.stdout)
    assert measured["seconds"] < 15, measured
    assert measured["loaded"] < 60, measured
    assert measured["ready"] < 120, measured
