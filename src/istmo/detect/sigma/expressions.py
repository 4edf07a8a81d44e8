"""Regular expressions (modifiers appendix, "Regular Expression"), bounded in time and memory.

RE2 runs in time linear in the text whatever the pattern, and the size of the pattern times that of the
text is bounded here, so a rule from outside cannot stall detection. What RE2 has no automaton for
(look-around, back references) is outside the subset that the specification allows, and is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import re2  # type: ignore[import-untyped]

from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Expression

_INLINE_M = re.compile(r"\(\?[a-zA-Z]*m")
_CAUSES = (
    ("perl operator", "expression_unserved"),
    ("invalid escape sequence", "expression_escape"),
    ("trailing", "expression_escape"),
    ("missing", "expression_open"),
    ("unexpected )", "expression_open"),
    ("repetition", "expression_repeat"),
    ("character class", "expression_class"),
    ("capture group", "expression_group"),
    ("too large", "expression_memory"),
)
"""What RE2's words mean for whoever wrote the rule. Its words are English, and stay with us."""
MEMORY = 8 << 20
"""Bytes for one compiled expression; RE2 refuses what would need more."""
INSTRUCTIONS = 10_000
"""Of one compiled expression. Linear is not short: a character of a text may cost a step an instruction."""
STEPS = 100_000_000
"""For one value, about two seconds. Of a value that could take more, the beginning is searched: an expression
of 1,000 instructions looks at 100,000 characters. All published ones look at a Windows event whole."""


def check_expression(expression: Expression, limits: RuleLimits = STANDARD) -> None:
    """Raises Refused when an expression is too long, wrong, or not of the supported kind."""
    if len(expression.pattern) > limits.expression_characters:
        raise Refused("expression_too_long", limit=limits.expression_characters)
    try:
        if _compile(_flagged(expression)).programsize > INSTRUCTIONS:
            raise Refused("expression_memory", pattern=expression.pattern[:200])
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        told = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        words, _, _ = told.partition(":")  # a piece of the pattern follows
        code = next((code for part, code in _CAUSES if part in words), "bad_expression")
        raise Refused(code, pattern=expression.pattern[:200]) from None


def search(expressions: Sequence[Expression]) -> Callable[[str], bool]:
    """A test whether one of the expressions is found anywhere in a text."""
    written = [_flagged(one) for one in expressions]
    each = [_search(_compile(one)) for one in written]
    if len(each) == 1:
        return each[0]

    def one_by_one(text: str) -> bool:
        return any(found(text) for found in each)

    if any("\\Q" in one for one in written):  # a quotation may run on past its end
        return one_by_one
    try:
        compiled = _compile("|".join(f"(?:{one})" for one in written))
    except re2.error:  # together they are too large
        return one_by_one
    together, most = _search(compiled), most_letters(compiled)
    return lambda text: together(text) if len(text) <= most else one_by_one(text)


def _search(compiled: Any) -> Callable[[str], bool]:
    find, most = compiled.search, most_letters(compiled)

    def found(text: str) -> bool:
        if len(text) > most:
            text = text[:most] + "\0"  # the cut is no end that "$" may hold at
        try:
            return find(text.encode()) is not None
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON may hold and UTF-8 may not
            return find(text.encode("utf-8", "replace")) is not None

    return found


def _compile(pattern: str) -> Any:
    try:
        return compile_bytes(pattern.encode())  # bytes: no places are counted in letters
    except UnicodeEncodeError:
        raise Refused("bad_expression", pattern=ascii(pattern)[:200]) from None


def compile_bytes(pattern: bytes, *, is_text: bool = True) -> Any:
    """An expression for RE2, which is silent about mistakes and uses bounded memory. Raises re2.error.

    Without ``is_text`` bytes are bytes, and no characters of UTF-8.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    options.never_capture = True
    if not is_text:
        options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern, options)


def most_letters(compiled: Any) -> int:
    """Letters of a text that may be searched: each may cost a step an instruction."""
    return STEPS // max(1, int(compiled.programsize))


def _flagged(expression: Expression) -> str:
    flags = f"(?{expression.flags})" if expression.flags else ""
    return flags + end_before_newline(expression)


def end_before_newline(expression: Expression) -> str:
    """The pattern with PCRE's ``$``: at the end, and before a newline that is the last character.

    RE2's is the very end alone. With ``m`` the two agree on ends of lines.
    """
    pattern = expression.pattern
    if "$" not in pattern or "m" in expression.flags or _INLINE_M.search(pattern):
        return pattern
    out: list[str] = []
    at, is_class = 0, False
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            if pattern.startswith("\\Q", at):
                stop = pattern.find("\\E", at)
                stop = len(pattern) if stop < 0 else stop + 2
            else:
                stop = at + 2
            out.append(pattern[at:stop])
            at = stop
            continue
        if is_class:
            is_class = character != "]"
        elif character == "[":
            is_class = True
            opening = 2 if pattern[at + 1 : at + 2] == "^" else 1
            if pattern[at + opening : at + opening + 1] == "]":  # a bracket that stands first is literal
                out.append(pattern[at : at + opening + 1])
                at += opening + 1
                continue
        elif character == "$":
            out.append(r"(?:\n?\z)")
            at += 1
            continue
        out.append(character)
        at += 1
    return "".join(out)
