"""One event, as detection sees it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from istmo.detect.normalise.mapping import Map, recognise
from istmo.detect.normalise.shapes import flatten, flatten_flat, is_windows
from istmo.detect.normalise.times import EventTime, event_time
from istmo.detect.normalise.windows import LONGEST_CHANNEL, event_class
from istmo.detect.normalise.zones import ZONE, completed
from istmo.detect.sigma.logsources import Logsource

ORIGINAL = "event.original"
"""ECS' name for the line that an event was read from: kept for people; no rule looks there."""
CARRIED = 2
"""How many events may stand inside one another: a shipper's, and an agent's within it."""


class NormalEvent:
    """An event with Sigma's field names. The raw event stays untouched with the caller.

    Time and host are read when somebody asks: of most events nobody does, and reading a time costs as
    much as looking for all rules.
    """

    __slots__ = ("_host", "_when", "fields", "line", "logsources")

    def __init__(
        self,
        fields: dict[str, Any],
        logsources: tuple[Logsource, ...],
        when: EventTime | None = None,
        host: str | None = None,
        line: bytes | None = None,
    ) -> None:
        """``when`` and ``host`` where somebody knows better than the fields."""
        self.line = line
        """The JSON in which all values of the fields stand; None where one is derived, or it is not kept."""
        self.fields = fields
        """Flat; values as they came (text, numbers, booleans, None, lists)."""
        self.logsources = logsources
        """Empty where the event's kind is unknown: only rules without a log source could match."""
        self._when = completed(when, fields) if when and ZONE in fields else when
        self._host = host

    @property
    def time(self) -> datetime | None:
        """Aware, in UTC; None where the event tells no readable time."""
        return self._told().instant

    @property
    def is_time_assumed(self) -> bool:
        """The time named no zone and was read as UTC."""
        return self._told().is_assumed

    @property
    def host(self) -> str:
        """The computer that the event happened on, ``""`` where unknown."""
        if self._host is None:
            self._host = host_of(self.fields)
        return self._host

    def _told(self) -> EventTime:
        if self._when is None:
            self._when = completed(event_time(self.fields), self.fields)
        return self._when


def normalise(event: Mapping[str, Any], line: bytes | None = None) -> NormalEvent:
    """Bring one parsed JSON event to Sigma's taxonomy (taxonomy appendix 2.1, flat Sysmon names).

    ``line``: the JSON that it was parsed from, where that is at hand. Windows events by their channel and id;
    what other products write by the maps in ``maps/``. Never raises on what an event holds: a field that
    cannot be used is left as it is.
    """
    if ORIGINAL in event:
        event = {name: value for name, value in event.items() if name != ORIGINAL}
    if "EventID" in event and "Channel" in event:  # by far the most: no second look
        return normalise_windows(flatten_flat(event), line)
    if not is_windows(event):
        known = recognise(event)
        if known is not None:
            return normalise_by(known, event)
    return normalise_windows(flatten(event), line)


def normalise_by(known: Map, event: Mapping[str, Any], depth: int = 0) -> NormalEvent:
    """An event that a map knows, or the one that it carries."""
    inner = known.inner(event)
    if inner is not None and depth < CARRIED:
        below = None if is_windows(inner) else recognise(inner)
        if below is not None:
            found = normalise_by(below, inner, depth + 1)
        elif is_windows(inner):
            found = normalise_windows(flatten(inner))
        else:
            found = NormalEvent(dict(inner), ())
        event = {**event, **inner}
        if found.logsources:
            when = EventTime(found.time, found.is_time_assumed) if found.time else known.time_of(event)
            return NormalEvent(found.fields, found.logsources, when, found.host or known.host_of(event))
    fields = known.fields(event)
    if known.is_windows:
        return normalise_windows(fields)
    # A map says where its product tells the computer: what else is called "host" may be a website.
    host = known.host_of(fields) if known.host else None
    return NormalEvent(fields, known.logsources(fields), known.time_of(fields), host)


def normalise_windows(fields: dict[str, Any], line: bytes | None = None) -> NormalEvent:
    """Flat fields by their channel and event id; without these, an event of no known kind."""
    channel, event_id = fields.get("Channel"), fields.get("EventID")
    logsources: tuple[Logsource, ...] = ()
    if isinstance(channel, str):
        number = read_event_id(event_id)
        if number is not None:
            fields["EventID"] = number
            known = event_class(channel[:LONGEST_CHANNEL], number)
            known.rename(fields)
            logsources = known.logsources(fields)
            if known.derives:
                line = None
        else:
            logsources = (Logsource("", "windows", ""),)
    return NormalEvent(fields, logsources, line=line)


def read_event_id(found: Any) -> int | None:
    """The event id as a number; None where it is not one."""
    if isinstance(found, bool):
        return None
    if isinstance(found, int):
        return found
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) <= 10:
        return int(found)
    return None


def host_of(fields: Mapping[str, Any]) -> str:
    """The computer's name."""
    for name in ("Computer", "Hostname", "host", "hostname", "HostName"):
        found = fields.get(name)
        if isinstance(found, Mapping):
            found = found.get("name")
        if isinstance(found, str) and found:
            return found
    return ""
