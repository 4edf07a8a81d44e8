"""An event's fields, as rules ask for them (rules specification, "Field Usage", "Special Field Values").

* A field is **absent**, or **without a value** (``null``, or an empty list), or has one value or
  several. ``null`` in a rule means absent or without a value; ``exists`` asks for presence alone;
  ``''`` is the empty text and nothing else.
  :class:`EmptyText` is the empty text and no value at once.
* A list in the event is several values of the field: a rule's value matches when one of them does.
* Names are exact: ``Payload`` and ``payload`` are two fields. A dot leads into nested objects
  where no field has the whole name.
* Numbers and truth values are compared as their JSON text too: ``4688`` is ``'4688'``, ``true``
  is ``'true'``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from istmo.detect.sigma.texts import fold

DEPTH = 16
"""How far nested objects and lists are followed."""


class EmptyText(str):
    """The empty text where it may as well be nothing: in XML, ``<Data Name="X"/>`` is how either is written.

    ``''`` and ``null`` in a rule both hold for it. Shippers send such an element as null, as ``""`` or not
    at all; rules were written for each of them.
    """

    __slots__ = ()


EMPTY = EmptyText()


class FieldValue:
    """One value of a field, in the forms that tests ask for."""

    __slots__ = ("folded", "raw", "text")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.text = text_of(raw)
        """As text, case and all."""
        self.folded = fold(self.text)
        """The text with its case taken out."""


class _Values(dict[str, tuple[FieldValue, ...]]):
    """Values by field, made when first asked for: what was asked before costs no call."""

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__()
        self.fields = fields

    def __missing__(self, name: str) -> tuple[FieldValue, ...]:
        if name in self.fields:
            found = self.fields[name]
            # the common kinds first; everything else is taken apart with care
            raw: Iterable[Any] = (found,) if isinstance(found, (str, int)) else _scalars(found, 0)
        elif "." in name:
            raw = (one for below in _descend(self.fields, name.split(".")) for one in _scalars(below, 0))
        else:
            raw = ()
        self[name] = made = tuple(map(FieldValue, raw))
        return made


class EventView:
    """One event while rules are asked about it: each value is brought into form once."""

    __slots__ = ("_all", "fields", "values")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self.values: Mapping[str, tuple[FieldValue, ...]] = _Values(fields)
        """The values of any field by its name; none where it is absent or has no value."""
        self._all: tuple[tuple[str, FieldValue], ...] | None = None

    def exists(self, name: str) -> bool:
        """Whether the field is there at all."""
        if name in self.fields:
            return True
        return "." in name and next(_descend(self.fields, name.split(".")), _NOTHING) is not _NOTHING

    def all_values(self) -> tuple[tuple[str, FieldValue], ...]:
        """Every value of the event with the field that holds it, nested ones too: for keywords."""
        if self._all is None:
            self._all = tuple(
                (name, value)
                for name in self.fields
                for value in (
                    self.values[name]
                    if not isinstance(self.fields[name], (Mapping, list))
                    else map(FieldValue, leaves(self.fields[name]))
                )
            )
        return self._all

    def evidence(self, name: str) -> Any:
        """What the field holds, for a person to see; None where it is absent."""
        if name in self.fields:
            found = self.fields[name]
            return "" if isinstance(found, EmptyText) else found
        values = self.values[name]
        return values[0].raw if len(values) == 1 else [value.raw for value in values] or None


_NOTHING = object()


def _scalars(raw: Any, depth: int) -> Iterator[Any]:
    """The values of a field: its own, or a list's elements. Objects have no text of their own."""
    if isinstance(raw, (list, tuple)):
        if depth < DEPTH:
            for one in raw:
                yield from _scalars(one, depth + 1)
    elif raw is not None and not isinstance(raw, Mapping):
        yield raw


def leaves(raw: Any, depth: int = 0) -> Iterator[Any]:
    """Every value inside, objects and lists alike."""
    if isinstance(raw, Mapping):
        raw = list(raw.values())
    if isinstance(raw, (list, tuple)):
        if depth < DEPTH:
            for one in raw:
                yield from leaves(one, depth + 1)
    elif raw is not None:
        yield raw


def _descend(raw: Any, path: list[str], depth: int = 0) -> Iterator[Any]:
    """What stands at a dotted path; a list on the way leads into each of its elements."""
    if isinstance(raw, (list, tuple)):
        if depth < DEPTH:
            for one in raw:
                yield from _descend(one, path, depth + 1)
    elif not path:
        yield raw
    elif isinstance(raw, Mapping):
        for taken in range(1, len(path) + 1):
            name = ".".join(path[:taken])
            if name in raw:
                yield from _descend(raw[name], path[taken:], depth + 1)
                return


def text_of(raw: Any) -> str:
    """A JSON scalar as text."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(raw)
