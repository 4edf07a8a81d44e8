"""The ledger of a node: its own append-only log, and what it received from the logs of others.

Every method that takes a ``Transaction`` works inside the caller's write; what it stores is durable
when that commits. Handlers registered for a type run inside the same transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Row
from sqlalchemy.exc import InterfaceError, OperationalError

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput, IstmoError, NotFound, TooLarge, Unavailable
from istmo.ledger import records
from istmo.ledger.checkpoint import Checkpoint
from istmo.ledger.entry import Delivery, Entry, entry_of, envelope_of
from istmo.ledger.envelope import (
    ERASURE,
    SALT_BYTES,
    SEAL_AGE,
    SEAL_NONE,
    Envelope,
    Header,
    commitment_of,
    must_seal,
    pae,
    split_body,
)
from istmo.ledger.history import History
from istmo.ledger.keys import NodeKeys, seal
from istmo.ledger.records import ACCEPTED, ERASED, REFUSED, Chain, Evidence
from istmo.model.markings import Tlp
from istmo.store.engine import Store, Transaction

log = structlog.get_logger(__name__)

EQUIVOCATION = "ledger.equivocation"
HANDLER_FAILED = "ledger.handler_failed"
BODY_LIMIT = 1 << 20
_PAGE = 512


Handler = Callable[[Transaction, Entry], None]
AgeKeys = Callable[[Connection, str], str | None]


class Ledger:
    """Append, receive, prove, erase. Thread-safe as far as ``store`` is."""

    def __init__(
        self,
        store: Store,
        keys: NodeKeys,
        member_id: str,
        clock: Clock,
        files: Path,
        *,
        body_limit: int = BODY_LIMIT,
        salt: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.store, self.keys, self.member_id, self.clock = store, keys, member_id, clock
        self.files = files
        self.history = History(store, keys, member_id, clock, files)
        self.body_limit = body_limit
        self._salt = salt
        self._handlers: dict[str, tuple[Handler, ...]] = {}
        self._age_key: AgeKeys = lambda connection, member: None

    # --- wiring ------------------------------------------------------------------------------

    def on(self, type: str, handler: Handler) -> None:
        """Run ``handler(tx, entry)`` for each entry of ``type``, written here or received alike."""
        self._handlers[type] = (*self._handlers.get(type, ()), handler)

    def find_age_keys(self, lookup: AgeKeys) -> None:
        """Where to find another member's age recipient (``age1…``); None means that it is unknown."""
        self._age_key = lookup

    # --- writing -----------------------------------------------------------------------------

    def append(
        self,
        tx: Transaction,
        type: str,
        payload: bytes,
        *,
        audience: Iterable[str],
        markings: Iterable[str],
        lane: str = "normal",
        expires: datetime | None = None,
        purpose: str = "",
    ) -> Entry:
        """Sign an entry into this node's log, record its deliveries and run the type's handlers.

        ``audience`` is exactly who may read it. On any error nothing of the entry remains. Raises
        InvalidInput ``ledger.empty_audience``, ``ledger.no_recipient_key``, ``ledger.bad_header``,
        TooLarge ``ledger.body_too_large``, and whatever a handler raises.
        """
        return self._append(tx, type, payload, audience, markings, lane, expires, purpose, {})

    def _append(
        self,
        tx: Transaction,
        type: str,
        payload: bytes,
        audience: Iterable[str],
        markings: Iterable[str],
        lane: str,
        expires: datetime | None,
        purpose: str,
        extra: Mapping[str, Any],
    ) -> Entry:
        members = tuple(sorted(set(audience)))
        if not members:
            raise InvalidInput("ledger.empty_audience", type=type)
        if len(payload) > self.body_limit:
            raise TooLarge("ledger.body_too_large", size=len(payload), limit=self.body_limit)
        marked = tuple(sorted(set(markings)))
        salt = self._salt(SALT_BYTES)
        is_sealed = must_seal(marked)
        body = salt + payload
        if is_sealed:
            body = seal(body, self._recipient_keys(tx.connection, members))
        now = self.clock.now()
        header = Header.of_body(
            body,
            origin=self.member_id,
            sequence=records.last_sequence(tx.connection, self.member_id) + 1,
            type=type,
            audience=members,
            markings=marked,
            lane=lane,
            expires=expires,
            purpose=purpose,
            created=now,
            seal=SEAL_AGE if is_sealed else SEAL_NONE,
            extra=extra,
        )
        raw = header.encode()
        header = Header.decode(raw)  # what we would refuse from others, we do not write ourselves
        envelope = Envelope(raw, self.keys.keyid, self.keys.sign(pae(raw)), body)
        with tx.savepoint():
            entry = self._store(
                tx, header, envelope, payload, commitment_of(salt, raw), self.keys.public, ACCEPTED
            )
            self._notify(tx, entry)  # before what handlers tell: feeds are woken first
            self._run_handlers(tx, entry)
        return entry

    def _recipient_keys(self, connection: Connection, members: tuple[str, ...]) -> list[str]:
        """The age keys of everyone in the audience, and our own: nobody is left out in silence."""
        found = [self.keys.age_recipient]
        for member in members:
            if member == self.member_id:
                continue
            key = self._age_key(connection, member)
            if key is None:
                raise InvalidInput("ledger.no_recipient_key", member=member)
            found.append(key)
        return found

    # --- receiving ---------------------------------------------------------------------------

    def receive(
        self, tx: Transaction, envelope: Envelope, *, key: bytes, commitment: bytes | None = None
    ) -> Entry:
        """Verify an envelope of another member, then keep and apply it: all of it or nothing.

        ``key`` is the origin's raw Ed25519 public key, as the caller knows it from the charter.
        An envelope without a body was erased at its origin and needs the ``commitment`` that the
        origin states. The same envelope again changes nothing and returns the entry as it is kept.

        Raises (and changes nothing) when the envelope cannot be verified: InvalidInput
        ``ledger.bad_signature``, ``ledger.own_origin``, ``ledger.not_for_us``, ``ledger.not_sealed``,
        ``ledger.body_mismatch``, ``ledger.sealed_to_others``, ``ledger.no_commitment``.
        Returns an Entry of state ``refused`` when a handler refused it, or when the origin signed
        something else under this number before (``ledger.equivocation``: the first one stays).
        """
        header = Header.decode(envelope.header)
        salt, payload = self._verify(header, envelope, key)
        if salt is not None:
            commitment = commitment_of(salt, envelope.header)
        if commitment is None or len(commitment) != 32:
            raise InvalidInput("ledger.no_commitment")
        known = records.find_entry(tx.connection, header.origin, header.sequence)
        if known is not None:
            if bytes(known.header) == envelope.header:
                return entry_of(known, self.keys)
            return self._equivocation(tx, known, header, envelope, commitment)
        state = ACCEPTED if payload is not None else ERASED
        entry = self._store(tx, header, envelope, payload, commitment, key, state)
        entry = self._apply(tx, entry)
        self._notify(tx, entry)
        return entry

    def _verify(self, header: Header, envelope: Envelope, key: bytes) -> tuple[bytes | None, bytes | None]:
        """Salt and payload of an envelope that is what it says and is meant for us."""
        if header.origin == self.member_id:
            raise InvalidInput("ledger.own_origin")
        if not envelope.is_signed_by(key):
            raise InvalidInput("ledger.bad_signature", origin=header.origin, sequence=header.sequence)
        if self.member_id not in header.audience:
            raise InvalidInput("ledger.not_for_us", origin=header.origin, sequence=header.sequence)
        if must_seal(header.markings) and header.seal != SEAL_AGE:
            raise InvalidInput("ledger.not_sealed", origin=header.origin, sequence=header.sequence)
        if envelope.body is None:
            return None, None
        envelope.check_body(header)
        return split_body(self.keys.open(envelope.body) if header.seal == SEAL_AGE else envelope.body)

    def _apply(self, tx: Transaction, entry: Entry) -> Entry:
        """Run the handlers of an entry in a savepoint; what they refuse is kept and marked."""
        if entry.state == ERASED or entry.type not in self._handlers:
            return entry
        try:
            with tx.savepoint():
                self._run_handlers(tx, entry)
        except (Unavailable, OperationalError, InterfaceError, OSError, MemoryError):
            raise  # the machine's trouble, not the entry's: it will come again
        except IstmoError as error:
            return self._refuse(tx, entry, error.code, error.params)
        except Exception:
            # one entry that trips a defect here must not stop all that come after it
            log.exception("ledger_handler_failed", origin=entry.origin, sequence=entry.sequence)
            return self._refuse(tx, entry, HANDLER_FAILED, {})
        return entry

    def _refuse(self, tx: Transaction, entry: Entry, code: str, params: Mapping[str, Any]) -> Entry:
        told = {
            name: value if isinstance(value, (int, str)) else str(value) for name, value in params.items()
        }
        log.warning("ledger_entry_refused", origin=entry.origin, sequence=entry.sequence, code=code)
        records.set_state(tx.connection, entry.origin, entry.sequence, REFUSED, code, told)
        return self.entry(tx.connection, entry.origin, entry.sequence)

    def _equivocation(
        self, tx: Transaction, known: Row[Any], header: Header, envelope: Envelope, commitment: bytes
    ) -> Entry:
        """The origin signed two different entries under one number: keep both, believe the first."""
        now = self.clock.now()
        is_new = records.insert_evidence(
            tx.connection,
            "entry",
            header.origin,
            header.sequence,
            envelope_of(known).encode(),
            envelope.encode(),
            now,
        )
        if is_new:
            log.error("ledger_equivocation", origin=header.origin, sequence=header.sequence)
            tx.notify("evidence", f"{header.origin}/{header.sequence}", kind="entry")
        return Entry(
            header.origin, header.sequence, header.type, header, envelope, None, commitment, now,
            REFUSED, EQUIVOCATION, {"origin": header.origin, "sequence": header.sequence},
        )  # fmt: skip

    # --- storing, handlers, notices ----------------------------------------------------------

    def _store(
        self,
        tx: Transaction,
        header: Header,
        envelope: Envelope,
        payload: bytes | None,
        commitment: bytes,
        signer: bytes,
        state: str,
    ) -> Entry:
        now = self.clock.now()
        position = records.insert_entry(
            tx.connection,
            {
                "origin": header.origin,
                "sequence": header.sequence,
                "type": header.type,
                "lane": header.lane,
                "header": envelope.header,
                "keyid": envelope.keyid,
                "signature": envelope.signature,
                "signer": signer,
                "body": envelope.body,
                "commitment": commitment,
                "created": header.created,
                "expires": header.expires,
                "received": now,
                "state": state,
            },
        )
        readers = header.audience if header.origin == self.member_id else (self.member_id,)
        recipients = [one for one in readers if one != header.origin]
        records.record_deliveries(tx.connection, header.origin, recipients, header.sequence, commitment)
        return Entry(
            header.origin, header.sequence, header.type, header, envelope, payload, commitment, now,
            state, position=position,
        )  # fmt: skip

    def _run_handlers(self, tx: Transaction, entry: Entry) -> None:
        for handler in self._handlers.get(entry.type, ()):
            handler(tx, entry)

    def _notify(self, tx: Transaction, entry: Entry) -> None:
        recipients = [one for one in entry.header.audience if one != entry.origin]
        tx.notify(
            "ledger",
            f"{entry.origin}/{entry.sequence}",
            type=entry.type,
            origin=entry.origin,
            sequence=entry.sequence,
            lane=entry.header.lane,
            recipients=recipients if entry.origin == self.member_id else [],
            state=entry.state,
        )

    def replay(self, tx: Transaction, types: Iterable[str] = ()) -> int:
        """Run the handlers over every entry that is not erased, in the order of arrival; how many.

        For a room that rebuilds its tables from the log. Refused entries get another chance.
        """
        done, after, wanted = 0, 0, tuple(types)
        while rows := records.entries_by_arrival(tx.connection, after, _PAGE, wanted):
            for row in rows:
                after = row.position
                if row.state == ERASED:
                    continue
                if row.state == REFUSED:
                    records.set_state(tx.connection, row.origin, row.sequence, ACCEPTED)
                self._apply(tx, replace(entry_of(row, self.keys), state=ACCEPTED, refusal=None))
                done += 1
        return done

    # --- reading -----------------------------------------------------------------------------

    def entry(self, connection: Connection, origin: str, sequence: int) -> Entry:
        """One entry. Raises NotFound ``ledger.no_entry``."""
        row = records.find_entry(connection, origin, sequence)
        if row is None:
            raise NotFound("ledger.no_entry", origin=origin, sequence=sequence)
        return entry_of(row, self.keys)

    def entries_named(
        self, connection: Connection, named: Iterable[tuple[str, int]]
    ) -> dict[tuple[str, int], Entry]:
        """Of these (origin, sequence) the entries that there are, with a statement an origin."""
        rows = records.find_entries(connection, named)
        return {(row.origin, row.sequence): entry_of(row, self.keys) for row in rows}

    def entries(
        self,
        connection: Connection,
        after: int = 0,
        limit: int = 100,
        *,
        types: Iterable[str] = (),
        state: str | None = None,
    ) -> list[Entry]:
        """Entries of all origins past a ``position``, in the order of arrival."""
        rows = records.entries_by_arrival(connection, after, limit, tuple(types), state)
        return [entry_of(row, self.keys) for row in rows]

    def due(
        self, connection: Connection, recipient: str, after: int, limit: int, *, lane: str | None = None
    ) -> list[Delivery]:
        """What of this node's log is meant for ``recipient`` past sequence ``after``, oldest first."""
        rows = records.due_rows(connection, self.member_id, recipient, after, limit, lane)
        return [
            Delivery(
                row.sequence,
                row.type,
                row.lane,
                row.expires,
                envelope_of(row),
                bytes(row.commitment),
                Chain(row.number, bytes(row.head)),
            )
            for row in rows
        ]

    def recipients(self, connection: Connection, sequence: int) -> list[str]:
        """To whom an entry of this node was recorded as delivered: whom its retraction must follow."""
        return records.recipients_of(connection, self.member_id, sequence)

    def chains(self, connection: Connection, recipients: Iterable[str]) -> dict[str, Chain]:
        """The delivery chain from this node to each of ``recipients``, in one look."""
        return records.chains_of(connection, self.member_id, recipients)

    def received_chain(self, connection: Connection, origin: str, upto: int | None = None) -> Chain:
        """The chain of what this node has from ``origin`` (up to a sequence): equal heads, nothing lacks."""
        if upto is None:
            return records.chain_of(connection, origin, self.member_id)
        return records.chain_at(connection, origin, self.member_id, upto)

    def last_sequence(self, connection: Connection, origin: str | None = None) -> int:
        """The highest sequence kept of ``origin`` (this node when not given); 0 when none."""
        return records.last_sequence(connection, origin or self.member_id)

    def evidence(self, connection: Connection) -> list[Evidence]:
        """Every contradiction that an origin has signed."""
        return records.all_evidence(connection)

    # --- erasure -----------------------------------------------------------------------------

    def erase(self, tx: Transaction, origin: str, sequence: int, reason: str) -> Entry:
        """Delete the body and salt of an entry for good and sign a record of that into this node's log.

        The commitment stays, so the log still verifies. What others hold is theirs to erase. Handlers
        of type ``erasure`` are where rooms forget what they folded out of the entry
        (``entry.header.extra["erases"]``). Raises NotFound ``ledger.no_entry``, Conflict
        ``ledger.already_erased``, InvalidInput ``ledger.cannot_erase`` for an erasure record itself.
        """
        row = records.find_entry(tx.connection, origin, sequence)
        if row is None:
            raise NotFound("ledger.no_entry", origin=origin, sequence=sequence)
        if row.state == ERASED:
            raise Conflict("ledger.already_erased", origin=origin, sequence=sequence)
        if row.type == ERASURE:
            raise InvalidInput("ledger.cannot_erase", origin=origin, sequence=sequence)
        records.erase_body(tx.connection, origin, sequence)
        return self._append(
            tx,
            ERASURE,
            reason.encode("utf-8"),
            (self.member_id,),
            (Tlp.AMBER.marking_id,),
            "normal",
            None,
            "",
            {"erases": {"origin": origin, "sequence": sequence}},
        )

    # --- checkpoints -------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """The signed checkpoint of this node's log as it is now (see ``history``). Not inside a write."""
        return self.history.checkpoint()
