"""What a person types becomes valid STIX, and a part of a bundle keeps its bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from istmo.intel.composing import key_of, part_of, pattern_of, read_labels, read_links, report_of
from istmo.intel.pasting import read_pasted
from istmo.model.stix import parse_bundle
from istmo.settings import Limits

from .conftest import bundle, indicator, malware

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40)


@given(title=text, body=st.text(max_size=60).filter(lambda one: "\x00" not in one), labels=text)
def test_for_all_words_a_report_is_valid_and_about_its_values(title: str, body: str, labels: str) -> None:
    linked = malware()["id"]
    pasted = read_pasted("evil[.]example 198.51.100.7")
    made = report_of(title, body, links=[linked], labels=read_labels(labels), pasted=pasted, now=NOW)
    found = parse_bundle(made)
    assert found.problems == ()
    [*indicators, report] = found.objects
    assert [one.type for one in indicators] == ["indicator", "indicator"]
    assert list(report.data["object_refs"]) == [linked, *(one.id for one in indicators)]


def test_ids_are_read_as_they_are_copied() -> None:
    one = malware()["id"]
    assert read_links(f"{one}\n https://node.example/objects/{one}, nonsense") == ((one,), ("nonsense",))
    assert read_links("") == ((), ())


def test_a_single_pattern_becomes_one_indicator_that_ends() -> None:
    until = datetime(2026, 4, 1, tzinfo=UTC)
    pattern = "[domain-name:value = 'evil.example']"
    [made] = parse_bundle(pattern_of("", pattern, description="why", until=until, now=NOW)).objects
    assert (made.name, made.valid_until, made.data["description"]) == (pattern, until, "why")


def test_a_part_of_a_bundle_keeps_the_bytes_of_what_it_keeps() -> None:
    one, other = indicator(x_ours=1.50), malware()
    raw = bundle(one, other, indicator(confidence=999))
    wanted = key_of(parse_bundle(raw).objects[0])
    part = parse_bundle(part_of(raw, Limits(), lambda key: key == wanted))
    assert [found.raw for found in part.objects] == [json.dumps(one).encode()]
    assert part.problems == ()
