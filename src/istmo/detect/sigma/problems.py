"""What is wrong with a rule, in a form that a person can be told in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was wrong while loading; everything else was kept.

    ``code`` names the reason, ``params`` fill the placeholders of its text. ``line`` counts from 1;
    0 where no single line is to blame.
    """

    code: str
    file: str
    line: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ""
    """Title, or id, of the rule that was left out, where it could be read."""
    is_not_served: bool = False
    """The rule may be right: it needs a part of Sigma that is not evaluated yet."""

    @property
    def key(self) -> str:
        """Its entry in a catalogue of texts."""
        return f"sigma.problem.{self.code}"

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.params.items())
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.code}({told})" + (f" in {self.rule!r}" if self.rule else "")


class Refused(Exception):
    """A rule, or a file, cannot be used. Caught by the loader, which turns it into a Problem."""

    def __init__(self, code: str, line: int = 0, *, is_not_served: bool = False, **params: Any) -> None:
        self.code, self.line, self.params, self.is_not_served = code, line, params, is_not_served
        super().__init__(code, params)

    def at(self, line: int) -> Refused:
        """The same, with a line if it had none."""
        self.line = self.line or line
        return self

    def problem(self, file: str, rule: str = "") -> Problem:
        return Problem(self.code, file, self.line, self.params, rule, self.is_not_served)
