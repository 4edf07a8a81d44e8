"""Literals looked for in an event's JSON as it came, before or instead of its values.

In a line, text is escaped, numbers stand bare, and names stand beside values. So what is looked for there is
spelled as JSON spells it, and the few lines that spell it otherwise are marked by the same scan: of them the
values themselves have to be asked. What is found in a name, or in another field's value, makes candidates
too many, never too few.
"""

from __future__ import annotations

import json
import re
from typing import Final

from istmo.detect.sigma.engine.patterns import BEGIN, END, Pattern
from istmo.detect.sigma.engine.scanners import as_expression

NEWLINE: Final = b"\n"
_QUOTE: Final = '"'
_MAY_BE_BARE: Final = re.compile(r"[-+0-9.e]+")
"""Part of a number."""
_WORDS: Final = ("true", "false")

ODD_TEXT: Final = (
    # \uXXXX and \/ where the backslash is none that was escaped itself; of three nobody counts
    rb"[^\\]\\u", rb"\\\\\\u", rb"[^\\]\\/", rb"\\\\\\/",
    # what folds to ASCII, and what windash takes for a dash
    rb"\xe2\x84\xaa", rb"\xc5\xbf", rb"\xe2\x80[\x93-\x95]",
)  # fmt: skip
"""Expressions for text that JSON, or Unicode, lets one write in another way."""
ODD_SHAPE: Final = (
    rb'[^\\]"[ \t\r]', rb'\\\\"[ \t\r]',  # blanks after a name or a value
    rb'[^\\]":[ \t\r]', rb'\\\\":[ \t\r]',  # and before a value
    # an object in the object, or in a list: apart, for so Hyperscan takes half the time
    rb'":\{', rb",\{", rb"\[\{", rb",[ \t\r]+\{", rb"\[[ \t\r]+\{",
)  # fmt: skip
"""Expressions for lines that are more than names with plain values, or lists of them, without blanks."""
ODD_NUMBERS: Final = (
    rb'":-?[0-9.]+[eE]', rb'":-0', rb'":-?[0-9.]{20}',
    rb'":-9(?:[3-9]|2[3-9]|22[4-9]|223[4-9]|2233[89])[0-9]{13}',  # below what 64 bits hold
    # a list with other things than texts
    rb'":\[[^"\]]', rb'[^\\]",[^"]', rb'\\\\",[^"]', rb"\],[^\"]",
)  # fmt: skip
"""Expressions for numbers that Python spells in its own way, or that follow no name."""


def can_stand_in_line(literal: str) -> bool:
    """Whether the literal stands in a line wherever it stands in a value, as :func:`escaped` spells it."""
    return bool(_core(literal)) and not asks_numbers(literal)


def anywhere_in_line(literal: str) -> str:
    """How a line spells a literal that may stand in any of its values."""
    return _escaped(_core(literal))


def spelled_in_line(literal: str) -> list[str]:
    """How a line of flat JSON without blanks may spell a literal of a pattern: one of these is there."""
    core = _core(literal)
    begins, ends = literal.startswith(BEGIN), literal.endswith(END)
    if _MAY_BE_BARE.fullmatch(core) or (core and any(core in word for word in _WORDS)):
        return [f"{before}{core}" for before in '":'] if begins else [core]
    return [_QUOTE * begins + _escaped(core) + _QUOTE * ends]


def can_veto(pattern: Pattern) -> bool:
    """Whether a line can tell for certain that a field's value is so: by the name that stands before it."""
    return "." not in pattern.field and pattern.field.isascii() and not asks_numbers(pattern.literal)


def expression_of_value(name: str, literal: str) -> bytes:
    """The expression for a name with a value that holds the literal, or begins or ends with it.

    Before what a value holds, escapes other than the backslash's own are not read over: the letter of one is
    no letter of the value.
    """
    value = as_expression((_escaped(_core(literal)) + _QUOTE * literal.endswith(END)).encode())
    before = b"" if literal.startswith(BEGIN) else rb'(?:[^"\\]|\\\\)*'
    return expression_of_name(name) + b'"' + before + b"(?i:" + value + b")"


def expression_of_name(name: str) -> bytes:
    """The expression for a name before its value."""
    return as_expression(f'"{_escaped(name)}":'.encode())


def asks_numbers(literal: str) -> bool:
    """Whether the literal may stand in a number."""
    return _MAY_BE_BARE.fullmatch(_core(literal)) is not None


def _core(literal: str) -> str:
    """The literal without its frame. What it holds of a frame's characters itself, a line says by ``\\u``."""
    return literal.removeprefix(BEGIN).removesuffix(END)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
