"""The reconciliation report: for one peer, what is due, what arrived, what was refused and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from istmo.federation import records as own_records
from istmo.federation.acknowledgements import Acknowledgements
from istmo.federation.links import LIVE, Link, Links
from istmo.federation.objects import Acknowledged, Cursor, Member, Refusal
from istmo.kit.i18n import Catalogue
from istmo.ledger.log import Ledger
from istmo.ledger.records import Chain
from istmo.model import instants

COMPLETE, INCOMPLETE, UNKNOWN = "complete", "incomplete", "unknown"
LISTED = 100
"""Refusals that a report lists one by one; all of them are counted."""


@dataclass(frozen=True)
class Reconciliation:
    """One peer, both directions."""

    member: Member
    link: Link
    sent: int
    """Entries of ours meant for the peer."""
    acknowledged: int
    acknowledged_at: datetime | None
    is_ours_equal: bool | None
    """Whether the peer's head of our chain is ours; None while it has acknowledged nothing."""
    refused_there: int
    refusals_there: tuple[Refusal, ...]
    stated: int | None
    """Entries that the peer says are meant for us; None until it has said so since our start."""
    received: int
    is_theirs_equal: bool | None
    refused_here: int
    refusals_here: tuple[Refusal, ...]

    @property
    def is_complete(self) -> bool:
        """Everything due has arrived in both directions, was accepted, and both sides agree on it."""
        return not self.is_lacking and self.is_theirs_equal is True and self.link.problem is None

    @property
    def is_lacking(self) -> bool:
        """Something is known not to have arrived, to have been refused, or to differ between the sides."""
        return (
            self.sent != self.acknowledged
            or self.is_ours_equal is False
            or (self.stated is not None and self.stated != self.received)
            or self.is_theirs_equal is False
            or bool(self.refused_there or self.refused_here)
        )

    @property
    def standing(self) -> str:
        """``complete``, ``incomplete``; ``unknown`` where nothing is known to lack and nobody can say so."""
        if self.is_complete:
            return COMPLETE
        return INCOMPLETE if self.is_lacking else UNKNOWN

    @property
    def state(self) -> str:
        """``connected`` when we hear the peer, or, where it cannot be reached, when it speaks to us."""
        if not self.member.url and self.link.contact is not None and self.link.problem is None:
            return LIVE
        return self.link.state

    def to_json(self) -> dict[str, Any]:
        link = self.link
        return {
            "member": self.member.id,
            "name": self.member.name,
            "country": self.member.country,
            "kind": self.member.kind,
            "url": self.member.url,
            "fingerprint": self.member.fingerprint,
            "joined": instants.format(self.member.joined),
            "state": self.state,
            "listens": link.is_listening,
            "last_contact": _told(link.contact),
            "clock_skew_seconds": None if link.skew is None else round(link.skew, 1),
            "has_skewed_clock": link.has_skewed_clock,
            "problem": link.problem.to_json() if link.problem else None,
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "acknowledged_at": _told(self.acknowledged_at),
            "sent_head_equal": self.is_ours_equal,
            "refused_there": self.refused_there,
            "refusals_there": [one.to_json() for one in self.refusals_there],
            "stated": self.stated,
            "received": self.received,
            "received_head_equal": self.is_theirs_equal,
            "refused_here": self.refused_here,
            "refusals_here": [one.to_json() for one in self.refusals_here],
            "complete": self.is_complete,
            "standing": self.standing,
        }


def reconcile(
    ledger: Ledger, links: Links, acknowledgements: Acknowledgements, member: Member
) -> Reconciliation:
    """The report on one peer, as of now."""
    return next(reconcile_all(ledger, links, acknowledgements, [member]))


def reconcile_all(
    ledger: Ledger, links: Links, acknowledgements: Acknowledgements, members: Iterable[Member]
) -> Iterator[Reconciliation]:
    """The report on each peer. What can be, is read for all of them at once: there may be fifty."""
    of = tuple(members)
    ids = [member.id for member in of]
    with ledger.store.read() as connection:
        known = _Known(
            ledger.chains(connection, ids),
            acknowledgements.last_of(connection, ids),
            own_records.cursors(connection),
            own_records.count_refusals(connection),
        )
        for member in of:
            yield _reconciled(connection, ledger, links.get(member.id), member, known)


@dataclass(frozen=True)
class _Known:
    """What was read of all peers at once, by their ids."""

    sent: Mapping[str, Chain]
    acknowledged: Mapping[str, Acknowledged]
    cursors: Mapping[str, Cursor]
    refusals: Mapping[tuple[str, str], int]


def _reconciled(
    connection: Connection, ledger: Ledger, link: Link, member: Member, known: _Known
) -> Reconciliation:
    def refused(by: str) -> tuple[int, tuple[Refusal, ...]]:
        number = known.refusals.get((by, member.id), 0)
        return number, tuple(own_records.refusals_of(connection, by, member.id, LISTED)) if number else ()

    ours = known.sent[member.id]
    told = known.acknowledged.get(member.id)
    cursor = known.cursors.get(member.id, Cursor())
    equal = None
    if told is not None and told.count == ours.count:
        equal = told.head == ours.head
    elif told is not None:
        equal = own_records.delivery_head(connection, ledger.member_id, member.id, told.count) == told.head
    stated = link.stated
    (refused_there, there), (refused_here, here) = refused(own_records.THEIRS), refused(own_records.OURS)
    return Reconciliation(
        member=member,
        link=link,
        sent=ours.count,
        acknowledged=told.count if told else 0,
        acknowledged_at=told.at if told else None,
        is_ours_equal=equal,
        refused_there=refused_there,
        refusals_there=there,
        stated=stated.count if stated else None,
        received=cursor.count,
        is_theirs_equal=(stated.count, stated.head) == (cursor.count, cursor.head) if stated else None,
        refused_here=refused_here,
        refusals_here=here,
    )


def refusal_words(catalogue: Catalogue, language: str, code: str, sequence: int) -> str:
    """Why an entry was refused, for a person; a code that only the peer knows stays as it is."""
    key = f"error.{code}"
    return catalogue.outline(language, key, sequence=sequence) if catalogue.has(language, key) else code


def _told(at: datetime | None) -> str | None:
    return None if at is None else instants.format(at)
