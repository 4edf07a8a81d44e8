"""No expression of a rule takes longer than its bound, however it was written, whatever it is asked."""

from __future__ import annotations

import time

import pytest

from istmo.detect.sigma import Evaluator, Logsource, load_rules
from istmo.detect.sigma.engine import Engine
from istmo.detect.sigma.expressions import INSTRUCTIONS, STEPS, check_expression, search
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Expression

from .asking import item

BLOWING_UP = [
    r"(a+)+$",
    r"(a|aa)+$",
    r"(a|a?)+$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(.*a){20}$",
    r"(?:a{0,1000}){1}b$",
    r"((a{0,30}){0,30})*c",
    r"(a*)*(a*)*(a*)*b",
]
RULE = """title: t
id: 5f0a3a5e-6a09-413f-8743-e6cf35561888
status: test
level: low
logsource: {product: windows}
detection:
  s:
    F|re: '%s'
  condition: s
"""
WINDOWS = (Logsource("", "windows", ""),)
SECONDS = 10
"""What a bound of two seconds may come to on a busy machine."""


class Event:
    def __init__(self, text: str) -> None:
        self.fields = {"F": text}
        self.logsources = WINDOWS
        self.line: bytes | None = None


@pytest.mark.parametrize("pattern", BLOWING_UP)
def test_what_blows_up_elsewhere_takes_a_moment_here(pattern: str) -> None:
    text = "a" * 50_000 + "!"
    rules = load_rules((RULE % pattern).encode())
    assert len(rules.rules) == 1
    began = time.monotonic()
    found = Evaluator(rules).match({"F": text}, WINDOWS)
    by_engine = Engine(rules).find([Event(text)] * 3)
    assert time.monotonic() - began < SECONDS
    assert len(by_engine) == 3 * len(found)


UNSERVED = [
    r"(?=a)(?=b)c",
    r"(?!(?=a))b",
    r"(?<=a(?<!b))c",
    r"(a)\1",
    r"(?P<x>a)(?P=x)",
    r"(?>a+)b",
    r"(?(1)a|b)",
    r"a++b",
]


@pytest.mark.parametrize("pattern", UNSERVED)
def test_what_no_automaton_can_do_is_refused(pattern: str) -> None:
    with pytest.raises(Refused):
        check_expression(Expression(pattern))


def test_what_is_too_large_once_it_is_compiled_is_refused() -> None:
    for pattern in ("(?:x{0,1000}z?)" * 6 + "y", ".{1000}" * 3, "(?:[ab]{0,900}c|)" * 200):
        with pytest.raises(Refused) as refused:
            check_expression(Expression(pattern))
        assert refused.value.code == "expression_memory"


def test_the_largest_one_over_a_long_value_keeps_to_its_steps() -> None:
    pattern = "(?:x{0,1000}z?)" * 4 + "(?:x{0,900}z?)y"
    check_expression(Expression(pattern))
    began = time.monotonic()
    assert not search([Expression(pattern)])("x" * (1 << 20))
    assert time.monotonic() - began < SECONDS


def test_several_asked_together_keep_to_their_steps() -> None:
    large = [Expression(f"{letter}(?:x{{0,1000}}z?)(?:x{{0,900}}z?)y") for letter in "abcdefgh"]
    began = time.monotonic()
    assert not search(large)("x" * 200_000)
    assert search([*large, Expression("needle")])("x" * 200_000 + "needle")
    assert time.monotonic() - began < SECONDS


def test_a_long_value_is_searched_as_far_as_the_steps_go_and_its_cut_is_no_end() -> None:
    large = "(?:x{0,900}q)(?:x{0,900}q)"
    steps = STEPS // 2000
    assert item("F|re", f"'a.?{large}|needle'", {"F": "needle" + "x" * steps})
    assert not search([Expression(f"{large}|x$")])("x" * (STEPS // 1000) + "!")
    assert item("F|re", "'needle$'", {"F": "x" * (1 << 20) + "needle"}), "small ones see all of a line"
    assert INSTRUCTIONS * 1000 < STEPS
