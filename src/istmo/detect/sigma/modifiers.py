"""Value modifiers (modifiers appendix 2.1.0): from what a rule writes to the values that it means.

Transformations are applied in the order in which they are written.
"""

from __future__ import annotations

import base64
import ipaddress
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from istmo.detect.sigma.documents import WrittenNumber
from istmo.detect.sigma.expressions import check_expression
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.texts import DASHES
from istmo.detect.sigma.values import (
    Comparison,
    Exists,
    Expression,
    FieldReference,
    Network,
    Null,
    Number,
    Part,
    Parts,
    Text,
    Value,
    Wildcard,
    parse_text,
)

Placeholders = Mapping[str, Sequence[str]]

PLACEMENT = frozenset({"contains", "startswith", "endswith"})
ENCODINGS = {"wide": "utf-16-le", "utf16le": "utf-16-le", "utf16be": "utf-16-be", "utf16": "utf-16-le"}
COMPARISONS = frozenset({"lt", "lte", "gt", "gte"})
UNITS = frozenset({"minute", "hour", "day", "week", "month", "year"})
EXPRESSION_FLAGS = {"i": "i", "ignorecase": "i", "m": "m", "multiline": "m", "s": "s", "dotall": "s"}
LINKING = frozenset({"all", "neq"})
TRANSFORMATIONS = (
    PLACEMENT | frozenset(ENCODINGS) | frozenset({"windash", "cased", "base64", "base64offset", "expand"})
)
TYPES = frozenset({"re", "cidr", "exists", "fieldref"}) | COMPARISONS | UNITS
KNOWN = TRANSFORMATIONS | TYPES | LINKING | frozenset(EXPRESSION_FLAGS)

_PLACEHOLDER = re.compile(r"(?<!\\)%(\w+)%")


DraftPart = str | bytes | Wildcard


@dataclass(frozen=True, slots=True)
class Draft:
    """A text between two modifiers: what an encoding has made of it is bytes."""

    parts: tuple[DraftPart, ...]
    is_cased: bool = False
    has_any_dash: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a field's modifiers and values come to."""

    values: tuple[Value, ...]
    is_all: bool
    """Every value must match, not just one."""
    is_negated: bool
    """``neq``: true where the rest is false."""


def apply_modifiers(
    names: Sequence[str],
    written: Sequence[Any],
    *,
    is_keyword: bool = False,
    placeholders: Placeholders | None = None,
    limits: RuleLimits = STANDARD,
) -> Meaning:
    """The values that a field with these modifiers means.

    Raises Refused with the reason where a modifier is unknown, does not fit the value, or
    does not go with another one.
    """
    for name in names:
        if name not in KNOWN:
            raise Refused("unknown_modifier", modifier=name)
    kind = next((name for name in names if name in TYPES), "")
    if is_keyword and kind not in ("", "re"):
        raise Refused("modifier_needs_field", modifier=kind)
    if kind == "re":
        values = expressions(names, written, limits)
    elif kind == "cidr":
        values = networks(names, written)
    elif kind == "exists":
        values = existence(names, written)
    elif kind == "fieldref":
        values = references(names, written)
    elif kind:
        values = comparisons(names, written)
    else:
        values = texts(names, written, is_keyword, placeholders or {}, limits)
    if len(values) > limits.values:
        raise Refused("too_many_values", limit=limits.values)
    return Meaning(tuple(values), "all" in names, "neq" in names)


def expressions(names: Sequence[str], written: Sequence[Any], limits: RuleLimits) -> list[Value]:
    flags = ""
    is_open = False
    for name in names:
        if name == "re":
            is_open = True
        elif name in EXPRESSION_FLAGS and is_open:
            flags += EXPRESSION_FLAGS[name]
        elif name not in LINKING:
            raise Refused("modifiers_do_not_go_together", first="re", second=name)
    values: list[Value] = []
    for one in written:
        if one is None or isinstance(one, bool):
            raise Refused("modifier_needs_text", modifier="re")
        expression = Expression(spelling(one), "".join(sorted(set(flags))))
        check_expression(expression, limits)
        values.append(expression)
    return values


def networks(names: Sequence[str], written: Sequence[Any]) -> list[Value]:
    only(names, "cidr", frozenset())
    values: list[Value] = []
    for one in written:
        try:
            values.append(Network(str(ipaddress.ip_network(spelling(one), strict=False))))
        except ValueError:
            raise Refused("not_a_network", value=spelling(one)) from None
    return values


def existence(names: Sequence[str], written: Sequence[Any]) -> list[Value]:
    only(names, "exists", frozenset())
    if len(written) != 1 or not isinstance(written[0], bool):
        raise Refused("exists_needs_boolean")
    return [Exists(written[0])]


def references(names: Sequence[str], written: Sequence[Any]) -> list[Value]:
    only(names, "fieldref", PLACEMENT | {"cased"})
    values: list[Value] = []
    for one in written:
        if not isinstance(one, str) or not one:
            raise Refused("modifier_needs_text", modifier="fieldref")
        parts = parse_text(one)
        if len(parts) != 1 or not isinstance(parts[0], str):
            raise Refused("wildcard_not_allowed", modifier="fieldref", value=one)
        values.append(
            FieldReference(
                parts[0],
                is_cased="cased" in names,
                is_open_before=not {"contains", "endswith"}.isdisjoint(names),
                is_open_after=not {"contains", "startswith"}.isdisjoint(names),
            )
        )
    return values


def comparisons(names: Sequence[str], written: Sequence[Any]) -> list[Value]:
    units = [name for name in names if name in UNITS]
    operators = [name for name in names if name in COMPARISONS]
    others = [name for name in names if name not in UNITS | COMPARISONS | LINKING]
    if others or len(units) > 1 or len(operators) > 1:
        second = (others or units[1:] or operators[1:])[0]
        raise Refused("modifiers_do_not_go_together", first=(operators + units)[0], second=second)
    values: list[Value] = []
    for one in written:
        number = number_of(one)
        if number is None:
            raise Refused("modifier_needs_number", modifier=(operators + units)[0], value=spelling(one))
        values.append(Comparison(operators[0] if operators else "eq", number, units[0] if units else ""))
    return values


def only(names: Sequence[str], kind: str, others: frozenset[str]) -> None:
    """Refuse modifiers that mean nothing beside a type modifier."""
    for name in names:
        if name != kind and name not in others and name not in LINKING:
            raise Refused("modifiers_do_not_go_together", first=kind, second=name)


def texts(
    names: Sequence[str],
    written: Sequence[Any],
    is_keyword: bool,
    placeholders: Placeholders,
    limits: RuleLimits,
) -> list[Value]:
    """Plain values and those with string modifiers."""
    for name in names:
        if name in EXPRESSION_FLAGS:
            raise Refused("modifiers_do_not_go_together", first="re", second=name)
    transformations = [name for name in names if name not in LINKING]
    values: list[Value] = []
    for one in written:
        if one is None:
            if transformations or is_keyword:
                raise Refused("null_takes_no_modifier")
            values.append(Null())
            continue
        number = number_of(one)
        if number is not None and not transformations and not is_keyword:
            values.append(Number(number, frozenset({spelling(one), canonical(number)})))
            continue
        drafts = [Draft(parse_text(filled)) for filled in fill(one, "expand" in names, placeholders, limits)]
        for name in transformations:
            drafts = [made for draft in drafts for made in transform(name, draft, limits)]
            if len(drafts) > limits.values:
                raise Refused("too_many_values", limit=limits.values)
        values.extend(finish(draft, is_keyword) for draft in drafts)
    return values


def fill(one: Any, is_expanded: bool, placeholders: Placeholders, limits: RuleLimits) -> list[str]:
    """The text as written, or with each ``%placeholder%`` replaced by each of its values."""
    text = spelling(one)
    if not is_expanded:
        return [text]
    pieces = _PLACEHOLDER.split(text)
    choices: list[Sequence[str]] = []
    count = 1
    for position, piece in enumerate(pieces):
        if position % 2 == 0:
            choices.append((piece.replace("\\%", "%"),))
            continue
        if piece not in placeholders:
            raise Refused("unknown_placeholder", placeholder=f"%{piece}%")
        choices.append(placeholders[piece])
        count *= len(placeholders[piece])
        if count > limits.values:
            raise Refused("too_many_values", limit=limits.values)
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def transform(name: str, text: Draft, limits: RuleLimits) -> list[Draft]:
    """One transformation modifier on one text; some make several of it."""
    if name in PLACEMENT:
        parts = text.parts
        if name != "startswith" and parts[:1] != (Wildcard.MANY,):
            parts = (Wildcard.MANY, *parts)
        if name != "endswith" and parts[-1:] != (Wildcard.MANY,):
            parts = (*parts, Wildcard.MANY)
        return [replace(text, parts=parts)]
    if name == "cased":
        return [replace(text, is_cased=True)]
    if name == "windash":
        if any(isinstance(part, bytes) for part in text.parts):
            raise Refused("windash_after_encoding")
        return [replace(text, has_any_dash=True)]
    if name == "expand":
        return [text]
    spelled = spell_dashes(text, limits) if text.has_any_dash else [text]
    if name in ENCODINGS:
        return [encode(one, ENCODINGS[name], b"\xff\xfe" if name == "utf16" else b"") for one in spelled]
    return [made for one in spelled for made in encode_base64(one, name)]


def spell_dashes(text: Draft, limits: RuleLimits) -> list[Draft]:
    """Each permutation of dashes as a text of its own: needed once bytes are what is compared."""
    choices: list[list[DraftPart]] = [[]]
    for part in text.parts:
        if not isinstance(part, str):
            choices = [[*chosen, part] for chosen in choices]
            continue
        pieces = [DASHES if character in DASHES else character for character in part]
        if len(choices) * len(DASHES) ** sum(piece == DASHES for piece in pieces) > limits.values:
            raise Refused("too_many_values", limit=limits.values)
        spelled = ["".join(chosen) for chosen in itertools.product(*pieces)]
        choices = [[*chosen, one] for chosen in choices for one in spelled]
    return [replace(text, parts=tuple(chosen), has_any_dash=False) for chosen in choices]


def encode(text: Draft, charset: str, mark: bytes) -> Draft:
    """UTF-16 of the literal pieces; wildcards stay between them."""
    parts: list[DraftPart] = [mark] if mark else []
    for part in text.parts:
        if isinstance(part, bytes):
            raise Refused("encoded_twice")
        if isinstance(part, Wildcard):
            parts.append(part)
        else:
            parts.append(part.encode(charset, "surrogatepass"))
    return replace(text, parts=tuple(parts))


def encode_base64(text: Draft, name: str) -> list[Draft]:
    """``base64``: the whole value. ``base64offset``: what of it is the same at each of three offsets."""
    data = b""
    for part in text.parts:
        if isinstance(part, Wildcard):
            raise Refused("wildcard_not_allowed", modifier=name, value=show(text.parts))
        data += part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
    if name == "base64":
        return [replace(text, parts=(base64.b64encode(data).decode("ascii"),))]
    found: list[Draft] = []
    for offset in range(3):
        # Bits of the bytes before and after share the first and last character: leave those out.
        shifted = base64.b64encode(bytes(offset) + data).decode("ascii")
        start = (0, 2, 3)[offset]
        end = (None, -3, -2)[(len(data) + offset) % 3]
        kept = shifted[start:end]
        if not kept:
            raise Refused("too_short_for_base64offset", value=show(text.parts))
        found.append(replace(text, parts=(kept,)))
    return found


def finish(draft: Draft, is_keyword: bool) -> Text:
    """Bytes that no base64 followed are compared as characters; a keyword may stand anywhere."""
    parts: Parts = tuple(part.decode("latin-1") if isinstance(part, bytes) else part for part in draft.parts)
    if is_keyword:
        if parts[:1] != (Wildcard.MANY,):
            parts = (Wildcard.MANY, *parts)
        if parts[-1:] != (Wildcard.MANY,):
            parts = (*parts, Wildcard.MANY)
    joined: list[Part] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return Text(tuple(joined), draft.is_cased, draft.has_any_dash)


def spelling(one: Any) -> str:
    """A scalar as the rule's author wrote it."""
    if isinstance(one, WrittenNumber):
        return one.text
    if isinstance(one, bool):
        return "true" if one else "false"
    return str(one)


def number_of(one: Any) -> float | None:
    """The number that an unquoted scalar is; None for everything else."""
    if isinstance(one, WrittenNumber):
        return one.value
    if isinstance(one, (int, float)) and not isinstance(one, bool):
        return one
    return None


def canonical(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else str(number)


def show(parts: tuple[DraftPart, ...]) -> str:
    """A text for a message."""
    return "".join(part.sign if isinstance(part, Wildcard) else str(part) for part in parts)[:200]
