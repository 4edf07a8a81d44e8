"""The live feed: one asynchronous stream a listening peer, woken by the commit, never by a clock."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog

from istmo.errors import IstmoError
from istmo.federation.links import Links
from istmo.federation.objects import Cursor
from istmo.federation.outbox import Made, Outbox, Reading
from istmo.kit.ringing import Ringing
from istmo.store.changes import Change, Changes

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 5.0
SILENCE_SECONDS = 3 * HEARTBEAT_SECONDS
"""A feed that says nothing for so long is dead: the reader dials again."""

_THREADS = 4


class Feeds:
    """Every open feed of a node: one a peer, the newest."""

    def __init__(
        self,
        outbox: Outbox,
        links: Links,
        changes: Changes,
        me: str,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._outbox, self._links, self._changes, self._me = outbox, links, changes, me
        self._heartbeat = heartbeat
        self._lock = threading.Lock()
        self._open: dict[str, Feed] = {}
        self._is_closing = False
        # Threads of their own: a slow search must not hold up an alert on its way to a neighbour.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="feed")
        # What was just committed goes out by one thread, peer after peer: side by side, all would be late.
        self._first = ThreadPoolExecutor(1, thread_name_prefix="feed-first")

    def open(self, recipient: str, session: str, cursor: Cursor, gzip: bool) -> Feed:
        """A feed for ``recipient`` after its cursor; one that it had open before ends.

        Raises Conflict ``federation.wrong_cursor``. Call outside the event loop.
        """
        reading = self._outbox.open(recipient, session, cursor)
        feed = Feed(self, reading, gzip)
        with self._lock:
            before = self._open.get(recipient)
            self._open[recipient] = feed
        if before is not None:
            before.end()
        return feed

    def close(self) -> None:
        """End every feed: the node stops. Thread-safe."""
        with self._lock:
            self._is_closing = True
            feeds = list(self._open.values())
        for feed in feeds:
            feed.end()
        self._threads.shutdown(wait=False)
        self._first.shutdown(wait=False)

    def drop(self, recipient: str) -> None:
        """End the feed of one peer."""
        with self._lock:
            feed = self._open.get(recipient)
        if feed is not None:
            feed.end()

    @property
    def is_closing(self) -> bool:
        return self._is_closing

    def _gone(self, feed: Feed) -> None:
        with self._lock:
            if self._open.get(feed.recipient) is feed:
                del self._open[feed.recipient]
                is_last = True
            else:
                is_last = False
        if is_last:
            self._links.set_listening(feed.recipient, False)


class Feed:
    """One stream of server-sent events to one peer."""

    def __init__(self, feeds: Feeds, reading: Reading, gzip: bool) -> None:
        self._feeds, self._reading = feeds, reading
        self._zip = zlib.compressobj(6, zlib.DEFLATED, 31) if gzip else None
        self._wake: Callable[[], None] = lambda: None
        self._is_over = False
        self.recipient = reading.recipient

    def end(self) -> None:
        """Let the stream end. Thread-safe."""
        self._is_over = True
        self._wake()

    async def stream(self, stopping: asyncio.Event | None = None) -> AsyncIterator[bytes]:
        """Frames as they fall due, a heartbeat when nothing does; until ``stopping`` is set."""
        feeds, loop = self._feeds, asyncio.get_running_loop()
        ringing = Ringing(self._next, threads=feeds._threads, at_ring=feeds._first)

        def heard(change: Change) -> None:
            if self.recipient in change.data.get("recipients", ()):
                ringing.ring()

        self._wake = ringing.wake
        stops = asyncio.ensure_future(stopping.wait()) if stopping is not None else None
        if stops is not None:
            stops.add_done_callback(lambda _: self.end())
        unsubscribe = feeds._changes.subscribe(heard, "ledger")
        feeds._links.set_listening(self.recipient, True)
        try:
            yield self._event((), comment=True)
            next_beat = 0.0  # the first one comes as soon as all that waited is sent
            while not self._is_over and not feeds.is_closing:
                made = await ringing.made()
                if made.lines:
                    yield self._event(made.lines)
                if made.has_more:
                    continue
                if loop.time() >= next_beat:
                    yield self._event((await self._heartbeat(),))
                    next_beat = loop.time() + feeds._heartbeat
                await ringing.rest(next_beat - loop.time())
        except IstmoError as error:
            log.warning("feed_failed", recipient=self.recipient, code=error.code)
        except RuntimeError:
            if not feeds.is_closing:  # the threads are gone because the node stops
                raise
        finally:
            if stops is not None:
                stops.cancel()
            unsubscribe()
            feeds._gone(self)

    def _next(self) -> Made:
        return self._feeds._outbox.next(self._reading)

    async def _heartbeat(self) -> bytes:
        beat = partial(self._feeds._outbox.heartbeat, self._reading)
        return await asyncio.get_running_loop().run_in_executor(self._feeds._threads, beat)

    def _event(self, lines: tuple[bytes, ...], *, comment: bool = False) -> bytes:
        raw = b": istmo feed\n\n" if comment else b"".join(b"data: %s\n\n" % line for line in lines)
        if self._zip is None:
            return raw
        return self._zip.compress(raw) + self._zip.flush(zlib.Z_SYNC_FLUSH)
