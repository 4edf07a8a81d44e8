"""Sources that fell silent: one alert for each silence, closed by itself when events come again.

Silence is counted from a source's last event, and not before the node itself was listening: what was sent to
a node that was down, or whose disk was full, says nothing of the sender. Which alert is about the present
silence stands with the source, so that a restart neither forgets it nor tells it again, and whoever closes
an alert is not told of the same silence once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from istmo.clock import Clock
from istmo.detect.link import WorkerLink
from istmo.detect.objects import Alert, Level, Silence, Status
from istmo.detect.objects_source import Source
from istmo.detect.records import alerts, evidence, sources
from istmo.detect.records.alert_history import close_itself
from istmo.detect.stories import ALERT_TYPE, to_micros
from istmo.errors import IstmoError, Unavailable
from istmo.identity import audit
from istmo.kit.ticking import Ticking
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.policy import Action, Context, Resource, System, decide, told
from istmo.store.engine import Store, Transaction

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 10.0
SLEPT_SECONDS: Final = 30.0
"""By which the time of day may run ahead of the time that passed."""
ITSELF: Final = System("detect")
SOURCE: Final = "source"
"""The detector of these alerts."""
SILENCE_TLP: Final = Tlp.AMBER_STRICT
"""Who sends to this node is its own people's business: whoever may not read sources reads no such alert."""


class Silences:
    """Looks every few seconds. ``start`` and ``stop`` once; ``look`` may be called by itself."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        link: WorkerLink,
        context: Callable[[], Context],
    ) -> None:
        """``context``: where policy is asked from."""
        self._store, self._clock, self._link, self._context = store, clock, link, context
        self._deaf_until: datetime | None = None
        self._looked: tuple[datetime, float] | None = None
        self._ticking = Ticking("source-silences", LOOK_SECONDS, self.look)

    def start(self) -> None:
        """Look from now on."""
        self._ticking.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticking.stop()

    def look(self) -> None:
        """Tell of each source that is silent for too long by now; end what is over."""
        now = self._clock.now()
        with self._store.read() as connection:
            is_needed = bool(sources.watched_for_silence(connection))
        if is_needed:
            self.judge(self._listening_since(now), now)

    def judge(self, since: datetime | None, now: datetime) -> None:
        """``look``, where what was sent would have come in from ``since`` on; None: it would not even now."""
        with self._store.read() as connection:
            watched = sources.watched_for_silence(connection)
        for source in watched:
            if source.silence is None and _begun(source, since, now) is None:
                continue
            # One that makes trouble must not keep the others from being told of.
            try:
                with self._store.write() as tx:
                    self._judge(tx, source.id, since, now)
            except Unavailable:
                raise
            except IstmoError as error:
                log.warning("silence_not_told", source=source.id, problem=error.code)

    def _listening_since(self, now: datetime) -> datetime | None:
        """Since when whatever is sent would have come in; None while it would not."""
        if self._has_slept(now):
            self._deaf_until = now
        since = self._link.listening_since
        stats = self._link.ask.stats() if since is not None else None
        if since is None or stats is None:
            return None
        if stats.intake != "open":
            self._deaf_until = now
            return None
        return since if self._deaf_until is None else max(since, self._deaf_until)

    def _has_slept(self, now: datetime) -> bool:
        """Whether the machine stood still, or its clock was set, since the last look: nobody was heard."""
        before, self._looked = self._looked, (now, self._clock.monotonic())
        if before is None:
            return False
        passed = (now - before[0]).total_seconds()
        return passed - (self._looked[1] - before[1]) > SLEPT_SECONDS

    def _judge(self, tx: Transaction, id: str, since: datetime | None, now: datetime) -> None:
        source = sources.find_source(tx.connection, id)
        if source is None:
            return
        if source.silence is not None:
            found = alerts.find_alert(tx.connection, source.silence)
            has_sent = found is not None and found.silence is not None and _last(source) != found.silence.last
            if found is None or has_sent or not _is_watched(source, now):
                sources.set_silence(tx.connection, id, None)
                if found is not None:
                    self._close(tx, found, source.last_event if has_sent else None, now)
            return
        begun = _begun(source, since, now)
        if begun is not None:
            self._raise(tx, source, begun, now)

    def _raise(self, tx: Transaction, source: Source, begun: datetime, now: datetime) -> None:
        settings = source.settings
        silence = Silence(
            last=_last(source),
            since=to_micros(begun),
            limit=settings.silent_after,
            hourly=_hourly(source),
            form=settings.form,
            networks=list(settings.networks),
        )
        alert = new_id(ALERT_TYPE)
        row = alerts.add_alert(
            tx.connection,
            {
                "id": alert,
                "detector": SOURCE,
                "subject": source.id,
                "title": source.name,
                "level": Level.MEDIUM,
                "tlp": int(SILENCE_TLP),
                "origin": self._context().member,
                "audience": None,
                "owner": "",
                "entity": "",
                "first_seen": begun,
                "last_seen": now,
                "count": 0,
                "stored_count": 0,
                "created": now,
                "updated": now,
                "status": Status.OPEN,
                "note": "",
                "worked_by": "",
                "former": alerts.last_closed(tx.connection, SOURCE, source.id),
                "version": 1,
                "search": f"{source.name}\n{source.id}".lower(),
                "silence": asdict(silence),
            },
        )
        evidence.add_hosts(tx.connection, row, {"": 0}, 1, is_new=True)  # it is no host's
        sources.set_silence(tx.connection, source.id, alert)
        tx.notify("alert", alert, action="new", detector=SOURCE, about=source.id)
        log.warning("source_silent", source=source.id, seconds=int((now - begun).total_seconds()))

    def _close(self, tx: Transaction, alert: Alert, sent: datetime | None, now: datetime) -> None:
        """Say in the alert that the silence is over; close it where nobody has.

        ``sent``: when events came again; None where nobody waits for them any more.
        """
        values: dict[str, Any] = {"last_seen": sent or now, "updated": max(now, alert.updated)}
        if alert.silence is not None and sent is not None:
            values["silence"] = asdict(replace(alert.silence, ended=to_micros(sent)))
        alerts.change_alert(tx.connection, alert.row, values)
        if alert.status is not Status.CLOSED and self._may_work(alert):
            close_itself(tx.connection, alert, told(ITSELF), now)
            audit.record(tx, ITSELF, Action.ALERT_WORK, f"{alert.id} closed", audit.DONE, (), now)
        tx.notify("alert", alert.id, action="status", detector=alert.detector, about=alert.subject)

    def _may_work(self, alert: Alert) -> bool:
        context = self._context()
        own = Resource("alert", context.member, frozenset({context.member}), alert.tlp, context.space)
        return bool(decide(ITSELF, Action.ALERT_WORK, own, context))


def _is_watched(source: Source, now: datetime) -> bool:
    may_send = source.revoked is None and (source.expires is None or source.expires > now)
    return may_send and source.settings.silent_after > 0


def _begun(source: Source, since: datetime | None, now: datetime) -> datetime | None:
    """From when a source has been silent for too long; None where it has not, or nobody can know."""
    if since is None or not _is_watched(source, now):
        return None
    begun = max(since, source.last_event or source.created)
    return begun if now - begun >= timedelta(seconds=source.settings.silent_after) else None


def _last(source: Source) -> int | None:
    return None if source.last_event is None else to_micros(source.last_event)


def _hourly(source: Source) -> float:
    """Events an hour, from the first that came to the last."""
    if source.first_event is None or source.last_event is None:
        return 0.0
    hours = (source.last_event - source.first_event).total_seconds() / 3600
    return round(source.accepted / max(hours, 1 / 60), 1)
