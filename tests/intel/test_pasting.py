"""A pasted list becomes indicators: defanging undone, kinds recognised, nothing guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from istmo.intel.pasting import bundle_of, check_pasted, read_pasted
from istmo.model.patterns import read_pattern
from istmo.model.stix import parse_bundle

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def test_remarks_and_repetitions_are_left_out_and_the_unreadable_named_by_line() -> None:
    pasted = read_pasted(
        "evil.example, EVIL.example # dos veces\n\n# solo un comentario\nnot-a-value\n1.2.3.4"
    )
    assert pasted.values == (("domain", "evil.example"), ("ipv4", "1.2.3.4"))
    assert pasted.unreadable == ((4, "not-a-value"),)


def test_a_line_without_any_value_is_one_thing_that_is_not_understood() -> None:
    pasted = read_pasted("  esto no es nada  # nota\nevil.example algo\n1.2.3.4 5.6.7.8")
    assert [value for _, value in pasted.values] == ["evil.example", "1.2.3.4", "5.6.7.8"]
    assert pasted.unreadable == ((1, "esto no es nada"), (2, "algo"))
    assert [(one.line, one.text) for one in check_pasted("no es nada")] == [(1, "no es nada")]


@given(st.lists(st.text(max_size=40), max_size=8))
def test_every_recognised_value_becomes_an_indicator_that_detection_reads_back(words: list[str]) -> None:
    pasted = read_pasted("\n".join([*words, "evil[.]example", "http://a.example/it's\\x"]))
    bundle = parse_bundle(bundle_of(pasted, name="Campaña", now=NOW))
    assert not bundle.problems
    read = [read_pattern(str(json.loads(one.raw)["pattern"])) for one in bundle.objects]
    assert [(term.kind, term.value) for pattern in read for term in pattern.terms] == list(pasted.values)
