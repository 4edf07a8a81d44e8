"""The whole STIX pattern grammar, by stix2-patterns: any pattern cut into its alternatives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from antlr4.error.Errors import RecognitionException
from stix2patterns.exceptions import ParseException
from stix2patterns.v21.grammars.STIXPatternParser import STIXPatternParser
from stix2patterns.v21.grammars.STIXPatternVisitor import STIXPatternVisitor
from stix2patterns.v21.pattern import Pattern as ParsedPattern

from istmo.errors import InvalidInput

_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_ESCAPE = re.compile(r"\\(['\\])")
_PLACE = re.compile(r"(\d+):(\d+): ")
_NEAR = 40


@dataclass(frozen=True)
class Part:
    """One alternative of a pattern: a comparison with its values, or the reason why it is more than that.

    ``path`` begins with the object type; ``*`` stands for any index. ``reason`` is the last part of a
    catalogue key: ``and``, ``followed_by``, ``within`` …
    """

    path: tuple[str, ...] = ()
    operator: str = ""
    values: tuple[str, ...] = ()
    reason: str | None = None


def nesting(text: str) -> int:
    """How deep parentheses stand in each other, string literals left out."""
    depth = deepest = 0
    for sign in _LITERAL.sub("", text):
        if sign == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif sign == ")":
            depth -= 1
    return deepest


def read(text: str) -> tuple[Part, ...]:
    """Every alternative of ``text``.

    Raises InvalidInput("pattern.invalid", line, column, near), where ``near`` is what stands there, or
    InvalidInput("pattern.unfinished", line, column) where the text ends too early.
    """
    try:
        return tuple(ParsedPattern(text).visit(_Alternatives()))
    except ParseException as error:
        # The grammar's own words are English and speak of tokens: only the place is of use.
        found = _PLACE.match(str(error))
        raise _invalid(text, int(found[1]), int(found[2])) if found else _invalid(text) from None
    except RecognitionException:
        raise _invalid(text) from None
    except RecursionError:
        return (Part(reason="too_complex"),)


def _invalid(text: str, line: int = 1, column: int = 0) -> InvalidInput:
    lines = text.split("\n")
    rest = lines[line - 1][column:] if line <= len(lines) else ""
    near = " ".join([rest, *lines[line:]]).split()
    if not near:
        return InvalidInput("pattern.unfinished", line=line, column=column)
    return InvalidInput("pattern.invalid", line=line, column=column, near=" ".join(near)[:_NEAR])


_REASONS: dict[type, str] = {
    STIXPatternParser.ObservationExpressionRepeatedContext: "repeats",
    STIXPatternParser.ObservationExpressionWithinContext: "within",
    STIXPatternParser.ObservationExpressionStartStopContext: "start_stop",
    STIXPatternParser.PropTestOrderContext: "order",
    STIXPatternParser.PropTestLikeContext: "like",
    STIXPatternParser.PropTestRegexContext: "matches",
    STIXPatternParser.PropTestIsSupersetContext: "superset",
    STIXPatternParser.PropTestExistsContext: "exists",
}


_COMPARISONS = (
    STIXPatternParser.PropTestEqualContext,
    STIXPatternParser.PropTestSetContext,
    STIXPatternParser.PropTestIsSubsetContext,
)


class _Alternatives(STIXPatternVisitor):  # type: ignore[misc]
    """Walks the tree along OR; stops with a reason at anything that is more than one comparison."""

    def visitPattern(self, ctx: Any) -> list[Part]:  # noqa: N802
        return list(_alternatives(ctx.observationExpressions()))


def _alternatives(root: Any) -> Iterator[Part]:
    waiting = [root]
    while waiting:
        ctx = waiting.pop()
        reason = _REASONS.get(type(ctx))
        if reason is not None:
            yield Part(reason=reason)
        elif isinstance(ctx, _COMPARISONS):
            yield _comparison(ctx)
        elif (joint := _joint(ctx)) is not None:
            yield Part(reason=joint)
        else:
            # OR, brackets and parentheses: go on with the parts, first one first.
            waiting.extend(reversed([one for one in ctx.getChildren() if hasattr(one, "getRuleIndex")]))


def _joint(ctx: Any) -> str | None:
    if isinstance(ctx, STIXPatternParser.ObservationExpressionsContext) and ctx.FOLLOWEDBY():
        return "followed_by"
    both = (
        STIXPatternParser.ObservationExpressionAndContext,
        STIXPatternParser.ComparisonExpressionAndContext,
    )
    return "and" if isinstance(ctx, both) and ctx.AND() else None


def _comparison(ctx: Any) -> Part:
    if ctx.NOT():
        return Part(reason="not")
    path = _path(ctx.objectPath())
    if isinstance(ctx, STIXPatternParser.PropTestEqualContext):
        if ctx.NEQ():
            return Part(reason="not")
        literals, operator = [ctx.primitiveLiteral()], "="
    elif isinstance(ctx, STIXPatternParser.PropTestSetContext):
        literals, operator = list(ctx.setLiteral().primitiveLiteral()), "IN"
    else:
        literals, operator = [ctx.StringLiteral()], "ISSUBSET"
    values = [literal.getText() for literal in literals]
    if not all(value.startswith("'") for value in values):
        return Part(reason="value")  # a number, a time, hex: nothing that we serve is compared to one
    return Part(path, operator, tuple(_string(value) for value in values))


def _path(ctx: Any) -> tuple[str, ...]:
    steps = [ctx.objectType().getText(), _string(ctx.firstPathComponent().getText())]
    component = ctx.objectPathComponent()
    if component is not None:
        steps += _steps(component)
    return tuple(steps)


def _steps(ctx: Any) -> list[str]:
    if isinstance(ctx, STIXPatternParser.PathStepContext):
        return [step for part in ctx.objectPathComponent() for step in _steps(part)]
    text = ctx.getText()
    return [text.strip("[]")] if text.startswith("[") else [_string(text.removeprefix("."))]


def _string(literal: str) -> str:
    if not literal.startswith("'"):
        return literal
    return _ESCAPE.sub(r"\1", literal[1:-1])
