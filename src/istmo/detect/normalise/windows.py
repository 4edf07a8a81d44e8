"""Log sources and generic field names of Windows events, from the table ``windows.yml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from istmo.detect.sigma.logsources import Logsource

Fields = dict[str, Any]
LONGEST_CODES = 4096
"""Characters of a field in which codes are looked for."""

LONGEST_CHANNEL = 256
"""Characters; classes are remembered by channel, so a sender must not choose how much is kept."""


@dataclass(frozen=True, slots=True)
class Category:
    """One Sigma category of an event class; ``when`` narrows it by a field's values."""

    name: str
    when: tuple[tuple[str, frozenset[str]], ...]

    def holds(self, fields: Fields) -> bool:
        return all(str(fields.get(name)) in values for name, values in self.when)


@dataclass(frozen=True, slots=True)
class EventClass:
    """What the table says of one channel and event id."""

    product: str
    services: tuple[str, ...]
    categories: tuple[Category, ...]
    fixed: tuple[Logsource, ...] | None
    """The log sources, where none depends on a field's value."""
    copies: tuple[tuple[str, str], ...]
    translations: tuple[tuple[str, str, dict[str, str]], ...]
    joins: tuple[tuple[str, tuple[str, ...], str, tuple[tuple[str, str], ...]], ...]

    @property
    def derives(self) -> bool:
        """Whether some fields get values that the event does not hold."""
        return bool(self.translations or self.joins)

    def logsources(self, fields: Fields) -> tuple[Logsource, ...]:
        """Every log source of an event of this class; at least ``product: windows``."""
        if self.fixed is not None:
            return self.fixed
        return _combine(
            self.product, self.services, [one.name for one in self.categories if one.holds(fields)]
        )

    def rename(self, fields: Fields) -> None:
        """Add the generic names in place; what the event has already stays as it is.

        A field that is translated from itself gets the names of the codes in it as one more value.
        """
        for sigma, theirs in self.copies:
            if theirs in fields and sigma not in fields:
                fields[sigma] = fields[theirs]
        for sigma, theirs, values in self.translations:
            found = fields.get(theirs)
            if not isinstance(found, str):
                continue
            if sigma == theirs:
                names = [values[word] for word in found[:LONGEST_CODES].split() if word in values]
                if names:
                    fields[sigma] = [found, " ".join(names)]
            elif sigma not in fields and found in values:
                fields[sigma] = values[found]
        for sigma, parts, glue, prefixes in self.joins:
            texts = [fields.get(part) for part in parts]
            if sigma in fields or not all(isinstance(text, str) for text in texts):
                continue
            joined = glue.join(str(text) for text in texts)
            for theirs, ours in prefixes:
                if joined.upper().startswith(theirs):
                    joined = ours + joined[len(theirs) :]
                    break
            fields[sigma] = joined


def _combine(product: str, services: tuple[str, ...], categories: list[str]) -> tuple[Logsource, ...]:
    return tuple(
        Logsource(category, product, service)
        for service in services or ("",)
        for category in categories or [""]
    )


def _read_table() -> dict[str, Any]:
    text = resources.files("istmo.detect.normalise").joinpath("windows.yml").read_text("utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


_TABLE = _read_table()
_SERVICES = {channel.lower(): tuple(services) for channel, services in _TABLE["channels"].items()}

_PRODUCTS: dict[str, str] = {channel.lower(): product for channel, product in _TABLE["products"].items()}


@lru_cache(maxsize=4096)
def event_class(channel: str, event_id: int) -> EventClass:
    """What is known of a channel (any case: exporters write ``security`` too) and event id."""
    services = _SERVICES.get(channel.lower(), ())
    product = _PRODUCTS.get(channel.lower(), "windows")

    def concerns(row: dict[str, Any]) -> bool:
        return row["service"] in services and event_id in row["event_id"]

    categories = tuple(
        Category(row["category"], tuple((name, frozenset(v)) for name, v in row.get("when", {}).items()))
        for row in _TABLE["categories"]
        if concerns(row)
    )
    fixed = None
    if not any(category.when for category in categories):
        fixed = _combine(product, services, [category.name for category in categories])
    rows = [row for row in _TABLE["fields"] if concerns(row)]
    return EventClass(
        product,
        services,
        categories,
        fixed,
        tuple(pair for row in rows for pair in row.get("copy", {}).items()),
        tuple(
            (sigma, how["from"], how["values"])
            for row in rows
            for sigma, how in row.get("translate", {}).items()
        ),
        tuple(
            (sigma, tuple(how["from"]), how["with"], tuple(how["prefixes"].items()))
            for row in rows
            for sigma, how in row.get("join", {}).items()
        ),
    )


def line_logsources(channel: str, event_id: int) -> tuple[Logsource, ...] | None:
    """The log sources of flat events of a channel and event id, whose values are all their line's own.

    None where they depend on a value, or some values are derived: such an event has to be parsed.
    """
    known = event_class(channel[:LONGEST_CHANNEL], event_id)
    return None if known.derives else known.fixed


def windows_logsources() -> frozenset[Logsource]:
    """Every log source that some Windows event has."""
    services = {service for known in _SERVICES.values() for service in known}
    named = {Logsource("", "windows", service) for service in services}
    return frozenset(named) | {
        Logsource(row["category"], "windows", row["service"]) for row in _TABLE["categories"]
    }
