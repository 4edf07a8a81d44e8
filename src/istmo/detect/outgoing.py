"""What the worker must know, and how it comes to know it: the whole state first, then every change.

Nothing is kept here twice: the tables are the truth, a change of them only names what to read again.
What the worker has acknowledged is held as packed ids, so that "live" is never said too early.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from istmo.clock import Clock
from istmo.detect import wire
from istmo.detect.hunts import Digests, Hunts
from istmo.detect.indicators.roster import Roster
from istmo.detect.objects import IndicatorSource, Watched
from istmo.detect.objects_source import Source
from istmo.detect.records import positions, rules, sources, value_lists
from istmo.detect.stories import to_micros
from istmo.detect.wire import (
    Channel,
    DropIndicators,
    DropRules,
    Hunt,
    Live,
    PutIndicators,
    PutRules,
    PutSources,
    Synced,
    Welcome,
    WireIndicator,
    WireRule,
    WireSource,
)
from istmo.store.engine import Store

log = structlog.get_logger(__name__)

INDICATORS_AT_ONCE: Final = 5_000
RULE_BYTES_AT_ONCE: Final = 8 << 20
NEIGHBOURS_FIRST: Final = 0.005
"""Seconds for which what this node publishes itself waits: its feeds to others want the interpreter now."""
SUBMIT: Final = "submit"
"""The scope of every intake token."""


@dataclass
class _Wanted:
    """What has changed since it was last sent."""

    everything: bool = False
    objects: set[str] = field(default_factory=set)
    rules: set[str] = field(default_factory=set)
    lists: bool = False
    sources: bool = False
    hunts: Digests = field(default_factory=dict)

    def __bool__(self) -> bool:
        is_state = self.everything or self.objects or self.rules or self.lists or self.sources
        return bool(is_state or self.hunts)


class Outgoing:
    """The sending half of the conversation; one thread runs it, any thread may ask of it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        indicators: IndicatorSource,
        member: str,
        members: Callable[[], Iterable[str]],
        forget: Callable[[list[str]], None],
        news: Callable[[], None],
        settled: Callable[[frozenset[str]], None] = lambda _: None,
    ) -> None:
        """``forget`` is told of indicators that are watched for no more; ``news`` of each change of state;
        ``settled`` of indicators whose coming into force, or going out of it, the worker has acknowledged.
        """
        self._store, self._clock, self._indicators = store, clock, indicators
        self._member, self._members = member, members
        self._forget, self._news, self._settled = forget, news, settled
        self._turn = threading.Condition()
        self._wanted = _Wanted()
        self._in_hand = _Wanted()
        """Taken by the sending thread, not all sent yet."""
        self._is_pressing = False
        """Something wanted is not this node's own."""
        self._channel: Channel | None = None
        self._is_ending = False
        self._generation = 0
        self._live: dict[str, int] = {}
        self._goal: dict[str, int] | None = None
        """The generations that end the whole state; None until all of it is sent."""
        self._on_the_way: dict[int, tuple[Digests, list[str]]] = {}
        """By generation: what is being put, what is being dropped."""
        self._acknowledged = Roster()
        self._hunts = Hunts()
        self._sources_sent = 0
        """The generation in which the intake tokens were last sent …"""
        self._rules_sent = 0
        """… and the last in which rules were."""
        self._request = 0

    # --- asked by any thread -------------------------------------------------------------------

    @property
    def is_synced(self) -> bool:
        """Whether a worker is there and all that it must know is in force."""
        with self._turn:
            return self._is_synced()

    @property
    def is_settled(self) -> bool:
        """Whether in addition every change is in force and every hunt has ended."""
        with self._turn:
            is_busy = self._wanted or self._in_hand or self._on_the_way
            return self._is_synced() and not (is_busy or self._hunts)

    @property
    def hunting(self) -> int:
        """Indicators whose hunt has not ended."""
        with self._turn:
            return len(self._hunts) + len(self._in_hand.hunts)

    def has_acknowledged(self, indicator: str) -> bool:
        """Whether the worker has this indicator in force, in the version last sent."""
        with self._turn:
            if not self._is_synced() or self._acknowledged.row(indicator) is None:
                return False
            if indicator in self._wanted.objects or indicator in self._in_hand.objects:
                return False
            return not any(indicator in put for put, _ in self._on_the_way.values())

    def has_sources(self) -> bool:
        """Whether the worker goes by the intake tokens as they are now; or there is none to go by them."""
        with self._turn:
            if self._channel is None:
                return True
            is_sent = not (self._wanted.sources or self._in_hand.sources) and self._is_synced()
            return is_sent and self._live.get(wire.SOURCES, 0) >= self._sources_sent

    def has_rules(self) -> bool:
        """Whether the worker goes by the rules and value lists as they are now; or there is none."""
        with self._turn:
            if self._channel is None:
                return True
            waiting = (self._wanted, self._in_hand)
            is_sent = not any(one.rules or one.lists for one in waiting) and self._is_synced()
            return is_sent and self._live.get(wire.SIGMA, 0) >= self._rules_sent

    def has_dropped(self, indicator: str) -> bool:
        """Whether no worker watches for this indicator any more."""
        with self._turn:
            return self._channel is None or self._acknowledged.row(indicator) is None

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until something holds; looked at again whenever the worker has answered."""
        with self._turn:
            return self._turn.wait_for(condition, timeout)

    def next_request(self) -> int:
        """A number that no other request carries."""
        with self._turn:
            self._request += 1
            return self._request

    def change_objects(self, ids: Iterable[str], *, is_own: bool = False) -> None:
        """``is_own``: this node has published them just now."""
        with self._turn:
            self._wanted.objects.update(ids)
            self._press(not is_own)

    def change_rules(self, ids: Iterable[str]) -> None:
        with self._turn:
            self._wanted.rules.update(ids)
            self._press()

    def change_lists(self) -> None:
        with self._turn:
            self._wanted.lists = True
            self._press()

    def change_sources(self) -> None:
        with self._turn:
            self._wanted.sources = True
            self._press()

    def _press(self, is_pressing: bool = True) -> None:
        self._is_pressing |= is_pressing
        self._turn.notify_all()

    # --- a conversation comes and goes ---------------------------------------------------------

    def begin(self, channel: Channel) -> None:
        """A worker is there: it is sent everything."""
        with self._turn:
            self._channel = channel
            self._forget_state()
            self._wanted = _Wanted(everything=True)
            self._press()
        self._news()

    def end(self, channel: Channel) -> None:
        """This conversation is over; nothing happens when another has begun already."""
        with self._turn:
            if self._channel is not channel:
                return
            self._channel = None
            self._forget_state()
            self._turn.notify_all()
        self._news()

    def close(self) -> None:
        """End the sending thread."""
        with self._turn:
            self._is_ending = True
            self._turn.notify_all()

    def _forget_state(self) -> None:
        self._live, self._goal = {}, None
        self._on_the_way, self._acknowledged = {}, Roster()
        self._hunts = Hunts()

    def _is_synced(self) -> bool:
        goal = self._goal
        return (
            self._channel is not None
            and goal is not None
            and all(self._live.get(what, 0) >= generation for what, generation in goal.items())
        )

    # --- what the worker says ------------------------------------------------------------------

    def hear_live(self, channel: Channel, live: Live) -> None:
        """Everything of this kind up to a generation is in force."""
        settled: set[str] = set()
        with self._turn:
            if self._channel is not channel:
                return
            was_synced = self._is_synced()
            self._live[live.what] = max(live.generation, self._live.get(live.what, 0))
            if live.what == wire.INDICATORS:
                for generation in [one for one in self._on_the_way if one <= live.generation]:
                    put, dropped = self._on_the_way.pop(generation)
                    for id in put:
                        if self._acknowledged.row(id) is None:
                            self._acknowledged.add(id)
                    for id in dropped:
                        self._acknowledged.remove(id)
                        self._hunts.drop(id)
                    self._hunts.gather(put, time.monotonic())
                    settled.update(put, dropped)
            is_news = self._is_synced() != was_synced
            self._turn.notify_all()
        if settled:
            self._settled(frozenset(settled))
        if is_news:
            self._news()

    def hunted_by(self, request: int) -> Digests:
        """What a hunt that is under way hunts for."""
        with self._turn:
            return self._hunts.of(request)

    def finish_hunt(self, request: int, *, again: bool) -> None:
        """A hunt has ended. ``again`` puts what it hunted for back among what waits."""
        with self._turn:
            self._hunts.end(request, again=again)
            self._turn.notify_all()

    # --- the sending thread --------------------------------------------------------------------

    def run(self) -> None:
        """Send what there is to send, until closed."""
        while True:
            with self._turn:
                while not self._has_work():
                    self._turn.wait(self._hunts.pause(time.monotonic()))
                if not self._is_pressing:
                    self._turn.wait_for(lambda: self._is_pressing or self._is_ending, NEIGHBOURS_FIRST)
                if self._is_ending:
                    return
                channel, wanted = self._channel, self._wanted
                self._wanted, self._in_hand, self._is_pressing = _Wanted(), wanted, False
                if self._hunts.pause(time.monotonic()) == 0:
                    wanted.hunts = self._hunts.take()
            if channel is not None:
                self._try_send(channel, wanted)
            with self._turn:
                self._in_hand = _Wanted()
                self._turn.notify_all()

    def _try_send(self, channel: Channel, wanted: _Wanted) -> None:
        try:
            self._send(channel, wanted)
        except OSError:
            log.info("worker_gone")
            channel.close()
            self.end(channel)
        except Exception:
            # The worker would go by something else than the tables say: it is to begin anew.
            log.exception("worker_not_told")
            channel.close()
            self.end(channel)

    def _has_work(self) -> bool:
        if self._is_ending:
            return True
        is_due = bool(self._wanted) or self._hunts.pause(time.monotonic()) == 0 or self._may_hunt()
        return self._channel is not None and is_due

    def _may_hunt(self) -> bool:
        return self._hunts.may_begin() and self._is_synced()

    def _send(self, channel: Channel, wanted: _Wanted) -> None:
        if wanted.everything:
            self._send_everything(channel)
            return
        if wanted.objects:
            self._send_objects(channel, sorted(wanted.objects))
        if wanted.rules or wanted.lists:
            self._send_rules(channel, sorted(wanted.rules), has_lists=wanted.lists)
        if wanted.sources:
            self._send_sources(channel)
        if wanted.hunts:
            self._choose_hunts(wanted.hunts)
        self._send_hunts(channel)

    def _send_everything(self, channel: Channel) -> None:
        with self._store.read() as connection:
            stored = positions.positions(connection)
            judged = positions.judged(connection, wire.SIGMA)
            state = positions.state(connection, wire.SIGMA)
            patterns = positions.state(connection, wire.INDICATORS)
        members = sorted({self._member, *self._members()})
        channel.send(Welcome(stored, self._member, members, judged, state, patterns))
        del state, patterns
        goal: dict[str, int] = {}
        # One after the other, each freed before the next: all of it at once is large.
        with self._store.read() as connection:
            found: Sequence[Watched] = self._indicators.detectable(connection)
        for some in _portions(found, INDICATORS_AT_ONCE):
            is_first = wire.INDICATORS not in goal
            goal[wire.INDICATORS] = self._put_indicators(channel, some, reset=is_first)
        del found
        with self._store.read() as connection:
            texts = list(rules.rules_in_force(connection))
            lists = value_lists.values_by_name(connection)
        for portion in _by_size(texts):
            is_first = wire.SIGMA not in goal
            goal[wire.SIGMA] = generation = self._next_generation()
            channel.send(PutRules(generation, portion, is_first, lists if is_first else None))
        goal[wire.SOURCES] = self._send_sources(channel)
        channel.send(Synced())
        with self._turn:
            if self._channel is channel:
                self._goal = goal
                self._turn.notify_all()
        self._news()

    def _send_objects(self, channel: Channel, ids: list[str]) -> None:
        with self._store.read() as connection:
            found = list(self._indicators.detectable(connection, ids))
        gone = sorted(set(ids) - {one.id for one in found})
        for some in _portions(found, INDICATORS_AT_ONCE):
            if some:
                self._put_indicators(channel, some, reset=False)
        with self._turn:
            known = [
                id
                for id in gone
                if self._acknowledged.row(id) is not None
                or any(id in put for put, _ in self._on_the_way.values())
            ]
        for start in range(0, len(known), INDICATORS_AT_ONCE):
            part = known[start : start + INDICATORS_AT_ONCE]
            generation = self._next_generation(dropped=part)
            channel.send(DropIndicators(generation, part))
        if known:
            self._forget(known)

    def _put_indicators(self, channel: Channel, found: Sequence[Watched], *, reset: bool) -> int:
        items = [_wire_indicator(one) for one in found]
        digests = {one.id: terms_digest(one.terms, one.plan) for one in items}
        generation = self._next_generation(put=digests)
        channel.send(PutIndicators(generation, items, reset))
        return generation

    def _send_rules(self, channel: Channel, ids: list[str], *, has_lists: bool) -> None:
        with self._store.read() as connection:
            found = rules.rules_in_force_among(connection, ids)
            lists = value_lists.values_by_name(connection) if has_lists else None
        gone = sorted(set(ids) - {one.id for one in found})
        if gone:
            self._rules_sent = self._next_generation()
            channel.send(DropRules(self._rules_sent, gone))
        if found or lists is not None:
            for portion in _by_size(found):
                self._rules_sent = self._next_generation()
                channel.send(PutRules(self._rules_sent, portion, lists=lists))
                lists = None

    def _send_sources(self, channel: Channel) -> int:
        with self._store.read() as connection:
            valid = sources.valid_digests(connection, self._clock.now())
        generation = self._next_generation()
        with self._turn:
            self._sources_sent = generation
        told = [_wire_source(one, digest) for one, digest in valid]
        channel.send(PutSources(generation, told))
        return generation

    def _choose_hunts(self, put: Digests) -> None:
        """Of what has come into force, what was not hunted for with these very terms."""
        with self._store.read() as connection:
            hunted = positions.hunted(connection, put)
        due = {id: digest for id, digest in put.items() if hunted.get(id) != digest}
        with self._turn:
            self._hunts.add(due)

    def _send_hunts(self, channel: Channel) -> None:
        while True:
            with self._turn:
                if self._channel is not channel or not self._may_hunt():
                    return
                self._request += 1
                request = self._request
                ids = self._hunts.begin(request)
            channel.send(Hunt(request, ids))

    def _next_generation(self, put: Digests | None = None, dropped: list[str] | None = None) -> int:
        with self._turn:
            self._generation += 1
            if put or dropped:
                self._on_the_way[self._generation] = (put or {}, dropped or [])
                # On its way is no longer in hand: the worker may acknowledge it before we are back.
                self._in_hand.objects.difference_update(put or (), dropped or ())
            return self._generation


def terms_digest(terms: Iterable[tuple[str, str]], plan: str | None = None) -> str:
    """A short digest of what an indicator is watched by."""
    text = plan or "\n".join(sorted(f"{kind}\t{value}" for kind, value in terms))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _wire_indicator(found: Watched) -> WireIndicator:
    terms = [(term.kind, term.value) for term in found.terms]
    return WireIndicator(found.id, terms, _until(found.valid_until), found.plan)


def _wire_source(found: Source, digest: bytes) -> WireSource:
    settings = found.settings
    return WireSource(
        found.id,
        found.name,
        digest,
        [SUBMIT],
        _until(found.expires),
        addresses=list(settings.networks),
        certificate=settings.certificate,
        form=settings.form,
        zone=settings.zone,
        rate=settings.rate,
        is_paused=found.paused is not None,
    )


def _until(end: datetime | None) -> int | None:
    return None if end is None else to_micros(end)


def _portions(found: Sequence[Watched], size: int) -> Iterator[Sequence[Watched]]:
    """At least one, even of nothing: it is what says that all is forgotten."""
    for start in range(0, max(1, len(found)), size):
        yield found[start : start + size]


def _by_size(rules: Iterable[WireRule]) -> Iterator[list[WireRule]]:
    portion: list[WireRule] = []
    size = 0
    for rule in rules:
        portion.append(rule)
        size += len(rule.text) * 4
        if size >= RULE_BYTES_AT_ONCE:
            yield portion
            portion, size = [], 0
    yield portion
