"""What can be done with shared objects: publish, import, find, read, take back. Each asks ``policy``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput, IstmoError, NotAllowed, NotFound
from istmo.identity import audit
from istmo.intel import records
from istmo.intel.folding import ERASURE, NOTE_LENGTH, RETRACTION, SIGHTING, STIX, Folding
from istmo.intel.objects import (
    Detectable,
    ObjectPage,
    Outcome,
    Plan,
    Planned,
    Provenance,
    Recipient,
    Retraction,
    RetractionReason,
    Sighting,
    State,
    StoredObject,
)
from istmo.intel.publishing import plan_import, plan_publication
from istmo.intel.sightings import INTERVAL, Sightings
from istmo.ledger.log import Ledger
from istmo.model.markings import Tlp
from istmo.model.stix import Bundle, parse_bundle
from istmo.policy import (
    Action,
    Context,
    Decision,
    Principal,
    Reason,
    Resource,
    decide,
    owner_names,
    reading_limit,
    told,
)
from istmo.settings import Settings
from istmo.store.engine import Store, Transaction
from istmo.store.jobs import JobRunner

REGION = "region"
"""As an audience: every present member."""
OTHER_ORIGIN = "intel.not_detected.other_origin"
PAGE = 50
LONGEST_PAGE = 500


class Acknowledgements(Protocol):
    """What other members have confirmed to hold; wired to ``federation``."""

    def of_entry(self, connection: Connection, sequence: int) -> Mapping[str, datetime | None]:
        """For each member that an entry of this node's log is due to: when it acknowledged it, or None."""
        ...


class Intel:
    """The sharing room of one node. ``members`` tells their names by id, this node among them."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        settings: Settings,
        clock: Clock,
        *,
        members: Callable[[], Mapping[str, str]],
        acknowledgements: Acknowledgements,
        sighting_interval: float = INTERVAL,
    ) -> None:
        self._store, self._ledger, self._settings, self._clock = store, ledger, settings, clock
        self._members, self._acknowledgements = members, acknowledgements
        self._sightings = Sightings(store, ledger, clock, settings.space, interval=sighting_interval)
        folding = Folding(ledger.member_id, settings.limits)
        ledger.on(STIX, folding.fold_object)
        ledger.on(SIGHTING, folding.fold_sighting)
        ledger.on(RETRACTION, folding.fold_retraction)
        ledger.on(ERASURE, folding.fold_erasure)

    @property
    def member(self) -> str:
        """This node's own id in the region."""
        return self._ledger.member_id

    def now(self) -> datetime:
        """The node's time: what an object's state is told by."""
        return self._clock.now()

    def work(self, runner: JobRunner) -> None:
        """Register this room's background work."""
        self._sightings.work(runner)

    def names(self) -> Mapping[str, str]:
        """What people call each member."""
        return self._members()

    # --- publishing ----------------------------------------------------------------------------

    def preview(
        self, principal: Principal, raw: bytes, *, audience: Iterable[str], tlp: Tlp | None = None
    ) -> Plan:
        """Who would see each object of a bundle, and why; what would be refused; what is there already.

        ``audience``: member ids or names, or ``region``. Raises InvalidInput ``intel.empty_audience``,
        ``intel.unknown_member``, ``bundle.invalid``; TooLarge; NotAllowed.
        """
        self._may_publish(principal)
        bundle = parse_bundle(raw, self._settings.limits)
        with self._store.read() as connection:
            return self._plan(connection, principal, bundle, audience, tlp)

    def publish(
        self,
        principal: Principal,
        raw: bytes,
        *,
        audience: Iterable[str],
        tlp: Tlp | None = None,
        purpose: str = "",
    ) -> Plan:
        """Publish what ``preview`` shows, each object in an envelope of its own, all in one transaction.

        An object that cannot go is refused in its item; the others go. Raises like ``preview``.
        """
        self._may_publish(principal)
        bundle = parse_bundle(raw, self._settings.limits)
        with self._store.write() as tx:
            plan = self._plan(tx.connection, principal, bundle, audience, tlp)
            self._append(tx, principal, plan, purpose)
            self._record(tx, principal, Action.OBJECT_PUBLISH, plan)
        return plan

    def import_bundle(self, principal: Principal, raw: bytes, *, tlp: Tlp | None = None) -> Plan:
        """Keep a bundle for this node alone (its audience is the node itself). What carries no marking
        is kept as ``tlp``, or RED. Raises InvalidInput("bundle.invalid"), TooLarge, NotAllowed.
        """
        self._require(
            decide(principal, Action.OBJECT_IMPORT, self._own_resource(), self._context()),
            Action.OBJECT_IMPORT,
        )
        bundle = parse_bundle(raw, self._settings.limits)
        with self._store.write() as tx:
            plan = plan_import(tx.connection, bundle, tlp=tlp, context=self._context())
            self._append(tx, principal, plan, "import")
            self._record(tx, principal, Action.OBJECT_IMPORT, plan)
        return plan

    def _plan(
        self,
        connection: Connection,
        principal: Principal,
        bundle: Bundle,
        audience: Iterable[str],
        tlp: Tlp | None,
    ) -> Plan:
        wanted = [one.strip() for one in audience if one.strip()]
        context = self._context()
        plan = plan_publication(
            connection,
            bundle,
            audience=self._members_named(wanted) | {self.member},
            tlp=tlp,
            context=context,
            by_name=REGION not in (one.lower() for one in wanted),
        )
        for item in plan.items:
            if item.outcome is Outcome.PUBLISH:
                resource = Resource("object", self.member, item.audience, item.tlp, context.space)
                self._require(
                    decide(principal, Action.OBJECT_PUBLISH, resource, context), Action.OBJECT_PUBLISH
                )
        return plan

    def _members_named(self, names: list[str]) -> frozenset[str]:
        if not names:
            raise InvalidInput("intel.empty_audience")
        members = self._members()
        chosen: set[str] = set()
        for name in names:
            if name.lower() == REGION:
                chosen |= members.keys()
                continue
            found = [id for id, called in members.items() if name == id or name.lower() == called.lower()]
            if len(found) != 1:
                raise InvalidInput("intel.unknown_member", member=name[:120])
            chosen |= set(found)
        return frozenset(chosen)

    def _append(self, tx: Transaction, principal: Principal, plan: Plan, purpose: str) -> None:
        for item in plan.items:
            if item.outcome is not Outcome.PUBLISH:
                continue
            try:
                with tx.savepoint():
                    item.sequence = self._append_one(tx, item, purpose)
            except IstmoError as error:
                if error.status >= 500:
                    raise
                item.refuse("intel.ledger_refused", problem=error.code)
                continue
            records.set_owner(tx.connection, self.member, item.sequence, told(principal))

    def _append_one(self, tx: Transaction, item: Planned, purpose: str) -> int:
        entry = self._ledger.append(
            tx,
            STIX,
            item.object.raw,
            audience=item.audience,
            markings=(item.tlp.marking_id,),
            expires=item.object.valid_until if item.object.type == "indicator" else None,
            purpose=purpose,
        )
        return entry.sequence

    def _record(self, tx: Transaction, principal: Principal, action: Action, plan: Plan) -> None:
        sent = [item for item in plan.items if item.outcome is Outcome.PUBLISH]
        if not sent:
            return
        subject = sent[0].object.id
        if len(sent) > 1:
            subject = f"{sent[0].sequence}-{sent[-1].sequence} ({len(sent)})"
        self._audit(tx, principal, action, subject)

    # --- taking back ---------------------------------------------------------------------------

    def retract(
        self, principal: Principal, object: str, *, reason: RetractionReason, note: str = ""
    ) -> tuple[Retraction, ...]:
        """Take back every version of an own object: a signed tombstone to each member it was recorded
        as delivered to, in the fast lane.

        Raises NotFound("intel.no_object"), Conflict("intel.retracted_already"), NotAllowed where the
        object is another's or the asker may not, InvalidInput("intel.note_too_long").
        """
        if len(note) > NOTE_LENGTH:
            raise InvalidInput("intel.note_too_long", limit=NOTE_LENGTH)
        with self._store.write() as tx:
            versions = self._readable(tx.connection, principal, object)
            own = [one for one in versions if one.origin == self.member] or versions
            for one in own:
                self._require(
                    decide(principal, Action.OBJECT_RETRACT, self._resource(one), self._context()),
                    Action.OBJECT_RETRACT,
                )
            open = [one for one in own if one.retraction is None]
            if not open:
                raise Conflict("intel.retracted_already", object=object)
            for one in open:
                self._retract_one(tx, one, reason, note)
            self._audit(tx, principal, Action.OBJECT_RETRACT, object)
            after = records.versions(tx.connection, [object])[object]
        taken = {one.sequence for one in open}
        return tuple(one.retraction for one in after if one.sequence in taken and one.retraction)

    def _retract_one(
        self, tx: Transaction, object: StoredObject, reason: RetractionReason, note: str
    ) -> None:
        payload = {
            "retracts": {"origin": object.origin, "sequence": object.sequence, "object": object.id},
            "reason": str(reason),
            "note": note,
        }
        self._ledger.append(
            tx,
            RETRACTION,
            json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8"),
            audience={*self._ledger.recipients(tx.connection, object.sequence), self.member},
            markings=(object.tlp.marking_id,),
            lane="fast",
            purpose="retraction",
        )

    # --- reading -------------------------------------------------------------------------------

    def search(
        self,
        principal: Principal,
        *,
        query: str = "",
        type: str = "",
        tlp: Tlp | None = None,
        origin: str = "",
        state: State | None = None,
        cursor: int | None = None,
        limit: int = PAGE,
    ) -> ObjectPage:
        """Objects that the asker may read, newest arrival first. Every word of ``query`` must occur.

        Without ``state``: the newest version of each, whatever became of it.
        """
        reads = reading_limit(principal, Action.OBJECT_READ)
        if reads is None:
            decision = decide(principal, Action.OBJECT_READ, self._own_resource(), self._context())
            self._require(decision, Action.OBJECT_READ)
            return ObjectPage((), None, 0)
        limit = max(1, min(limit, LONGEST_PAGE))
        with self._store.read() as connection:
            found, total = records.search(
                connection,
                reads=reads,
                owners=owner_names(principal),
                now=self._clock.now(),
                words=query.replace("\x00", " ").lower().split()[:8],
                type=type,
                tlp=tlp,
                origin=origin,
                state=state,
                before=cursor,
                limit=limit,
            )
            following = found[-1].row if len(found) == limit else None
            visible = [one for one in found if self._can_read(principal, one)]
            return ObjectPage(tuple(self._settle(connection, visible)), following, total)

    def read(self, principal: Principal, object: str) -> tuple[StoredObject, ...]:
        """Every version of an object that the asker may read: the one to show first, then the newest.

        Raises NotFound("intel.no_object") where there is none, or none for this asker.
        """
        with self._store.read() as connection:
            found = self._readable(connection, principal, object)
            settled = self._settle(connection, found)
        return tuple(sorted(settled, key=lambda one: _shown_first(one), reverse=True))

    def may_know(self, principal: Principal, object: str) -> bool:
        """Whether the asker may be told that this object changed."""
        with self._store.read() as connection:
            found = records.versions(connection, [object]).get(object, [])
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

    # --- for detection ---------------------------------------------------------------------------

    def detectable(self, connection: Connection, ids: Iterable[str] | None = None) -> list[Detectable]:
        """The indicators to watch for now: newest version, not retracted, not revoked, not expired.

        One an id. Where several origins send different things under one id, the first to send it counts:
        nobody takes over another's indicator by using its id.
        """
        wanted = None if ids is None else list(ids)
        chosen: dict[str, tuple[StoredObject, int]] = {}
        for found, first in records.detectable(connection, self._clock.now(), wanted):
            known = chosen.get(found.id)
            if known is None or first < known[1]:
                chosen[found.id] = (found, first)
        return [
            Detectable(
                one.id,
                one.terms,
                one.valid_until,
                one.tlp,
                one.origin,
                one.sequence,
                one.name,
                one.audience,
                one.owner,
            )
            for one, _ in chosen.values()
        ]

    def record_sighting(
        self, tx: Transaction, object: str, *, count: int, first_seen: datetime, last_seen: datetime
    ) -> None:
        """Detection saw an indicator ``count`` more times between two instants of event time.

        Within the transaction that stores the alert. Nothing happens for what is no longer watched for.
        """
        for one in self.detectable(tx.connection, [object]):
            self._sightings.record(
                tx, one.id, one.origin, count=count, first_seen=first_seen, last_seen=last_seen
            )

    # --- what all of the above stands on ---------------------------------------------------------

    def _context(self) -> Context:
        members = frozenset(self._members()) | {self.member}
        return Context(self.member, members, self._settings.space, self._clock.now())

    def _own_resource(self) -> Resource:
        return Resource("object", self.member, frozenset({self.member}), Tlp.CLEAR, self._settings.space)

    def _resource(self, object: StoredObject) -> Resource:
        return Resource(
            "object",
            object.origin,
            frozenset(object.audience),
            object.tlp,
            self._settings.space,
            object.owner,
        )

    def _may_publish(self, principal: Principal) -> None:
        audience = frozenset({self.member})
        resource = Resource("object", self.member, audience, Tlp.CLEAR, self._settings.space)
        self._require(
            decide(principal, Action.OBJECT_PUBLISH, resource, self._context()), Action.OBJECT_PUBLISH
        )

    def _can_read(self, principal: Principal, object: StoredObject) -> bool:
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
        watched = [one.id for one in listed if one.terms and one.is_current and one.retraction is None]
        chosen = {one.id: one for one in self.detectable(connection, watched)} if watched else {}
        return [
            _passed_over(one) if one.id in chosen and not _is_watched(one, chosen[one.id]) else one
            for one in listed
        ]

    def _require(self, decision: Decision, action: Action) -> None:
        if not decision:
            raise NotAllowed("intel.not_allowed", action=str(action), why=[r.code for r in decision.reasons])

    def _audit(self, tx: Transaction, principal: Principal, action: Action, subject: str) -> None:
        reasons: tuple[Reason, ...] = ()
        audit.record(tx, principal, action, subject, audit.DONE, reasons, self._clock.now())


def _shown_first(one: StoredObject) -> tuple[bool, bool, datetime, int]:
    return (one.is_current, one.retraction is None, one.version, -one.row)


def _is_watched(one: StoredObject, watched: Detectable) -> bool:
    # Another origin that sends the very same terms is served by the one that is watched.
    return not one.is_current or one.retraction is not None or one.terms == watched.terms


def _passed_over(one: StoredObject) -> StoredObject:
    return replace(one, terms=(), not_detected=OTHER_ORIGIN)
