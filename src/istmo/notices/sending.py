"""From what waits to what has left: a job for each way, at least once, under a key that stays the same.

What goes together is put together in a transaction before anything is sent, and dropped in one after the
receiver has it. A crash between sends the very same message again, with the very same key.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import structlog

from istmo.clock import Clock
from istmo.errors import IstmoError, NotAllowed, Unavailable
from istmo.identity.objects import Account
from istmo.identity.service import Identity
from istmo.kit import times
from istmo.kit.i18n import LANGUAGES, Catalogue
from istmo.ledger.keys import NodeKeys
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.notices import records, timing
from istmo.notices.leaving import line_of
from istmo.notices.objects import Heading, Kind, Letter, Line, Notice, Parcel, Say, Subjects, Way
from istmo.notices.ways import notifier_named
from istmo.settings import Settings
from istmo.store.engine import Store, Transaction
from istmo.store.jobs import enqueue

log = structlog.get_logger(__name__)

SEND: Final = "notices.send"
MOST_TOGETHER: Final = 100
"""Things in one message; the rest is told as a number, and follows."""
REAL: Final = "real"


def headings_for(
    subjects: Subjects, account: Account, told: Iterable[Notice | Letter]
) -> dict[tuple[Kind, str], Heading]:
    """What each of these is about now, as far as somebody may know of it now: rights may have changed
    since it happened. Asked for once a kind."""
    by_kind: dict[Kind, set[str]] = {}
    for one in told:
        by_kind.setdefault(one.kind, set()).add(one.subject)
    return {
        (kind, subject): headings[account.id]
        for kind, wanted in by_kind.items()
        for subject, headings in subjects.headings([account], kind, sorted(wanted)).items()
        if account.id in headings
    }


class Sending:
    """One node's sending."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        keys: NodeKeys,
        identity: Identity,
        subjects: Subjects,
        catalogue: Catalogue,
    ) -> None:
        self._store, self._clock, self._settings, self._keys = store, clock, settings, keys
        self._identity, self._subjects, self._catalogue = identity, subjects, catalogue
        self._turn = threading.Lock()
        self._busy: set[str] = set()

    def arrange(self, tx: Transaction, id: str, now: datetime) -> None:
        """Have what waits for a way sent as soon as its plan allows."""
        way = records.find_way(tx.connection, id)
        if way is not None:
            at = self._due(way, now, self._is_urgent(tx, way))
            # A key a moment: a job that waits for the morning must not hold up one that may go now.
            key = f"{SEND}:{id}:{int(at.timestamp())}"
            enqueue(tx, SEND, {"way": id}, now, delay=max(0.0, (at - now).total_seconds()), key=key)

    def send(self, payload: Mapping[str, Any]) -> None:
        """The job: one message with all that waits. Raises IstmoError where it may not have arrived."""
        id = str(payload["way"])
        with self._turn:
            if id in self._busy:
                return  # whoever is at it sends on what waits, or is tried again
            self._busy.add(id)
        try:
            self._send(id)
        finally:
            with self._turn:
                self._busy.discard(id)

    def _send(self, id: str) -> None:
        way, account, batch, letters = self._begin(id)
        if way is None or account is None or not letters:
            return
        headings = headings_for(self._subjects, account, letters)
        known = [letter for letter in letters if (letter.kind, letter.subject) in headings]
        if known:
            say = self._speaker(account)
            lines = tuple(self._line(letter, headings[letter.kind, letter.subject], say) for letter in known)
            try:
                self._hand_over(way, account, batch, lines, say, more=self._waiting(id))
            except IstmoError as error:
                self._note(id, error)
                raise
        self._done(id, batch, was_sent=bool(known))

    def test(self, way: Way, account: Account) -> None:
        """Send a message that says it is a test, now. Raises IstmoError where that failed."""
        say = self._speaker(account)
        now = self._clock.now()
        heading = Heading("", Tlp.CLEAR, "/notices")
        letter = Letter(0, Kind.TEST, "", "", now)
        line = line_of(letter, heading, say("notices.test.text"), self._settings.url, Tlp.CLEAR)
        try:
            self._hand_over(way, account, new_id("notice"), (line,), say)
        except IstmoError as error:
            self._note(way.id, error)
            raise
        with self._store.write() as tx:
            records.change_way(tx.connection, way.id, tried=now, problem=None)

    def secret_of(self, way: Way) -> str:
        """What a webhook's messages are signed with: derived from the node's key, it rests nowhere."""
        seed = self._keys.sign(b"istmo webhook secret 1\0" + f"{way.id}\0{way.nonce}".encode())
        return "istmo_hook_" + hashlib.sha256(seed).hexdigest()

    def _begin(self, id: str) -> tuple[Way | None, Account | None, str, list[Letter]]:
        """The message that was begun before, or a new one where the plan allows it by now."""
        now = self._clock.now()
        with self._store.write() as tx:
            way = records.find_way(tx.connection, id)
            account = self._account(way) if way is not None else None
            if way is None or account is None or not way.is_on:
                records.drop_letters(tx.connection, id)
                return None, None, "", []
            batch, letters = records.batch_of(tx.connection, id)
            if letters or not records.has_waiting(tx.connection, id):
                return way, account, batch, letters
            if self._due(way, now, self._is_urgent(tx, way)) > now:
                self.arrange(tx, id, now)
                return way, account, "", []
            letters, batch = records.waiting(tx.connection, id, MOST_TOGETHER), new_id("notice")
            records.put_together(tx.connection, [letter.id for letter in letters], batch)
            return way, account, batch, letters

    def _done(self, id: str, batch: str, *, was_sent: bool) -> None:
        now = self._clock.now()
        with self._store.write() as tx:
            records.drop_batch(tx.connection, id, batch)
            if was_sent:
                records.change_way(tx.connection, id, sent=now, tried=now, problem=None)
            if records.has_waiting(tx.connection, id):
                self.arrange(tx, id, now)

    def _note(self, id: str, error: IstmoError) -> None:
        with self._store.write() as tx:
            problem = [error.code, dict(error.params)]
            records.change_way(tx.connection, id, tried=self._clock.now(), problem=problem)

    def _hand_over(
        self, way: Way, account: Account, key: str, lines: tuple[Line, ...], say: Say, *, more: int = 0
    ) -> None:
        if self._settings.space != REAL:
            # An exercise tells its people in the console: nothing of it leaves.
            raise NotAllowed("notices.no_exit", space=self._settings.space)
        notifier = notifier_named(way.plan.notifier)
        zone = account.zone or times.zone_of_country(self._settings.country)
        parcel = Parcel(
            key=key,
            address=way.plan.address,
            secret=self.secret_of(way) if notifier.has_secret else "",
            node=self._settings.name,
            url=self._settings.url,
            at=self._clock.now(),
            lines=lines,
            more=more,
            language=self._language(account),
            when=lambda instant: times.local(instant, zone),
            say=say,
        )
        try:
            notifier.send(parcel, self._settings)
        except IstmoError:
            raise
        except Exception as error:
            # A plugin's defect is told like any other failure; without its text, which may hold a secret.
            log.error("notifier_failed", notifier=way.plan.notifier, error=type(error).__name__)
            raise Unavailable("notices.notifier_failed", name=way.plan.notifier) from None

    def _waiting(self, id: str) -> int:
        with self._store.read() as connection:
            return records.count_waiting(connection, id)

    def _line(self, letter: Letter, heading: Heading, say: Say) -> Line:
        title = say(heading.words, **heading.params) if heading.words else heading.title
        ceiling = Tlp.read(self._settings.notices.outward) or Tlp.CLEAR
        return line_of(letter, heading, title, self._settings.url, ceiling)

    def _due(self, way: Way, now: datetime, is_urgent: bool) -> datetime:
        account = self._account(way)
        zone = account.zone if account and account.zone else times.zone_of_country(self._settings.country)
        plan = way.plan
        return timing.due(
            now, sent=way.sent, every=plan.every, quiet=plan.quiet, zone=zone, is_urgent=is_urgent
        )

    def _is_urgent(self, tx: Transaction, way: Way) -> bool:
        return way.plan.wakes and records.has_waiting(tx.connection, way.id, "critical")

    def _account(self, way: Way) -> Account | None:
        return next((one for one in self._identity.known_people() if one.id == way.account), None)

    def _language(self, account: Account) -> str:
        return account.language if account.language in LANGUAGES else self._settings.languages[0]

    def _speaker(self, account: Account) -> Say:
        language = self._language(account)
        return lambda key, **params: self._catalogue.text(language, key, **params)
