"""Absent, null, empty; numbers and truth values as text; lists; nesting; keywords."""

from __future__ import annotations

from typing import Any

import pytest

from istmo.detect.sigma.fields import EMPTY, EventView

from .asking import item, match, matches


@pytest.mark.parametrize(
    ("written", "event", "expected"),
    [
        # null is absence or no value; '' is the empty text and nothing else
        ("null", {}, True),
        ("null", {"F": None}, True),
        ("null", {"F": []}, True),
        ("null", {"F": [None]}, True),
        ("null", {"F": ""}, False),
        ("null", {"F": "null"}, False),
        ("null", {"F": 0}, False),
        ("''", {"F": ""}, True),
        ("''", {}, False),
        ("''", {"F": None}, False),
        ("'null'", {"F": "NULL"}, True),
        ("'*'", {"F": ""}, True),
        ("'*'", {"F": None}, False),
        ("'*'", {}, False),
        ("'?*'", {"F": ""}, False),
        ("[null, x]", {}, True),
        ("[null, x]", {"F": "x"}, True),
        ("[null, x]", {"F": "y"}, False),
        # numbers
        ("4688", {"F": 4688}, True),
        ("4688", {"F": "4688"}, True),
        ("'4688'", {"F": 4688}, True),
        ("4688", {"F": 4688.0}, True),
        ("4688", {"F": "4688.0"}, False),
        ("4688", {"F": "04688"}, False),
        ("4688", {"F": 46880}, False),
        ("'46*'", {"F": 4688}, True),
        ("1.10", {"F": "1.10"}, True),
        ("1.10", {"F": "1.1"}, True),
        ("1.10", {"F": 1.1}, True),
        ("0x40", {"F": "0x40"}, True),
        ("0x40", {"F": "0X40"}, True),
        ("0x40", {"F": "64"}, True),
        ("0x40", {"F": 64}, True),
        ("-5", {"F": "-5"}, True),
        ("012", {"F": "012"}, True),
        ("012", {"F": 12}, True),
        ("012", {"F": 10}, False),
        # truth values
        ("true", {"F": True}, True),
        ("true", {"F": "true"}, True),
        ("true", {"F": "True"}, True),
        ("'TRUE'", {"F": True}, True),
        ("true", {"F": False}, False),
        ("false", {"F": False}, True),
        ("1", {"F": True}, False),
        ("true", {"F": 1}, False),
        # YAML 1.2: these are words
        ("yes", {"F": "yes"}, True),
        ("yes", {"F": True}, False),
        ("no", {"F": "NO"}, True),
        ("on", {"F": "on"}, True),
        ("2024-01-02", {"F": "2024-01-02"}, True),
        ("12:30:45", {"F": "12:30:45"}, True),
        # lists in the event are several values
        ("b", {"F": ["a", "B"]}, True),
        ("c", {"F": ["a", "b"]}, False),
        ("b", {"F": [["a"], ["b"]]}, True),
        ("[x, b]", {"F": ["a", "b"]}, True),
        # objects have no text of their own
        ("'*'", {"F": {"a": "b"}}, False),
        ("null", {"F": {"a": "b"}}, True),
    ],
)
def test_a_value_is_compared_as_written_down(written: str, event: dict[str, Any], expected: bool) -> None:
    assert item("F", written, event) is expected


@pytest.mark.parametrize(
    ("written", "expected"), [("null", True), ("''", True), ("'*'", True), ("x", False), ("'?*'", False)]
)
def test_what_may_be_empty_or_nothing_is_both(written: str, expected: bool) -> None:
    assert item("F", written, {"F": EMPTY}) is expected
    assert item("F|exists", "true", {"F": EMPTY})
    assert type(EventView({"F": EMPTY}).evidence("F")) is str, "what is told of a match is plain text"


def test_all_values_of_a_rule_may_be_met_by_different_values_of_the_event() -> None:
    assert item("F|contains|all", "[a, b]", {"F": ["xa", "xb"]})


def test_not_equal_means_that_no_value_is_equal() -> None:
    assert not item("F|neq", "a", {"F": ["a", "b"]})
    assert item("F|neq", "a", {})


def test_names_of_fields_are_exact() -> None:
    assert not item("Payload", "x", {"payload": "x"})
    assert item("New Value", "x", {"New Value": "x"})


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("a.b", {"a.b": "x"}),
        ("a.b", {"a": {"b": "x"}}),
        ("a.b.c", {"a.b": {"c": "x"}}),
        ("a.b.c", {"a": {"b.c": "x"}}),
        ("a.b", {"a": [{"b": "y"}, {"b": "x"}]}),
        ("a.b", {"a": {"b": ["y", "x"]}}),
    ],
)
def test_a_dot_leads_into_nested_objects(name: str, event: dict[str, Any]) -> None:
    assert item(name, "x", event)
    assert item(f"{name}|exists", "true", event)
    assert not item(f"{name}x|exists", "true", event)


def test_a_whole_name_goes_before_a_path() -> None:
    assert not item("a.b", "x", {"a.b": "y", "a": {"b": "x"}})


def test_keywords_are_looked_for_in_every_value() -> None:
    detection = "selection:\n    - EvilService\n    - 4444"
    assert matches(detection, {"A": "1", "B": "start evilSERVICE now"})
    assert matches(detection, {"A": 14444})
    assert matches(detection, {"A": {"B": ["x", {"C": "evilservice"}]}})
    assert not matches(detection, {"EvilService": "name of a field"})
    assert not matches(detection, {"A": None, "B": []})


def test_keywords_and_maps_in_one_list_are_alternatives() -> None:
    detection = "selection:\n    - word\n    - A: x\n      B: y\n    - A: z"
    assert matches(detection, {"C": "a word"})
    assert matches(detection, {"A": "x", "B": "y"})
    assert not matches(detection, {"A": "x"})
    assert matches(detection, {"A": "z"})


def test_a_deeply_nested_event_does_not_exhaust_the_stack() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    nested: Any = "x"
    for _ in range(5000):
        nested = {"a": nested}
    assert not matches("selection:\n    - x", {"F": deep, "G": nested})
    assert not item("F", "x", {"F": deep})


def test_a_match_tells_which_fields_and_values_made_it() -> None:
    found = match(
        """
selection_image:
    Image|endswith: '\\cmd.exe'
selection_line:
    - CommandLine|contains: ' /c '
    - ParentImage|endswith: '\\evil.exe'
words:
    - needle
filter_main:
    User: nobody
filter_gone:
    Gone: null
condition: all of selection_* and (words or filter_gone) and not 1 of filter_main
""",
        {
            "Image": "C:\\Windows\\System32\\CMD.EXE",
            "CommandLine": "cmd /c dir",
            "ParentImage": "C:\\x.exe",
            "Other": "hay needle hay",
            "User": "somebody",
        },
    )
    assert found is not None
    assert found.rule_id == "r1"
    assert found.selections == ("selection_image", "selection_line", "words", "filter_gone")
    assert found.matched == {
        "Image": "C:\\Windows\\System32\\CMD.EXE",
        "CommandLine": "cmd /c dir",
        "Other": "hay needle hay",
        "Gone": None,
    }
