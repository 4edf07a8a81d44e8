"""The correlator is held to the slow reading of the text, and to itself across restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.detect.sigma import RuleSet
from istmo.detect.sigma.correlating import CorrelationMatch, Correlator, CorrelatorLimits
from istmo.detect.sigma.correlating.oracle import Event, correlate

from .correlated import SECOND, correlation, loaded, run, told, told_by_oracle

LATENESS = 4

USERS = st.sampled_from(["ana", "ANA", "ana", "luis", "7", 7, None, "", ["ana", "luis"], ["Ana", None], []])
AMOUNTS = st.sampled_from([0, 1, 2, "2", 5, 2.5, "0.5", -3, "x", True, None, [1, 2], [0.1, 0.2], 10**6])
WHOLE = st.fixed_dictionaries(
    {"User": USERS, "Name": USERS, "Host": st.sampled_from("XY"), "Amount": AMOUNTS}
)
FIELDS = WHOLE | st.fixed_dictionaries({}, optional={"User": USERS, "Host": USERS, "Amount": AMOUNTS})


@st.composite
def arrivals(draw: st.DrawFn) -> list[Event]:
    """Events with many ties in time, in an order of arrival that the lateness allows."""
    one = st.tuples(st.integers(0, 14), st.sampled_from("aabbccz"), FIELDS, st.integers(0, LATENESS))
    drawn = draw(st.lists(one, min_size=draw(st.sampled_from([0, 10, 20])), max_size=30))
    drawn.sort(key=lambda event: event[0] + event[3])
    return [Event(seconds * SECOND, rule, fields) for seconds, rule, fields, _ in drawn]


BOUNDS = st.sampled_from(
    ["gte: 2", "gt: 1", "gte: 3", "lt: 3", "lte: 1", "eq: 2", "neq: 1", "gte: 2, lte: 3", "gt: 0.5", "gte: 0"]
)
GROUPS = st.sampled_from(["[]", "[User]", "[User, Host]", "[who]", "User"])
ALIASES = "{who: {a: User, b: Name}, what: {a: Amount, b: Host}}"
EXPRESSIONS = [
    "a and b",
    "a or b",
    "a and not b",
    "(a or b) and c",
    "all of them",
    "not (not a or not c)",
    "a",
]


@st.composite
def sections(draw: st.DrawFn, references: Sequence[str] = ("a", "b", "c")) -> dict[str, str]:
    """A correlation of any type over some of these rules."""
    kind = draw(
        st.sampled_from(
            [
                *("event_count", "value_count", "value_sum", "value_avg", "value_percentile", "share"),
                *("temporal", "temporal_ordered"),
            ]
        )
    )
    count = draw(st.sampled_from([1, 2, 3, 3, 3]))
    rules = draw(st.permutations(references))[:count]
    section = {"type": kind, "rules": f"[{', '.join(rules)}]", "timespan": f"{draw(st.integers(1, 6))}s"}
    section["group_by"] = draw(GROUPS)
    aliased = {"a", "b"} <= set(rules)
    if aliased:
        section["aliases"] = ALIASES
    bounds = draw(BOUNDS)
    match kind:
        case "value_count":
            field = draw(st.sampled_from(["User", "[User, Host]", "what"]))
            section["condition"] = f"{{field: {field}, {bounds}}}"
        case "value_sum" | "value_avg":
            section["condition"] = f"{{field: Amount, {bounds}}}"
        case "value_percentile":
            percentile = draw(st.sampled_from(["50", "1", "100", "99.5"]))
            section["condition"] = f"{{field: Amount, percentile: {percentile}, {bounds}}}"
        case "share":
            section["type"] = "value_percentile"
            section["condition"] = f"{{field: Host, lte: {draw(st.sampled_from([10, 34, 50, 100]))}}}"
        case "temporal" | "temporal_ordered":
            how = draw(st.sampled_from(["", "count", "expression", "expression"]))
            if how == "count":
                section["condition"] = f"{{{bounds}}}"
            elif how == "expression" and set(rules) == {"a", "b", "c"}:
                section["condition"] = draw(st.sampled_from(EXPRESSIONS))
        case _:
            section["condition"] = f"{{{bounds}}}"
    return section


@st.composite
def rulesets(draw: st.DrawFn) -> RuleSet:
    return loaded(correlation("k", **draw(sections())), correlation("l", **draw(sections())))


CHAINS = [
    loaded(
        correlation(
            "many", type=below, rules="[a, b]", group_by="[Host]", timespan="3s", condition=condition
        ),
        correlation("top", type=kind, rules="[many, c]", group_by=group, timespan="5s", **more),
        correlation("over", type="event_count", rules="[top]", timespan="9s", condition="{gte: 2}")
        + "generate: true\n",
    )
    for below, condition in [("event_count", "{gte: 2}"), ("value_count", "{field: User, gte: 2}")]
    for kind, group, more in [
        ("temporal_ordered", "[User]", {}),
        ("temporal", "[who]", {"aliases": "{who: {many: User, c: Name}}"}),
        ("event_count", "[User]", {"condition": "{gte: 2}"}),
        ("value_count", "[Host]", {"condition": "{field: User, gte: 2}"}),
    ]
]


@settings(max_examples=400, deadline=None)
@given(rulesets(), arrivals())
def test_every_type_matches_what_the_text_says(ruleset: RuleSet, events: list[Event]) -> None:
    found = sorted(map(told, run(ruleset, events, lateness=LATENESS * SECOND)))
    assert found == sorted(map(told_by_oracle, correlate(ruleset, events)))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(CHAINS), arrivals())
def test_chains_match_what_the_text_says(ruleset: RuleSet, events: list[Event]) -> None:
    found = sorted(map(told, run(ruleset, events, lateness=LATENESS * SECOND)))
    assert found == sorted(map(told_by_oracle, correlate(ruleset, events)))


TIGHT = CorrelatorLimits(groups=4, remembered=12, window=5, held=5, contributors=3)


def fed(correlator: Correlator, events: Sequence[Event], first: int) -> list[CorrelationMatch]:
    return [
        match
        for position, event in enumerate(events, first)
        for match in correlator.feed(event.rule_id, event.fields, event.time, position)
    ]


def outcome(correlator: Correlator) -> tuple[Any, ...]:
    last = correlator.flush(1 << 60)
    return last, correlator.counts, correlator.groups, correlator.remembered, correlator.snapshot()


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(rulesets(), st.sampled_from(CHAINS)),
    arrivals(),
    st.data(),
    st.sampled_from([CorrelatorLimits(), TIGHT]),
)
def test_a_restart_neither_loses_nor_doubles_a_match(
    ruleset: RuleSet, events: list[Event], data: st.DataObject, limits: CorrelatorLimits
) -> None:
    cut = data.draw(st.integers(0, len(events)))
    through = Correlator(ruleset, lateness=2 * SECOND, limits=limits)
    before = fed(through, events[:cut], 0)
    stored = through.snapshot()
    after = fed(through, events[cut:], cut)

    again = Correlator(ruleset, lateness=2 * SECOND, limits=limits)
    assert again.restore(stored) == ()
    assert fed(again, events[cut:], cut) == after
    assert outcome(again) == outcome(through)
    assert run(ruleset, events, lateness=2 * SECOND, limits=limits)[: len(before)] == before


@settings(max_examples=100, deadline=None)
@given(rulesets(), arrivals())
def test_memory_stays_within_its_bounds(ruleset: RuleSet, events: list[Event]) -> None:
    correlator = Correlator(ruleset, lateness=2 * SECOND, limits=TIGHT)
    for position, event in enumerate(events):
        correlator.feed(event.rule_id, event.fields, event.time, position)
        assert correlator.groups <= TIGHT.groups
        assert correlator.remembered <= TIGHT.remembered
