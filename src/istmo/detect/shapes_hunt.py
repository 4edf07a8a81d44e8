"""The lines of a hunt by rules."""

from __future__ import annotations

from typing import TypedDict


class MatchLine(TypedDict):
    """A stored event that a rule matches."""

    rule: str
    title: str
    level: str
    event: str
    time: str
    host: str


class RuleSum(TypedDict):
    """How many events a rule matches; ``events`` are the ids of some."""

    rule: str
    title: str
    level: str
    count: int
    events: list[str]


class LeftOutOfHunt(TypedDict):
    """What of the rules could not be used, and why."""

    rule: str
    line: int | None
    code: str
    text: str


class HuntProblem(TypedDict):
    """Why not everything was seen."""

    code: str
    text: str


class HuntEnd(TypedDict):
    """The last line; ``looked`` counts the events that were looked at."""

    done: bool
    looked: int
    rules: list[RuleSum]
    left_out: list[LeftOutOfHunt]
    problem: HuntProblem | None
