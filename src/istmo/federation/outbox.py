"""What goes out to a peer: its part of this node's log, decided again for every envelope.

The log is the queue. A frame holds what comes next in the delivery chain to one recipient. Where
policy no longer lets something out, its place in the chain is kept and its content withheld.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import Conflict
from istmo.federation import records as own_records
from istmo.federation.frames import ENVELOPES, FRAME_BYTES, HEARTBEAT, ITEMS, RECEIPT, URGENT, Frame, Item
from istmo.federation.objects import Cursor
from istmo.federation.region import CHARTER, Region
from istmo.ledger import records
from istmo.ledger.entry import Delivery
from istmo.ledger.envelope import Header
from istmo.ledger.log import Ledger
from istmo.ledger.records import Chain
from istmo.model.markings import tlp_of
from istmo.policy.actions import Action
from istmo.policy.decisions import Resource, decide
from istmo.policy.principals import Peer

log = structlog.get_logger(__name__)

FAST = "fast"
FOLLOWS_DELIVERY = frozenset({"retraction", CHARTER})
"""Types that go to every recorded recipient, present member or former: whoever had an object is owed
its retraction (rule 14), and whoever is removed from the region is told so."""
_PAGE = 50
_URGENT_PAGE = 100
_CHECKPOINT_SECONDS = 4.0


@dataclass
class Reading:
    """How far one carrier to one recipient has come."""

    recipient: str
    session: str
    cursor: Cursor
    urgent_after: int = 0
    """Sequence up to which urgent entries were sent ahead on this carrier."""


@dataclass(frozen=True)
class Made:
    """Frames to send, and whether more is waiting."""

    lines: tuple[bytes, ...]
    has_more: bool


class Outbox:
    """Builds frames for peers. Thread-safe."""

    def __init__(self, ledger: Ledger, region: Region, clock: Clock) -> None:
        self._ledger, self._region, self._clock = ledger, region, clock
        self._store = ledger.store
        self._checkpoint_lock = threading.Lock()
        self._note, self._note_until = "", 0.0

    def open(self, recipient: str, session: str, cursor: Cursor) -> Reading:
        """Begin to send to ``recipient`` after its cursor.

        Raises Conflict ``federation.wrong_cursor`` when it is not a state that this log ever told it.
        """
        with self._store.read() as connection:
            self.check_cursor(connection, recipient, cursor)
        return Reading(recipient, session, cursor, cursor.sequence)

    def check_cursor(self, connection: Connection, recipient: str, cursor: Cursor) -> None:
        """Whether ``cursor`` is on our chain to ``recipient``; Conflict ``federation.wrong_cursor``."""
        ours = records.chain_at(connection, self._ledger.member_id, recipient, cursor.sequence)
        if (ours.count, ours.head) != (cursor.count, cursor.head):
            raise Conflict("federation.wrong_cursor", count=cursor.count, ours=ours.count)

    def next(self, reading: Reading) -> Made:
        """The next frames; moves ``reading`` past them. No lines when nothing is due."""
        with self._store.read() as connection:
            due, has_more = self._due(connection, reading)
            ahead: list[Delivery] = []
            if due and (len(due) >= ITEMS or self._bytes(due) >= FRAME_BYTES):
                # A backlog: what is urgent does not wait for its turn.
                last = due[-1].sequence
                after = max(reading.urgent_after, last)
                ahead = self._ledger.due(connection, reading.recipient, after, _URGENT_PAGE, lane=FAST)
        lines = []
        if ahead:
            reading.urgent_after = ahead[-1].sequence
            lines.append(self._frame(reading, URGENT, ahead))
        if due:
            lines.append(self._frame(reading, ENVELOPES, due))
            last_sent = due[-1]
            reading.cursor = Cursor(last_sent.chain.count, last_sent.sequence, last_sent.chain.head)
        return Made(tuple(lines), has_more)

    def heartbeat(self, reading: Reading) -> bytes:
        """A frame that says: all that is yours ends here. With the log's checkpoint."""
        return self._encode(reading, HEARTBEAT, (), self._checkpoint())

    def receipt(self, origin: str) -> bytes:
        """A frame that says how far this node holds the chain of ``origin``: for a carried file."""
        with self._store.read() as connection:
            cursor = own_records.cursor(connection, origin)
            refused = own_records.refusals_of(connection, own_records.OURS, origin, 1000)
        frame = Frame(
            RECEIPT, self._region.me, origin, "", self._clock.now(), Chain(cursor.count, cursor.head),
            cursor.sequence, refused=tuple((one.sequence, one.code) for one in refused),
        )  # fmt: skip
        return frame.encode(self._region.keys)

    def _checkpoint(self) -> str:
        """The log's checkpoint, signed anew every few seconds at most however many peers listen."""
        with self._checkpoint_lock:
            now = self._clock.monotonic()
            if not self._note or now >= self._note_until:
                self._note = self._ledger.history.checkpoint().note.decode("utf-8")
                self._note_until = now + _CHECKPOINT_SECONDS
            return self._note

    def _due(self, connection: Connection, reading: Reading) -> tuple[list[Delivery], bool]:
        """What fits into the next frame, and whether more may be waiting behind it."""
        due: list[Delivery] = []
        size, after = 0, reading.cursor.sequence
        while len(due) < ITEMS and size < FRAME_BYTES:
            page = self._ledger.due(connection, reading.recipient, after, _PAGE)
            for one in page:
                size += self._size(one)
                if due and size > FRAME_BYTES:
                    return due, True
                due.append(one)
                after = one.sequence
            if len(page) < _PAGE:
                return due, False
        return due, True

    def _frame(self, reading: Reading, kind: str, due: Sequence[Delivery]) -> bytes:
        items = tuple(self._item(reading.recipient, one) for one in due)
        frame = self._new(reading, kind, items, due[-1].chain, due[-1].sequence)
        return frame.encode(self._region.keys)

    def _encode(self, reading: Reading, kind: str, items: tuple[Item, ...], checkpoint: str) -> bytes:
        cursor = reading.cursor
        frame = self._new(reading, kind, items, Chain(cursor.count, cursor.head), cursor.sequence, checkpoint)
        return frame.encode(self._region.keys)

    def _new(
        self,
        reading: Reading,
        kind: str,
        items: tuple[Item, ...],
        chain: Chain,
        sequence: int,
        checkpoint: str = "",
    ) -> Frame:
        charter = self._region.current()
        return Frame(
            kind=kind,
            origin=self._region.me,
            recipient=reading.recipient,
            session=reading.session,
            created=self._clock.now(),
            chain=chain,
            sequence=sequence,
            charter=charter.version if charter else 0,
            items=items,
            checkpoint=checkpoint,
        )

    def _item(self, recipient: str, one: Delivery) -> Item:
        is_let_out = self._is_let_out(recipient, one)
        return Item(one.chain.count, one.sequence, one.commitment, one.envelope if is_let_out else None)

    def _is_let_out(self, recipient: str, one: Delivery) -> bool:
        """``policy`` once more, at the very door."""
        if one.type in FOLLOWS_DELIVERY:
            return True
        header = Header.decode(one.envelope.header)
        resource = Resource(
            kind=header.type,
            origin=header.origin,
            audience=frozenset(header.audience),
            tlp=tlp_of(header.markings),
            space=self._region.settings.space,
        )
        answer = decide(Peer(recipient), Action.FEED_READ, resource, self._region.context())
        if not answer.allowed:
            codes = [reason.code for reason in answer.reasons]
            log.warning("envelope_withheld", recipient=recipient, sequence=one.sequence, reasons=codes)
        return answer.allowed

    @staticmethod
    def _size(one: Delivery) -> int:
        return len(one.envelope.header) + len(one.envelope.body or b"")

    def _bytes(self, due: Sequence[Delivery]) -> int:
        return sum(self._size(one) for one in due)
