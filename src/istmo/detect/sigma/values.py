"""Values of a rule: text with wildcards (rules specification, "String Wildcard", "Escaping"),
numbers, null, and what the type modifiers make of them.

These are plain descriptions; :mod:`istmo.detect.sigma.matchers` turns them into tests.
"""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass, replace


class Wildcard(enum.Enum):
    """``*`` any characters, none too; ``?`` exactly one."""

    MANY = "*"
    ONE = "?"


Part = str | bytes | Wildcard
Parts = tuple[Part, ...]


def parse_text(written: str) -> Parts:
    """A rule's text as literal pieces and wildcards.

    A backslash before ``*``, ``?`` or another backslash takes that character literally; before
    anything else it is a plain backslash. So ``\\*`` is a star, ``\\\\*`` a backslash and a
    wildcard, ``\\\\\\*`` a backslash and a star, and three or four backslashes are two.
    """
    parts: list[Part] = []
    literal: list[str] = []
    at = 0
    while at < len(written):
        character = written[at]
        following = written[at + 1 : at + 2]
        if character == "\\" and following and following in "*?\\":
            literal.append(following)
            at += 2
            continue
        at += 1
        if character in "*?":
            if literal:
                parts.append("".join(literal))
                literal.clear()
            if not (character == "*" and parts and parts[-1] is Wildcard.MANY):
                parts.append(Wildcard(character))
        else:
            literal.append(character)
    if literal:
        parts.append("".join(literal))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Text:
    """Text that a field's value must be, wildcards and all."""

    parts: Parts
    is_cased: bool = False
    has_any_dash: bool = False
    """``windash``: every dash stands for each of the dashes."""

    @property
    def has_wildcards(self) -> bool:
        return any(isinstance(part, Wildcard) for part in self.parts)

    def with_parts(self, parts: Parts) -> Text:
        return replace(self, parts=parts)


@dataclass(frozen=True, slots=True)
class Number:
    """A number without quotes: equal as a number, or as text in one of its spellings."""

    value: float
    spellings: frozenset[str]


@dataclass(frozen=True, slots=True)
class Null:
    """``null``: the field is absent, or has no value."""


@dataclass(frozen=True, slots=True)
class Exists:
    """``exists``: the field is there, whatever it holds."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Expression:
    """``re``: a regular expression, found anywhere in the value."""

    pattern: str
    flags: str = ""
    """Of ``i``, ``m`` and ``s``."""


@dataclass(frozen=True, slots=True)
class Network:
    """``cidr``: an address inside the range."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Comparison:
    """``lt``, ``lte``, ``gt``, ``gte`` and, for parts of a date, ``eq``."""

    operator: str
    value: float
    unit: str = ""
    """``minute`` … ``year``: compare this part of a date."""


@dataclass(frozen=True, slots=True)
class FieldReference:
    """``fieldref``: the value of another field of the same event."""

    field: str
    is_cased: bool = False
    is_open_before: bool = False
    """The other field's value may stand at the end (``endswith``, ``contains``) …"""
    is_open_after: bool = False
    """… or at the beginning (``startswith``, ``contains``) of this one's."""


Value = Text | Number | Null | Exists | Expression | Network | Comparison | FieldReference
