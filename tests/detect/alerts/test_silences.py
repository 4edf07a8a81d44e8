"""Sources that fall silent: told once, ended by itself, never the node's own fault."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from istmo.clock import ManualClock
from istmo.detect.explaining import explain_silence
from istmo.detect.objects import Alert, CloseReason, Level, Status
from istmo.detect.objects_source import Sent, Source
from istmo.detect.records import sources as records
from istmo.detect.service.alerts import alert_filter
from istmo.detect.silences import Silences
from istmo.detect.wire import AskStats, Position, Stats, Synced
from istmo.errors import NotFound
from istmo.kit.i18n import Catalogue
from istmo.model.markings import Tlp
from istmo.policy import Context

from .room import ADMINISTRATOR, ANALYST, COORDINATOR, HERE, OBSERVER, Peer, Room, open_room, until
from .test_link import _in_thread

CATALOGUE = Catalogue(strict=True)
LONG_AGO = timedelta(days=30)


class Watching:
    """A room, and what looks for silence in it."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.clock = room.clock
        self.silences = Silences(
            room.store,
            room.clock,
            room.link,
            lambda: Context(HERE, frozenset({HERE}), "real", room.clock.now()),
        )
        self.since: datetime | None = room.clock.now() - LONG_AGO

    def make(self, name: str = "cortafuegos", silent_after: str = "15m") -> Source:
        networks = [f"10.{len(self.room.detect.sources(ANALYST)) + 1}.0.0/16"]
        source, _ = self.room.detect.create_source(
            ADMINISTRATOR, name, settings={"silent_after": silent_after, "networks": networks}
        )
        return source

    def send(self, source: Source, events: int = 100) -> None:
        with self.room.store.write() as tx:
            records.count_events(tx.connection, [Sent(source.id, events, 0, self.clock.now())])

    def after(self, **length: int) -> list[Alert]:
        """Let time pass, look, and tell all alerts about silent sources."""
        assert isinstance(self.clock, ManualClock)
        self.clock.advance(timedelta(**length).total_seconds())
        self.silences.judge(self.since, self.clock.now())
        return self.alerts()

    def alerts(self) -> list[Alert]:
        return self.room.alerts(COORDINATOR, wanted=alert_filter(detector="source"))


@pytest.fixture
def watching(room: Room) -> Watching:
    return Watching(room)


def test_a_source_that_has_not_sent_for_longer_is_told_once(watching: Watching) -> None:
    source = watching.make()
    watching.send(source)
    assert watching.after(minutes=14) == []
    (alert,) = watching.after(minutes=1)
    assert (alert.detector, alert.subject, alert.title) == ("source", source.id, "cortafuegos")
    assert (alert.level, alert.status, alert.tlp) == (Level.MEDIUM, Status.OPEN, Tlp.AMBER_STRICT)
    assert [one.id for one in watching.after(days=2)] == [alert.id], "one silence, one alert"
    assert watching.room.detect.read_source(ANALYST, source.id).state(watching.clock.now()) == "silent"


def test_it_is_closed_by_itself_when_events_come_again(watching: Watching) -> None:
    source = watching.make()
    watching.send(source)
    (alert,) = watching.after(minutes=20)
    watching.send(source)
    (closed,) = watching.after(minutes=1)
    assert (closed.id, closed.status, closed.reason) == (alert.id, Status.CLOSED, CloseReason.RESOLVED)
    assert closed.worked_by == "system:detect"
    assert closed.silence and closed.silence.ended
    assert watching.room.detect.read_source(ANALYST, source.id).state(watching.clock.now()) == "sending"
    newer, older = watching.after(minutes=20)
    assert (older.id, newer.former, newer.status) == (alert.id, alert.id, Status.OPEN)


def test_who_closes_it_is_not_told_of_the_same_silence_again(watching: Watching) -> None:
    source = watching.make()
    watching.send(source)
    (alert,) = watching.after(minutes=20)
    watching.room.detect.set_status(
        ANALYST, alert.id, Status.CLOSED, reason=CloseReason.EXPECTED, note="mantenimiento"
    )
    (still,) = watching.after(days=1)
    assert (still.status, still.reason) == (Status.CLOSED, CloseReason.EXPECTED)
    watching.send(source)
    (still,) = watching.after(minutes=1)
    assert (still.reason, still.note) == (CloseReason.EXPECTED, "mantenimiento"), "a person's word stands"
    assert len(watching.after(minutes=20)) == 2, "a new silence is a new story"


def test_a_restart_neither_forgets_a_silence_nor_tells_it_again(watching: Watching) -> None:
    source = watching.make()
    watching.send(source)
    (alert,) = watching.after(minutes=20)
    again = Watching(watching.room)
    again.since = watching.clock.now()
    assert [one.id for one in again.after(days=1)] == [alert.id]
    assert again.alerts()[0].status is Status.OPEN, "that the node was away is no sign of life"
    again.send(source)
    assert again.after(minutes=1)[0].status is Status.CLOSED


def test_a_node_that_was_down_raises_nothing_at_its_start(watching: Watching) -> None:
    source = watching.make()
    watching.send(source)
    watching.since = None
    assert watching.after(days=3) == [], "nobody was listening"
    watching.since = watching.clock.now()
    assert watching.after(minutes=14) == []
    (alert,) = watching.after(minutes=2)
    assert alert.silence and alert.silence.last != alert.silence.since


def test_a_source_that_never_sent_is_told_of_too(watching: Watching) -> None:
    source = watching.make()
    (alert,) = watching.after(minutes=16)
    assert alert.subject == source.id and alert.silence and alert.silence.last is None


def test_no_silence_is_told_where_none_was_asked_for(watching: Watching) -> None:
    quiet = watching.make("callada", "never")
    gone = watching.make("anulada")
    ended = watching.room.detect.create_source(
        ADMINISTRATOR,
        "vencida",
        expires=watching.clock.now() + timedelta(minutes=5),
        settings={"silent_after": "15m"},
    )
    watching.room.detect.revoke_source(ADMINISTRATOR, gone.id)
    watching.send(quiet)
    assert ended and watching.after(days=9) == []


@pytest.mark.parametrize("how", ["revoked", "not asked for"])
def test_a_silence_that_nobody_waits_for_any_more_is_over(watching: Watching, how: str) -> None:
    source = watching.make()
    watching.send(source)
    watching.after(minutes=20)
    if how == "revoked":
        watching.room.detect.revoke_source(ADMINISTRATOR, source.id)
    else:
        watching.room.detect.change_source(ADMINISTRATOR, source.id, {"silent_after": "never"})
    (alert,) = watching.after(minutes=1)
    assert alert.status is Status.CLOSED
    assert alert.silence and alert.silence.ended is None, "no events came"


def test_who_may_not_read_sources_hears_nothing_of_their_silence(watching: Watching) -> None:
    """House invariant 1: an alert tells no more than what it derives from."""
    watching.make()
    (alert,) = watching.after(minutes=20)
    detect = watching.room.detect
    assert detect.list_alerts(OBSERVER).total == 0
    assert detect.count_alerts(OBSERVER) == {}
    assert not detect.may_know(OBSERVER, alert.id)
    with pytest.raises(NotFound):
        detect.read_alert(OBSERVER, alert.id)
    assert detect.may_know(ANALYST, alert.id)


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_alert_says_since_when_what_it_used_to_send_and_what_to_check(
    watching: Watching, language: str
) -> None:
    source = watching.make()
    watching.send(source, 600)
    assert isinstance(watching.clock, ManualClock)
    watching.clock.advance(3600)
    watching.send(source, 600)
    (alert,) = watching.after(minutes=20)
    assert alert.silence is not None
    told = " ".join(explain_silence(CATALOGUE, language, alert.silence, "America/Tegucigalpa"))
    assert "−06:00" in told and "15 min" in told and "1\u202f200" in told and "10.1.0.0/16" in told
    assert {"es": "token", "en": "firewall"}[language] in told
    watching.send(source)
    (over,) = watching.after(minutes=1)
    assert over.silence is not None
    ended = " ".join(explain_silence(CATALOGUE, language, over.silence, "UTC"))
    assert {"es": "se cerró sola", "en": "closed by itself"}[language] in ended


# --- with a worker ---------------------------------------------------------------------------


@pytest.fixture
def live(data: Path, clock: ManualClock) -> Iterator[Watching]:
    room = open_room(data, f"sqlite:///{data / 'node.db'}", clock)
    room.link.start()
    yield Watching(room)
    room.link.stop()
    room.store.close()


def stats(request: int, intake: str) -> Stats:
    return Stats(request, 0, 0, 0, Position(), {}, 0, 0, {}, intake)


def look(live: Watching, peer: Peer | None, intake: str = "open", **length: int) -> list[Alert]:
    """Let time pass, look, and answer what the worker is asked for then."""
    assert isinstance(live.clock, ManualClock)
    live.clock.advance(timedelta(**length).total_seconds())
    with _in_thread(live.silences.look):
        if peer is not None:
            peer.send(stats(peer.expect(AskStats).request, intake))
    return live.alerts()


def test_silence_is_counted_from_when_the_intake_was_there(live: Watching) -> None:
    source = live.make()
    live.send(source)
    assert look(live, None, days=1) == [], "without a worker nobody can send"
    peer = Peer(live.room)
    peer.expect(Synced)
    assert live.room.link.wait_ready(5)
    assert look(live, peer, minutes=14) == []
    assert look(live, peer, "detect.disk_full", minutes=10) == [], "nothing could be sent: the disk was full"
    assert look(live, peer, minutes=14) == []
    (alert,) = look(live, peer, minutes=1)
    assert alert.subject == source.id
    live.send(source)
    (over,) = look(live, peer, minutes=1)
    assert (over.id, over.status) == (alert.id, Status.CLOSED)
    peer.close()
    until(lambda: live.room.link.listening_since is None)
    assert len(look(live, None, days=1)) == 1


def test_a_machine_that_slept_raises_nothing_when_it_wakes(live: Watching) -> None:
    source = live.make()
    peer = Peer(live.room)
    peer.expect(Synced)
    assert live.room.link.wait_ready(5)
    live.send(source)
    assert look(live, peer, minutes=1) == []
    assert isinstance(live.clock, ManualClock)
    live.clock._now += timedelta(hours=9)  # the time of day went on, the machine did not
    assert look(live, peer, seconds=10) == []
    assert look(live, peer, minutes=14) == []
    assert len(look(live, peer, minutes=1)) == 1


def test_that_it_is_over_is_seen_without_a_worker_too(watching: Watching) -> None:
    source = watching.make()
    watching.send(source)
    watching.after(minutes=20)
    watching.send(source)
    watching.since = None
    assert watching.after(minutes=1)[0].status is Status.CLOSED


def test_a_case_may_quote_it(watching: Watching) -> None:
    watching.make()
    (alert,) = watching.after(minutes=20)
    quote = watching.room.detect.alert_quote(ANALYST, alert.id)
    assert (quote.title, quote.evidence, quote.indicator) == ("cortafuegos", (), None)
