"""An event is shown as its sender wrote it, with what matched marked and everything escaped."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.highlighting import MOST_MARKS, show_event
from istmo.detect.objects import Evidence

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def shown(raw: str, *values: str) -> str:
    fields = {f"field{number}": value for number, value in enumerate(values)}
    one = Evidence("1-1", NOW, NOW, "PC-7", "x", fields, raw.encode("utf-8", "replace"), False)
    return str(show_event(one))


def test_a_value_is_marked_whole_in_json_and_a_short_one_nowhere_else() -> None:
    event = json.dumps({"EventID": 3, "Port": "443", "Image": r"C:\Windows\malo.exe", "Note": "3 of 443"})
    told = shown(event, "3", r"C:\Windows\malo.exe")
    assert "&#34;EventID&#34;: <mark>3</mark>," in told
    assert r"<mark>&#34;C:\\Windows\\malo.exe&#34;</mark>" in told
    assert told.count("<mark>") == 2


def test_a_value_within_a_longer_one_and_in_a_line_of_text_is_marked() -> None:
    told = shown(json.dumps({"url": "http://evil.example/a"}), "evil.example")
    assert "http://<mark>evil.example</mark>/a" in told
    line = "Mar  2 09:00:00 gw sshd[7]: Failed password for root from 203.0.113.7"
    assert shown(line, "203.0.113.7", "root") == line.replace("root", "<mark>root</mark>").replace(
        "203.0.113.7", "<mark>203.0.113.7</mark>"
    )


def test_what_is_hostile_is_text() -> None:
    for raw in ("<script>alert(1)</script> evil", json.dumps({"a": "<script>alert(1)</script> evil"})):
        told = shown(raw, "<script>alert(1)</script>", "evil")
        assert "<script>" not in told and "<mark>" in told


def test_an_event_of_one_value_a_thousand_times_costs_a_bounded_number_of_marks() -> None:
    assert shown("evil " * 1_000, "evil").count("<mark>") == MOST_MARKS
    assert "<mark>" not in shown("[" * 3_000, "")


plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
event = st.one_of(plain, st.dictionaries(plain, st.one_of(plain, st.integers(), st.none())).map(json.dumps))


@given(event, st.lists(plain, max_size=3))
def test_for_all_events_nothing_of_the_text_is_lost_or_added(raw: str, values: list[str]) -> None:
    told = shown(raw, *values)
    bare = unescape(re.sub(r"</?mark>", "", told))
    try:
        assert json.loads(bare) == json.loads(raw)
    except ValueError:
        assert bare == raw
