"""What can be done with shared objects: publish, import, take back, tell of what was seen.

Each asks ``policy`` first. What can be read of them stands in ``reading``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput, IstmoError
from istmo.identity import audit
from istmo.intel import records
from istmo.intel.exploring import Exploring
from istmo.intel.folding import ERASURE, NOTE_LENGTH, RETRACTION, SIGHTING, STIX, Folding
from istmo.intel.objects import Outcome, Plan, Planned, Retraction, RetractionReason, StoredObject
from istmo.intel.pasting import CheckedValue, check_pasted
from istmo.intel.publishing import plan_import, plan_publication
from istmo.intel.reading import Acknowledgements, ends_named
from istmo.intel.sightings import INTERVAL, Sightings
from istmo.kit.members import member_named
from istmo.ledger.log import Ledger
from istmo.model.markings import Tlp
from istmo.model.stix import Bundle, parse_bundle
from istmo.policy import Action, Principal, Reason, Resource, decide, told
from istmo.settings import Settings
from istmo.store.engine import Store, Transaction
from istmo.store.jobs import JobRunner

REGION = "region"
"""As an audience: every present member."""


MOST_LOOKED_UP = 1000
"""Values of one bundle that are looked for on warning lists."""

Warned = Callable[[Iterable[tuple[str, str]]], Mapping[tuple[str, str], tuple[str, ...]]]


def _never_warned(_: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], tuple[str, ...]]:
    return {}


class Intel(Exploring):
    """The sharing room of one node."""

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
        warned: Warned = _never_warned,
        is_warning: Callable[[], bool] = bool,
    ) -> None:
        """``warned``: of values (kind and normal form) those that stand on warning lists, with the lists;
        ``is_warning``: whether any list is in force.
        """
        super().__init__(store, ledger, settings, clock, members=members, acknowledgements=acknowledgements)
        self._warned, self._is_warning = warned, is_warning
        self._sightings = Sightings(store, ledger, clock, settings.space, interval=sighting_interval)
        folding = Folding(ledger.member_id, settings.limits)
        ledger.on(STIX, folding.fold_object)
        ledger.on(SIGHTING, folding.fold_sighting)
        ledger.on(RETRACTION, folding.fold_retraction)
        ledger.on(ERASURE, folding.fold_erasure)

    def work(self, runner: JobRunner) -> None:
        """Register this room's background work."""
        self._sightings.work(runner)

    # --- publishing ----------------------------------------------------------------------------

    def preview(
        self, principal: Principal, raw: bytes, *, audience: Iterable[str], tlp: Tlp | None = None
    ) -> Plan:
        """Who would see each object of a bundle, and why; what would be refused; what is there already.

        ``audience``: member ids or names, or ``region``. Raises InvalidInput ``intel.empty_audience``,
        ``intel.unknown_member``, ``bundle.invalid``; TooLarge; NotAllowed.
        """
        self.require_publishing(principal)
        bundle = parse_bundle(raw, self._settings.limits)
        with self._store.read() as connection:
            return self._plan(connection, principal, bundle, audience, tlp)

    def is_warning(self) -> bool:
        """Whether values are held against any warning list: else nothing is said of common ones."""
        return self._is_warning()

    def check(self, principal: Principal, text: str) -> tuple[CheckedValue, ...]:
        """Each value of a pasted list: what it was read as, on which warning lists it stands, and which
        indicators are about it already. Raises NotAllowed for whoever may not publish.
        """
        self.require_publishing(principal)
        checked = check_pasted(text)
        terms = list(dict.fromkeys(one.term for one in checked if one.term is not None))[:MOST_LOOKED_UP]
        warned = self._warned(terms)
        with self._store.read() as connection:
            known = records.known(connection, terms)
            held = records.versions(connection, {id for ids in known.values() for id in ids})
        readable = {
            id for id, versions in held.items() if any(self._can_read(principal, one) for one in versions)
        }
        return tuple(
            replace(
                one,
                warned=tuple(warned.get(one.term, ())),
                known=tuple(id for id in known.get(one.term, ()) if id in readable),
            )
            if one.term is not None
            else one
            for one in checked
        )

    def publish(
        self,
        principal: Principal,
        raw: bytes,
        *,
        audience: Iterable[str],
        tlp: Tlp | None = None,
        purpose: str = "",
        seen: Collection[str] | None = None,
    ) -> Plan:
        """Publish what ``preview`` shows, each object in an envelope of its own, all in one transaction.

        An object that cannot go is refused in its item; the others go. ``seen`` are the promises of the
        preview that was confirmed: what would go otherwise than promised stops all of it. Without them
        the audience is what it is at this moment. Raises like ``preview``; Conflict("intel.not_as_shown").
        """
        self.require_publishing(principal)
        bundle = parse_bundle(raw, self._settings.limits)
        with self._store.write() as tx:
            plan = self._plan(tx.connection, principal, bundle, audience, tlp)
            if seen is not None and not {one.promise for one in plan.going} <= set(seen):
                raise Conflict("intel.not_as_shown")
            self._append(tx, principal, plan, purpose)
            self._record(tx, principal, Action.OBJECT_PUBLISH, plan)
        return plan

    def import_bundle(self, principal: Principal, raw: bytes, *, tlp: Tlp | None = None) -> Plan:
        """Keep a bundle for this node alone (its audience is the node itself). What carries no marking
        is kept as ``tlp``, or RED; the same again with another ``tlp`` is marked anew, unless it was shared.
        Raises InvalidInput("bundle.invalid"), TooLarge, NotAllowed.
        """
        self._require(
            decide(principal, Action.OBJECT_IMPORT, self._own_resource(), self._context()),
            Action.OBJECT_IMPORT,
        )
        bundle = parse_bundle(raw, self._settings.limits)
        with self._store.write() as tx:
            plan = plan_import(
                tx.connection,
                bundle,
                tlp=tlp,
                context=self._context(),
                may_read=lambda one: self._can_read(principal, one),
            )
            self._warn(plan)
            self._name_ends(tx.connection, principal, plan)
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
        self._warn(plan)
        self._name_ends(connection, principal, plan)
        return plan

    def _name_ends(self, connection: Connection, principal: Principal, plan: Plan) -> None:
        """Give relations what they connect: with names out of the bundle, or of what the asker may read."""
        names = {one.object.id: one.object.name for one in plan.items}
        refs = {
            id(one): {name: str(one.object.data.get(name)) for name in records.ENDS}
            for one in plan.items
            if one.object.type == "relationship"
        }
        others = {end for ends in refs.values() for end in ends.values()} - names.keys()
        names |= {end: one.name for end, one in self._visible(connection, principal, others).items()}
        for one in plan.items:
            if id(one) in refs:
                one.ends = ends_named(refs[id(one)], names)

    def _warn(self, plan: Plan) -> None:
        """Tell of values that are too common; of the first ones of a large bundle."""
        left = MOST_LOOKED_UP
        for item in plan.items:
            terms = item.object.pattern.terms[:left] if item.object.pattern is not None else ()
            if terms:
                left -= len(terms)
                found = self._warned((one.kind, one.value) for one in terms)
                item.warned = {value: names for (_, value), names in found.items()}

    def _members_named(self, names: list[str]) -> frozenset[str]:
        if not names:
            raise InvalidInput("intel.empty_audience")
        members = self._members()
        chosen: set[str] = set()
        for name in names:
            if name.lower() == REGION:
                chosen |= members.keys()
                continue
            member = member_named(members, name)
            if member not in members:
                raise InvalidInput("intel.unknown_member", member=name[:120])
            chosen.add(member)
        return frozenset(chosen)

    def _append(self, tx: Transaction, principal: Principal, plan: Plan, purpose: str) -> None:
        for item in plan.items:
            if item.outcome is not Outcome.PUBLISH:
                continue
            try:
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

    # --- what was seen ---------------------------------------------------------------------------

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

    def require_publishing(self, principal: Principal) -> None:
        """Raises NotAllowed for whoever may publish nothing."""
        audience = frozenset({self.member})
        resource = Resource("object", self.member, audience, Tlp.CLEAR, self._settings.space)
        self._require(
            decide(principal, Action.OBJECT_PUBLISH, resource, self._context()), Action.OBJECT_PUBLISH
        )

    def _audit(self, tx: Transaction, principal: Principal, action: Action, subject: str) -> None:
        reasons: tuple[Reason, ...] = ()
        audit.record(tx, principal, action, subject, audit.DONE, reasons, self._clock.now())
