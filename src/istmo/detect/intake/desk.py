"""What every door has at hand: who sends, the body in bounded memory, and the store behind it all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final, Protocol

from istmo.clock import Clock
from istmo.detect.eventstore.log import Batch, EventLog
from istmo.detect.eventstore.times import to_micros
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.asking import Request
from istmo.detect.intake.inflating import Inflater
from istmo.detect.intake.rates import Rates
from istmo.detect.intake.sources import Sources
from istmo.detect.wire import WireSource
from istmo.errors import InvalidInput, IstmoError, RateLimited, TooLarge, Unavailable
from istmo.settings import Limits

IN_HAND_BYTES: Final = 64 << 20
"""What all requests together may hold in memory, by the lengths that they announce; twice as much where some
turn out longer."""
SHARE_BYTES: Final = IN_HAND_BYTES // 2
"""What the requests of one source may hold: one that sends slowly and much leaves room for all others."""
CALM_BYTES: Final = 4 << 20
"""Up to so much in hand, what events hold is kept for the stages: past it they are behind anyway."""
_MOST_ANNOUNCED: Final = 1 << 20
"""Set aside of what a request announces: whoever announces much and sends nothing blocks nobody."""
PATIENCE: Final = 60.0
"""Seconds that a sender may be silent in the middle of a body."""
LONGEST_WAIT: Final = 60
"""Seconds after which a source that sent too much is told to ask again."""
_SENDING: Final = frozenset({"POST", "PUT"})
_YIELD_BYTES: Final = 128 << 10
_COME_BACK: Final = frozenset({429, 503, 507})
_COUNTED_BY_LINE: Final = "detect.nothing_accepted"
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})


class SenderSilent(IstmoError):
    """A body that stopped coming."""

    status = 408


class UnsupportedEncoding(InvalidInput):
    """A content encoding that we do not read."""

    status = 415


class SenderGone(Exception):
    """The connection broke before the body ended: nobody is there to be answered."""


class Taker(Protocol):
    """Takes a body piece by piece, and says what it holds of it."""

    @property
    def size(self) -> int:
        """What it holds in memory, about."""

    def feed(self, data: bytes) -> None:
        """Take bytes, unpacked."""

    def finish(self) -> None:
        """The body has ended."""


@dataclass
class Holding:
    """What one request holds of the memory that all share."""

    _grow: Callable[[int], None]
    size: int = 0

    def hold(self, size: int) -> None:
        """The request holds so much now."""
        self._grow(size - self.size)
        self.size = size


class Desk:
    """The intake's own part, the same for all doors."""

    def __init__(self, event_log: EventLog, sources: Sources, limits: Limits, clock: Clock) -> None:
        self._log = event_log
        self._sources = sources
        self.limits = limits
        self.clock = clock
        self._rates = Rates(clock)
        self._in_hand = 0
        self._by_source: Counter[str] = Counter()

    def admit(self, request: Request) -> WireSource:
        """The source that sends, by its token or, where it names none, by its certificate.

        Raises Unauthenticated, NotAllowed; RateLimited where the node has too much in hand, or where the
        source is to wait after all that it sent, or is paused; Unavailable where the node does not know its
        sources yet.
        """
        if not self._sources.is_known:
            raise Unavailable("detect.intake_not_ready", retry_after=1)
        told, now = request.headers.get("authorization", ""), self.clock.now()
        if request.certificate and not told:
            source = self._sources.admit_certificate(request.certificate, now)
        else:
            source = self._sources.admit(told, now)
        request.admitted.append(source.id)
        if source.is_paused and request.method in _SENDING:
            raise RateLimited("detect.source_paused", retry_after=LONGEST_WAIT)
        if self._in_hand > IN_HAND_BYTES:
            raise RateLimited("detect.intake_busy", retry_after=1)
        if request.method in _SENDING and (wait := self._rates.take(source, 0)) > 0:
            raise RateLimited("detect.source_too_fast", retry_after=min(LONGEST_WAIT, ceil(wait)))
        return source

    def count_refused(self, request: Request, error: IstmoError) -> None:
        """Count what was refused whole, where it is known who sent it. Busy is no refusal: it comes again."""
        if error.status not in _COME_BACK and error.code != _COUNTED_BY_LINE:
            for source in request.admitted:
                self._sources.count_refused(source, error.code)

    def require_room(self) -> None:
        """Raises Unavailable while the disk is full."""
        if self._log.is_full:
            raise Unavailable("detect.disk_full", folder="")

    def arrivals(self) -> Arrivals:
        """For the events of a request."""
        return Arrivals(self.limits, keeps_parsed=self._in_hand <= CALM_BYTES)

    @contextmanager
    def holding(self, request: Request) -> Iterator[Holding]:
        """What a request has in hand, until it has been answered; at first what it announces.

        Raises RateLimited where that is too much beside all others: before any of it is read.
        """
        told = request.headers.get("content-length", "")
        announced = min(int(told), _MOST_ANNOUNCED) if told.isascii() and told.isdigit() else 0
        source = request.admitted[-1]
        mine = self._by_source[source]
        if (self._in_hand and self._in_hand + announced > IN_HAND_BYTES) or (
            mine and mine + announced > SHARE_BYTES
        ):
            raise RateLimited("detect.intake_busy", retry_after=1)
        held = Holding(lambda size: self._grow(source, size))
        held.hold(announced)
        try:
            yield held
        finally:
            held.hold(0)
            if not self._by_source[source]:
                del self._by_source[source]

    def _grow(self, source: str, size: int) -> None:
        self._in_hand += size
        self._by_source[source] += size

    def _require_memory(self) -> None:
        if self._in_hand > 2 * IN_HAND_BYTES:
            raise RateLimited("detect.intake_busy", retry_after=1)

    async def read(self, request: Request, taker: Taker, held: Holding) -> None:
        """Read a body, unpacked, into ``taker``.

        Raises TooLarge, InvalidInput (packed bytes that are none), UnsupportedEncoding, SenderSilent;
        RateLimited where all requests together turn out to be too much.
        """
        unpack = _unpacker(request, self.limits)
        taken = unyielded = 0
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    message = await request.receive()
            except TimeoutError:
                raise SenderSilent("detect.sender_silent", seconds=int(PATIENCE)) from None
            if message["type"] == "http.disconnect":
                raise SenderGone
            data = message.get("body", b"")
            taken += len(data)
            if taken > self.limits.archive_bytes:
                raise TooLarge("detect.body_too_large", limit=self.limits.archive_bytes)
            for piece in unpack.feed(data) if unpack else (data,):
                taker.feed(piece)
            if taker.size > held.size:
                held.hold(taker.size)
                self._require_memory()
            if not message.get("more_body"):
                break
            unyielded += len(data)
            if unyielded > _YIELD_BYTES:  # a long body must not hold up the detecting stages
                unyielded = 0
                await asyncio.sleep(0)
        if unpack:
            unpack.finish()
        taker.finish()
        held.hold(taker.size)

    async def read_whole(self, request: Request, held: Holding) -> bytes:
        """A body in one piece, unpacked. Raises what ``read`` does, TooLarge past ``limits.batch_bytes``."""
        body = _Whole(self.limits.batch_bytes)
        await self.read(request, body, held)
        return bytes(body.data)

    async def store(
        self, source: WireSource, arrived: Arrivals, held: Holding | None = None
    ) -> frozenset[int]:
        """Put events on disk; which of them (by place) had been there before, by their keys.

        Returns once they are durable; counts what came. ``held``: what the request holds, of which nothing is
        left by now but the events. Raises RateLimited, Unavailable, DiskFull: then nothing of it is stored.
        """
        if held is not None:
            held.hold(arrived.size)
            self._require_memory()
        doubled: frozenset[int] = frozenset()
        if arrived.events:
            doubled = await self._append(source.id, arrived)
            # Taken whole, however many there were: what is too much, the next request waits for.
            self._rates.take(source, len(arrived.events))
        self._sources.count(source.id, arrived, len(doubled), to_micros(self.clock.now()))
        return doubled

    async def _append(self, source: str, arrived: Arrivals) -> frozenset[int]:
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()

        def settle(problem: IstmoError | None) -> None:
            if stored.cancelled():
                return
            if problem:
                stored.set_exception(problem)
            else:
                stored.set_result(None)

        def answer(problem: IstmoError | None) -> None:
            loop.call_soon_threadsafe(settle, problem)

        batch = Batch(source, arrived.events, answer, keys=arrived.keys)
        self._log.append(batch)
        await stored
        return frozenset(batch.doubled)


class _Whole:
    def __init__(self, most: int) -> None:
        self._most = most
        self.data = bytearray()

    @property
    def size(self) -> int:
        return len(self.data)

    def feed(self, data: bytes) -> None:
        if len(self.data) + len(data) > self._most:
            raise TooLarge("detect.batch_too_large", limit=self._most)
        self.data += data

    def finish(self) -> None:
        pass


def _unpacker(request: Request, limits: Limits) -> Inflater | None:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    # Some handlers name both ("gzip,deflate") and have packed once: which it is shows at the first byte.
    if not {one.strip() for one in encoding.split(",")} <= _PACKED:
        raise UnsupportedEncoding("detect.encoding_unknown", encoding=encoding[:40])
    return Inflater(limits.archive_bytes, limits.archive_ratio)
