"""Values of a rule: text with wildcards (rules specification, "String Wildcard", "Escaping"),
numbers, null, and what the type modifiers make of them.

These are plain descriptions; :mod:`istmo.detect.sigma.matchers` turns them into tests.
"""

from __future__ import annotations

import enum
import ipaddress

import msgspec


class Wildcard(enum.Enum):
    """``*`` any characters, none too; ``?`` exactly one. Numbers, lest a stored text be taken for one."""

    MANY = 1
    ONE = 2

    @property
    def sign(self) -> str:
        """As it is written."""
        return "*" if self is Wildcard.MANY else "?"


Part = str | Wildcard
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
                parts.append(Wildcard.MANY if character == "*" else Wildcard.ONE)
        else:
            literal.append(character)
    if literal:
        parts.append("".join(literal))
    return tuple(parts)


class Text(msgspec.Struct, frozen=True, tag=True):
    """Text that a field's value must be, wildcards and all."""

    parts: Parts
    is_cased: bool = False
    has_any_dash: bool = False
    """``windash``: every dash stands for each of the dashes."""

    @property
    def has_wildcards(self) -> bool:
        return any(isinstance(part, Wildcard) for part in self.parts)

    def with_parts(self, parts: Parts) -> Text:
        """The same, of other text."""
        return msgspec.structs.replace(self, parts=parts)


class Number(msgspec.Struct, frozen=True, tag=True):
    """A number without quotes: equal as a number, or as text in one of its spellings."""

    value: float
    spellings: frozenset[str]


class Null(msgspec.Struct, frozen=True, tag=True):
    """``null``: the field is absent, or has no value."""


class Exists(msgspec.Struct, frozen=True, tag=True):
    """``exists``: the field is there, whatever it holds."""

    wanted: bool


class Expression(msgspec.Struct, frozen=True, tag=True):
    """``re``: a regular expression, found anywhere in the value."""

    pattern: str
    flags: str = ""
    """Of ``i``, ``m`` and ``s``."""


class Network(msgspec.Struct, frozen=True, tag=True):
    """``cidr``: an address inside the range."""

    range: str
    """In the form that :mod:`ipaddress` writes it."""

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """The range as a thing to ask."""
        return ipaddress.ip_network(self.range)


class Comparison(msgspec.Struct, frozen=True, tag=True):
    """``lt``, ``lte``, ``gt``, ``gte`` and, for parts of a date, ``eq``."""

    operator: str
    value: float
    unit: str = ""
    """``minute`` … ``year``: compare this part of a date."""


class FieldReference(msgspec.Struct, frozen=True, tag=True):
    """``fieldref``: the value of another field of the same event."""

    field: str
    is_cased: bool = False
    is_open_before: bool = False
    """The other field's value may stand at the end (``endswith``, ``contains``) …"""
    is_open_after: bool = False
    """… or at the beginning (``startswith``, ``contains``) of this one's."""


Value = Text | Number | Null | Exists | Expression | Network | Comparison | FieldReference
