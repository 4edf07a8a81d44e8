"""The shapes of what is told of working on rules."""

from __future__ import annotations

from typing import TypedDict

from istmo.detect.shapes import RuleShape


class RuleLine(RuleShape):
    """A rule as a line of the list. ``hits``: its matches of the last thirty days in readable alerts."""

    hits: int


class RuleList(TypedDict):
    """A page of rules; ``next`` is the cursor of the following one."""

    items: list[RuleLine]
    next: str | None
    total: int | None


class RulesSwitched(TypedDict):
    """How many rules were switched; ``at`` names the change, so that it can be taken back."""

    changed: int
    at: str


class ExceptionShape(TypedDict):
    """An exception of a rule: a Sigma filter that names it. ``reason`` and ``author`` as they were given."""

    id: str
    name: str
    reason: str
    author: str
    enabled: bool
    made_here: bool
    created: str
    text: str


class ExceptionList(TypedDict):
    """The filters that name a rule."""

    items: list[ExceptionShape]
    next: None
    total: int


class TrialShape(TypedDict):
    """Of ``matches`` in stored events an exception would have kept ``away``; ``cut``: time was up."""

    matches: int
    away: int
    looked: int
    cut: bool
