"""Switches of one thing, as forms ask for them; each is told with its way back.

A way back holds while the switch is the last: what somebody else has decided since is not undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response

from istmo.errors import InvalidInput
from istmo.kit.forms import Sent, one
from istmo.kit.pages import Undo, back_to
from istmo.model import instants


@dataclass(frozen=True)
class Switch:
    """On or off, in which field of the form, and the moment of the switch that is taken back by it."""

    field: str
    is_on: bool
    undoing: datetime | None = None

    @property
    def word(self) -> str:
        """``on`` or ``off``, as forms and the keys of texts say it."""
        return _word(self.is_on)


def read_switch(data: Sent, field: str) -> Switch:
    """What a form asks for."""
    return Switch(field, one(data, field, longest=10) != "off")


def read_undo(data: Sent, field: str) -> Switch:
    """The same, of a form that takes back what was switched at a moment; a moment that is none never was."""
    try:
        at = instants.parse(one(data, "at", longest=40))
    except InvalidInput:
        at = datetime.min.replace(tzinfo=UTC)
    return Switch(field, one(data, field, longest=10) != "off", at)


def switched(
    request: Request[Any, Any, Any],
    path: str,
    switch: Switch,
    way_back: Undo,
    *,
    at: datetime,
    notice: str,
    **params: str,
) -> Response[Any]:
    """After a switch made ``at`` a moment: see ``path``, told, with the way back unless it was one."""
    undo = None if switch.undoing else undo_of(way_back, switch, at)
    return back_to(request, path, notice=notice, undo=undo, **params)


def undo_of(way_back: Undo, switch: Switch, at: datetime) -> Undo:
    """What takes a switch back that was made ``at`` a moment."""
    told = {"at": instants.format(at), switch.field: _word(not switch.is_on)}
    return Undo(way_back.path, {**way_back.fields, **told})


def _word(is_on: bool) -> str:
    return "on" if is_on else "off"
