"""The shapes of what the machine interface of detection answers, as the OpenAPI document tells them.

Times are RFC 3339 with ``Z``, markings their labels (``TLP:AMBER``), words in the asker's language.
"""

from __future__ import annotations

from typing import Any, TypedDict


class AlertShape(TypedDict):
    """An alert without its evidence. ``host`` is the one it began on, ``hosts`` how many there are.

    ``assignee``: whose it is (``person:ID``); ``worked``: when somebody changed it last.
    """

    id: str
    detector: str
    subject: str
    title: str
    level: str
    tlp: str
    origin: str
    host: str
    hosts: int
    first_seen: str | None
    last_seen: str | None
    count: int
    stored_count: int
    created: str | None
    updated: str | None
    status: str
    reason: str | None
    note: str
    former: str | None
    version: int
    assignee: str
    snoozed_until: str | None
    worked: str | None


class WeighedShape(TypedDict):
    """What the level of an indicator's alert was made of; ``text`` says it in words."""

    confidence: int | None
    types: list[str]
    warning_lists: list[str]
    text: str


class AlertList(TypedDict):
    """A page of alerts; ``next`` is the cursor of the following one, ``total`` may be unknown."""

    items: list[AlertShape]
    next: str | None
    total: int | None


class _EvidenceAlways(TypedDict):
    id: str
    time: str | None
    received: str | None
    host: str
    source: str
    fields: dict[str, str]
    stored: bool
    event: Any


class EvidenceShape(_EvidenceAlways, total=False):
    """One event that matched; ``raw`` in place of ``event`` where it was too long to keep whole."""

    raw: str


class HourCount(TypedDict):
    """How many events matched in an hour."""

    hour: str | None
    count: int


class HostCount(TypedDict):
    """How many events matched on a host."""

    host: str
    count: int


class CorrelationShape(TypedDict):
    """What a correlation saw when it matched last: ``timespan`` in seconds, ``text`` says it in words."""

    type: str
    timespan: float
    condition: str
    value: float
    fields: list[str]
    group: dict[str, str]
    events: int
    matches: int
    text: str


class SilenceShape(TypedDict):
    """A source that fell silent: its last event, from when silence was counted, how much it used to send.

    ``limit`` in seconds, ``hourly`` in events; ``ended`` is when events came again.
    """

    last: str | None
    since: str | None
    limit: int
    hourly: float
    ended: str | None
    text: str


class StoryShape(AlertShape):
    """An alert with its timeline and evidence: the first and the last events."""

    correlation: CorrelationShape | None
    silence: SilenceShape | None
    weighed: WeighedShape | None
    evidence: list[EvidenceShape]
    timeline: list[HourCount]
    by_host: list[HostCount]


class UnusableRule(TypedDict):
    """Why the worker cannot use a rule, and the line where that stands if there is one."""

    code: str
    line: Any
    text: str


class RuleCostShape(TypedDict):
    """What asking a rule costs an event, as the worker timed it; its share is of the time of all rules."""

    nanoseconds: int
    asked_per_million: int
    share_per_thousand: int
    slow: bool
    measured: str | None


class RuleShape(TypedDict):
    """A Sigma rule, correlation or filter (``kind``) without its text.

    ``refers``: rules that a correlation is made of, or a filter is for; ``lists``: value lists asked for.
    """

    id: str
    kind: str
    refers: list[str]
    lists: list[str]
    title: str
    level: str
    status: str
    description: str
    author: str
    logsource: str
    tags: list[str]
    enabled: bool
    problem: UnusableRule | None
    cost: RuleCostShape | None
    file: str
    imported: str | None
    updated: str | None


class RuleRead(RuleShape):
    """A Sigma rule with its text."""

    text: str


class LeftOut(TypedDict):
    """A rule of an import that was left out, and why.

    ``not_served``: it needs a part of Sigma that istmo does not serve. ``kept``: it was not left out, but
    something that it needs is not here, so that it is not in force as it is meant.
    """

    file: str
    line: int | None
    rule: str
    code: str
    text: str
    not_served: bool
    kept: bool


class RulesImported(TypedDict):
    """What an import of rules came to."""

    accepted: int
    added: int
    changed: int
    unchanged: int
    problems: list[LeftOut]


class ValueListShape(TypedDict):
    """What ``%name%`` stands for in rules that say ``expand``."""

    name: str
    values: list[str]
    changed: str | None
    changed_by: str
    version: str


class ValueListList(TypedDict):
    """Every value list."""

    items: list[ValueListShape]
    next: None
    total: int


class ObjectDetection(TypedDict):
    """``state``: live, waiting, stopping, off; ``hunt_problem``: what the look back could not do; ``level``:
    of its hits; ``warning_lists``: of its values those that stand on some, with the lists' names."""

    id: str
    state: str
    hunt_problem: str | None
    level: str | None
    warning_lists: dict[str, list[str]]


class EventField(TypedDict):
    """A field of stored events; ``segments``: of the store's pieces, how many have it in some event."""

    name: str
    segments: int


class EventFieldList(TypedDict):
    """The fields that stored events have, those of most segments first; not ``whole`` where time was up."""

    items: list[EventField]
    segments: int
    whole: bool


class CountProblem(TypedDict):
    """Why not everything was counted."""

    code: str
    text: str


class ValueCount(TypedDict):
    value: str
    count: int


class StretchCount(TypedDict):
    time: str
    count: int


class CountShape(TypedDict):
    """How many stored events answer a query."""

    total: int
    values: list[ValueCount]
    rest: int
    missing: int
    buckets: list[StretchCount]
    problem: CountProblem | None
