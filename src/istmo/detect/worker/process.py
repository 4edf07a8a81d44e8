"""The worker put together: intake, log, stages, the work aside, and the conversation about all of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from contextlib import suppress
from typing import Final

import structlog

from istmo.clock import Clock
from istmo.detect.aside.jobs import CloseSegment
from istmo.detect.aside.pool import Pool
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.keeping import Keep, bytes_by_source
from istmo.detect.eventstore.log import SEGMENT_BYTES, EventLog
from istmo.detect.eventstore.sealing import keys_of
from istmo.detect.intake.app import Intake
from istmo.detect.intake.denials import Denials
from istmo.detect.intake.listeners import KINDS, Listeners
from istmo.detect.intake.sources import Sources
from istmo.detect.wire import (
    BEFORE,
    INDICATORS,
    SEGMENT_SHUT,
    SIGMA,
    SOURCES,
    AskFields,
    AskPast,
    AskSql,
    AskStats,
    Cancel,
    Count,
    Counted,
    DropIndicators,
    DropRules,
    Hunt,
    HuntRules,
    Keeping,
    Live,
    Notice,
    Position,
    PutIndicators,
    PutRules,
    PutSources,
    Ready,
    Search,
    Stats,
    StoredState,
    Synced,
    ToWorker,
    Welcome,
)
from istmo.detect.worker.hunting import Requests
from istmo.detect.worker.indicators import IndicatorStage
from istmo.detect.worker.link import Connection, Link, LinkLost
from istmo.detect.worker.pauses import Pauses
from istmo.detect.worker.serving import (
    Certificate,
    Server,
    room_for_connections,
    secure,
    server_config,
)
from istmo.detect.worker.sigma_process import SigmaProcess
from istmo.detect.worker.tending import TEND_SECONDS, Tending
from istmo.errors import Unavailable
from istmo.settings import Settings

log = structlog.get_logger(__name__)

_ROUND_SECONDS: Final = 1.0
_CLOSE_AGAIN_SECONDS: Final = 30.0
_CALM_SECONDS: Final = 1.0
"""After a node's start, before the process starts that waits for hunts: pages come first."""
_MOST_NOTICES: Final = 100


class Worker:
    """One node's detection worker. ``run`` returns after ``stop``."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        certificate: Certificate | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        tend_seconds: float = TEND_SECONDS,
    ) -> None:
        self._settings = settings
        self._segment_bytes = segment_bytes
        self._tend_seconds = tend_seconds
        self._clock = clock
        self._certificate = certificate
        self._stopping = asyncio.Event()
        self._connection: Connection | None = None
        self._notices: deque[Notice] = deque(maxlen=_MOST_NOTICES)
        self._positions: dict[str, Position] = {}
        self._judged = BEFORE
        self._state: StoredState | None = None
        self._patterns: StoredState | None = None
        self._following: asyncio.Task[None] | None = None
        self._was_full = self._had_failed = False
        self._told_endings = 0
        self._pauses = Pauses(clock)
        self._close_after = 0.0
        self._closing: asyncio.Task[None] | None = None
        self._shut: set[int] = set()

    def stop(self) -> None:
        """End: intake first, then what waits is written."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped. Raises Conflict when the store is in use, Unavailable when the port is."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        keys = keys_of(settings)
        self._log = EventLog(settings.events, self._clock, keys, segment_bytes=self._segment_bytes)
        self._remember_repairs()
        self._sources = Sources(settings.space)
        self._denials = Denials(self._clock)
        self._stage = IndicatorStage(self._log, self._clock)
        self._sigma = SigmaProcess(settings.data, self._log, loop, self._clock)
        self._sigma.start()
        self._pool = Pool(settings.events, keys)
        kept = Keep(max(0, settings.retention.keep_days), max(0, settings.retention.budget_bytes))
        self._tending = Tending(
            self._log, self._pool, kept, self._clock, self._notices.append, self._tend_seconds
        )
        self._log.on_append(lambda: loop.call_soon_threadsafe(self._stage.wake))
        self._log.on_append(self._sigma.wake)
        self._listener = _listen(settings.intake_host, settings.intake_port)
        app = Intake(
            self._log, self._sources, self._denials, settings.limits, self._clock, settings.languages
        )
        shown = self._certificate if settings.tls == "own" else None
        server = Server(
            server_config(app),
            connections=room_for_connections(),
            secured=secure(shown, self._sources) if shown else None,
        )
        self._listeners = self._make_listeners()
        tasks = [
            asyncio.create_task(server.serve(sockets=[self._listener])),
            asyncio.create_task(self._listeners.run()),
            asyncio.create_task(Link(settings.run, self._talk).keep()),
            asyncio.create_task(self._rounds()),
        ]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # one of the parts ended by itself: say why, and end
        finally:
            server.should_exit = True
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
            await self._listeners.close()
            await self._end()

    def _make_listeners(self) -> Listeners:
        settings = self._settings
        shown = self._certificate
        return Listeners(
            settings.intake_host,
            {kind: port for kind in KINDS if (port := getattr(settings, kind))},
            self._log,
            self._sources,
            self._denials,
            settings.limits,
            self._clock,
            (shown.certificate, shown.key) if shown else None,
        )

    async def _end(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            await asyncio.gather(self._closing, return_exceptions=True)
        await self._pool.close()
        await self._sigma.close()
        await asyncio.to_thread(self._log.close)

    def _remember_repairs(self) -> None:
        for repair in self._log.repairs:
            told: dict[str, str | int] = {
                "file": repair.path.name,
                "offset": repair.offset,
                "bytes": repair.cut,
            }
            self._notices.append(Notice("detect.log_repaired", told))

    # The conversation

    async def _talk(self, connection: Connection) -> None:
        host, port = self._listener.getsockname()[:2]
        await connection.send(Ready(os.getpid(), host, port, self._log.head.position))
        requests = Requests(
            connection,
            self._pool,
            self._log,
            self._stage,
            self._clock,
            self._settings.limits,
            str(self._settings.plans),
        )
        self._connection = connection
        await self._sigma.begin(connection)
        try:
            while (message := await connection.receive()) is not None:
                await self._hear(message, connection, requests)
        finally:
            self._connection = None
            connection.is_lost = True
            try:
                await self._rest()
            finally:
                await requests.close()

    async def _rest(self) -> None:
        self._sigma.pause()
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            # Waited for, not awaited: its cancellation must not be taken for ours, nor ours for its own.
            await asyncio.wait([following])
            if not following.cancelled():
                following.result()

    async def _hear(self, message: ToWorker, connection: Connection, requests: Requests) -> None:
        match message:
            case Welcome(positions=positions, member=member, members=members):
                self._positions = positions
                self._log.begin_past(max(positions.values(), default=Position()))
                self._judged, self._state = message.judged, message.state
                self._patterns = message.patterns
                # An indicator put from here on is live from there on, and hunted for up to there.
                self._stage.position = positions.get(INDICATORS, Position())
                self._sources.introduce(member, members)
            case PutIndicators(generation=generation, items=items, reset=reset):
                problems = await self._stage.put(items, reset=reset)
                await connection.send(Live(INDICATORS, generation, problems))
            case DropIndicators(generation=generation, ids=ids):
                self._stage.drop(ids)
                await connection.send(Live(INDICATORS, generation))
            case PutRules() | DropRules():
                self._sigma.tell(message)
            case PutSources(generation=generation, sources=sources):
                self._sources.replace(sources)
                await connection.send(Live(SOURCES, generation))
            case Synced():
                self._follow(connection)
            case Hunt():
                requests.hunt(message)
            case Search() | Count() | HuntRules() | AskSql() | AskFields() | AskPast():
                await requests.search(message)
            case Keeping():
                self._tending.hear(message)
            case Cancel(request=request):
                await requests.cancel(request)
            case AskStats(request=request):
                await connection.send(self._stats(request))

    def _follow(self, connection: Connection) -> None:
        start, state, self._state = self._positions.get(SIGMA, Position()), self._state, None
        self._sigma.follow(start, self._judged, state)
        if self._following is None:
            start = self._positions.get(INDICATORS, Position())
            patterns, self._patterns = self._patterns, None
            self._following = asyncio.create_task(self._match(start, connection, patterns))
        self._pool.keep_one(_CALM_SECONDS)

    async def _match(self, start: Position, connection: Connection, patterns: StoredState | None) -> None:
        try:
            await self._stage.follow(start, connection, patterns)
        except Exception:
            log.exception("indicator_stage_failed")
            self._notices.append(Notice("detect.indicators_failed", {}))
            await asyncio.sleep(self._pauses.next())
            connection.close()  # in the next conversation it goes on from what is stored

    def _stats(self, request: int) -> Stats:
        head, folder = self._log.head, self._log.folder
        return Stats(
            request=request,
            events=head.events,
            segments=len(folder.closed()) + len(folder.wal_segments()),
            bytes=_size(folder),
            head=head.position,
            behind={
                INDICATORS: self._log.behind(self._stage.position),
                SIGMA: self._log.behind(self._sigma.position),
            },
            indicators=len(self._stage.matcher),
            rules=self._sigma.rules,
            correlations=self._sigma.correlations,
            patterns=self._stage.matcher.watches.counts,
            intake="detect.disk_full" if self._log.is_full else "open",
            oldest=self._tending.oldest(),
            sources=bytes_by_source(self._log.shelf.all()),
            daily=self._tending.daily(),
            room=self._tending.room(),
            sealing=self._tending.sealing(len(self._shut)),
        )

    # What comes round every second

    async def _rounds(self) -> None:
        while True:
            await asyncio.sleep(_ROUND_SECONDS)
            try:
                self._watch_room()
                self._watch_rules()
                self._close_segments()
                await self._report()
            except LinkLost:
                continue
            except Exception:
                log.exception("round_failed")

    def _watch_room(self) -> None:
        if self._log.is_full != self._was_full:
            self._was_full = self._log.is_full
            code = "detect.disk_full" if self._was_full else "detect.disk_has_room"
            self._notices.append(Notice(code, {"folder": str(self._settings.events)}))

    def _watch_rules(self) -> None:
        if self._sigma.endings > self._told_endings:
            self._notices.append(Notice("detect.rules_failed", {}))
        self._told_endings = self._sigma.endings
        if self._sigma.has_failed and not self._had_failed:
            self._notices.append(Notice("detect.rules_not_made", {}))
        self._had_failed = self._sigma.has_failed

    def _close_segments(self) -> None:
        is_busy = self._closing is not None and not self._closing.done()
        if is_busy:
            return
        if self._waiting() and self._clock.monotonic() >= self._close_after:
            self._closing = asyncio.create_task(self._close_all())
        elif self._tending.is_due:
            self._closing = asyncio.create_task(self._tend())

    async def _tend(self) -> None:
        try:
            await self._tending.step(self._connection)
        except LinkLost:
            return
        except Exception:
            log.exception("tending_failed")

    def _waiting(self) -> list[int]:
        """Segments to close; not those whose key is not there, which wait for it and not for each other."""
        return [one for one in self._log.segments_to_close() if one not in self._shut]

    async def _close_all(self) -> None:
        while waiting := self._waiting():
            async for answer in self._pool.run(CloseSegment(waiting[0])):
                if answer.problem is not None and answer.problem.code == SEGMENT_SHUT:
                    self._shut.add(waiting[0])
                    self._notices.append(Notice(SEGMENT_SHUT, answer.problem.params))
                elif answer.problem is not None:
                    self._close_after = self._clock.monotonic() + _CLOSE_AGAIN_SECONDS
                    self._notices.append(Notice("detect.segment_not_closed", {"segment": waiting[0]}))
                    return
            await asyncio.to_thread(self._log.recount)

    async def _report(self) -> None:
        connection = self._connection
        if connection is None:
            return
        if denied := self._denials.take():
            self._notices.append(denied)
        self._notices.extend(self._listeners.take_notices())
        while self._notices:
            await connection.send(self._notices[0])
            self._notices.popleft()
        if counts := self._sources.take_counts():
            await connection.send(Counted(counts))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns off Nagle's delay only on sockets that name it: without,
    # every answer on a connection that is kept open comes 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        detail = error.strerror or type(error).__name__
        raise Unavailable("detect.intake_port", host=host, port=port, detail=detail) from error
    return listener


def _size(folder: EventFolder) -> int:
    total = 0
    for part in (folder.wal, folder.segments):
        for path in part.iterdir():
            with suppress(FileNotFoundError):
                total += path.stat().st_size
    return total
