"""The reading side of sharing: what is here, from whom, who has it, who saw it.

Every answer, and every count, holds only what the asker may read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import NotAllowed, NotFound
from istmo.intel import records
from istmo.intel.objects import (
    Detectable,
    End,
    Ends,
    Marks,
    ObjectPage,
    Order,
    Provenance,
    Recipient,
    Sighting,
    Sought,
    State,
    StoredObject,
)
from istmo.ledger.log import Ledger
from istmo.model.markings import Tlp
from istmo.model.stix_types import OBSERVABLE, RELATIONSHIP
from istmo.policy import (
    Action,
    Context,
    Decision,
    Principal,
    Resource,
    decide,
    owner_names,
    reading_limit,
)
from istmo.settings import Settings
from istmo.store.engine import Store

OTHER_ORIGIN = "intel.not_detected.other_origin"
PAGE = 50
LONGEST_PAGE = 500
RELATIONS = frozenset(RELATIONSHIP)
OBSERVABLES = frozenset(OBSERVABLE)


class Acknowledgements(Protocol):
    """What other members have confirmed to hold; wired to ``federation``."""

    def of_entry(self, connection: Connection, sequence: int) -> Mapping[str, datetime | None]:
        """For each member that an entry of this node's log is due to: when it acknowledged it, or None."""
        ...


class Reading:
    """What the sharing room of one node can tell. ``members`` names each member by id, this node included."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        settings: Settings,
        clock: Clock,
        *,
        members: Callable[[], Mapping[str, str]],
        acknowledgements: Acknowledgements,
    ) -> None:
        self._store, self._ledger, self._settings, self._clock = store, ledger, settings, clock
        self._members, self._acknowledgements = members, acknowledgements

    @property
    def member(self) -> str:
        """This node's own id in the region."""
        return self._ledger.member_id

    def now(self) -> datetime:
        """The node's time: what an object's state is told by."""
        return self._clock.now()

    def names(self) -> Mapping[str, str]:
        """What people call each member."""
        return self._members()

    def search(
        self,
        principal: Principal,
        *,
        query: str = "",
        type: str = "",
        tlp: Tlp | None = None,
        origin: str = "",
        state: State | None = None,
        is_seen: bool | None = None,
        since: datetime | None = None,
        parts: bool = True,
        order: Order = Order.NEWEST,
        cursor: int | None = None,
        limit: int = PAGE,
    ) -> ObjectPage:
        """Objects that the asker may read, newest arrival first. Every word of ``query`` must occur;
        the filters are those of ``Sought``.

        Without ``parts`` relations are left out unless ``type`` names them, and observables unless that or
        words ask for them: of a real bundle they are most, and say little by themselves.
        """
        reads = reading_limit(principal, Action.OBJECT_READ)
        if reads is None:
            decision = decide(principal, Action.OBJECT_READ, self._own_resource(), self._context())
            self._require(decision, Action.OBJECT_READ)
            return ObjectPage((), None, 0)
        limit = max(1, min(limit, LONGEST_PAGE))
        readable, now = records.Readable(reads, owner_names(principal)), self._clock.now()
        words = tuple(query.replace("\x00", " ").lower().split()[:8])
        without = frozenset() if parts or type else RELATIONS if words else RELATIONS | OBSERVABLES
        sought = Sought(words, type, tlp, origin, state, is_seen, since, without, order)
        with self._store.read() as connection:
            found, total, has_more = records.search(
                connection, readable, sought, now=now, cursor=cursor, limit=limit + 1
            )
            following = found[limit - 1].row if len(found) > limit else None
            visible = [one for one in found[:limit] if self._can_read(principal, one)]
            settled = self._with_ends(connection, principal, self._settle(connection, visible))
            return ObjectPage(tuple(settled), following, total, has_more)

    def read(self, principal: Principal, object: str) -> tuple[StoredObject, ...]:
        """Every version of an object that the asker may read: the one to show first, then the newest.

        Raises NotFound("intel.no_object") where there is none, or none for this asker.
        """
        with self._store.read() as connection:
            found = self._readable(connection, principal, object)
            settled = self._with_ends(connection, principal, self._settle(connection, found))
        first = min(settled, key=lambda one: one.row).origin
        return tuple(sorted(settled, key=lambda one: _shown_first(one, first), reverse=True))

    def may_know(self, principal: Principal, object: str) -> bool:
        """Whether the asker may be told that this object changed."""
        with self._store.read() as connection:
            found = records.marks(connection, object)
        return any(self._can_read(principal, one) for one in found)

    def raw(self, principal: Principal, object: str) -> bytes:
        """The bytes of an object as its origin wrote them. Raises NotFound as ``read`` does."""
        shown = self.read(principal, object)[0]
        with self._store.read() as connection:
            payload = self._ledger.entry(connection, shown.origin, shown.sequence).payload
        if payload is None:
            raise NotFound("intel.no_object", object=object)
        return payload

    def provenance(self, principal: Principal, object: str) -> tuple[Provenance, ...]:
        """Origin, sequence and fingerprint of each version that ``read`` gives, in the same order."""
        versions = self.read(principal, object)
        found = []
        with self._store.read() as connection:
            for one in versions:
                entry = self._ledger.entry(connection, one.origin, one.sequence)
                found.append(
                    Provenance(
                        entry.origin,
                        entry.sequence,
                        entry.commitment.hex(),
                        hashlib.sha256(entry.envelope.encode()).hexdigest(),
                        entry.header.created,
                        entry.received,
                        entry.header.audience,
                    )
                )
        return tuple(found)

    def recipients(self, principal: Principal, object: str) -> tuple[Recipient, ...]:
        """To whom this node has sent an own object, and what each has acknowledged, by member id."""
        versions = [one for one in self.read(principal, object) if one.origin == self.member]
        found: dict[str, Recipient] = {}
        with self._store.read() as connection:
            for one in sorted(versions, key=lambda one: one.sequence):
                sent = self._acknowledgements.of_entry(connection, one.sequence)
                taken = one.retraction
                after = self._acknowledgements.of_entry(connection, taken.by_sequence) if taken else {}
                for member, acknowledged in sent.items():
                    found[member] = Recipient(
                        member,
                        one.sequence,
                        acknowledged,
                        taken.by_sequence if taken else None,
                        after.get(member),
                    )
        return tuple(found[member] for member in sorted(found))

    def sightings(self, principal: Principal, object: str) -> tuple[Sighting, ...]:
        """Who saw an object, since when and how often. Raises NotFound as ``read`` does."""
        self.read(principal, object)
        with self._store.read() as connection:
            return tuple(records.sightings_of(connection, [object]).get(object, ()))

    def sightings_of(self, principal: Principal, objects: Iterable[str]) -> dict[str, list[Sighting]]:
        """The sightings of several objects that ``search`` gave this asker."""
        if reading_limit(principal, Action.OBJECT_READ) is None:
            return {}
        with self._store.read() as connection:
            return records.sightings_of(connection, objects)

    def counts(self, principal: Principal) -> dict[str, int]:
        """How many live objects the asker may read, by type."""
        reads = reading_limit(principal, Action.OBJECT_READ)
        if reads is None:
            return {}
        with self._store.read() as connection:
            return records.counts(connection, reads, owner_names(principal), self._clock.now())

    def received_since(self, principal: Principal, instant: datetime, most: int) -> int:
        """How many objects that the asker may read arrived since then, counted up to ``most``: those that a
        list shows which was not asked for ``parts``.
        """
        reads = reading_limit(principal, Action.OBJECT_READ)
        if reads is None:
            return 0
        with self._store.read() as connection:
            return records.received_since(
                connection, instant, reads, owner_names(principal), RELATIONS | OBSERVABLES, most
            )

    # --- for detection ---------------------------------------------------------------------------

    def detectable(self, connection: Connection, ids: Iterable[str] | None = None) -> list[Detectable]:
        """The indicators to watch for now: newest version, not retracted, not revoked, not expired.

        One an id. Where several origins send different things under one id, the first to send it counts:
        nobody takes over another's indicator by using its id.
        """
        wanted = None if ids is None else list(ids)
        chosen: dict[str, tuple[Detectable, int]] = {}
        for found, first in records.detectable(connection, self._clock.now(), wanted):
            known = chosen.get(found.id)
            if known is None or first < known[1]:
                chosen[found.id] = (found, first)
        return [one for one, _ in chosen.values()]

    # --- what all of the above stands on ---------------------------------------------------------

    def _context(self) -> Context:
        members = frozenset(self._members()) | {self.member}
        return Context(self.member, members, self._settings.space, self._clock.now())

    def _own_resource(self) -> Resource:
        return Resource("object", self.member, frozenset({self.member}), Tlp.CLEAR, self._settings.space)

    def _resource(self, object: StoredObject | Marks) -> Resource:
        return Resource(
            "object",
            object.origin,
            frozenset(object.audience),
            object.tlp,
            self._settings.space,
            object.owner,
        )

    def _can_read(self, principal: Principal, object: StoredObject | Marks) -> bool:
        return decide(principal, Action.OBJECT_READ, self._resource(object), self._context()).allowed

    def _readable(self, connection: Connection, principal: Principal, object: str) -> list[StoredObject]:
        found = records.versions(connection, [object]).get(object, [])
        readable = [one for one in found if self._can_read(principal, one)]
        if not readable:
            raise NotFound("intel.no_object", object=object[:120])
        return readable

    def _settle(self, connection: Connection, found: Iterable[StoredObject]) -> list[StoredObject]:
        """Say of an indicator whose id another origin used first that it is not the one watched for."""
        listed = list(found)
        watched = [
            one.id for one in listed if one.is_watched_for and one.is_current and one.retraction is None
        ]
        chosen = {one.id: one for one in self.detectable(connection, watched)} if watched else {}
        return [
            _passed_over(one) if one.id in chosen and not _is_watched(one, chosen[one.id]) else one
            for one in listed
        ]

    def _with_ends(
        self, connection: Connection, principal: Principal, found: Iterable[StoredObject]
    ) -> list[StoredObject]:
        """Relations with what they connect: a name of an end only where the asker may read it."""
        listed = list(found)
        entries = [(one.origin, one.sequence) for one in listed if one.type == "relationship"]
        ends = records.ends_of(connection, entries)
        known = self._visible(connection, principal, {id for one in ends.values() for id in one.values()})
        names = {id: one.name for id, one in known.items()}
        return [
            replace(one, ends=ends_named(ends[one.origin, one.sequence], names))
            if (one.origin, one.sequence) in ends
            else one
            for one in listed
        ]

    def _visible(
        self, connection: Connection, principal: Principal, ids: Iterable[str]
    ) -> dict[str, StoredObject]:
        """Of each id the version to show, where the asker may read one that is not taken back."""
        found = {}
        for id, versions in records.versions(connection, ids).items():
            readable = [
                one
                for one in versions
                if one.is_current and one.retraction is None and self._can_read(principal, one)
            ]
            if readable:
                found[id] = readable[0]
        return found

    def _require(self, decision: Decision, action: Action) -> None:
        if not decision:
            raise NotAllowed("intel.not_allowed", action=str(action), why=[r.code for r in decision.reasons])


def ends_named(refs: Mapping[str, str], names: Mapping[str, str]) -> Ends | None:
    """What a relation connects; None where it does not say both."""
    source, target = (refs.get(name) for name in records.ENDS)
    if source is None or target is None:
        return None
    return Ends(End(source, names.get(source, "")), End(target, names.get(target, "")))


def _shown_first(one: StoredObject, first: str) -> tuple[bool, bool, bool, datetime, int]:
    """Nobody's later version stands before that of the origin which used the id first."""
    return (one.is_current, one.retraction is None, one.origin == first, one.version, -one.row)


def _is_watched(one: StoredObject, watched: Detectable) -> bool:
    # Another origin that sends the very same terms is served by the one that is watched.
    return (
        not one.is_current
        or one.retraction is not None
        or (one.terms, one.plan) == (watched.terms, watched.plan)
    )


def _passed_over(one: StoredObject) -> StoredObject:
    return replace(one, terms=(), plan=None, not_detected=OTHER_ORIGIN)
