"""Every modifier of the modifiers appendix 2.1.0, by its text."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.sigma import load_rules
from istmo.detect.sigma.modifiers import apply_modifiers
from istmo.detect.sigma.texts import DASHES
from istmo.detect.sigma.values import Text, Wildcard

from .asking import item, matches, refusal


def meant(names: str, *values: Any) -> list[str]:
    """The plain texts that modifiers make of values."""
    found = apply_modifiers(names.split("|"), values).values
    return ["".join(str(part) for part in one.parts) for one in found if isinstance(one, Text)]


@pytest.mark.parametrize(
    ("key", "value", "found", "expected"),
    [
        ("F", "'cmd.exe'", "CMD.EXE", True),
        ("F", "'cmd'", "cmd.exe", False),
        ("F|contains", "'md.e'", "CMD.EXE", True),
        ("F|startswith", "'cmd'", "CMD.exe", True),
        ("F|startswith", "'cmd'", "xcmd", False),
        ("F|endswith", "'.exe'", "a.EXE", True),
        ("F|endswith", "'.exe'", "a.exe ", False),
        ("F|cased", "'cmd'", "CMD", False),
        ("F|contains|cased", "'cmd'", "xcmdx", True),
        ("F|cased|contains", "'cmd'", "xCMDx", False),
        ("F|contains", "'a*b?c'", "--A12Bxc--", True),
        ("F|contains", "4444", "port 14444", True),
        ("F|endswith", "1.10", "version 1.10", True),
        ("F|contains", "''", "anything", True),
        ("F|startswith|endswith", "'x'", "axb", True),
        ("F|neq", "'a'", "b", True),
        ("F|neq", "'a'", "A", False),
        ("F|neq", "[a, b]", "c", True),
        ("F|neq", "[a, b]", "b", False),
        ("F|contains|all", "[a, b]", "xbxa", True),
        ("F|contains|all", "[a, b]", "xb", False),
        ("F|all|contains", "[a, b]", "ba", True),
        ("F|contains|all", "[a]", "a", True),
        ("F|re", "'^c.d$'", "cmd", True),
        ("F|re", "'^c.d$'", "CMD", False),
        ("F|re", "'md'", "cmd.exe", True),
        ("F|re|i", "'^c.d$'", "CMD", True),
        ("F|re", "'a.b'", "a\nb", False),
        ("F|re|s", "'a.b'", "a\nb", True),
        ("F|re", "'^b$'", "a\nb\nc", False),
        ("F|re|m", "'^b$'", "a\nb\nc", True),
        ("F|re|i|m|s", "'^B.c$'", "a\nb\nc", True),
        ("F|re", "'^b$'", "b\n", True),
        ("F|re", "'a[$]b'", "a$b", True),
        ("F|re", r"'a\$b'", "a$b", True),
        ("F|re", "[x, '^b']", "bc", True),
        ("F|re|all", "[c, '^b']", "bc", True),
        ("F|re", "12", "a12", True),
        ("F|cidr", "10.0.0.0/8", "10.1.2.3", True),
        ("F|cidr", "10.0.0.0/8", "11.1.2.3", False),
        ("F|cidr", "10.0.0.1", "10.0.0.1", True),
        ("F|cidr", "['10.0.0.0/8', '192.168.0.0/16']", "192.168.7.7", True),
        ("F|cidr", "'fe80::/10'", "fe80::1%eth0", True),
        ("F|cidr", "'fe80::/10'", "10.0.0.1", False),
        ("F|cidr", "10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("F|cidr", "10.0.0.0/8", "10.0.0.300", False),
        ("F|cidr", "10.0.0.0/8", "-", False),
        ("F|lt", "10", 9, True),
        ("F|lt", "10", 10, False),
        ("F|lte", "10", "10", True),
        ("F|gt", "10", "10.5", True),
        ("F|gte", "10", 10.0, True),
        ("F|gt", "10", "0x20", False),
        ("F|gt", "10", "many", False),
        ("F|gt", "10", True, False),
        ("F|gt", "0", "", False),
        ("F|gt", "9007199254740992", 9007199254740993, True),
        ("F|hour", "22", "2026-03-02T22:15:00Z", True),
        ("F|hour|gte", "20", "2026-03-02 22:15:00.123", True),
        ("F|hour|lt", "20", "2026-03-02 22:15:00", False),
        ("F|minute", "15", "2026-03-02T22:15:59Z", True),
        ("F|day|gt", "1", "2026-03-02", True),
        ("F|month", "3", "2026-03-02", True),
        ("F|year|lte", "2025", "2026-03-02", False),
        ("F|week", "10", "2026-03-02", True),
        ("F|week", "1", "2025-12-29", True),
        ("F|hour", "0", "2026-03-02", False),
        ("F|hour", "0", "yesterday", False),
        ("F|week", "1", "2026-13-45", False),
        ("F|fieldref", "G", "same", True),
        ("F|fieldref", "G", "SAME", True),
        ("F|fieldref|cased", "G", "SAME", False),
        ("F|fieldref|neq", "G", "other", True),
        ("F|fieldref", "Missing", "same", False),
        ("F|fieldref|contains", "G", "xsamex", True),
        ("F|fieldref|startswith", "G", "samex", True),
        ("F|fieldref|startswith", "G", "xsame", False),
        ("F|fieldref|endswith", "G", "xSame", True),
        ("F|windash|contains", "' -f'", "a /f", True),
        ("F|contains|windash", "' /f'", "a –F", True),
        ("F|windash|contains", "'--x'", "/—x", True),
        ("F|windash|contains", "' ―f'", "a -f", True),
        ("F|windash", "'a-b'", "a/b", True),
        ("F|windash|contains", "' -f'", "a +f", False),
        ("F|windash|cased|contains", "' -f'", "a /F", False),
    ],
)
def test_a_modifier_does_what_its_text_says(key: str, value: str, found: Any, expected: bool) -> None:
    assert item(key, value, {"F": found, "G": "same"}) is expected


@given(st.text("-/–—―ab ", max_size=6), st.text("-/–—―ab ", max_size=8))
def test_windash_is_all_permutations_of_its_dashes(written: str, text: str) -> None:
    spelled = itertools.product(*(DASHES if one in DASHES else one for one in written))
    expected = any("".join(one) in text for one in spelled)
    assert item("F|windash|contains", f"'{written}'", {"F": text}) is expected


def test_base64_is_of_the_whole_value_in_utf_8() -> None:
    assert meant("base64", "foobar") == ["Zm9vYmFy"]
    assert meant("base64", "señal") == [base64.b64encode("señal".encode()).decode()]
    assert item("F|base64|contains", "'foobar'", {"F": "x Zm9vYmFy y"})


PLAIN = st.characters(exclude_categories=["Cs"], exclude_characters="*?\\")


@given(st.text(PLAIN, min_size=2, max_size=12), st.binary(max_size=4), st.binary(max_size=4))
def test_base64offset_finds_the_value_at_every_offset(value: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + value.encode() + after).decode()
    assert meant("base64offset", value)[len(before) % 3] in encoded


def test_base64offset_gives_the_three_known_shifts() -> None:
    assert meant("base64offset", "foobar") == ["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]


@pytest.mark.parametrize(
    ("modifier", "data"),
    [
        ("wide", b"c\0m\0d\0"),
        ("utf16le", b"c\0m\0d\0"),
        ("utf16be", b"\0c\0m\0d"),
        ("utf16", b"\xff\xfec\0m\0d\0"),
    ],
)
def test_utf_16_is_encoded_before_base64(modifier: str, data: bytes) -> None:
    assert meant(f"{modifier}|base64", "cmd") == [base64.b64encode(data).decode()]


def test_wide_takes_every_character() -> None:
    assert meant("wide|base64", "contraseña€") == [
        base64.b64encode("contraseña€".encode("utf-16-le")).decode()
    ]


def test_wide_without_base64_is_compared_character_by_character() -> None:
    assert meant("wide", "cmd") == ["c\0m\0d\0"]
    assert item("F|wide|contains", "'cmd'", {"F": "xc\0M\0d\0"})


def test_dashes_are_spelled_out_before_they_are_encoded() -> None:
    made = meant("windash|base64", "-f")
    assert made == [base64.b64encode(f"{dash}f".encode()).decode() for dash in DASHES]


@given(st.sampled_from(["wide", "utf16le", "utf16be", "utf16"]), st.text(PLAIN, min_size=1, max_size=10))
def test_offsets_of_utf_16_are_offsets_of_its_bytes(modifier: str, value: str) -> None:
    charset = "utf-16-be" if modifier == "utf16be" else "utf-16-le"
    data = (b"\xff\xfe" if modifier == "utf16" else b"") + value.encode(charset)
    for offset, found in enumerate(meant(f"{modifier}|base64offset", value)):
        assert found in base64.b64encode(b"x" * offset + data + b"yz").decode()


def test_exists_asks_for_presence_alone() -> None:
    for value in ("x", "", None, [], 0):
        assert item("F|exists", "true", {"F": value})
        assert not item("F|exists", "false", {"F": value})
    assert item("F|exists", "false", {})
    assert not item("F|exists", "true", {"f": "x"})


def test_expand_takes_values_from_who_asks_and_refuses_what_nobody_gave() -> None:
    text = b"""title: t
id: i
logsource: {category: test}
detection:
    selection:
        User|expand: 'corp\\%Admins%-%Digits%'
    condition: selection
"""
    assert load_rules(text).problems[0].code == "unknown_placeholder"
    loaded = load_rules(text, placeholders={"Digits": ["1", "2*"]})
    assert not loaded.problems
    values = apply_modifiers(
        ["expand"], ["corp\\%Admins%-%Digits%"], placeholders={"Digits": ["1", "2*"]}
    ).values
    assert values == (Text(("corp%Admins%-1",)), Text(("corp%Admins%-2", Wildcard.MANY)))


def test_percent_signs_are_plain_without_expand() -> None:
    assert item("F|contains", "'%temp%'", {"F": r"x %TEMP%\a"})


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("F|unknown", "x", "unknown_modifier"),
        ("F|", "x", "unknown_modifier"),
        ("F|re", "'(a'", "expression_open"),
        ("F|re", "'a(?=b)'", "expression_unserved"),
        ("F|re", r"'(a)\1'", "expression_escape"),
        ("F|re", "'" + "a" * 5000 + "'", "expression_too_long"),
        ("F|re", "'((a{1,1000}){1,1000}){1,1000}'", "expression_repeat"),
        ("F|re", "'*a'", "expression_repeat"),
        ("F|re", "'[z-a]'", "expression_class"),
        ("F|re", "'(?P<x'", "expression_group"),
        ("F|re|contains", "x", "modifiers_do_not_go_together"),
        ("F|contains|re", "x", "modifiers_do_not_go_together"),
        ("F|i|re", "x", "modifiers_do_not_go_together"),
        ("F|contains|i", "x", "modifiers_do_not_go_together"),
        ("F|re", "null", "modifier_needs_text"),
        ("F|cidr", "10.0.0.0/33", "not_a_network"),
        ("F|cidr|contains", "10.0.0.0/8", "modifiers_do_not_go_together"),
        ("F|gt", "many", "modifier_needs_number"),
        ("F|gt", "'10'", "modifier_needs_number"),
        ("F|gt|lt", "1", "modifiers_do_not_go_together"),
        ("F|hour|day", "1", "modifiers_do_not_go_together"),
        ("F|hour|contains", "1", "modifiers_do_not_go_together"),
        ("F|exists", "yes", "exists_needs_boolean"),
        ("F|exists", "[true, false]", "exists_needs_boolean"),
        ("F|fieldref", "'a*'", "wildcard_not_allowed"),
        ("F|fieldref", "5", "modifier_needs_text"),
        ("F|base64", "'a*b'", "wildcard_not_allowed"),
        ("F|contains|base64", "'ab'", "wildcard_not_allowed"),
        ("F|base64offset", "''", "too_short_for_base64offset"),
        ("F|wide|utf16", "'ab'", "encoded_twice"),
        ("F|wide|windash", "'-b'", "windash_after_encoding"),
        ("F|windash|base64", "'" + "-" * 12 + "'", "too_many_values"),
        ("F|contains", "null", "null_takes_no_modifier"),
        ("F|expand", "'%nobody%'", "unknown_placeholder"),
        ("'|cidr'", "[10.0.0.0/8]", "modifier_needs_field"),
        ("'|exists'", "true", "modifier_needs_field"),
        ("F", "[]", "no_values"),
        ("F", "{a: b}", "map_as_value"),
        ("F", "[[a]]", "map_as_value"),
    ],
)
def test_what_a_modifier_cannot_mean_is_refused_by_name(key: str, value: str, code: str) -> None:
    assert refusal(f"selection:\n    {key}: {value}") == code


def test_an_expression_that_would_backtrack_for_ever_answers_at_once() -> None:
    assert not item("F|re", "'^(a+)+$'", {"F": "a" * 50_000 + "b"})


def test_a_lone_surrogate_in_an_event_does_not_stop_an_expression() -> None:
    assert item("F|re", "'^a.b$'", {"F": "a\ud800b"})


def test_keywords_take_all_and_expressions() -> None:
    event = {"A": "OabVirtualDirectory", "B": "set -ExternalUrl x"}
    assert matches("selection:\n    '|all':\n        - oabvirtual\n        - ' -externalurl '", event)
    assert not matches("selection:\n    '|all':\n        - oabvirtual\n        - absent", event)
    assert matches("selection:\n    '|re': '^Oab.*ory$'", event)
