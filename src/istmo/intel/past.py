"""What would have matched here: asked of detection, which this room knows by these protocols alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from istmo.model.stix import Bundle
from istmo.policy import Principal

Asked = Mapping[str, tuple[Sequence[tuple[str, str]], str | None]]
"""By indicator: its terms, as kind and value, and its plan."""


class Event(Protocol):
    """One stored event; ``fields`` are those that matched."""

    @property
    def id(self) -> str: ...

    @property
    def time(self) -> datetime: ...

    @property
    def host(self) -> str: ...

    @property
    def fields(self) -> Mapping[str, str]: ...


class Match(Protocol):
    """What one indicator would have matched."""

    @property
    def count(self) -> int: ...

    @property
    def hosts(self) -> int: ...

    @property
    def first(self) -> datetime: ...

    @property
    def last(self) -> datetime: ...

    @property
    def examples(self) -> Sequence[Event]: ...


class Past(Protocol):
    """By indicator what it would have matched in so many ``days``; ``problem``: why that is not all."""

    @property
    def found(self) -> Mapping[str, Match]: ...

    @property
    def days(self) -> int: ...

    @property
    def asked(self) -> int: ...

    @property
    def left_out(self) -> int: ...

    @property
    def problem(self) -> str | None: ...

    @property
    def params(self) -> Mapping[str, Any]: ...


class PastMatching(Protocol):
    """Looks through stored events within a few seconds. Raises NotAllowed, Unavailable."""

    def __call__(self, principal: Principal, indicators: Asked, /) -> Past: ...


def indicators_in(bundle: Bundle) -> Asked:
    """What detection would look for, once a bundle were published."""
    return {
        one.id: ([(term.kind, term.value) for term in one.pattern.terms], one.pattern.plan)
        for one in bundle.objects
        if one.pattern is not None
    }
