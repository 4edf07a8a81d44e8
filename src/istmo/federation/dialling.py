"""Listening to peers: a thread each, which dials, takes in what comes and says what it holds.

Nothing that a peer does reaches another peer's thread. Trouble is written on the link in words, and
the dialler waits longer each time, up to a minute; a new charter wakes it at once.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson
import structlog

from istmo.clock import Clock
from istmo.errors import Conflict, IstmoError, RateLimited, Unavailable
from istmo.federation.acknowledgements import Acknowledgements
from istmo.federation.budget import Budget
from istmo.federation.feeding import SILENCE_SECONDS
from istmo.federation.frames import Reader
from istmo.federation.inbox import GapFound, Inbox, Taken
from istmo.federation.links import CATCHING_UP, CONNECTING, LIVE, OFF, WAITING, Links
from istmo.federation.objects import Cursor, Member
from istmo.federation.region import Region
from istmo.federation.wire import FeedReading, PeerAnswered, PeerClient

log = structlog.get_logger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.2, 60.0
FLOOD_WAIT = 30.0
_IDLE_FRAMES, _IDLE_BURST = 20.0, 400.0
"""Frames a second that bring nothing new, and how many at once: heartbeats, repetitions."""
_IDLE_BYTES, _IDLE_BYTES_BURST = float(1 << 20), float(32 << 20)
_BURST_SECONDS = 4.0
_SAID_AFTER = 0.05
"""Seconds for which what we hold is gathered before it is said: detection goes first, and a burst is
acknowledged once."""


@dataclass(frozen=True)
class Listening:
    """What every dialler needs."""

    region: Region
    inbox: Inbox
    links: Links
    acknowledgements: Acknowledgements
    clock: Clock
    body_limit: int
    frames_per_second: int
    seed: int | None = None
    """Of the jitter, for tests."""
    longest_wait: float = LONGEST_WAIT


class Dialler:
    """Listens to one peer until it is stopped."""

    def __init__(self, peer: Member, listening: Listening) -> None:
        self.peer, self._with = peer, listening
        self._client = PeerClient(peer.url, peer.tls_certificate, listening.region.keys, listening.clock)
        self._random = random.Random(listening.seed)  # noqa: S311  spreads retries, guards nothing
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._acker = _Acker(peer, self._client, listening)
        self._thread = threading.Thread(target=self._run, name=f"dial-{peer.country}", daemon=True)
        self._fails = 0
        self._gap_at = -1

    def start(self) -> None:
        self._acker.start()
        self._thread.start()

    def wake(self) -> None:
        """Dial now rather than later."""
        self._wake.set()

    def stop(self) -> None:
        """Ask the threads to end; ``join`` waits for them."""
        self._stopping.set()
        self._wake.set()
        self._client.cut()
        self._acker.stop()

    def join(self, seconds: float = 10.0) -> None:
        self._thread.join(seconds)
        self._acker.join(seconds)
        self._client.close()
        self._with.links.set_state(self.peer.id, OFF)

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait, is_penalty = 0.0, False
            try:
                self._listen()
                self._fails += 1  # the peer ended the stream: it stops, or another of us took over
                wait = self._backoff()
            except GapFound as gap:
                wait = self._after_gap(gap)
            except RateLimited as error:
                wait, is_penalty = max(FLOOD_WAIT, self._trouble(error)), True
            except IstmoError as error:
                wait = self._trouble(error)
            except Exception as error:
                if self._stopping.is_set():
                    return  # our own cut, as the socket tells it
                log.exception("dialler_failed", peer=self.peer.id)
                wait = self._trouble(Unavailable("federation.defect", detail=type(error).__name__))
            if not self._stopping.is_set():
                self._with.links.set_state(self.peer.id, WAITING)
                (self._stopping if is_penalty else self._wake).wait(wait)
                self._wake.clear()

    def _listen(self) -> None:
        links, id = self._with.links, self.peer.id
        links.set_state(id, CONNECTING)
        cursor = self._with.inbox.cursor(id)
        query = {"after": cursor.count, "sequence": cursor.sequence, "head": cursor.head.hex()}
        reading = self._client.open_feed(query, SILENCE_SECONDS)
        try:
            if self._stopping.is_set():
                return
            links.set_state(id, CATCHING_UP)
            self._wake.clear()  # what it was woken for is done: we are connected
            self._read(reading)
        finally:
            reading.close()

    def _read(self, reading: FeedReading) -> None:
        listening, peer = self._with, self.peer
        reader = Reader(listening.region.me, peer, listening.body_limit, reading.session)
        meter = _Meter(listening)
        for lines in reading.events(reader.limit):
            if self._stopping.is_set():
                return
            if not lines:
                continue
            frames = []
            problem: IstmoError | None = None
            for line in lines:
                try:
                    frames.append(reader.read(line))
                except IstmoError as error:
                    problem = error  # what came before it is good and stays
                    break
            taken = listening.inbox.take(peer, frames)
            self._after(taken)
            if taken.problem is not None or problem is not None:
                raise taken.problem or problem  # type: ignore[misc]
            meter.count(taken, len(lines), sum(map(len, lines)), self._stopping)

    def _after(self, taken: Taken) -> None:
        """Say what we hold; hear of a newer charter; all is well again."""
        listening = self._with
        if taken.new or taken.refused:
            self._acker.say(taken.cursor, taken.refused)
        if taken.problem is not None:
            return
        if taken.charter > listening.region.charter().version:
            self._fetch_charters()
        if self._fails or self._gap_at >= 0 or listening.links.get(self.peer.id).problem:
            self._fails, self._gap_at = 0, -1
            listening.links.clear_problem(self.peer.id)
        listening.links.set_state(self.peer.id, LIVE)

    def _fetch_charters(self) -> None:
        """The peer speaks of a charter that we lack: take every version in between."""
        region = self._with.region
        answer = self._client.get("/federation/v1/charters", {"after": region.charter().version})
        for document in answer.get("charters", ()):
            with region.store.write() as tx:
                region.take(tx, str(document).encode("utf-8"))

    def _after_gap(self, gap: GapFound) -> float:
        """Once, ask again from the cursor at once; a gap that stays is a problem to see."""
        cursor = self._with.inbox.cursor(self.peer.id)
        if self._gap_at != cursor.count:
            self._gap_at = cursor.count
            log.info("peer_gap", peer=self.peer.id, **gap.params)
            return 0.0
        return self._trouble(gap)

    def _trouble(self, error: IstmoError) -> float:
        if not self._stopping.is_set():
            self._with.links.set_problem(self.peer.id, _in_words(error, self.peer))
        self._fails += 1
        self._client.close()  # the next try compares the certificate anew
        return self._backoff()

    def _backoff(self) -> float:
        """Exponential, with jitter so that a region does not dial in step."""
        longest = min(self._with.longest_wait, FIRST_WAIT * 2.0 ** min(self._fails - 1, 12))
        return longest * self._random.uniform(0.5, 1.0)


class _Meter:
    """Cuts off a peer that sends much that is nothing; slows one that sends much that is new."""

    def __init__(self, listening: Listening) -> None:
        rate, clock = float(listening.frames_per_second), listening.clock
        self._new = Budget(rate, rate * _BURST_SECONDS, clock)
        self._idle = Budget(_IDLE_FRAMES, _IDLE_BURST, clock)
        self._idle_bytes = Budget(_IDLE_BYTES, _IDLE_BYTES_BURST, clock)

    def count(self, taken: Taken, frames: int, size: int, stopping: threading.Event) -> None:
        """Raises RateLimited ``federation.flooding``."""
        new = taken.new + taken.urgent
        if new:
            while not self._new.take(new) and not stopping.wait(0.05):
                continue  # not read further: the peer's own sending slows down
            return
        if not self._idle.take(frames + taken.repeated) or not self._idle_bytes.take(size):
            raise RateLimited("federation.flooding", retry_after=FLOOD_WAIT)


class _Acker:
    """Tells one peer what we hold, in a thread of its own so that reading goes on meanwhile."""

    def __init__(self, peer: Member, client: PeerClient, listening: Listening) -> None:
        self._peer, self._client, self._with = peer, client, listening
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._cursor: Cursor | None = None
        self._refused: dict[int, str] = {}
        self._thread = threading.Thread(target=self._run, name=f"ack-{peer.country}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._bell.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def say(self, cursor: Cursor, refused: list[tuple[int, str]]) -> None:
        with self._lock:
            self._cursor = cursor
            self._refused.update(refused)
        self._bell.set()

    def _run(self) -> None:
        while True:
            self._bell.wait()
            self._stopping.wait(_SAID_AFTER)
            self._bell.clear()
            with self._lock:
                cursor, refused = self._cursor, dict(sorted(self._refused.items())[:500])
                self._cursor = None
            if cursor is not None:
                self._send(cursor, refused)
            if self._stopping.is_set():
                return

    def _send(self, cursor: Cursor, refused: dict[int, str]) -> None:
        body = receipt_body(cursor, refused.items())
        try:
            self._client.post("/federation/v1/acks", body)
        except IstmoError as error:
            # The next acknowledgement, or the next dialling, says it again.
            log.info("acknowledgement_not_heard", peer=self._peer.id, code=error.code)
            return
        with self._lock:
            for sequence in refused:
                self._refused.pop(sequence, None)
            if self._refused and self._cursor is None:
                self._cursor = cursor
                self._bell.set()


class Dialling:
    """The diallers of a node: one for each peer that can be reached, kept in step with the charter."""

    def __init__(self, listening: Listening, make: Callable[[Member, Listening], Dialler] = Dialler) -> None:
        self._with, self._make = listening, make
        self._lock = threading.Lock()
        self._diallers: dict[str, Dialler] = {}
        self._is_running = False

    def start(self) -> None:
        self._is_running = True
        self.refresh()

    def refresh(self) -> None:
        """Dial who is new, leave who is gone, wake all others."""
        gone: list[Dialler] = []
        with self._lock:
            if not self._is_running:
                return
            wanted = {one.id: one for one in self._with.region.peers() if one.url}
            for id, dialler in list(self._diallers.items()):
                known = wanted.get(id)
                if known is None or (known.url, known.tls_certificate) != (
                    dialler.peer.url,
                    dialler.peer.tls_certificate,
                ):
                    gone.append(self._diallers.pop(id))
                else:
                    dialler.wake()
            for id, member in wanted.items():
                if id not in self._diallers:
                    self._diallers[id] = self._make(member, self._with)
                    self._diallers[id].start()
        for dialler in gone:
            dialler.stop()
        for dialler in gone:
            dialler.join()

    def stop(self) -> None:
        with self._lock:
            self._is_running = False
            diallers = list(self._diallers.values())
            self._diallers.clear()
        for dialler in diallers:
            dialler.stop()
        for dialler in diallers:
            dialler.join()


def receipt_body(cursor: Cursor, refused: Iterable[tuple[int, str]]) -> bytes:
    """The JSON of an acknowledgement: how far a chain is held, and what of it was refused."""
    return orjson.dumps(
        {
            "count": cursor.count,
            "sequence": cursor.sequence,
            "head": cursor.head.hex(),
            "refused": [{"sequence": sequence, "code": code} for sequence, code in refused],
        }
    )


def _in_words(error: IstmoError, peer: Member) -> IstmoError:
    """What the peer's refusal means here."""
    if isinstance(error, PeerAnswered):
        known = {
            "signed.unknown_key": "federation.not_known_there",
            "federation.not_member": "federation.not_known_there",
            "federation.wrong_cursor": "federation.wrong_cursor_there",
        }
        code = known.get(error.answer_code)
        return Conflict(code, name=peer.name) if code else error
    return error
