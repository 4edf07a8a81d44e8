"""The web process's end of the conversation with the detection worker.

It listens on ``run/worker.sock``, which only this user can open. One worker at a time: a new one
takes the place of the one before. A reading thread hears each conversation, one thread sends
(``outgoing``), one stores (``incoming``). Whatever breaks ends the conversation alone; the worker
dials again, is told everything, and goes on from the positions that are stored.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog

from istmo.clock import Clock
from istmo.detect import wire
from istmo.detect.incoming import Forgotten, Hunted, Incoming, TurnedAway, Unusable
from istmo.detect.keeping import keeping_of
from istmo.detect.objects import IndicatorSource, WorkerNotice
from istmo.detect.outgoing import Outgoing
from istmo.detect.questions import Question, Questions
from istmo.detect.recent import RecentCounts
from istmo.detect.stories import Stories
from istmo.detect.unix_socket import SOCKET, listen
from istmo.detect.wire import (
    INTAKE_DENIED,
    AskKeeping,
    Cancel,
    Channel,
    Costs,
    Counted,
    Fields,
    Hits,
    HuntHits,
    Lags,
    LetGo,
    Live,
    Notice,
    PastFound,
    Ready,
    Rows,
    RuleHits,
    SqlRows,
    Stats,
    Tally,
    ToWeb,
)
from istmo.errors import Unavailable
from istmo.policy import Context
from istmo.settings import Settings
from istmo.store.changes import Change
from istmo.store.engine import Store

log = structlog.get_logger(__name__)

READY_SECONDS: Final = 10.0
MOST_NOTICES: Final = 50
_ASKED_AGAIN: Final = 3
_STORED_SECONDS: Final = 10.0
_DAMAGED: Final = "detect.hunt_unreadable"
_HUNT_ENDED: Final = ("detect.hunt_cut_short", _DAMAGED)
"""Ends of a hunt that another one would only repeat: what it did not see is told, not tried again."""
_SEND_SECONDS: Final = 30
"""A worker that reads nothing for so long is given up: it dials again when it lives."""


class WorkerLink:
    """The node's link to its worker. ``start`` and ``stop`` once; everything else from any thread."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        clock: Clock,
        *,
        member: str,
        members: Callable[[], Iterable[str]],
        indicators: IndicatorSource,
        stories: Stories,
    ) -> None:
        """``members``: the region's present members, for ``policy`` in the worker."""
        self._store, self._clock, self._run, self._member = store, clock, settings.run, member
        self._members, self._space = members, settings.space
        self.recent = RecentCounts(clock)
        """What sources sent in the last minute and hour."""
        self._incoming = Incoming(store, clock, stories, self.recent.add)
        self._outgoing = Outgoing(
            store,
            clock,
            indicators,
            member,
            members,
            forget=lambda ids: self._incoming.put(Forgotten(ids)),
            news=lambda: store.changes.publish(Change("worker", "state")),
            settled=lambda ids: store.changes.publish(Change("detection", "", {"indicators": ids})),
        )
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._channel: Channel | None = None
        self._ready: Ready | None = None
        self._listening: datetime | None = None
        self.ask = Questions(
            self._say, self._outgoing.next_request, clock, float(settings.limits.search_seconds)
        )
        """What somebody waits for."""
        self._hunts_failed = 0
        self._notices: deque[WorkerNotice] = deque(maxlen=MOST_NOTICES)
        self._threads: list[threading.Thread] = []
        self._unsubscribe: Callable[[], None] = lambda: None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Listen, and hear of changes. Raises Unavailable("detect.socket") where that cannot be."""
        self._listener = listen(self._run)
        self._unsubscribe = self._store.changes.subscribe(
            self._hear_change, "object", "rule", "value_list", "source"
        )
        for name, action in (
            ("worker-accept", self._accept),
            ("worker-tell", self._outgoing.run),
            ("worker-store", self._incoming.run),
        ):
            thread = threading.Thread(target=action, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End the conversation; what was heard is stored first."""
        self._stopping.set()
        self._unsubscribe()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._lock:
            channel = self._channel
        if channel is not None:
            channel.close()
        self._outgoing.close()
        self._incoming.close()
        for thread in self._threads:
            thread.join(_STORED_SECONDS)
        (self._run / SOCKET).unlink(missing_ok=True)

    # --- what others ask -----------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``ready``, ``starting`` (a worker is there, but not all that it must know) or ``away``."""
        with self._lock:
            if self._channel is None:
                return "away"
        return "ready" if self._outgoing.is_synced else "starting"

    @property
    def ready(self) -> Ready | None:
        """How the worker introduced itself; None while it is away."""
        with self._lock:
            return self._ready

    @property
    def listening_since(self) -> datetime | None:
        """Since when this worker has been there without a break, and with it the intake; None without one."""
        with self._lock:
            return self._listening

    @property
    def notices(self) -> tuple[WorkerNotice, ...]:
        """What the worker wanted an administrator to know, the latest first."""
        with self._lock:
            return tuple(reversed(self._notices))

    @property
    def hunting(self) -> int:
        """Indicators whose hunt through stored events has not ended."""
        return self._outgoing.hunting

    def has_acknowledged(self, indicator: str) -> bool:
        """Whether the worker watches for the indicator as it now is."""
        return self._outgoing.has_acknowledged(indicator)

    def has_dropped(self, indicator: str) -> bool:
        """Whether no worker watches for the indicator any more."""
        return self._outgoing.has_dropped(indicator)

    def wait_ready(self, timeout: float) -> bool:
        """Wait until a worker has everything that it must know in force."""
        return self._outgoing.wait(lambda: self._outgoing.is_synced, timeout)

    def wait_live(self, indicator: str, timeout: float) -> bool:
        """Wait until the worker watches for an indicator."""
        return self._outgoing.wait(lambda: self._outgoing.has_acknowledged(indicator), timeout)

    def wait_sources(self, timeout: float) -> bool:
        """Wait until the worker, where there is one, goes by the intake tokens as they are now."""
        return self._outgoing.wait(self._outgoing.has_sources, timeout)

    def wait_rules(self, timeout: float) -> bool:
        """Wait until the worker, where there is one, goes by the rules and value lists as they are now."""
        is_live = self._outgoing.wait(self._outgoing.has_rules, timeout)
        return is_live and self._incoming.wait_stored(timeout)

    def wait_settled(self, timeout: float) -> bool:
        """Wait until every change is in force, every hunt has ended and what was found is stored."""
        is_settled = self._outgoing.wait(lambda: self._outgoing.is_settled, timeout)
        return is_settled and self._incoming.wait_stored(timeout)

    def _say(self, message: Question | Cancel) -> bool:
        with self._lock:
            channel = self._channel
        if channel is None:
            return False
        try:
            channel.send(message)
        except OSError:
            return False
        return True

    # --- hearing -------------------------------------------------------------------------------

    def _hear_change(self, change: Change) -> None:
        if change.topic == "object":
            if change.data.get("action") != "sighting":
                is_own = change.data.get("origin") == self._member
                self._outgoing.change_objects([change.subject], is_own=is_own)
        elif change.topic == "rule":
            self._outgoing.change_rules(change.data.get("ids", [change.subject]))
        elif change.topic == "value_list":
            self._outgoing.change_lists()
        else:
            self._outgoing.change_sources()

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None and not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                if not self._stopping.is_set():
                    log.exception("worker_socket_failed")
                return
            thread = threading.Thread(
                target=self._converse, args=(connection,), name="worker-hear", daemon=True
            )
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        """One conversation, from the worker's first word to its last."""
        connection.settimeout(READY_SECONDS)
        patience = struct.pack("ll", _SEND_SECONDS, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        channel = Channel(connection)
        try:
            ready = channel.receive()
            if not isinstance(ready, Ready):
                log.warning("worker_not_understood")
                return
            connection.settimeout(None)
            self._begin(channel, ready)
            log.info("worker_connected", pid=ready.pid, intake_port=ready.intake_port)
            while (message := channel.receive()) is not None:
                self._hear(channel, message)
        except msgspec.DecodeError:
            log.exception("worker_not_understood")
        except Exception:
            log.exception("worker_link_failed")
        finally:
            channel.close()
            self._end(channel)

    def _begin(self, channel: Channel, ready: Ready) -> None:
        with self._lock:
            if self._stopping.is_set():
                raise Unavailable("detect.worker_away")
            before, self._channel, self._ready = self._channel, channel, ready
            if before is not None:
                self.ask.end()  # nobody will answer what the one before was asked
            self._listening = self._clock.now()
        if before is not None:
            before.close()
        # What the one before said is stored before the next is told from where to go on.
        self._incoming.wait_stored(_STORED_SECONDS)
        self._outgoing.begin(channel)

    def _end(self, channel: Channel) -> None:
        with self._lock:
            is_ours = self._channel is channel
            if is_ours:
                self._channel = self._ready = self._listening = None
                self.ask.end()
        self._outgoing.end(channel)

    def _hear(self, channel: Channel, message: ToWeb) -> None:
        match message:
            case Hits() | Counted() | Costs() | Lags() | LetGo():
                self._incoming.put(message)
            case Live():
                self._hear_live(channel, message)
            case HuntHits():
                self._hear_hunt(message)
            case Rows() | Tally() | RuleHits() | SqlRows() | PastFound() | Fields() | Stats():
                self.ask.hear(message)
            case AskKeeping():
                channel.send(keeping_of(self._store, self._context()))
            case Notice():
                self._hear_notice(message)
            case Ready():
                log.warning("worker_repeats_itself")

    def _context(self) -> Context:
        members = frozenset(self._members()) | {self._member}
        return Context(self._member, members, self._space, self._clock.now())

    def _hear_notice(self, notice: Notice) -> None:
        code, params = notice.code, notice.params
        log.warning("worker_notice", code=code, **{f"about_{name}": v for name, v in params.items()})
        self._note(code, params)
        if code == INTAKE_DENIED:
            number, addresses = int(params["n"]), int(params["addresses"])
            self._incoming.put(TurnedAway(number, addresses, str(params["address"]), str(params["problem"])))

    def _note(self, code: str, params: Mapping[str, Any]) -> None:
        """Keep a notice; one that says the same as an earlier one takes its place."""
        is_told_again = code == INTAKE_DENIED  # once a minute for as long as it goes on: the last is enough
        with self._lock:
            for one in list(self._notices):
                if one.code == code and (is_told_again or one.params == params):
                    self._notices.remove(one)
            self._notices.append(WorkerNotice(code, params, self._clock.now()))
        self._store.changes.publish(Change("worker", "notice", {"code": code}))

    def _hear_live(self, channel: Channel, live: Live) -> None:
        if live.problems:
            log.warning("worker_problems", what=live.what, number=len(live.problems))
        if live.what == wire.SIGMA:
            told: dict[str, tuple[str, dict[str, Any]]] = {}
            for one in live.problems:
                told.setdefault(one.subject, (one.code, dict(one.params)))
            self._incoming.put(Unusable(told))
        self._outgoing.hear_live(channel, live)

    def _hear_hunt(self, message: HuntHits) -> None:
        if message.hits:
            self._incoming.put(message)
        if not message.done:
            return
        problem = message.problem
        has_failed = problem is not None and problem.code not in _HUNT_ENDED
        again = has_failed and self._hunts_failed < _ASKED_AGAIN
        self._hunts_failed = self._hunts_failed + 1 if has_failed else 0
        digests = {} if again else self._outgoing.hunted_by(message.request)
        if problem is not None and problem.code == _DAMAGED:
            self._note("detect.events_unreadable", problem.params)
        if digests:
            code = "detect.hunt_failed" if has_failed else problem.code if problem is not None else None
            self._incoming.put(Hunted(digests, code))
        self._outgoing.finish_hunt(message.request, again=again)
