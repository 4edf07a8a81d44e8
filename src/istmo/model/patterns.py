"""STIX patterns, read for detection (STIX 2.1 section 9).

Most indicators are one comparison, or a list of them joined by OR: a strict scanner of our own reads
those (it accepts a small part of the grammar and nothing beyond it). Everything else goes through
stix2-patterns' ANTLR grammar, which is also the oracle of the scanner in the tests. A pattern that
is valid but cannot be served yet is kept, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from istmo.errors import InvalidInput
from istmo.model import pattern_grammar as grammar
from istmo.model.values import host_kind, is_defanged, normalise

MAX_PARSED = 16_384
"""Characters: the grammar's parser is slow, and a pattern comes from outside."""
MAX_NESTING = 24
MAX_SCANNED = 1 << 20


@dataclass(frozen=True)
class Term:
    """One value whose presence is a match. An address with a prefix length is a range."""

    kind: str
    value: str


@dataclass(frozen=True)
class Pattern:
    """A pattern as detection sees it: any one of ``terms`` is a match.

    ``not_detected`` is the catalogue key of the reason why the pattern, or a part of it, is not
    watched for; with terms beside it, those parts are (``…partly``).
    """

    text: str
    terms: tuple[Term, ...]
    not_detected: str | None = None

    @property
    def is_detected(self) -> bool:
        return bool(self.terms)


_HASHES = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA1": "sha1",
    "SHA-256": "sha256",
    "SHA256": "sha256",
    "SHA-512": "sha512",
    "SHA512": "sha512",
}
_WIDEST = {"ipv4": 8, "ipv6": 16}
"""The shortest prefix served: one indicator for half of the internet would bury every other alert."""

_FILES = (("file", ()), ("process", ("image_ref",)), ("process", ("binary_ref",)))

PATHS: Mapping[tuple[str, ...], str] = {
    ("ipv4-addr", "value"): "ipv4",
    ("ipv6-addr", "value"): "ipv6",
    ("domain-name", "value"): "domain",
    ("url", "value"): "url",
    ("email-addr", "value"): "email",
    ("email-message", "from_ref", "value"): "email",
    ("email-message", "sender_ref", "value"): "email",
    ("email-message", "to_refs", "*", "value"): "email",
    ("email-message", "cc_refs", "*", "value"): "email",
    ("network-traffic", "src_ref", "value"): "host",
    ("network-traffic", "dst_ref", "value"): "host",
    **{(type, *way, "name"): "filename" for type, way in _FILES},
    **{(type, *way, "hashes", name): kind for type, way in _FILES for name, kind in _HASHES.items()},
}
"""Object paths that detection serves. ``host`` is an address or a domain, whichever the value is."""


def read_pattern(text: str, language: str = "stix") -> Pattern:
    """Read a pattern. ``language`` is the indicator's ``pattern_type``.

    Raises InvalidInput("pattern.invalid", line, column, near) or ("pattern.unfinished", line, column) when it
    is not in the STIX grammar.
    A pattern of another language is kept unread.
    """
    if language != "stix":
        return Pattern(text, (), "pattern.not_detected.language")
    fast = _scan(text)
    if fast is not None:
        return fast
    if len(text) > MAX_PARSED or grammar.nesting(text) > MAX_NESTING:
        return Pattern(text, (), "pattern.not_detected.too_complex")
    return _served(text, grammar.read(text))


def _served(text: str, found: Iterable[grammar.Part]) -> Pattern:
    """What of a parsed pattern can be served: every part is an alternative of the others."""
    terms: dict[Term, None] = {}
    reasons: list[str] = []
    for part in found:
        reason = part.reason
        if reason is None:
            for value in part.values:
                term = _term(part.path, part.operator, value)
                if isinstance(term, Term):
                    terms[term] = None
                else:
                    reason = term
        if reason is not None:
            reasons.append(reason)
    if not reasons and not terms:
        reasons.append("value")  # IN () names nothing
    why = None if not reasons else reasons[0] if not terms else "partly"
    return Pattern(text, tuple(terms), None if why is None else f"pattern.not_detected.{why}")


def _term(path: tuple[str, ...], operator: str, value: str) -> Term | str:
    """The term of one comparison, or the reason why there is none."""
    kind = PATHS.get(path)
    if kind is None:
        return "path"
    if kind == "host":
        kind = host_kind(value)
    if operator == "ISSUBSET" and kind not in ("ipv4", "ipv6"):
        return "value"
    try:
        term = Term(kind, normalise(kind, value))
    except InvalidInput:
        return "defanged" if is_defanged(value) else "value"
    if kind in _WIDEST and int(term.value.partition("/")[2] or 128) < _WIDEST[kind]:
        return "too_wide"
    return term


# The strict scanner. Blanks are plain spaces and keywords stand free, so that it accepts less than
# the grammar does, never more.
_STRING = r"'((?:[^'\\\x00-\x1f\x7f]|\\['\\])*)'"
_KEY = r"\.(?:[a-z_]+|MD5|'(?:MD5|SHA-1|SHA-256|SHA-512)')"
_LEFT = re.compile(rf" *([a-z0-9-]+):([a-z_]+(?:{_KEY})*)(?: *(=) *| +(ISSUBSET) +| +(IN) *\( *)", re.ASCII)
_VALUE = re.compile(_STRING)
_COMMA = re.compile(r" *, *")
_CLOSE = re.compile(r" *\)")
_OR = re.compile(r" +OR +")
_END = re.compile(r" *\]")
_NEXT = re.compile(r" +OR +\[")
_ESCAPE = re.compile(r"\\(['\\])")


def unescape(literal: str) -> str:
    """The text between the quotes of a string literal, its escapes undone."""
    return _ESCAPE.sub(r"\1", literal) if "\\" in literal else literal


def _scan(text: str) -> Pattern | None:
    """The pattern, if it is a list of served comparisons joined by OR and all values are good."""
    if not text.startswith("[") or len(text) > MAX_SCANNED:
        return None
    terms: dict[Term, None] = {}
    place = 1
    while True:
        after = _scan_comparison(text, place, terms)
        if after is None:
            return None
        if joined := _OR.match(text, after):
            place = joined.end()
            continue
        end = _END.match(text, after)
        if end is None:
            return None
        if end.end() == len(text):
            return Pattern(text, tuple(terms))
        following = _NEXT.match(text, end.end())
        if following is None:
            return None
        place = following.end()


def _scan_comparison(text: str, place: int, terms: dict[Term, None]) -> int | None:
    left = _LEFT.match(text, place)
    if left is None:
        return None
    path = (left[1], *left[2].replace("'", "").split("."))
    operator = left[3] or left[4] or left[5]
    place = left.end()
    while True:
        value = _VALUE.match(text, place)
        if value is None:
            return None
        term = _term(path, operator, unescape(value[1]))
        if not isinstance(term, Term):
            return None
        terms[term] = None
        place = value.end()
        if operator != "IN":
            return place
        if comma := _COMMA.match(text, place):
            place = comma.end()
            continue
        close = _CLOSE.match(text, place)
        return close.end() if close else None
