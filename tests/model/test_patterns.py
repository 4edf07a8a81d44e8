"""The strict scanner against stix2-patterns: what it accepts is valid, and means the same."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import antlr4
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from stix2patterns.v21.grammars.STIXPatternLexer import STIXPatternLexer
from stix2patterns.v21.grammars.STIXPatternListener import STIXPatternListener
from stix2patterns.v21.grammars.STIXPatternParser import STIXPatternParser
from stix2patterns.validator import run_validator

from istmo.errors import InvalidInput
from istmo.model import pattern_grammar
from istmo.model.observables import PROPERTIES, Sort
from istmo.model.patterns import Term, _scan, _served, read_pattern
from istmo.model.values import host_kind, normalise

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA1 = hashlib.sha1(b"x").hexdigest()
SHA256 = hashlib.sha256(b"x").hexdigest()
SHA512 = hashlib.sha512(b"x").hexdigest()
PATHS = {path: found.term for path, found in PROPERTIES.items() if found.sort is Sort.TERM}


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("[ipv4-addr:value = '198.51.100.7']", [("ipv4", "198.51.100.7")]),
        ("[ipv4-addr:value='198.51.100.7/32']", [("ipv4", "198.51.100.7")]),
        ("[ipv4-addr:value ISSUBSET '198.51.100.7/24']", [("ipv4", "198.51.100.0/24")]),
        ("[ipv6-addr:value = '2001:DB8:0::1']", [("ipv6", "2001:db8::1")]),
        ("[ipv6-addr:value ISSUBSET '2001:db8::/32']", [("ipv6", "2001:db8::/32")]),
        ("[domain-name:value = 'Evil.EXAMPLE.']", [("domain", "evil.example")]),
        ("[domain-name:value = 'ñandú.example']", [("domain", "xn--and-6ma2c.example")]),
        ("[url:value = 'HTTP://Evil.example:80/A?b=C#d']", [("url", "http://evil.example/A?b=C")]),
        ("[email-addr:value = 'Ana@Evil.example']", [("email", "ana@evil.example")]),
        ("[email-message:from_ref.value = 'a@evil.example']", [("email", "a@evil.example")]),
        (f"[file:hashes.MD5 = '{MD5.upper()}']", [("md5", MD5)]),
        (f"[file:hashes.'SHA-1' = '{SHA1}']", [("sha1", SHA1)]),
        (f"[file:hashes.'SHA-256' = '{SHA256}']", [("sha256", SHA256)]),
        (f"[file:hashes.'SHA-512' = '{SHA512}']", [("sha512", SHA512)]),
        (r"[file:name = 'C:\\Temp\\It\'s.EXE']", [("filename", r"c:\temp\it's.exe")]),
        ("[network-traffic:dst_ref.value = '203.0.113.9']", [("ipv4", "203.0.113.9")]),
        ("[network-traffic:src_ref.value = 'evil.example']", [("domain", "evil.example")]),
        ("[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]", [("ipv4", "192.0.2.1"), ("ipv4", "192.0.2.2")]),
        (
            "[ipv4-addr:value = '192.0.2.1' OR domain-name:value = 'evil.example']",
            [("ipv4", "192.0.2.1"), ("domain", "evil.example")],
        ),
        (
            "[ipv4-addr:value = '192.0.2.1'] OR [domain-name:value = 'evil.example']",
            [("ipv4", "192.0.2.1"), ("domain", "evil.example")],
        ),
    ],
)
def test_simple_patterns_are_served_by_the_fast_path(text: str, terms: list[tuple[str, str]]) -> None:
    found = _scan(text)
    assert found is not None
    assert [(one.kind, one.value) for one in found.terms] == terms
    assert found.not_detected is None
    assert read_pattern(text) == found == _served(text, pattern_grammar.read(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[ipv4-addr:value = '192.0.2.1'] REPEATS 501 TIMES", "repeats"),
        ("[file:name LIKE '%a_']", "unanchored"),
        ("[file:name MATCHES '.*']", "unanchored"),
        ("[ipv4-addr:value != '192.0.2.1']", "unanchored"),
        ("[ipv4-addr:value NOT IN ('192.0.2.1')]", "unanchored"),
        ("[file:size > 10]", "unanchored"),
        ("[network-traffic:dst_port = 443]", "unanchored"),
        ("[EXISTS file:name]", "unanchored"),
        ("[file:name = 'a' OR file:size > 10]", "unanchored"),
        ("[file:name MATCHES '(?=a)b']", "expression"),
        ("[file:name MATCHES '(a']", "expression"),
        ("[process:is_hidden = true]", "path"),
        ("[file:name = 'a' AND file:created > t'2026-01-01T00:00:00Z']", "path"),
        ("[file:size = '7']", "value"),
        ("[ipv4-addr:value = 'evil.example']", "value"),
        ("[ipv4-addr:value = 7]", "value"),
        ("[domain-name:value = 'com']", "value"),
        ("[domain-name:value = '*.evil.example']", "value"),
        ("[file:hashes.MD5 = 'abc']", "value"),
        ("[domain-name:value ISSUBSET 'evil.example']", "value"),
        ("[domain-name:value = 'evil[.]example']", "defanged"),
        ("[url:value = 'hxxp://evil.example/']", "defanged"),
        ("[ipv4-addr:value ISSUBSET '0.0.0.0/0']", "too_wide"),
        ("[ipv6-addr:value ISSUBSET '::/0']", "too_wide"),
        ("[" + "(" * 30 + "file:name = 'a'" + ")" * 30 + "]", "too_complex"),
        ("[file:name LIKE '" + "a" * 20_000 + "']", "too_complex"),
    ],
)
def test_what_cannot_be_served_is_kept_with_the_reason(text: str, why: str) -> None:
    found = read_pattern(text)
    assert (found.terms, found.plan, found.not_detected) == ((), None, f"pattern.not_detected.{why}")
    assert found.text == text
    assert not found.is_detected


@pytest.mark.parametrize(
    ("text", "seen", "whole"),
    [
        (
            "[file:name = 'a' AND file:size >= 1]",
            [["&", ["t", "filename", "a", "file"], ["c", "file:size", ">=", False, [1]]]],
            ["o", 0],
        ),
        ("[file:name LIKE '%.exe']", [["c", "file", "LIKE", False, ["%.exe"]]], ["o", 0]),
        (
            "[file:name NOT = 'A' AND mutex:name = 'M']",
            [["&", ["c", "file", "IN", True, ["a"]], ["c", "mutex", "=", False, ["M"]]]],
            ["o", 0],
        ),
        (
            "([mutex:name = 'a'] FOLLOWEDBY [mutex:name = 'b'] REPEATS 3 TIMES) WITHIN 1.5 SECONDS",
            [["c", "mutex", "=", False, ["a"]], ["c", "mutex", "=", False, ["b"]]],
            ["within", 1_500_000, ["then", ["o", 0], ["times", 3, ["o", 1]]]],
        ),
        (
            "[mutex:name = 'a'] START t'1970-01-01T00:00:01Z' STOP t'1970-01-01T00:00:02Z'",
            [["c", "mutex", "=", False, ["a"]]],
            ["between", 1_000_000, 2_000_000, ["o", 0]],
        ),
    ],
)
def test_what_says_more_than_one_of_these_values_has_a_plan(text: str, seen: Any, whole: Any) -> None:
    found = read_pattern(text)
    assert found.not_detected is None
    assert json.loads(found.plan or "") == {"seen": seen, "whole": whole}


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"instant\.invalid"):
        read_pattern("[mutex:name = 'a'] START t'2026-02-30T00:00:01Z' STOP t'2027-01-01T00:00:02Z'")


def test_the_part_of_an_or_that_can_be_served_is_and_says_so() -> None:
    found = read_pattern("[ipv4-addr:value = '192.0.2.1' OR process:is_hidden = true]")
    assert found.terms == (Term("ipv4", "192.0.2.1"),)
    assert found.not_detected == "pattern.not_detected.partly"


def test_comments_blanks_and_parentheses_change_nothing() -> None:
    text = "\n[ (ipv4-addr : value /* here */ =\t'192.0.2.1') // there\n ]"
    assert read_pattern(text).terms == (Term("ipv4", "192.0.2.1"),)


@pytest.mark.parametrize(
    "text", ["", "[", "x", "[]", "[a:b = 'x'", "[a:b = 'x']]", "[a:b == 'x'", "[a:b = x]"]
)
def test_what_is_not_in_the_grammar_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_pattern(text)
    assert caught.value.code in ("pattern.invalid", "pattern.unfinished")
    assert caught.value.params["line"] >= 1


def test_a_pattern_of_another_language_is_kept_unread() -> None:
    found = read_pattern("rule x { condition: true }", "yara")
    assert found.not_detected == "pattern.not_detected.language"


# --- the oracle ------------------------------------------------------------------------------------

ascii_name = st.from_regex(r"\A[a-z0-9]{1,8}\Z")
values = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.builds(lambda ip, n: f"{ip}/{n}", st.ip_addresses(v=4), st.integers(0, 33)),
    st.builds(lambda *parts: ".".join(parts), ascii_name, ascii_name),
    st.builds(lambda host, path: f"http://{host}.example/{path}", ascii_name, ascii_name),
    st.builds(lambda name, host: f"{name}@{host}.example", ascii_name, ascii_name),
    st.sampled_from([MD5, SHA1, SHA256, SHA512, MD5.upper()]),
    st.text(max_size=12),
    st.sampled_from(["it's", "a\\b", "\\'", "'", "\\", "a'\\'b", "", "'] OR [a:b = '"]),
)


def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


literals = values.map(quoted)
raw_literals = st.text("ab.1'\\ \n]", max_size=8).map(lambda text: f"'{text}'")
spaces = st.sampled_from(["", " ", "  ", "\t", "\n"])


def written(path: tuple[str, ...]) -> str:
    steps = [f".'{step}'" if "-" in step else f".{step}" for step in path[2:]]
    return f"{path[0]}:{path[1]}" + "".join(steps).replace(".*", "[*]")


paths = st.one_of(
    st.sampled_from(sorted(PATHS)).map(written),
    st.sampled_from(["file:hashes.'MD5'", "file:hashes.'SHA256'", "a:b", "file:size", "email-message:x"]),
)


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    path, gap = draw(paths), draw(spaces)
    one = draw(st.one_of(literals, raw_literals))
    match draw(st.sampled_from(["=", "=", "=", "IN", "ISSUBSET", "!=", "LIKE"])):
        case "IN":
            many = [one, *draw(st.lists(literals, max_size=3))]
            return f"{path}{gap} IN{draw(spaces)}({gap}{f'{gap},{gap}'.join(many)}{gap})"
        case operator:
            return f"{path}{gap}{operator}{draw(spaces)}{one}"


@st.composite
def patterns(draw: st.DrawFn) -> str:
    def group() -> str:
        joint = draw(st.sampled_from([" OR ", " OR ", "OR", " AND ", " or "]))
        return "[" + draw(spaces) + joint.join(draw(st.lists(comparisons(), min_size=1, max_size=3))) + "]"

    groups = [group() for _ in range(draw(st.integers(1, 2)))]
    return draw(st.sampled_from([" OR ", " AND ", "OR", " FOLLOWEDBY "])).join(groups)


@st.composite
def served_patterns(draw: st.DrawFn) -> str:
    """Patterns of the kind that the fast path is for, well spaced, with fitting values."""
    fitting = {
        "ipv4": ["192.0.2.1", "192.0.2.0/24", "10.1.2.3/8"],
        "ipv6": ["2001:DB8::1", "2001:db8::/32"],
        "host": ["192.0.2.1", "2001:db8::1", "Evil.example"],
        "domain": ["Evil.example", "a.b.c.example."],
        "url": ["http://Evil.example:80/?q='", "https://[::1]/\\"],
        "email": ["Ana@Evil.example", "o'hara@evil.example"],
        "md5": [MD5, MD5.upper()],
        "sha1": [SHA1],
        "sha256": [SHA256],
        "sha512": [SHA512],
        "filename": ["It's.exe", "C:\\Temp\\x.dll", "ñ] OR [a"],
    }

    def one() -> str:
        path = draw(st.sampled_from([one for one in sorted(PATHS) if "*" not in one]))
        many = [quoted(draw(st.sampled_from(fitting[PATHS[path]]))) for _ in range(draw(st.integers(1, 3)))]
        if len(many) > 1:
            return f"{written(path)} IN ({', '.join(many)})"
        return f"{written(path)} = {many[0]}"

    def group() -> str:
        return "[" + " OR ".join(one() for _ in range(draw(st.integers(1, 3)))) + "]"

    return " OR ".join(group() for _ in range(draw(st.integers(1, 2))))


class _Oracle(STIXPatternListener):  # type: ignore[misc]
    """Reads the comparisons of a pattern by stix2-patterns' tree alone, in its own way."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, list[str]]] = []

    def _add(self, ctx: Any, operator: str, literals: list[str]) -> None:
        path = "".join(one.getText() for one in ctx.objectPath().getChildren())
        self.found.append((path.replace("'", ""), operator, literals))

    def exitPropTestEqual(self, ctx: Any) -> None:  # noqa: N802
        self._add(ctx, ctx.getChild(1).getText(), [ctx.primitiveLiteral().getText()])

    def exitPropTestSet(self, ctx: Any) -> None:  # noqa: N802
        self._add(ctx, "IN", [one.getText() for one in ctx.setLiteral().primitiveLiteral()])

    def exitPropTestIsSubset(self, ctx: Any) -> None:  # noqa: N802
        self._add(ctx, "ISSUBSET", [ctx.StringLiteral().getText()])


def oracle(text: str) -> list[tuple[str, str, list[str]]]:
    parser = STIXPatternParser(antlr4.CommonTokenStream(STIXPatternLexer(antlr4.InputStream(text))))
    parser.removeErrorListeners()
    tree, listener = parser.pattern(), _Oracle()
    antlr4.ParseTreeWalker.DEFAULT.walk(listener, tree)
    return listener.found


def plain(literal: str) -> str:
    """The text of a string literal, letter by letter."""
    letters, text = iter(literal[1:-1]), ""
    for letter in letters:
        text += next(letters) if letter == "\\" else letter
    return text


@settings(max_examples=250, deadline=None)
@given(st.one_of(patterns(), served_patterns()))
def test_whatever_the_fast_path_accepts_the_oracle_accepts_and_reads_the_same(text: str) -> None:
    fast = _scan(text)
    event(f"fast path: {fast is not None}")
    if fast is None:
        return
    # Its check of hashes takes the whole list of an IN for one hash; the grammar is what we ask of it.
    problems = [one for one in run_validator(text) if "is not a valid" not in one]
    assert problems == []
    assert " AND " not in re.sub(r"'(?:[^'\\\\]|\\\\.)*'", "", text, flags=re.DOTALL)
    expected: dict[Term, None] = {}
    by_path = {written(path).replace("'", ""): kind for path, kind in PATHS.items()}
    for path, operator, literal_list in oracle(text):
        assert operator in ("=", "IN", "ISSUBSET")
        for literal in literal_list:
            kind = by_path[path]
            value = plain(literal)
            kind = host_kind(value) if kind == "host" else kind
            expected[Term(kind, normalise(kind, value))] = None
    assert fast.terms == tuple(expected)
    assert fast.not_detected is None


@settings(max_examples=150, deadline=None)
@given(st.one_of(patterns(), served_patterns()))
def test_both_ways_of_reading_give_the_same(text: str) -> None:
    fast = _scan(text)
    try:
        slow = _served(text, pattern_grammar.read(text))
    except InvalidInput:
        assert fast is None
        assert run_validator(text)
        return
    if fast is not None:
        assert fast == slow


@pytest.mark.parametrize(
    ("text", "code", "params"),
    [
        ("[a:b = 'x' AND]", "pattern.invalid", {"line": 1, "column": 14, "near": "]"}),
        ("[a:b\n = = 'x']", "pattern.invalid", {"line": 2, "column": 3, "near": "= 'x']"}),
        ("[a:b = 'x", "pattern.invalid", {"line": 1, "column": 7, "near": "'x"}),
        ("[a:b = 'x'", "pattern.unfinished", {"line": 1, "column": 10}),
        ("", "pattern.unfinished", {"line": 1, "column": 0}),
    ],
)
def test_a_wrong_pattern_is_told_by_its_place_and_no_word_of_a_library(
    text: str, code: str, params: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_pattern(text)
    assert (caught.value.code, caught.value.params) == (code, params)


@settings(max_examples=150, deadline=None)
@given(st.text("[]()'\\ :=.,abORINAND1\n", max_size=40))
def test_noise_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        read_pattern(text)
    except InvalidInput as error:
        assert error.code in ("pattern.invalid", "pattern.unfinished", "instant.invalid")
