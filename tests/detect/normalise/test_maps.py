"""Every map's own examples come out as it says, and published rules match them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.normalise import normalise
from istmo.detect.normalise.mapping import read_map, read_maps, recognise
from istmo.detect.normalise.times import read_time
from istmo.detect.sigma import Evaluator, Logsource, load_rules

EXAMPLES = [
    pytest.param(one.name, example, id=f"{one.name}-{number}")
    for one in read_maps()
    for number, example in enumerate(one.examples)
]


NO_PUBLISHED_RULE = {"proxifier": "published rules for connections pass over browsers by their folder"}


@pytest.fixture(scope="session")
def evaluator(shared_data: Path) -> Evaluator:
    return Evaluator(load_rules(shared_data / "sigma" / "sigma_rules.zip"))


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_comes_out_as_its_map_says(name: str, example: dict[str, Any]) -> None:
    event = example["event"]
    before = json.dumps(event)
    known = recognise(event)
    found = normalise(event)
    assert known is not None
    assert known.name == name
    assert ["/".join(source) for source in found.logsources] == example["logsources"]
    assert {field: found.fields.get(field) for field in example["fields"]} == example["fields"]
    expected = read_time(example["time"])
    assert expected is not None
    assert (found.time, found.is_time_assumed) == (expected[0], example.get("is_assumed", False))
    assert found.host == example["host"]
    assert json.dumps(event) == before


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_published_rules_match_an_example(name: str, example: dict[str, Any], evaluator: Evaluator) -> None:
    found = normalise(example["event"])
    matched = {one.rule_id for one in evaluator.match(found.fields, found.logsources)}
    assert example["rules"] or name in NO_PUBLISHED_RULE
    assert set(example["rules"]) <= matched


def test_every_map_names_its_sources_and_has_an_example() -> None:
    for one in read_maps():
        assert one.examples, one.name
        assert one.documentation, one.name


def test_a_word_that_no_map_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="fieldz"):
        read_map("m", "sources: []\nrecognise: [{has: [a]}]\nfieldz: []\nexamples: []")
    with pytest.raises(ValueError, match="rename"):
        read_map("m", "recognise: [{has: [a]}]\nfields: [{rename: {a: b}}]\nexamples: []")


NOT_FROM_A_MAP = {
    # Windows: the names are the events' own, and those of windows.yml.
    Logsource("application", "rpc_firewall", ""): "a Windows channel of its own, whose data has no names",
    Logsource("file_event", "paloalto", "globalprotect"): "needs what the firewall's own shell did",
}
"""Log sources of which no map speaks, and why."""


@pytest.mark.shared_data
def test_maps_yield_the_fields_that_published_rules_ask_for(evaluator: Evaluator) -> None:
    asked: dict[Logsource, set[str]] = {}
    for rule in evaluator.ruleset.rules:
        if rule.logsource.product != "windows":
            for search in rule.searches.values():
                for group in search.groups:
                    asked.setdefault(rule.logsource, set()).update(item.field for item in group if item.field)
    missing = {}
    for source, fields in asked.items():
        names = {
            name
            for one in read_maps()
            if any(source.covers(event) for _, event in one.sources)
            for name in one.names
        }
        if source not in NOT_FROM_A_MAP and fields - names:
            missing[source] = fields - names
    assert missing == {}
    assert sum(map(len, asked.values())) > 200


def test_an_event_inside_another_is_taken_for_what_it_is() -> None:
    inner = {"eventSource": "iam.amazonaws.com", "eventName": "CreateUser", "awsRegion": "us-east-1"}
    found = normalise(
        {"agent": {"name": "a1"}, "manager": {"name": "m"}, "rule": {"level": 3}, "data": {"aws": inner}}
    )
    assert [source.service for source in found.logsources] == ["cloudtrail"]
    assert found.host == "a1"


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner)),
    max_leaves=6,
)


def changed(value: Any, chance: Any) -> Any:
    """The value with some of what it holds replaced by anything."""
    if chance.draw(st.integers(0, 9)) == 0:
        return chance.draw(anything)
    if isinstance(value, dict):
        return {key: changed(one, chance) for key, one in value.items()}
    return [changed(one, chance) for one in value] if isinstance(value, list) else value


@given(st.data(), st.sampled_from([example.values[1]["event"] for example in EXAMPLES]))
def test_no_event_like_an_example_makes_it_fail(chance: Any, event: dict[str, Any]) -> None:
    made = changed(event, chance)
    if isinstance(made, dict):
        normalise(made)
