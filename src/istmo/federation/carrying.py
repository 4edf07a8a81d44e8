"""Frames that no stream brings: posted by a node that cannot be reached, or carried in a file.

The same lines, the same inbox; a file ends with a receipt, so that it also tells what its maker holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from istmo.errors import InvalidInput, IstmoError
from istmo.federation import records, statement
from istmo.federation.acknowledgements import Acknowledgements
from istmo.federation.frames import Reader, frame_limit, read_frame, read_lines
from istmo.federation.inbox import Inbox, Taken
from istmo.federation.links import Links
from istmo.federation.objects import Cursor, Member
from istmo.federation.outbox import Outbox
from istmo.federation.region import Region


class Carrying:
    """Frames without a session. Thread-safe."""

    def __init__(
        self, region: Region, outbox: Outbox, inbox: Inbox, links: Links, acknowledged: Acknowledgements
    ) -> None:
        self._region, self._outbox, self._inbox = region, outbox, inbox
        self._links, self._acknowledged = links, acknowledged
        self._body_limit = region.ledger.body_limit

    def export(self, peer: Member) -> Iterator[bytes]:
        """Lines of everything that ``peer`` has not acknowledged, a heartbeat and a receipt."""
        reading = self._outbox.open(peer.id, "", self._acknowledged_cursor(peer))
        while (made := self._outbox.next(reading)).lines:
            yield from (line + b"\n" for line in made.lines)
        yield self._outbox.heartbeat(reading) + b"\n"
        yield self._outbox.receipt(peer.id) + b"\n"

    def _acknowledged_cursor(self, peer: Member) -> Cursor:
        me = self._region.me
        with self._region.store.read() as connection:
            told = self._acknowledged.last(connection, peer.id)
            if told is None:
                return Cursor()
            sequence = records.delivery_sequence(connection, me, peer.id, told.count)
        return Cursor(told.count, sequence, told.head) if sequence else Cursor()

    def take(self, peer: Member, body: bytes, *, is_live: bool) -> Taken:
        """Take in frame lines of ``peer``. At the first that is not right the rest is left, and said."""
        reader = Reader(self._region.me, peer, self._body_limit, "")
        frames, problem = [], None
        for line in read_lines(body):
            try:
                frames.append(reader.read(line))
            except IstmoError as error:
                problem = error
                break
        taken = self._inbox.take(peer, frames, is_live=is_live)
        taken.problem = taken.problem or problem
        if taken.problem is not None:
            self._links.set_problem(peer.id, taken.problem)
        elif frames:
            self._links.clear_problem(peer.id)
        return taken

    def take_file(self, lines: Iterable[bytes]) -> tuple[Member, Taken]:
        """Take in a carried file; whose it was and what it brought. ``Taken.problem`` where it broke off.

        Raises InvalidInput ``federation.empty_file`` or ``federation.frame_not_ours``.
        """
        peer: Member | None = None
        total: Taken | None = None
        for line in lines:
            if not line.strip():
                continue
            peer = peer or self._author(line)
            taken = self.take(peer, line, is_live=False)
            if total is not None:
                taken.new += total.new
                taken.repeated += total.repeated
                taken.refused = total.refused + taken.refused
            total = taken
            if taken.problem is not None:
                break
        if peer is None or total is None:
            raise InvalidInput("federation.empty_file")
        return peer, total

    def _author(self, line: bytes) -> Member:
        """Whose file it says it is; the frames' signatures are verified one by one."""
        limit = frame_limit(self._body_limit)
        frame = read_frame(statement.read(line, limit=limit)[2], self._body_limit)
        member = self._region.known(frame.origin)
        if member is None or member.id not in self._region.members() or frame.recipient != self._region.me:
            raise InvalidInput("federation.frame_not_ours", origin=frame.origin, recipient=frame.recipient)
        return member
