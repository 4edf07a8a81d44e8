"""The whole STIX pattern grammar, by stix2-patterns: any pattern as a tree."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from antlr4.error.Errors import RecognitionException
from stix2patterns.exceptions import ParseException
from stix2patterns.v21.grammars.STIXPatternParser import STIXPatternParser
from stix2patterns.v21.grammars.STIXPatternVisitor import STIXPatternVisitor
from stix2patterns.v21.pattern import Pattern as ParsedPattern

from istmo.errors import InvalidInput
from istmo.model import instants
from istmo.model import pattern_tree as tree
from istmo.model.pattern_tree import Comparison, Literal, Operator

_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_ESCAPE = re.compile(r"\\(['\\])")
_PLACE = re.compile(r"(\d+):(\d+): ")
_NEAR = 40


class Bytes(str):
    """A literal of bytes, as written."""

    __slots__ = ()


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


class TooComplex(Exception):
    """A pattern in the grammar that is too deep for us."""


def read(text: str) -> tree.Observation:
    """The tree of ``text``.

    Raises InvalidInput("pattern.invalid", line, column, near), where ``near`` is what stands there,
    InvalidInput("pattern.unfinished", line, column) where the text ends too early,
    InvalidInput("instant.invalid") where a time is none, or TooComplex.
    """
    try:
        found: tree.Observation = ParsedPattern(text).visit(_Reader())
    except ParseException as error:
        # The grammar's own words are English and speak of tokens: only the place is of use.
        place = _PLACE.match(str(error))
        raise _invalid(text, int(place[1]), int(place[2])) if place else _invalid(text) from None
    except RecognitionException:
        raise _invalid(text) from None
    except (RecursionError, OverflowError):
        raise TooComplex from None
    return found


def _invalid(text: str, line: int = 1, column: int = 0) -> InvalidInput:
    lines = text.split("\n")
    rest = lines[line - 1][column:] if line <= len(lines) else ""
    near = " ".join([rest, *lines[line:]]).split()
    if not near:
        return InvalidInput("pattern.unfinished", line=line, column=column)
    return InvalidInput("pattern.invalid", line=line, column=column, near=" ".join(near)[:_NEAR])


class _Reader(STIXPatternVisitor):  # type: ignore[misc]
    def visitPattern(self, ctx: Any) -> tree.Observation:  # noqa: N802
        return _observation(ctx.observationExpressions())


_Observations = STIXPatternParser.ObservationExpressionsContext
_ObservationOr = STIXPatternParser.ObservationExpressionOrContext
_ObservationAnd = STIXPatternParser.ObservationExpressionAndContext
_JOINTS: Final = (
    (_Observations, "FOLLOWEDBY", tree.Followed),
    (_ObservationOr, "OR", tree.OneOf),
    (_ObservationAnd, "AND", tree.Together),
)


def _observation(ctx: Any) -> tree.Observation:
    for kind, word, made in _JOINTS:
        if isinstance(ctx, kind):
            parts = _chain(ctx, kind, word)
            found = _observation(parts[0])
            for part in parts[1:]:
                found = made(found, _observation(part))
            return found
    if isinstance(ctx, STIXPatternParser.ObservationExpressionSimpleContext):
        return tree.Seen(_expression(ctx.comparisonExpression()))
    if isinstance(ctx, STIXPatternParser.ObservationExpressionCompoundContext):
        return _observation(ctx.observationExpressions())
    inner = _observation(ctx.observationExpression())
    if isinstance(ctx, STIXPatternParser.ObservationExpressionRepeatedContext):
        return tree.Repeated(inner, int(ctx.repeatedQualifier().IntPosLiteral().getText()))
    if isinstance(ctx, STIXPatternParser.ObservationExpressionWithinContext):
        within = ctx.withinQualifier()
        seconds = within.IntPosLiteral() or within.FloatPosLiteral()
        return tree.Within(inner, round(float(seconds.getText()) * 1_000_000))
    start, stop = ctx.startStopQualifier().TimestampLiteral()
    return tree.Between(inner, _time(start), _time(stop))


def _chain(ctx: Any, kind: Any, word: str) -> list[Any]:
    """The operands of a chain of one operator, first one first: a long list would be too deep to descend."""
    waiting: list[Any] = [ctx]
    found: list[Any] = []
    while waiting:
        one = waiting.pop()
        if isinstance(one, kind):
            waiting.extend(reversed([part for part in one.getChildren() if hasattr(part, "getRuleIndex")]))
        else:
            found.append(one)
    return found


def _expression(ctx: Any) -> tree.Expression:
    if isinstance(ctx, STIXPatternParser.ComparisonExpressionContext):
        either = tuple(map(_expression, _chain(ctx, STIXPatternParser.ComparisonExpressionContext, "OR")))
        return either[0] if len(either) == 1 else tree.Either(either)
    if isinstance(ctx, STIXPatternParser.ComparisonExpressionAndContext):
        both = tuple(map(_expression, _chain(ctx, STIXPatternParser.ComparisonExpressionAndContext, "AND")))
        return both[0] if len(both) == 1 else tree.Both(both)
    if isinstance(ctx, STIXPatternParser.PropTestParenContext):
        return _expression(ctx.comparisonExpression())
    return _comparison(ctx)


_TEXT_TESTS: Final = (
    (STIXPatternParser.PropTestLikeContext, Operator.LIKE),
    (STIXPatternParser.PropTestRegexContext, Operator.MATCHES),
    (STIXPatternParser.PropTestIsSubsetContext, Operator.SUBSET),
    (STIXPatternParser.PropTestIsSupersetContext, Operator.SUPERSET),
)


def _comparison(ctx: Any) -> Comparison:
    path, is_not = _path(ctx.objectPath()), ctx.NOT() is not None
    if isinstance(ctx, STIXPatternParser.PropTestEqualContext):
        value = _literal(ctx.primitiveLiteral())
        return Comparison(path, Operator.EQUAL, (value,), is_not != (ctx.NEQ() is not None))
    if isinstance(ctx, STIXPatternParser.PropTestSetContext):
        values = tuple(_literal(one) for one in ctx.setLiteral().primitiveLiteral())
        return Comparison(path, Operator.IN, values, is_not)
    if isinstance(ctx, STIXPatternParser.PropTestOrderContext):
        sign = next(one for one in (ctx.GE(), ctx.LE(), ctx.GT(), ctx.LT()) if one)
        return Comparison(path, Operator(sign.getText()), (_literal(ctx.orderableLiteral()),), is_not)
    if isinstance(ctx, STIXPatternParser.PropTestExistsContext):
        return Comparison(path, Operator.EXISTS, (), is_not)
    operator = next(operator for kind, operator in _TEXT_TESTS if isinstance(ctx, kind))
    return Comparison(path, operator, (_string(ctx.StringLiteral().getText()),), is_not)


def _literal(ctx: Any) -> Literal:
    """Hexadecimal and binary literals come as they are written: no event carries bytes."""
    text = ctx.getText()
    if text.startswith("'"):
        return _string(text)
    if text.startswith("t'"):
        return _time(ctx)
    if text in ("true", "false"):
        return bool(text == "true")
    if text.startswith(("h'", "b'")):
        return Bytes(text)
    return float(text) if "." in text else int(text)


def _time(ctx: Any) -> datetime:
    return instants.parse(ctx.getText()[2:-1])


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
