"""The shapes of what the machine interface of cases answers, as the OpenAPI document tells them.

Times are RFC 3339 with ``Z``, markings their labels (``TLP:AMBER``), members their ids.
"""

from __future__ import annotations

from typing import TypedDict


class EntryAuthor(TypedDict):
    """A member, and a person there."""

    node: str
    name: str


class _EntryAlways(TypedDict):
    id: str
    kind: str
    author: EntryAuthor
    created: str
    follows: list[str]
    readers: list[str]
    tlp: str


class EntryShape(_EntryAlways, total=False):
    """An entry of a case. What it carries beyond the head depends on its ``kind``; nothing once erased.

    ``withheld``: it is there and is not the asker's to read; who may have it and what it follows is not told.
    """

    text: str
    """Of a note or a task."""
    title: str
    """Of an opening, an alert or a new title."""
    severity: str
    alert: str
    level: str
    first: str | None
    last: str | None
    count: int
    evidence: list[str]
    indicator: str | None
    object: str
    name: str
    task: str
    value: str
    owner: EntryAuthor | None
    member: str
    members: list[str]


class CaseLine(TypedDict):
    """A case as a line of the list."""

    id: str
    title: str
    status: str
    severity: str
    owner: str | None
    opener: str | None
    tlp: str
    members: list[str]
    entries: int
    pending: int
    is_disputed: bool
    created: str
    updated: str


class CaseList(TypedDict):
    """A page of cases; ``next`` is the cursor of the following one. They are not counted."""

    items: list[CaseLine]
    next: str | None
    total: None


class ClaimShape(TypedDict):
    """What one entry says that the value is."""

    value: str | None
    entry: str
    author: EntryAuthor


class RegisterShape(TypedDict):
    """A value that several may set; disputed where two did so without knowing of each other."""

    value: str | None
    is_disputed: bool
    heads: list[ClaimShape]


class ParticipantShape(TypedDict):
    """A member on the case, and who let it in."""

    member: str
    admitted_by: list[str]


class TaskShape(TypedDict):
    """A task, and the entries that say that it is done."""

    id: str
    text: str
    is_done: bool
    done_by: list[EntryShape]


class CaseShape(TypedDict):
    """A case: its state, who is on it, its timeline, and what waits for entries that are ``missing``.

    ``version`` is another one whenever status, severity or owner was changed.
    """

    id: str
    title: str
    opener: str | None
    tlp: str
    status: RegisterShape
    severity: RegisterShape
    owner: RegisterShape
    version: str
    is_disputed: bool
    is_invitation: bool
    participants: list[ParticipantShape]
    tasks: list[TaskShape]
    timeline: list[EntryShape]
    pending: list[EntryShape]
    missing: list[str]


class ReasonShape(TypedDict):
    """Why, as a code of ``policy`` with its parameters."""

    code: str
    params: dict[str, str]


class RefusedEntry(TypedDict):
    """An entry that stays here, and why."""

    entry: str
    kind: str
    title: str
    reasons: list[ReasonShape]


class ShareShape(TypedDict):
    """What sharing with a member would send and what it would not; ``others``: entries of other nodes.

    ``seen`` is sent back with what is confirmed; ``new``: what was written after the ``seen`` that came.
    """

    member: str
    allowed: bool
    reasons: list[ReasonShape]
    sends: list[EntryShape]
    refused: list[RefusedEntry]
    others: dict[str, int]
    seen: str
    new: list[str]
