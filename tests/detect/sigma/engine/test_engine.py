"""The fast engine gives the oracle's answers, whatever the rules and the events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.normalise import normalise
from istmo.detect.sigma import Evaluator, Logsource, RuleSet, load_rules
from istmo.detect.sigma.engine import Engine, scanners
from istmo.detect.sigma.engine import engine as engines
from istmo.detect.sigma.engine.classes import candidates_in

from ..recordings import recorded_events  # noqa: TID252 - works with and without tests as a package
from .worlds import SOURCE, Asked, events, rulesets

Found = list[tuple[int, str]]


def by_engine(engine: Engine, asked: Sequence[Asked], portion: int = 1000) -> Found:
    """Matches as places and rule ids."""
    return [
        (start + place, rule.id)
        for start in range(0, len(asked), portion)
        for place, rule in engine.find(asked[start : start + portion])
    ]


def by_oracle(ruleset: RuleSet, asked: Iterable[Asked]) -> Found:
    evaluator = Evaluator(ruleset)
    return [
        (place, match.rule_id)
        for place, one in enumerate(asked)
        for match in evaluator.match(one.fields, one.logsources)
    ]


@pytest.fixture(params=["hyperscan", "plain"])
def scanner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the scanners there are."""
    if request.param == "plain":
        monkeypatch.setattr(scanners, "hyperscan", None)
    else:
        assert scanners.hyperscan is not None, "installed wherever the tests run"
    return str(request.param)


@given(rulesets(), st.lists(events, min_size=1, max_size=8), st.integers(1, 5))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_for_all_rules_and_events_the_answers_are_the_oracles(
    scanner: str, ruleset: RuleSet, asked: list[Asked], portion: int
) -> None:
    assert by_engine(Engine(ruleset), asked, portion) == by_oracle(ruleset, asked)


@given(rulesets(), st.lists(events, min_size=1, max_size=4), st.lists(events, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_so_they_are_once_witnesses_were_chosen_by_other_events(
    ruleset: RuleSet, before: list[Asked], asked: list[Asked]
) -> None:
    engine = Engine(ruleset)
    engine.find(before)
    for key in list(engine._classes):
        engine._make(key, [event.fields for event in before])
    assert by_engine(engine, asked) == by_oracle(ruleset, asked)


@pytest.mark.shared_data
@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.long)])
def test_on_recordings_the_answers_are_the_oracles(
    released_rules: RuleSet, shared_data: Path, every: int
) -> None:
    asked = [normalise(event) for _, event in recorded_events(shared_data)][::every]
    engine = Engine(released_rules)
    found = by_engine(engine, asked)  # type: ignore[arg-type]
    assert found == by_oracle(released_rules, asked)  # type: ignore[arg-type]
    assert len(found) > 400 / every
    assert any(one.is_trained for one in engine._classes.values()), (
        "some on chosen, some on assumed witnesses"
    )


def test_what_the_match_rests_on_is_the_oracles_word() -> None:
    ruleset = load_rules(
        b"title: t\nid: r1\nlogsource: {category: test}\ndetection: {s: {A|contains: x}, condition: s}\n"
    )
    event = Asked({"A": "axb", "B": 1})
    engine = Engine(ruleset)
    assert [rule.id for _, rule in engine.find([event])] == ["r1"]
    assert engine.explain("r1", event) == Evaluator(ruleset).match(event.fields, SOURCE)[0]


def test_a_change_of_one_rule_keeps_what_was_made_for_other_log_sources() -> None:
    def text(value: bytes) -> bytes:
        return b"---\n".join(
            b"title: t\nid: r-%b\nlogsource: {category: %b}\ndetection: {s: {A: %b}, condition: s}\n"
            % (category, category, wanted)
            for category, wanted in ((b"test", b"x"), (b"other", value))
        )

    other = (Logsource("other"),)
    before, after = load_rules(text(b"y")), load_rules(text(b"z"))
    engine = Engine(before)
    asked = [Asked({"A": "x"}), Asked({"A": "y"}, other), Asked({"A": "z"}, other)]
    assert by_engine(engine, asked) == [(0, "r-test"), (1, "r-other")]
    changed = Engine(RuleSet((before.rules[0], after.rules[1])), engine)
    assert changed._classes == {(SOURCE, None): engine._classes[SOURCE, None]}
    changed.prepare(engine)
    assert set(changed._classes) == set(engine._classes), "made before an event asks for it"
    assert by_engine(changed, asked) == [(0, "r-test"), (2, "r-other")]


def test_who_invents_event_ids_makes_no_classes() -> None:
    ruleset = load_rules(
        b"title: t\nid: r1\nlogsource: {category: test}\n"
        b"detection: {s: {EventID: [4688, '4689', 5.0]}, condition: s}\n"
    )
    engine = Engine(ruleset)
    asked = [
        Asked({"EventID": one}) for one in [*range(4000, 6000), "4688", "4689", 4688.0, 5, True, None, [4688]]
    ]
    assert by_engine(engine, asked) == by_oracle(ruleset, asked)
    assert len(engine._classes) == 3


def test_classes_that_are_too_many_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_MOST_CLASSES", 2)
    ruleset = load_rules(
        b"title: t\nid: r1\nlogsource: {category: test}\n"
        b"detection: {s: {EventID: [1, 2, 3, 4]}, condition: s}\n"
    )
    engine = Engine(ruleset)
    asked = [Asked({"EventID": one}) for one in (1, 2, 3, 4, 5, 1)]
    assert by_engine(engine, asked, 1) == by_oracle(ruleset, asked)
    assert len(engine._classes) <= 2


def test_a_class_learns_which_literals_are_rare() -> None:
    """``.exe`` ends every image: what is looked for after learning is the other literal."""
    ruleset = load_rules(
        b"title: t\nid: r1\nlogsource: {category: test}\n"
        b"detection: {s: {Image|endswith: .commonly.exe, CommandLine|contains: zq}, condition: s}\n"
    )
    engine = Engine(ruleset)
    common = [Asked({"Image": "C:\\a.commonly.exe", "CommandLine": "a b c"})] * 600
    engine.find(common[:1])
    assert [watched.field for watched in engine._classes[SOURCE, None].watched] == ["Image"]
    engine.find(common)
    (watched,) = engine._classes[SOURCE, None].watched
    assert watched.field == "CommandLine"
    assert candidates_in([watched], [event.fields for event in common], [None] * 600) == {}


def test_what_a_class_learns_from_is_bounded_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender may make many classes, and its events large."""
    monkeypatch.setattr(engines, "_SAMPLE_LETTERS", 5_000)
    monkeypatch.setattr(engines, "_MOST_REMEMBERED", 20_000)
    ruleset = load_rules(
        b"title: t\nid: r1\nlogsource: {category: test}\ndetection: {s: {A|contains: zq}, condition: s}\n"
    )
    engine = Engine(ruleset)
    large = [Asked({"A": "x" * 1_000})] * 20
    assert by_engine(engine, large) == []
    assert engine._classes[SOURCE, None].is_trained, "by fewer than it would have liked"
    assert engine._remembered == 0
    small = [
        Asked({"A": "x" * 1_000}, (Logsource("test", str(place)),)) for place in range(100) for _ in range(3)
    ]
    for one in small:
        engine.find([one])
        assert 0 <= engine._remembered <= 20_000 + 1_100
        assert engine._remembered == sum(sample.size for sample in engine._samples.values())
