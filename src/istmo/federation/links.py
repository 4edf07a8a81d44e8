"""What is known of each link just now: is the peer heard, does it hear us, what stands in the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from istmo.clock import Clock
from istmo.errors import IstmoError
from istmo.federation import records
from istmo.federation.objects import Problem
from istmo.ledger.records import Chain
from istmo.store.engine import Store

log = structlog.get_logger(__name__)

OFF, CONNECTING, CATCHING_UP, LIVE, WAITING = "off", "connecting", "catching_up", "connected", "waiting"
SKEW_FLAGGED = 60.0
"""Seconds by which a peer's clock may differ before people are told."""


@dataclass(frozen=True)
class Link:
    """One peer's link."""

    state: str = OFF
    is_listening: bool = False
    """The peer is reading our feed."""
    contact: datetime | None = None
    """When something verified last came from it."""
    skew: float | None = None
    """Seconds by which its clock is ahead of ours."""
    stated: Chain | None = None
    """What it last said that its chain to us is."""
    problem: Problem | None = None

    @property
    def has_skewed_clock(self) -> bool:
        return self.skew is not None and abs(self.skew) >= SKEW_FLAGGED


class Links:
    """The links of a node. Thread-safe. What matters over a restart is written down when it changes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}

    def get(self, member: str) -> Link:
        with self._lock:
            known = self._links.get(member)
        return known if known is not None else self._change(member, lambda one: one)

    def set_state(self, member: str, state: str) -> None:
        """How the link to a peer stands; the ``peer`` change tells pages."""
        before = self.get(member)
        if before.state != state:
            self._change(member, lambda one: replace(one, state=state))
            if LIVE in (before.state, state):
                self._write_down(member)

    def heard(self, member: str, created: datetime | None = None, stated: Chain | None = None) -> None:
        """Something verified came from the peer, made at ``created`` by its own clock."""
        now = self._clock.now()
        skew = None if created is None else (created - now).total_seconds()
        self._change(
            member,
            lambda one: replace(
                one,
                contact=now,
                skew=one.skew if skew is None else skew,
                stated=one.stated if stated is None else stated,
            ),
        )

    def set_skew(self, member: str, skew: float) -> None:
        """The peer's clock as its signed request showed it."""
        now = self._clock.now()
        self._change(member, lambda one: replace(one, skew=skew, contact=now))

    def set_listening(self, member: str, is_listening: bool) -> None:
        self._change(member, lambda one: replace(one, is_listening=is_listening))

    def set_problem(self, member: str, error: IstmoError) -> None:
        """Mark the peer with what went wrong, for people to see until it works again."""
        known = self.get(member).problem
        problem = Problem(error.code, error.params, self._clock.now())
        if known is not None and (known.code, dict(known.params)) == (problem.code, dict(problem.params)):
            return
        log.warning("peer_problem", member=member, code=error.code, params=error.params)
        self._change(member, lambda one: replace(one, problem=problem))
        self._write_down(member)

    def clear_problem(self, member: str) -> None:
        """It works again."""
        if self.get(member).problem is not None:
            self._change(member, lambda one: replace(one, problem=None))
            self._write_down(member)

    def _change(self, member: str, change: Callable[[Link], Link]) -> Link:
        with self._lock:
            known = self._links.get(member)
        if known is None:
            known = self._from_store(member)
        with self._lock:
            made = change(self._links.get(member, known))
            self._links[member] = made
        return made

    def _from_store(self, member: str) -> Link:
        with self._store.read() as connection:
            note = records.link_note(connection, member)
        return Link(contact=note.contact, skew=note.skew, problem=note.problem)

    def _write_down(self, member: str) -> None:
        link = self.get(member)
        skew = None if link.skew is None else round(link.skew)
        try:
            with self._store.write() as tx:
                note = records.LinkNote(link.contact, skew, link.problem)
                records.put_link_note(tx.connection, member, note)
                tx.notify("peer", member, state=link.state)
        except IstmoError as error:
            log.warning("peer_note_not_written", member=member, code=error.code)
