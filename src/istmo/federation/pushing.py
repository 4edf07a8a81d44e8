"""For a node that nobody can reach: it posts its frames to its peers, who answer what they hold.

The same frames as in a feed, the same chain; the answer is the acknowledgement.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from istmo.errors import InvalidInput, IstmoError, Unavailable
from istmo.federation.acknowledgements import Acknowledgements
from istmo.federation.dialling import FIRST_WAIT, LONGEST_WAIT
from istmo.federation.feeding import HEARTBEAT_SECONDS
from istmo.federation.links import Links
from istmo.federation.objects import Cursor, Member
from istmo.federation.outbox import Outbox, Reading
from istmo.federation.region import Region
from istmo.federation.wire import PeerClient
from istmo.store.changes import Change

log = structlog.get_logger(__name__)

PATH = "/federation/v1/frames"


class Pusher:
    """Posts what is due to one peer, in a thread of its own."""

    def __init__(
        self,
        peer: Member,
        region: Region,
        outbox: Outbox,
        links: Links,
        acknowledged: Acknowledgements,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self.peer, self._region, self._outbox = peer, region, outbox
        self._links, self._acknowledged, self._heartbeat = links, acknowledged, heartbeat
        self._client = PeerClient(peer.url, peer.tls_certificate, region.keys, region.clock)
        self._stopping, self._bell = threading.Event(), threading.Event()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name=f"push-{peer.country}", daemon=True)

    def start(self) -> None:
        self._unsubscribe = self._region.store.changes.subscribe(self._heard, "ledger")
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._bell.set()
        self._client.cut()

    def join(self, seconds: float = 10.0) -> None:
        self._thread.join(seconds)
        self._unsubscribe()
        self._client.close()

    def wake(self) -> None:
        self._bell.set()

    def _heard(self, change: Change) -> None:
        if self.peer.id in change.data.get("recipients", ()):
            self._bell.set()

    def _run(self) -> None:
        fails = 0
        while not self._stopping.is_set():
            try:
                self._push()
                fails = 0
            except IstmoError as error:
                fails += 1
                self._links.set_problem(self.peer.id, error)
                self._client.close()
                self._stopping.wait(min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(fails, 9)))
            except Exception as error:
                fails += 1
                log.exception("pusher_failed", peer=self.peer.id)
                self._links.set_problem(
                    self.peer.id, Unavailable("federation.defect", detail=type(error).__name__)
                )
                self._stopping.wait(LONGEST_WAIT)

    def _push(self) -> None:
        """Ask where the peer stands, then post until the node stops or the link fails."""
        reading = self._outbox.open(self.peer.id, "", self._post(b""))
        while not self._stopping.is_set():
            self._bell.clear()
            made = self._outbox.next(reading)
            if made.lines:
                self._advance(reading, self._post(b"\n".join(made.lines)))
            if made.has_more:
                continue
            if not self._bell.wait(self._heartbeat):
                self._advance(reading, self._post(self._outbox.heartbeat(reading)))

    def _advance(self, reading: Reading, theirs: Cursor) -> None:
        """Where the peer stands is where we go on, be it less than we have sent."""
        if theirs != reading.cursor:
            fresh = self._outbox.open(self.peer.id, "", theirs)
            reading.cursor, reading.urgent_after = fresh.cursor, fresh.urgent_after

    def _post(self, body: bytes) -> Cursor:
        answer = self._client.post(PATH, body)
        cursor, refused, problem = read_receipt(answer), read_refused(answer), answer.get("problem")
        if cursor.count:
            self._acknowledged.submit(self.peer.id, cursor, refused)
        if problem:
            raise InvalidInput("federation.frames_refused_there", answer=str(problem)[:64])
        self._links.clear_problem(self.peer.id)
        self._links.heard(self.peer.id)
        return cursor


def read_receipt(value: dict[str, Any]) -> Cursor:
    """The cursor in an acknowledgement. Raises InvalidInput ``federation.bad_frame``."""
    try:
        count, sequence, head = value["count"], value["sequence"], bytes.fromhex(value["head"])
    except (KeyError, TypeError, ValueError):
        raise InvalidInput("federation.bad_frame", part="receipt") from None
    good = all(type(one) is int and 0 <= one < 1 << 53 for one in (count, sequence)) and len(head) == 32
    if not good:
        raise InvalidInput("federation.bad_frame", part="receipt")
    return Cursor(count, sequence, head)


def read_refused(value: dict[str, Any]) -> tuple[tuple[int, str], ...]:
    """The refusals in an acknowledgement. Raises InvalidInput ``federation.bad_frame``."""
    found = value.get("refused", [])
    if not isinstance(found, list) or len(found) > 1000:
        raise InvalidInput("federation.bad_frame", part="refused")
    refused = []
    for one in found:
        sequence, code = (one.get("sequence"), one.get("code")) if isinstance(one, dict) else (None, None)
        if type(sequence) is not int or not isinstance(code, str) or not 0 < len(code) <= 64:
            raise InvalidInput("federation.bad_frame", part="refused")
        refused.append((sequence, code))
    return tuple(refused)
