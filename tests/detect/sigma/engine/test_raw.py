"""Lines that are never parsed: the answers stay the oracle's, however lines are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.normalise.windows import line_logsources
from istmo.detect.sigma import Evaluator, Logsource, RuleSet, load_rules
from istmo.detect.sigma.engine import Engine, RawScan
from istmo.detect.sigma.engine import raw as raws

from ..recordings import recorded_events  # noqa: TID252 - works with and without tests as a package
from .worlds import SOURCE, Asked, events, rulesets

Written = bytes


def read(line: bytes, _start: int = 0) -> Asked | None:
    """An event of the made-up world."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return Asked(fields, SOURCE, line) if isinstance(fields, dict) else None


def sources_of(channel: str, _number: int) -> tuple[Logsource, ...] | None:
    return SOURCE if channel == "Test" else None


def oracle(ruleset: RuleSet, lines: Sequence[bytes]) -> list[tuple[int, str]]:
    evaluator = Evaluator(ruleset)
    asked = [(place, read(line)) for place, line in enumerate(lines)]
    return [
        (place, match.rule_id)
        for place, one in asked
        if one is not None
        for match in evaluator.match(one.fields, one.logsources)
    ]


def by_scan(scan: RawScan, lines: Sequence[bytes], ending: bytes = b"\n") -> list[tuple[int, str]]:
    """Matches as places and rule ids."""
    places, at = {}, 0
    for place, line in enumerate(lines):
        places[at] = place
        at += len(line) + len(ending)
    found = scan.find(b"".join(line + ending for line in lines))
    return [(places[one.start], one.rule.id) for one in found]


def _can_be_json(event: Asked) -> bool:
    try:
        orjson.loads(json.dumps(event.fields))
    except orjson.JSONDecodeError:
        return False
    return True


def _compact(fields: Any) -> bytes:
    return orjson.dumps(orjson.loads(json.dumps(fields)))


WAYS = {
    "compact": _compact,
    "spaced": lambda fields: json.dumps(fields).encode(),
    "escaped": lambda fields: json.dumps(fields, separators=(",", ":")).replace("/", "\\/").encode(),
    "upper_escapes": lambda fields: (
        json.dumps(fields, separators=(",", ":")).replace("e", "\\u0065").encode()
    ),
    "doubled": lambda fields: b'{"Image":"cmd",' + _compact(fields)[1:],
    "carried": lambda fields: b'{"Channel":"Test","EventID":4688,"x":' + _compact(fields) + b"}",
    "cut": lambda fields: _compact(fields)[:-1],
}


@st.composite
def lines(draw: st.DrawFn) -> Written:
    """An event as some program writes it."""
    event = draw(events.filter(_can_be_json))
    fields = {"Channel": draw(st.sampled_from(["Test", "Test", "Test", "Other"]))} | event.fields
    if draw(st.integers(0, 3)):
        fields["EventID"] = draw(st.sampled_from([1, 5, 4688, "1"]))
    fields["z"] = draw(st.sampled_from(["", "a", 0]))
    names = list(fields)
    if draw(st.booleans()):
        names.reverse()
    way = draw(st.sampled_from(["compact"] * 6 + list(WAYS)))
    written: bytes = WAYS[way]({name: fields[name] for name in names})
    return written


def rule(detection: str) -> RuleSet:
    text = f"title: t\nid: r1\nlogsource: {{category: test}}\ndetection: {{{detection}}}\n"
    loaded = load_rules(text.encode())
    assert not loaded.problems
    return loaded


_START = b'{"Channel":"Test","EventID":1,'


@given(rulesets(), st.lists(lines(), min_size=1, max_size=6), st.lists(lines(), min_size=1, max_size=6))
@example(rule("s: {Image: x}, f: {Image: y}, condition: s and not f"), [_START + b'"Image":"x"}'], [])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_for_all_rules_and_lines_the_answers_are_the_oracles(
    monkeypatch: pytest.MonkeyPatch, ruleset: RuleSet, before: list[Written], asked: list[Written]
) -> None:
    monkeypatch.setattr(raws, "_LEARN", 1)
    scan = RawScan(Engine(ruleset), read, sources_of)
    for some in (before, asked, asked):
        assert by_scan(scan, some) == oracle(ruleset, some)


FILTERED = "s: {Image|endswith: .exe}, f: {Image|startswith: 'C:\\Windows\\'}, condition: s and not f"


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        (rb'"Image":"C:\\Windows\\a.exe"}', False),
        (rb'"Image":"D:\\Windows\\a.exe"}', True),
        (rb'"image":"C:\\Windows\\b.exe","Image":"D:\\a.exe"}', True),
        (rb'"image":"C:\\Windows\\b.exe","x":".exe"}', False),
        (rb'"Image":"C:\\Windows\\b.exe","Image":"D:\\a.exe"}', True),
        (rb'"Image":["C:\\Windows\\b.exe","D:\\a.exe"]}', False),
        (rb'"Image":"D:\\a.exe","x":"\"Image\":\"C:\\Windows\\"}', True),
        (rb'"Image":"D:\\a.exe","x":{"Image":"C:\\Windows\\"}}', True),
        (rb'"Image":"\u0043:\\Windows\\a.exe"}', False),
    ],
)
def test_what_a_rule_filters_out_is_told_from_the_name_before_the_value(
    monkeypatch: pytest.MonkeyPatch, line: bytes, holds: bool
) -> None:
    monkeypatch.setattr(raws, "_LEARN", 1)
    ruleset = rule(FILTERED)
    scan = RawScan(Engine(ruleset), read, sources_of)
    usual = _START + rb'"Image":"C:\\Windows\\usual.exe"}'
    assert by_scan(scan, [usual] * 50) == []
    (kind,) = scan._by_class.values()
    assert kind.raw is not None
    assert kind.raw._guards, "the filter is looked for in lines"
    assert not kind.raw.scan([usual]).asked
    asked = [_START + line]
    assert bool(by_scan(scan, asked)) is holds
    assert by_scan(scan, asked) == oracle(ruleset, asked)


def test_an_escape_s_letter_is_no_letter_of_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """``\\new`` is a line break before ``ew``, and does not hold ``new``."""
    monkeypatch.setattr(raws, "_LEARN", 1)
    ruleset = rule("s: {Image|endswith: .exe}, f: {Image|contains: new}, condition: s and not f")
    scan = RawScan(Engine(ruleset), read, sources_of)
    by_scan(scan, [_START + rb'"Image":"a new b.exe"}'] * 50)
    asked = [_START + rest for rest in (rb'"Image":"a\new.exe"}', rb'"Image":"a\\new.exe"}')]
    assert by_scan(scan, asked) == [(0, "r1")] == oracle(ruleset, asked)


def test_a_class_whose_lines_must_mostly_be_parsed_goes_by_its_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(raws, "_LEARN", 10)
    ruleset = rule("s: {Image|contains: zq}, condition: s")
    scan = RawScan(Engine(ruleset), read, sources_of)
    often, seldom = _START + b'"Image":"zq"}', _START + b'"Image":"b"}'
    assert len(by_scan(scan, [often] * 20)) == 20
    (kind,) = scan._by_class.values()
    assert kind.share == 1.0
    for _ in range(2 * raws._PROBE):
        assert by_scan(scan, [seldom] * 100) == []
    assert kind.share < raws._WORTH, "it is looked at again"
    assert by_scan(scan, [seldom, often]) == [(1, "r1")]


def test_who_invents_channels_and_fills_lines_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raws, "_MOST_KINDS", 20)
    monkeypatch.setattr(raws, "_SAMPLE_BYTES", 10_000)
    monkeypatch.setattr(raws, "_MOST_REMEMBERED", 30_000)
    ruleset = load_rules(b"title: t\nid: r1\nlogsource: {}\ndetection: {s: {A|contains: zq}, condition: s}\n")
    scan = RawScan(Engine(ruleset), read, lambda channel, _: (Logsource(channel),))
    for number in range(100):
        line = b'{"Channel":"%d","EventID":1,"A":"%s"}' % (number, b"x" * 3_000)
        scan.find(b"\n".join([line] * 3))
    assert len(scan._kinds) <= 10 and len(scan._kinds_before) <= 10 and len(scan._by_class) <= 20
    assert sum(kind.size for kind in scan._by_class.values()) <= 30_000
    assert all(kind.size <= 10_000 for kind in scan._by_class.values())


def test_who_invents_channels_turns_the_way_by_lines_off_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(raws, "_MOST_KINDS", 20)
    monkeypatch.setattr(raws, "_LEARN", 10)
    parsed: list[bytes] = []

    def noting(line: bytes, start: int) -> Asked | None:
        parsed.append(line)
        return read(line, start)

    ruleset = rule("s: {Image|contains: zq}, condition: s")
    scan = RawScan(Engine(ruleset), noting, sources_of)
    ours = [_START + b'"Image":"b%d"}' % number for number in range(20)]
    by_scan(scan, ours)
    (kind,) = scan._by_class.values()
    for number in range(30):
        invented = [b'{"Channel":"%d-%d","EventID":1,"Image":"b"}' % (number, n) for n in range(8)]
        parsed.clear()
        assert by_scan(scan, [*ours, *invented, _START + b'"Image":"zq"}']) == [(28, "r1")]
        assert not set(ours) & set(parsed), "what was learnt of our lines goes on counting"
    assert kind in scan._by_class.values() and len(scan._by_class) <= 20
    late = [b'{"Channel":"late","EventID":1,"Image":"b"}']
    assert by_scan(scan, late) == [] and (b'"late"'[1:], b"1") in scan._kinds, "and later kinds are known too"


def test_what_is_no_line_of_json_is_passed_over() -> None:
    ruleset = rule("s: {Image: x}, condition: s")
    scan = RawScan(Engine(ruleset), read, sources_of)
    asked = [b"", b"{", b"null", b"\xff", _START + b'"Image":"x"}', b"[" * 100, _START]
    assert by_scan(scan, asked) == [(4, "r1")]
    assert by_scan(scan, asked, b"\r\n") == [(4, "r1")]
    assert [one.end for one in scan.find(_START + b'"Image":"x"}')] == [len(_START) + 12], (
        "no break at the end"
    )


def test_what_fails_in_one_block_is_not_asked_about_in_the_next() -> None:
    class Broken(Exception):
        pass

    def fails_once(line: bytes, _start: int) -> Asked | None:
        if failing.pop():
            raise Broken
        return read(line)

    failing = [False, True]
    scan = RawScan(Engine(rule("s: {Image: x}, condition: s")), fails_once, sources_of)
    line = _START + b'"Image":"x"}'
    with pytest.raises(Broken):
        scan.find(line)
    assert by_scan(scan, [line]) == [(0, "r1")]


@pytest.mark.shared_data
@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.long)])
def test_on_recordings_the_answers_are_those_of_the_fields(
    released_rules: RuleSet, shared_data: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    monkeypatch.setattr(raws, "_LEARN", 50)
    recorded = [orjson.dumps(event) for _, event in recorded_events(shared_data)][::every]

    def read_recorded(line: bytes, _start: int = 0) -> NormalEvent:
        return normalise(orjson.loads(line), line)

    expected = [(at, one.id) for at, one in Engine(released_rules).find(list(map(read_recorded, recorded)))]
    scan = RawScan(Engine(released_rules), read_recorded, line_logsources)
    for _ in range(2):
        found = [
            (start + place, id_)
            for start in range(0, len(recorded), 300)
            for place, id_ in by_scan(scan, recorded[start : start + 300])
        ]
        assert found == expected
    assert sum(kind.raw is not None and kind.raw.can_scan for kind in scan._by_class.values()) > 5
