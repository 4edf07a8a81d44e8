"""What comes in from a peer: verified, then applied, cursor and envelopes in one transaction.

Two kinds of trouble are kept apart. A frame that is not what it says (forged, out of order, a chain
that does not add up) is thrown away whole. One envelope inside a good frame that cannot be accepted is
refused, counted and reported back, and the others go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import orjson
import structlog

from istmo.errors import Conflict, InvalidInput, IstmoError, NotFound, Unavailable
from istmo.federation import records
from istmo.federation.acknowledgements import Acknowledgements
from istmo.federation.frames import ENVELOPES, HEARTBEAT, RECEIPT, URGENT, Frame, Item, UnreadableItem
from istmo.federation.links import Links
from istmo.federation.objects import Cursor, Member
from istmo.federation.region import Region
from istmo.ledger.log import EQUIVOCATION, Ledger
from istmo.ledger.records import REFUSED, Chain
from istmo.store.engine import Transaction

log = structlog.get_logger(__name__)

WITHHELD = "federation.withheld"


class GapFound(IstmoError):
    """Something between our cursor and this frame has not come: ask again from the cursor."""

    status = 409


@dataclass
class Taken:
    """What some frames brought."""

    cursor: Cursor
    new: int = 0
    """Deliveries that the chain now holds more than before."""
    urgent: int = 0
    """Deliveries applied ahead of their turn."""
    repeated: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    problem: IstmoError | None = None
    """Why the rest of the frames was thrown away."""
    charter: int = 0
    """The newest charter version that the peer speaks of."""


class Inbox:
    """Takes in verified frames. Thread-safe; one peer's frames come one after the other."""

    def __init__(self, ledger: Ledger, region: Region, links: Links, acknowledged: Acknowledgements) -> None:
        self._ledger, self._region, self._links = ledger, region, links
        self._acknowledged = acknowledged
        self._store = ledger.store
        self._last: dict[str, Cursor] = {}

    def cursor(self, peer: str) -> Cursor:
        """How far the peer's chain to us is in."""
        with self._store.read() as connection:
            return records.cursor(connection, peer)

    def take(self, peer: Member, frames: Sequence[Frame], *, is_live: bool = True) -> Taken:
        """Apply frames in the order in which they came, in one transaction.

        ``is_live``: they were made just now, so that their time tells the peer's clock.

        At the first frame that does not fit, the ones before it stay and ``Taken.problem`` says why.
        """
        taken = Taken(self._cursor_for(peer.id, frames))
        pending = list(frames)
        while pending and taken.problem is None and self._is_idle(peer, pending[0], taken):
            pending.pop(0)
        if pending and taken.problem is None:
            with self._store.write() as tx:
                start = taken.cursor = records.cursor(tx.connection, peer.id)
                self._apply_all(tx, peer, pending, taken)
                if taken.cursor != start:
                    records.put_cursor(tx.connection, peer.id, taken.cursor)
                now = self._region.clock.now()
                records.put_refusals(tx.connection, records.OURS, peer.id, taken.refused, now)
        self._last[peer.id] = taken.cursor
        for frame in frames:
            taken.charter = max(taken.charter, frame.charter)
            if frame.kind == RECEIPT and taken.problem is None:
                self._acknowledged.submit(
                    peer.id, Cursor(frame.chain.count, frame.sequence, frame.chain.head), frame.refused
                )
            stated = frame.chain if frame.kind in (ENVELOPES, HEARTBEAT) else None
            self._links.heard(peer.id, frame.created if is_live else None, stated)
        return taken

    def _cursor_for(self, peer: str, frames: Sequence[Frame]) -> Cursor:
        """The cursor, from the database unless the last one known shows already that there is news.

        It only grows, and the write that takes the news in reads it anew.
        """
        known = self._last.get(peer)
        is_news = known is not None and any(
            frame.kind == ENVELOPES and any(item.number > known.count for item in frame.items)
            for frame in frames[:1]
        )
        return known if known is not None and is_news else self.cursor(peer)

    def _is_idle(self, peer: Member, frame: Frame, taken: Taken) -> bool:
        """Whether a frame needs no write: a heartbeat that says what we know, a repetition."""
        if frame.kind == RECEIPT:
            return True
        if frame.kind == HEARTBEAT:
            try:
                self._check_end(frame, taken.cursor)
            except IstmoError as error:
                taken.problem = error
                return True
            return not frame.checkpoint or self._is_known_checkpoint(peer, frame)
        if all(one.number <= taken.cursor.count for one in frame.items):
            taken.repeated += max(1, len(frame.items))
            return True
        return False

    def _is_known_checkpoint(self, peer: Member, frame: Frame) -> bool:
        with self._store.read() as connection:
            return records.is_known_checkpoint(connection, peer.id, frame.checkpoint.encode("utf-8"))

    def _apply_all(self, tx: Transaction, peer: Member, frames: Iterable[Frame], taken: Taken) -> None:
        for frame in frames:
            before = (taken.cursor, taken.new, len(taken.refused))
            try:
                with tx.savepoint():
                    self._apply(tx, peer, frame, taken)
            except Unavailable:
                raise
            except IstmoError as error:
                taken.cursor, taken.new = before[0], before[1]
                del taken.refused[before[2] :]
                taken.problem = error
                return

    def _apply(self, tx: Transaction, peer: Member, frame: Frame, taken: Taken) -> None:
        if frame.kind == HEARTBEAT:
            self._check_end(frame, taken.cursor)
            self._see_checkpoint(tx, peer, frame)
        elif frame.kind == ENVELOPES:
            for item in frame.items:
                self._next_item(tx, peer, item, taken)
            if frame.items and frame.items[-1].number == taken.cursor.count:
                self._check_end(frame, taken.cursor)
        elif frame.kind == URGENT:
            for item in frame.items:
                if item.number > taken.cursor.count and item.envelope is not None:
                    commitment, refusal = self._receive(tx, peer, item)
                    if refusal is None and commitment != item.commitment:
                        raise InvalidInput("federation.wrong_commitment", sequence=item.sequence)
                    taken.urgent += 1

    def _next_item(self, tx: Transaction, peer: Member, item: Item, taken: Taken) -> None:
        at = taken.cursor
        if item.number <= at.count:
            taken.repeated += 1
            return
        if item.number != at.count + 1 or item.sequence <= at.sequence:
            raise GapFound("federation.gap", expected=at.count + 1, found=item.number)
        commitment, refusal = self._receive(tx, peer, item)
        if refusal is not None:
            taken.refused.append((item.sequence, refusal))
        head = hashlib.sha256(at.head + commitment).digest()
        taken.cursor = Cursor(item.number, item.sequence, head)
        taken.new += 1

    def _receive(self, tx: Transaction, peer: Member, item: Item) -> tuple[bytes, str | None]:
        """Hand an envelope to the ledger; its commitment, and why it was refused if it was."""
        if isinstance(item, UnreadableItem):
            return item.commitment, item.code
        if item.envelope is None:
            return item.commitment, WITHHELD
        try:
            _check_named(peer, item)
            # No savepoint: the ledger verifies before it writes, and handlers have one of their own.
            entry = self._ledger.receive(tx, item.envelope, key=peer.signing_key, commitment=item.commitment)
        except Unavailable:
            raise  # the machine's trouble (a full disk): nothing of the frame is taken, it comes again
        except IstmoError as error:
            log.warning("envelope_refused", peer=peer.id, sequence=item.sequence, code=error.code)
            return item.commitment, error.code
        if entry.state == REFUSED:
            return entry.commitment, entry.refusal or EQUIVOCATION
        return entry.commitment, None

    def _check_end(self, frame: Frame, cursor: Cursor) -> None:
        """Whether what the peer says of its chain to us is what we hold."""
        stated: Chain = frame.chain
        if stated.count > cursor.count:
            raise GapFound("federation.gap", expected=cursor.count + 1, found=stated.count)
        if frame.kind == HEARTBEAT and stated.count < cursor.count:
            raise Conflict("federation.chain_shrunk", stated=stated.count, ours=cursor.count)
        if stated.count == cursor.count and stated.head != cursor.head:
            raise Conflict("federation.wrong_head", count=cursor.count)

    def _see_checkpoint(self, tx: Transaction, peer: Member, frame: Frame) -> None:
        if not frame.checkpoint:
            return
        note = frame.checkpoint.encode("utf-8")
        try:
            is_consistent = self._ledger.history.see(tx, peer.id, note, key=peer.signing_key)
        except NotFound:
            return
        if not is_consistent:
            # The evidence must stay: a problem for people, not a reason to undo this write.
            tx.after_commit(
                lambda: self._links.set_problem(peer.id, Conflict("federation.two_histories", name=peer.name))
            )


def _check_named(peer: Member, item: Item) -> None:
    """The header must be of the peer's own log, and of the place that the frame gives it: no relaying."""
    assert item.envelope is not None
    try:
        # Only to choose the key: the ledger reads the header strictly, and refuses a name that stands twice.
        found = orjson.loads(item.envelope.header)
        origin, sequence = found["origin"], found["sequence"]
    except (ValueError, KeyError, TypeError):
        raise InvalidInput("ledger.bad_header", field="origin") from None
    if origin != peer.id:
        raise InvalidInput("federation.wrong_origin", origin=str(origin)[:80])
    if sequence != item.sequence:
        raise InvalidInput("federation.wrong_sequence", sequence=str(sequence)[:20])
