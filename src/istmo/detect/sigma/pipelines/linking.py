"""How the conditions of a processing item go together: by ``and`` or ``or``, or by an expression."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from istmo.detect.sigma.documents import List, Map
from istmo.detect.sigma.pipelines.parameters import Parameters
from istmo.detect.sigma.problems import Refused

Test = TypeVar("Test")
Formula = Callable[[Callable[[str], bool]], bool]
DEPTH = 32
_WORD = re.compile(r"\s*([()]|[^\s()]+)")


class Linked(Generic[Test]):
    """Conditions of one kind. ``ask`` tells what one of them says."""

    def __init__(self, tests: dict[str, Test], formula: Formula, is_negated: bool) -> None:
        self.tests, self._formula, self._is_negated = tests, formula, is_negated

    def holds(self, ask: Callable[[Test], bool]) -> bool:
        return self._formula(lambda name: ask(self.tests[name])) is not self._is_negated


def read_linked(
    given: Parameters, kind: str, short: str, known: dict[str, Callable[[Parameters], Test]]
) -> Linked[Test]:
    """``KIND_conditions`` with ``SHORT_cond_op``, ``_cond_not`` and ``_cond_expr``."""
    written = given.raw(f"{kind}_conditions")
    line = given.content.line_of(f"{kind}_conditions")
    tests: dict[str, Test] = {}
    rows: list[tuple[str, Any]] = []
    if isinstance(written, Map):
        rows = list(written.items())
    elif isinstance(written, List):
        rows = [(str(number), one) for number, one in enumerate(written, 1)]
    elif written is not None:
        raise given.refused(f"{kind}_conditions")
    for name, content in rows:
        parameters = Parameters(content, line)
        type_ = parameters.text("type")
        if type_ not in known:
            raise Refused("pipeline_unknown_condition", parameters.line, condition=type_)
        tests[name] = known[type_](parameters)
        parameters.end()
    key = next((k for k in (f"{short}_cond_expr", f"{short}_cond_expression") if k in given.content), "")
    operator = given.choice(f"{short}_cond_op", ("and", "or"), "and")
    if key:
        if f"{short}_cond_op" in given.content or not isinstance(written, Map):
            raise given.refused(key)
        formula = read_formula(given.text(key), list(tests), given.content.line_of(key))
    else:
        link = any if operator == "or" else all
        formula = lambda ask: link([ask(name) for name in tests])  # noqa: E731
    return Linked(tests, formula, given.boolean(f"{short}_cond_not"))


def read_formula(text: str, names: list[str], line: int) -> Formula:
    """``not``, ``and`` and ``or`` over the names, each of which must be used."""
    words = _WORD.findall(text[:4000])
    refused = Refused("pipeline_condition", line, condition=text[:200])
    at = 0
    used: set[str] = set()

    def word() -> str:
        return str(words[at]).lower() if at < len(words) else ""

    def either(depth: int) -> Formula:
        nonlocal at
        parts = [both(depth)]
        while word() == "or":
            at += 1
            parts.append(both(depth))
        return lambda ask: any(part(ask) for part in parts)

    def both(depth: int) -> Formula:
        nonlocal at
        parts = [one(depth)]
        while word() == "and":
            at += 1
            parts.append(one(depth))
        return lambda ask: all(part(ask) for part in parts)

    def one(depth: int) -> Formula:
        nonlocal at
        if depth > DEPTH or at >= len(words):
            raise refused
        found = words[at]
        at += 1
        if found.lower() == "not":
            inner = one(depth + 1)
            return lambda ask: not inner(ask)
        if found == "(":
            inner = either(depth + 1)
            if word() != ")":
                raise refused
            at += 1
            return inner
        if found not in names:
            raise refused
        used.add(found)
        return lambda ask: ask(found)

    made = either(0)
    if at < len(words) or used != set(names):
        raise refused
    return made
