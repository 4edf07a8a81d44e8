"""Who has what: the peers' acknowledgements, written down together and durable before the answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import Conflict, IstmoError, Unavailable
from istmo.federation import records as own_records
from istmo.federation.links import Links
from istmo.federation.objects import Acknowledged, Cursor
from istmo.federation.outbox import FOLLOWS_DELIVERY
from istmo.ledger import records
from istmo.ledger.log import Ledger
from istmo.store.engine import Transaction

log = structlog.get_logger(__name__)

_GATHER = 0.01
"""Seconds for which further acknowledgements are gathered into the same commit."""
_TOGETHER = 256


@dataclass(frozen=True)
class _Submitted:
    recipient: str
    cursor: Cursor
    refused: tuple[tuple[int, str], ...]
    done: Future[None] = field(default_factory=Future)


class Acknowledgements:
    """What recipients hold of this node's log. Thread-safe."""

    def __init__(self, ledger: Ledger, links: Links, clock: Clock) -> None:
        self._ledger, self._links, self._clock = ledger, links, clock
        self._waiting: queue.SimpleQueue[_Submitted | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        self._pace = threading.Event()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="acknowledgements", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write down what was submitted, and take nothing further."""
        self._is_stopped = True
        self._waiting.put(None)
        if self._thread:
            self._thread.join(10)
        while not self._waiting.empty():
            one = self._waiting.get()
            if one is not None:
                one.done.set_exception(Unavailable("federation.stopping"))

    def submit(self, recipient: str, cursor: Cursor, refused: Iterable[tuple[int, str]] = ()) -> Future[None]:
        """Record that ``recipient`` holds our chain up to ``cursor``.

        The result is done when it is on disk, or fails with Conflict ``federation.wrong_cursor``.
        """
        one = _Submitted(recipient, cursor, tuple(refused))
        if self._is_stopped:
            one.done.set_exception(Unavailable("federation.stopping"))
            return one.done
        self._waiting.put(one)
        return one.done

    def acknowledged(self, connection: Connection, recipient: str) -> int:
        """How many deliveries ``recipient`` holds, by its own word."""
        found = self.last(connection, recipient)
        return found.count if found else 0

    def last(self, connection: Connection, recipient: str) -> Acknowledged | None:
        return own_records.last_acknowledged(connection, recipient)

    def last_of(self, connection: Connection, recipients: Sequence[str]) -> dict[str, Acknowledged]:
        """The last word of each of several that has said anything, in one look."""
        return own_records.last_acknowledged_of(connection, recipients)

    def of_entry(self, connection: Connection, sequence: int) -> dict[str, datetime | None]:
        """For each recipient of one of our entries: when it acknowledged, or None."""
        return own_records.acknowledged_entry(connection, self._ledger.member_id, sequence)

    def owed(self, connection: Connection, origin: str, sequence: int) -> list[str]:
        """The members to whom an own retraction (or charter) is owed and who have not acknowledged it."""
        if origin != self._ledger.member_id:
            return []
        if self._ledger.entry(connection, origin, sequence).type not in FOLLOWS_DELIVERY:
            return []
        return [member for member, at in self.of_entry(connection, sequence).items() if at is None]

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            gathered = [first]
            self._pace.wait(_GATHER)
            stopping = False
            while len(gathered) < _TOGETHER and not self._waiting.empty():
                more = self._waiting.get()
                if more is None:
                    stopping = True
                    break
                gathered.append(more)
            self._settle(gathered)
            if stopping:
                return

    def _settle(self, gathered: list[_Submitted]) -> None:
        failed: dict[int, IstmoError] = {}
        try:
            with self._ledger.store.write() as tx:
                for place, one in enumerate(gathered):
                    try:
                        self._record(tx, one)
                    except Conflict as error:
                        failed[place] = error
        except Exception as error:
            log.warning("acknowledgements_not_written", error=repr(error))
            for one in gathered:
                one.done.set_exception(error)
            return
        for place, one in enumerate(gathered):
            if place in failed:
                self._links.set_problem(one.recipient, failed[place])
                one.done.set_exception(failed[place])
            else:
                one.done.set_result(None)

    def _record(self, tx: Transaction, one: _Submitted) -> None:
        cursor, now = one.cursor, self._clock.now()
        ours = records.chain_at(tx.connection, self._ledger.member_id, one.recipient, cursor.sequence)
        if (ours.count, ours.head) != (cursor.count, cursor.head):
            raise Conflict("federation.wrong_cursor", count=cursor.count, ours=ours.count)
        is_new = cursor.count > 0 and own_records.put_acknowledgement(
            tx.connection, one.recipient, cursor.count, cursor.head, now
        )
        # Of what was meant for it only: nobody fills our tables with numbers of its own making.
        due = own_records.delivered(
            tx.connection, self._ledger.member_id, one.recipient, [number for number, _ in one.refused]
        )
        named = [(number, code) for number, code in one.refused if number in due]
        refused = own_records.put_refusals(tx.connection, own_records.THEIRS, one.recipient, named, now)
        if is_new or refused:
            tx.notify("peer", one.recipient, acknowledged=cursor.count)
