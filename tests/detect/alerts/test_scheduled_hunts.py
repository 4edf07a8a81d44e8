"""Saved hunts that run by themselves, with a real worker: each event told once, whatever happens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import ManualClock, SystemClock
from istmo.detect.objects import CloseReason, Level, Status
from istmo.detect.objects_hunt import HuntKind, HuntPlan, HuntRun, SavedHunt
from istmo.detect.records import saved_hunts as records
from istmo.detect.scheduled_hunts import HUNT_TLP, ScheduledHunts
from istmo.detect.service.alerts import alert_filter
from istmo.detect.service.saved_hunts import next_due
from istmo.detect.wire import (
    AskStats,
    HuntRules,
    Position,
    Problem,
    Rows,
    RuleFound,
    RuleHits,
    RuleMatch,
    Search,
    Stats,
    Synced,
    WireRow,
)
from istmo.errors import InvalidInput
from istmo.model import instants
from istmo.policy import Context

from .room import ADMINISTRATOR, ANALYST, HERE, OBSERVER, T0, Peer, RealWorker, Room, open_room, until
from .test_link import _in_thread

QUERY = HuntPlan(
    "Quién soy",
    HuntKind.QUERY,
    "Image:*whoami.exe",
    window=3650 * 86_400,
    every=900,
    is_alerting=True,
    level=Level.HIGH,
)
RULE = r"""title: Who am I
id: 11111111-1111-4111-8111-111111111111
logsource: {product: windows}
detection: {s: {Image|endswith: '\whoami.exe'}, condition: s}
level: high
"""


def process(number: int, image: str = r"C:\Windows\whoami.exe", time: str = "09:00:00") -> dict[str, Any]:
    return {
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 1,
        "Hostname": "CAJA-1",
        "UtcTime": f"2026-03-02 {time}.000",
        "Image": image,
        "ProcessId": number,
    }


@dataclass
class Node:
    """A room, what runs its hunts, and a sender."""

    room: Room
    worker: RealWorker
    hunts: ScheduledHunts
    send: Callable[[list[dict[str, Any]]], int]

    def save(self, plan: HuntPlan) -> SavedHunt:
        return self.room.detect.save_hunt(ANALYST, plan)

    def run(self, hunt: SavedHunt) -> HuntRun:
        """Make it due, look, and tell the run."""
        self.make_due(hunt)
        self.hunts.look()
        return self.room.detect.hunt_runs(ANALYST, hunt.id)[0]

    def make_due(self, hunt: SavedHunt) -> None:
        with self.room.store.write() as tx:
            stands = records.find_hunt(tx.connection, hunt.id)
            assert stands is not None
            now = self.room.clock.now()
            records.finish_run(tx.connection, hunt.row, due=now, upto=None, failures=stands.failures)

    def alerts(self, hunt: SavedHunt) -> list[Any]:
        return self.room.alerts(ANALYST, wanted=alert_filter(subject=hunt.id))


def scheduled(room: Room) -> ScheduledHunts:
    context = Context(HERE, frozenset({HERE}), "real", room.clock.now())
    return ScheduledHunts(
        room.store, room.clock, room.link, room.stories, lambda: context, room.settings.limits
    )


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """One worker for all tests of this kind: each test hunts for events of its own."""
    with tempfile.TemporaryDirectory(prefix="istmo-t-") as name:
        data = Path(name)
        room = open_room(data, f"sqlite:///{data / 'node.db'}", SystemClock())
        _, secret = room.detect.create_source(ADMINISTRATOR, "hacienda")
        room.link.start()
        worker = RealWorker(room)
        worker.start()
        with worker.sending(secret) as send:
            yield Node(room, worker, scheduled(room), send)
        worker.stop()
        room.link.stop()
        room.store.close()


def test_each_event_is_told_once_also_one_that_comes_late(node: Node) -> None:
    node.send([process(1, r"C:\uno.exe"), process(2, r"C:\uno.exe"), process(3, r"C:\other.exe")])
    hunt = node.save(replace(QUERY, name="uno", text="Image:*uno.exe"))
    assert node.run(hunt).found == 2, "the first run looks back"
    assert node.run(hunt).found == 0
    node.send([process(4, r"C:\uno.exe", time="07:00:00")])
    run = node.run(hunt)
    assert (run.found, run.is_whole, run.by) == (1, True, "system:detect"), "it came now, whatever its clock"
    (alert,) = node.alerts(hunt)
    assert (alert.detector, alert.title, alert.level, alert.count) == ("hunt", "uno", Level.HIGH, 3)
    assert (alert.tlp, alert.entity, alert.stored_count) == (HUNT_TLP, "CAJA-1", 3)
    quoted = node.room.detect.read_alert(ANALYST, alert.id).evidence
    assert [one.fields for one in quoted] == [{"Image": r"C:\uno.exe"}] * 3
    assert b"ProcessId" in quoted[0].raw and quoted[0].source


def test_a_hunt_by_rules_quotes_its_events_with_the_names_of_the_rules(node: Node) -> None:
    second = RULE.replace("Who am I", "Again").replace("8111-111111111111", "8111-222222222222")
    hunt = node.save(replace(QUERY, name="por reglas", kind=HuntKind.RULES, text=f"{RULE}---\n{second}"))
    node.send([process(11), process(12, r"C:\nothing.exe")])
    assert node.run(hunt).found == 1, "an event counts once, however many rules match it"
    assert node.run(hunt).found == 0
    (alert,) = node.alerts(hunt)
    (quoted,) = node.room.detect.read_alert(ANALYST, alert.id).evidence
    assert set(quoted.fields["rule"].split(", ")) == {"Who am I", "Again"}


def test_the_same_hunt_again_is_the_same_story_until_somebody_closes_it(node: Node) -> None:
    hunt = node.save(replace(QUERY, name="dos", text="Image:*dos.exe"))
    node.send([process(21, r"C:\dos.exe")])
    node.run(hunt)
    node.send([process(22, r"C:\dos.exe")])
    node.run(hunt)
    (alert,) = node.alerts(hunt)
    assert alert.count == 2
    node.room.detect.set_status(ANALYST, alert.id, Status.CLOSED, reason=CloseReason.EXPECTED)
    node.send([process(23, r"C:\dos.exe")])
    node.run(hunt)
    newer, older = node.alerts(hunt)
    assert (newer.former, newer.count, older.id) == (alert.id, 1, alert.id)


def test_a_hunt_that_does_not_alert_keeps_its_runs_alone(node: Node) -> None:
    hunt = node.save(replace(QUERY, name="tres", text="Image:*tres.exe", is_alerting=False))
    node.send([process(31, r"C:\tres.exe")])
    assert node.run(hunt).found == 1 and node.alerts(hunt) == []


def test_a_worker_that_is_killed_costs_nothing_and_doubles_nothing(node: Node) -> None:
    hunt = node.save(replace(QUERY, name="cuatro", text="Image:*cuatro.exe"))
    node.send([process(41, r"C:\cuatro.exe")])
    assert node.run(hunt).found == 1
    node.send([process(42, r"C:\cuatro.exe")])
    node.worker.kill()
    node.make_due(hunt)
    node.hunts.look()
    found = node.room.detect.read_hunt(ANALYST, hunt.id)
    assert len(node.room.detect.hunt_runs(ANALYST, hunt.id)) == 1, (
        "nothing was looked at, and nothing is told"
    )
    assert found.failures == 0 and found.due is not None and found.due <= node.room.clock.now()
    node.worker.start()
    assert node.run(hunt).found == 1
    assert node.alerts(hunt)[0].count == 2


def test_a_node_that_ends_before_it_has_stored_tells_it_after_its_start(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    hunt = node.save(replace(QUERY, name="cinco", text="Image:*cinco.exe"))
    node.send([process(51, r"C:\cinco.exe")])

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    node.make_due(hunt)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(records, "finish_run", dies)
        node.hunts.look()
    assert node.alerts(hunt) == [] and node.room.detect.hunt_runs(ANALYST, hunt.id) == []
    again = replace(node, hunts=scheduled(node.room))
    assert again.run(hunt).found == 1
    assert again.alerts(hunt)[0].count == 1


def test_a_person_runs_it_over_its_window_and_changes_nothing_of_where_it_goes_on(node: Node) -> None:
    hunt = node.save(replace(QUERY, name="seis", text="Image:*seis.exe"))
    node.send([process(61, r"C:\seis.exe")])
    detect = node.room.detect
    assert len([one for one in detect.run_query(ANALYST, hunt) if isinstance(one, WireRow)]) == 1
    (run,) = detect.hunt_runs(ANALYST, hunt.id)
    assert (run.by, run.found, run.is_whole) == ("person:1", 1, True)
    assert node.run(hunt).found == 1, "the first of its own looks back still"
    recent = detect.change_hunt(ANALYST, hunt.id, replace(hunt.plan, window=60), hunt.version)
    assert list(detect.run_query(ANALYST, recent)) == [], "the events are older than a minute"
    rules = node.save(replace(QUERY, name="seis reglas", kind=HuntKind.RULES, text=RULE, every=0))
    node.send([process(62)])
    assert sum(one.count for part in detect.run_rules(ANALYST, rules) for one in part.found) >= 1


def test_a_hunt_by_a_pattern_tells_an_event_of_now_that_another_run_s_event_began(node: Node) -> None:
    text = "[file:name = 'siete.exe'] FOLLOWEDBY [file:name = 'ocho.exe']"
    hunt = node.save(replace(QUERY, name="en orden", kind=HuntKind.PATTERN, text=text))
    node.send([process(71, r"C:\siete.exe")])
    assert node.run(hunt).found == 0
    node.send([process(72, r"C:\ocho.exe", time="09:05:00")])
    run = node.run(hunt)
    assert (run.found, run.problem) == (1, "")
    assert node.run(hunt).found == 0
    (alert,) = node.alerts(hunt)
    (quoted,) = node.room.detect.read_alert(ANALYST, alert.id).evidence
    names = [name for name in quoted.fields if "@" in name]
    assert quoted.fields["Image"] == r"C:\ocho.exe" and len(names) == 1, "the earlier event is named"
    rows = [one for one in node.room.detect.run_query(ANALYST, hunt) if isinstance(one, WireRow)]
    assert [b"ocho" in one.raw for one in rows] == [True, False], "whoever runs it sees both"


def test_a_hunt_by_sql_asks_about_its_window_and_tells_the_rows_that_are_new(node: Node) -> None:
    text = """SELECT host, Image, count(*) AS n FROM events WHERE Image LIKE '%nueve_.exe'
        GROUP BY ALL HAVING n >= 2"""
    hunt = node.save(replace(QUERY, name="a menudo", kind=HuntKind.SQL, text=text))
    node.send([process(81, r"C:\nueve1.exe"), process(82, r"C:\nueve2.exe")])
    assert node.run(hunt).found == 0
    node.send([process(83, r"C:\nueve1.exe")])
    run = node.run(hunt)
    assert (run.found, run.is_whole, run.problem) == (1, True, ""), "one of the two came before the last run"
    assert node.run(hunt).found == 0, "the same row is not told again"
    (alert,) = node.alerts(hunt)
    (quoted,) = node.room.detect.read_alert(ANALYST, alert.id).evidence
    assert quoted.fields == {"host": "CAJA-1", "Image": r"C:\nueve1.exe", "n": "2"}
    assert (quoted.host, alert.entity) == ("CAJA-1", "CAJA-1") and quoted.event.startswith("sql-")
    node.send([process(84, r"C:\nueve1.exe")])
    assert node.run(hunt).found == 1, "another sum is another row"
    assert node.alerts(hunt)[0].count == 2
    parts = list(node.room.detect.run_sql(ANALYST, hunt))
    assert [row for part in parts for row in part.rows] == [b'["CAJA-1","C:\\\\nueve1.exe",3]']
    assert node.room.detect.hunt_runs(ANALYST, hunt.id)[0].found == 1


def test_a_statement_that_cannot_run_is_told_when_it_is_saved_and_when_it_runs(node: Node) -> None:
    bad = replace(QUERY, name="mal", kind=HuntKind.SQL, text="SELECT * FROM read_csv('/etc/passwd')")
    with pytest.raises(InvalidInput, match=r"detect\.sql_"):
        node.save(bad)
    later = node.save(replace(bad, text="SELECT NadieLoTieneAun FROM events"))
    run = node.run(later)
    assert (run.problem, run.is_whole) == ("detect.sql_no_column", False)
    assert node.room.detect.read_hunt(ANALYST, later.id).failures == 1 and node.alerts(later) == []


# --- with a worker of the test's own ---------------------------------------------------------------


@dataclass
class Desk:
    """A room whose clock the test turns, and the worker's end in the test's hands."""

    room: Room
    hunts: ScheduledHunts
    peer: Peer
    clock: ManualClock

    def look(self, *answers: Callable[[Any], None], head: Position = Position(1, 9)) -> None:  # noqa: B008
        """Look once; the worker answers with its head and then as the test says."""

        def serve() -> None:
            self.stand(head)
            for one in answers:
                one(self.peer.expect(Search))

        with _in_thread(serve):
            self.hunts.look()

    def stand(self, head: Position) -> None:
        """Tell how far the log reaches."""
        stats = self.peer.expect(AskStats)
        self.peer.send(Stats(stats.request, 0, 0, 0, head, {}, 0, 0, {}, "open"))

    def rows(self, *lines: int, problem: Problem | None = None) -> Callable[[Search], None]:
        """Answers with these events."""

        def answer(asked: Search) -> None:
            found = [WireRow(f"1-{n}", T0 + n, T0, "s", "PC", b'{"n":%d}' % n) for n in lines]
            self.peer.send(Rows(asked.request, found, True, problem))

        return answer


@pytest.fixture
def desk(data: Path, clock: ManualClock) -> Iterator[Desk]:
    room = open_room(data, f"sqlite:///{data / 'node.db'}", clock)
    room.link.start()
    peer = Peer(room)
    peer.expect(Synced)
    assert room.link.wait_ready(5)
    yield Desk(room, scheduled(room), peer, clock)
    peer.close()
    room.link.stop()
    room.store.close()


def test_what_was_missed_is_one_run_and_the_next_is_on_its_old_beat(desk: Desk) -> None:
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    begun = desk.clock.now()
    desk.look(desk.rows(1))
    desk.clock.advance(timedelta(days=3, minutes=1).total_seconds())
    asked: list[Search] = []
    desk.look(lambda search: (asked.append(search), desk.rows(10)(search))[1], head=Position(2, 0))
    desk.hunts.look()  # nothing is due: the worker is not even asked how it stands
    (search,) = asked
    assert search.stretch is not None and search.stretch.after == Position(1, 9)
    assert (search.stretch.upto, search.start, search.scheduled) == (Position(2, 0), None, True)
    found = desk.room.detect.read_hunt(ANALYST, hunt.id)
    assert found.due == begun + timedelta(days=3, minutes=15)
    assert [one.found for one in desk.room.detect.hunt_runs(ANALYST, hunt.id)] == [1, 1]


def test_where_nothing_came_in_nothing_is_asked(desk: Desk) -> None:
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    desk.look(desk.rows(1))
    desk.clock.advance(900)
    desk.look()
    runs = desk.room.detect.hunt_runs(ANALYST, hunt.id)
    assert [(one.found, one.is_whole) for one in runs] == [(0, True), (1, True)]


def test_a_run_that_ends_before_its_end_is_told_and_asked_again_and_tells_nothing_twice(desk: Desk) -> None:
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    cut = Problem("", "detect.search_cut_short", {"seconds": 600})
    desk.look(desk.rows(7, 8, problem=cut))
    found = desk.room.detect.read_hunt(ANALYST, hunt.id)
    assert found.last is not None and (found.last.problem, found.last.is_whole) == (cut.code, False)
    assert (found.upto, found.failures) == (None, 1)
    desk.clock.advance(900)
    desk.look(desk.rows(6, 7, 8))
    found = desk.room.detect.read_hunt(ANALYST, hunt.id)
    assert found.last is not None and found.last.found == 1
    assert (found.upto, found.failures) == (Position(1, 9), 0)
    (alert,) = desk.room.alerts(ANALYST, wanted=alert_filter(subject=hunt.id))
    assert alert.count == 3


def test_a_stretch_that_is_too_much_three_times_is_given_up_and_the_hunt_goes_on(desk: Desk) -> None:
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    cut = Problem("", "detect.search_cut_short", {"seconds": 600})
    for _ in range(3):
        desk.look(desk.rows(8, problem=cut))
        desk.clock.advance(900)
    found = desk.room.detect.read_hunt(ANALYST, hunt.id)
    assert (found.upto, found.failures, found.has_failed) == (Position(1, 9), 3, True)
    assert desk.room.detect.list_hunts(ADMINISTRATOR, failing=True) == [found]
    desk.look(desk.rows(10), head=Position(1, 20))
    assert not desk.room.detect.read_hunt(ANALYST, hunt.id).has_failed


def test_more_events_than_the_bound_are_said_to_be_more_and_are_no_failure(desk: Desk) -> None:
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    many = desk.room.settings.limits.search_rows
    desk.look(desk.rows(*range(many)), head=Position(1, many + 5))
    found = desk.room.detect.read_hunt(ANALYST, hunt.id)
    assert found.last is not None and not found.last.is_whole
    assert (found.last.problem, found.last.found, found.failures) == ("detect.search_cut_at", many, 0)
    assert found.upto == Position(1, many + 5)


@pytest.mark.parametrize("code", ["detect.search_busy", "detect.search_cancelled", "detect.worker_away"])
def test_whoever_is_served_first_a_hunt_waits_and_has_not_failed(desk: Desk, code: str) -> None:
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    desk.look(desk.rows(problem=Problem("", code, {})))
    assert desk.room.detect.hunt_runs(ANALYST, hunt.id) == []
    desk.look(desk.rows(1))
    assert desk.room.detect.hunt_runs(ANALYST, hunt.id)[0].found == 1


def test_a_rule_that_is_gone_fails_the_hunt_until_it_is_mended(desk: Desk) -> None:
    detect = desk.room.detect
    detect.import_rules(ANALYST, RULE.encode())
    by_id = replace(QUERY, kind=HuntKind.RULES, text="11111111-1111-4111-8111-111111111111")
    hunt = detect.save_hunt(ANALYST, by_id)
    with desk.room.store.write() as tx:
        plan = replace(hunt.plan, text="22222222-2222-4222-8222-222222222222")
        records.change_hunt(tx.connection, hunt.row, hunt.version, plan, hunt.due, desk.clock.now())
    desk.look()
    found = detect.read_hunt(ANALYST, hunt.id)
    assert (found.failures, found.upto) == (1, None)
    assert found.last is not None and found.last.problem == "detect.no_rule"
    detect.change_hunt(ANALYST, hunt.id, by_id, found.version)
    assert detect.read_hunt(ANALYST, hunt.id).failures == 0

    def answer() -> None:
        desk.stand(Position(1, 9))
        asked = desk.peer.expect(HuntRules)
        assert asked.scheduled and [one.id for one in asked.rules] == [by_id.text]
        match = RuleMatch("r", "Who", "high", "1-3", T0, "PC", T0, "s", b"{}")
        desk.peer.send(RuleHits(asked.request, False, [match], [RuleFound("r", "Who", "high", 1, ["1-3"])]))
        desk.peer.send(RuleHits(asked.request, True))

    desk.clock.advance(900)
    with _in_thread(answer):
        desk.hunts.look()
    assert detect.read_hunt(ANALYST, hunt.id).upto == Position(1, 9)


def test_a_log_that_is_shorter_than_it_was_is_looked_back_over(desk: Desk) -> None:
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    desk.look(desk.rows(1), head=Position(5, 0))
    desk.clock.advance(900)
    asked: list[Search] = []
    desk.look(lambda search: (asked.append(search), desk.rows()(search))[1], head=Position(2, 0))
    assert asked[0].start is not None and asked[0].stretch is not None
    assert asked[0].stretch.after == Position()
    assert desk.room.detect.read_hunt(ANALYST, hunt.id).upto == Position(2, 0)


def test_who_may_not_search_events_hears_nothing_of_what_a_hunt_found(desk: Desk) -> None:
    """House invariant 1: an alert tells no more than what it derives from."""
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    desk.look(desk.rows(1))
    assert desk.room.alerts(ANALYST, wanted=alert_filter(subject=hunt.id))
    assert desk.room.alerts(OBSERVER) == []


def test_the_times_of_a_schedule_are_kept() -> None:
    due, now = instants.parse("2026-03-02T09:00:00Z"), instants.parse("2026-03-02T09:00:07Z")
    assert next_due(due, 900, now) == instants.parse("2026-03-02T09:15:00Z")
    assert next_due(due, 900, instants.parse("2026-03-02T11:20:00Z")) == instants.parse(
        "2026-03-02T11:30:00Z"
    )
    assert next_due(due, 900, due) == instants.parse("2026-03-02T09:15:00Z")


def test_a_clock_that_was_wrong_for_a_while_leaves_no_hunt_behind(desk: Desk) -> None:
    hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
    desk.clock.advance(10 * 365 * 86_400)
    desk.look(desk.rows(1))
    desk.clock.advance(-10 * 365 * 86_400)
    now = desk.clock.now()
    desk.look(desk.rows(10), head=Position(2, 0))
    desk.hunts.look()  # nothing is due any more
    found = desk.room.detect.read_hunt(ANALYST, hunt.id)
    assert (found.due, found.upto) == (now + timedelta(seconds=900), Position(2, 0))


def test_a_hunt_that_is_changed_while_it_runs_is_asked_anew(desk: Desk) -> None:
    detect = desk.room.detect
    hunt = detect.save_hunt(ANALYST, QUERY)

    def changed_meanwhile(asked: Search) -> None:
        detect.change_hunt(ANALYST, hunt.id, replace(QUERY, text="whoami"), 1)
        desk.rows(1)(asked)

    desk.look(changed_meanwhile)
    found = detect.read_hunt(ANALYST, hunt.id)
    assert (found.upto, found.last, desk.room.alerts(ANALYST)) == (None, None, [])
    texts: list[str] = []
    desk.look(lambda search: (texts.append(search.query), desk.rows(2)(search))[1])
    assert texts == ["whoami"] and detect.read_hunt(ANALYST, hunt.id).upto == Position(1, 9)


def test_one_that_makes_trouble_does_not_keep_the_others_from_running(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """House invariant 8 holds for hunts too."""
    bad, good = (desk.room.detect.save_hunt(ANALYST, replace(QUERY, name=name)) for name in ("bad", "good"))
    keep = ScheduledHunts._keep

    def trouble(self: ScheduledHunts, hunt: SavedHunt, *rest: Any) -> None:
        if hunt.id == bad.id:
            raise ValueError("trouble")
        keep(self, hunt, *rest)

    monkeypatch.setattr(ScheduledHunts, "_keep", trouble)

    def serve() -> None:
        for _ in range(2):
            desk.stand(Position(1, 9))
            desk.rows(1)(desk.peer.expect(Search))

    with _in_thread(serve):
        desk.hunts.look()
    assert desk.room.detect.read_hunt(ANALYST, good.id).upto == Position(1, 9)
    assert desk.room.detect.read_hunt(ANALYST, bad.id).upto is None


def test_a_hunt_that_has_just_got_a_schedule_runs_at_once(desk: Desk) -> None:
    desk.hunts.start()
    try:
        hunt = desk.room.detect.save_hunt(ANALYST, QUERY)
        desk.stand(Position(1, 9))
        desk.rows(1)(desk.peer.expect(Search))
        assert until(lambda: desk.room.detect.hunt_runs(ANALYST, hunt.id))[0].found == 1
    finally:
        desk.hunts.stop()
