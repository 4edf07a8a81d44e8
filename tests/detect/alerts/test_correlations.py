"""Correlations, filters and value lists in force: a real worker, real events, the real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import SystemClock
from istmo.detect.explaining import explain
from istmo.detect.objects import Story
from istmo.detect.records import positions
from istmo.detect.service.alerts import alert_filter
from istmo.detect.wire import SIGMA
from istmo.kit.i18n import Catalogue
from istmo.settings import Limits

from .correlating import (
    FAILED,
    FAILED_ID,
    FILTER,
    FILTER_ID,
    LISTED,
    LISTED_ID,
    MANY,
    MANY_ID,
    failed,
    logon,
    upload,
)
from .room import ADMINISTRATOR, ANALYST, RealWorker, open_room, until


class Site:
    """A room with a running worker and somebody who sends events to it."""

    def __init__(self, data: Path) -> None:
        self.room = open_room(data, f"sqlite:///{data / 'node.db'}", SystemClock(), limits=QUICK)
        _, self.secret = self.room.detect.create_source(ADMINISTRATOR, "dominio")
        self.room.link.start()
        self.worker = RealWorker(self.room)
        self.worker.start()

    def take(self, *documents: str) -> Any:
        """Import, and wait until it is in force."""
        done = self.room.detect.import_rules(ANALYST, upload(*documents))
        assert self.room.link.wait_rules(10)
        return done

    def send(self, *events: dict[str, Any]) -> None:
        with self.worker.sending(self.secret) as send:
            assert send(list(events)) == len(events)

    def stories(self, subject: str = "") -> list[Story]:
        found = self.room.detect.list_alerts(ANALYST, alert_filter(subject=subject)).items
        return [self.room.detect.read_alert(ANALYST, one.id) for one in found]

    def wait(self, subject: str, number: int = 1) -> list[Story]:
        found: list[Story] = until(lambda: len(got := self.stories(subject)) >= number and got)
        return found

    def settle(self) -> None:
        """Until all that was sent has been looked at, and that is stored."""
        stored = self.room.detect.worker(ANALYST).stored
        until(lambda: self.seen() >= stored)

    def seen(self) -> int:
        """Events before the stored position."""
        with self.room.store.read() as connection:
            place = positions.positions(connection).get(SIGMA)
        return 0 if place is None else place.line

    def judge(self) -> None:
        """Somebody else fails ten hours later: what came before is out of reach."""
        self.send(failed("nadie", 600))
        self.settle()

    def close(self) -> None:
        self.worker.stop()
        self.room.link.stop()
        self.room.store.close()


QUICK = Limits(lateness_seconds=0)


@pytest.fixture
def site(data: Path) -> Iterator[Site]:
    made = Site(data)
    yield made
    made.close()


def test_a_correlation_is_one_alert_that_says_why_and_shows_the_events(site: Site) -> None:
    site.take(FAILED, MANY)
    site.send(*(failed(user, n, n) for n in range(4) for user in ("ana", "ANA" if n else "ana")))
    site.send(*(failed("beto", 4 + n) for n in range(3)))
    (story,) = site.wait(MANY_ID)  # nobody had to send anything: time passes
    alert = story.alert
    assert (alert.title, str(alert.level), alert.detector) == ("Muchos intentos fallidos", "high", "sigma")
    assert alert.correlation is not None
    assert alert.correlation.group == {"TargetUserName": "ana"}
    assert alert.correlation.value >= 4
    assert len(story.evidence) == alert.count >= 4
    assert all(b'"EventID":4625' in one.raw for one in story.evidence)
    assert {one.fields["TargetUserName"].lower() for one in story.evidence} == {"ana"}
    spanish = explain(Catalogue(strict=True), "es", alert.correlation)
    english = explain(Catalogue(strict=True), "en", alert.correlation)
    assert spanish[1] == "Todos tienen en común: TargetUserName = ana."
    assert "Within 5 h" in english[0] and "≥ 4" in english[0]
    assert site.stories(FAILED_ID) == [], "a part of a correlation raises no alert of its own"
    late = site.room.detect.worker(ANALYST).correlations["late"]
    site.send(failed("ana", 600), failed("ana", 1))
    until(lambda: site.room.detect.worker(ANALYST).correlations["late"] == late + 1)


def test_a_filter_keeps_out_what_it_says(site: Site) -> None:
    site.take(FAILED, MANY, FILTER)
    site.send(*(failed(user, n) for n in range(4) for user in ("svc_copias", "ana")))
    (story,) = site.wait(MANY_ID)
    assert story.alert.correlation and story.alert.correlation.group == {"TargetUserName": "ana"}
    site.room.detect.enable_rule(ANALYST, FILTER_ID, False)
    assert site.room.link.wait_rules(10)
    site.send(*(failed("svc_copias", 400 + n) for n in range(4)))
    site.wait(MANY_ID, 2)


def test_parts_stay_silent_where_their_correlation_is_switched_off_and_speak_where_it_says_generate(
    site: Site,
) -> None:
    site.take(FAILED, MANY)
    site.room.detect.enable_rule(ANALYST, MANY_ID, False)
    assert site.room.link.wait_rules(10)
    site.send(*(failed("ana", n) for n in range(6)))
    site.judge()
    assert site.stories() == []
    site.take(MANY.replace("timespan", "generate: true\n  timespan"))
    site.room.detect.enable_rule(ANALYST, MANY_ID, True)
    assert site.room.link.wait_rules(10)
    site.send(*(failed("ana", 610 + n) for n in range(4)))
    site.wait(MANY_ID)
    assert site.wait(FAILED_ID)[0].alert.count == 4


def test_rules_come_and_go_while_a_correlation_is_under_way(site: Site) -> None:
    """What is unchanged keeps what it remembers; what is new counts from now on."""
    site.take(FAILED, MANY)
    site.send(failed("ana", 0), failed("ana", 1))
    site.settle()
    other = MANY.replace("2000", "2001").replace("gte: 4", "gte: 3")
    site.take(other, FILTER, LISTED)
    site.send(failed("ana", 2), failed("ana", 3))
    site.wait(MANY_ID)
    site.judge()
    assert site.stories(other.split("id: ")[1][:36]) == []


def test_what_a_correlation_is_made_of_is_missed_by_name_and_comes_back(site: Site) -> None:
    done = site.take(MANY)
    assert [one.key for one in done.problems] == ["detect.rule_import.correlation_missing"]
    assert done.problems[0].params["names"] == "inicio_fallido"
    until(lambda: site.room.detect.read_rule(ANALYST, MANY_ID).problem)
    done = site.take(FAILED)
    assert done.problems == ()
    until(lambda: site.room.detect.read_rule(ANALYST, MANY_ID).problem is None)
    site.room.detect.enable_rule(ANALYST, FAILED_ID, False)
    problem = until(lambda: site.room.detect.read_rule(ANALYST, MANY_ID).problem)
    assert problem[1]["reason"] == "unknown_reference"
    site.take(FILTER.replace(f"[{FAILED_ID}]", "any"))
    problem = until(lambda: site.room.detect.read_rule(ANALYST, FILTER_ID).problem)
    assert problem[1]["reason"] == "filter_without_rules"


def test_a_value_list_is_in_force_at_once_as_it_is_now(site: Site) -> None:
    done = site.take(LISTED)
    assert [one.key for one in done.problems] == ["detect.rule_import.list_missing"]
    assert done.problems[0].params["names"] == "%Servidores%"
    until(lambda: site.room.detect.read_rule(ANALYST, LISTED_ID).problem)
    site.room.detect.put_value_list(ANALYST, "Servidores", ["DC-1"])
    until(lambda: site.room.detect.read_rule(ANALYST, LISTED_ID).problem is None)
    site.send(logon(4624, "ana", 1, "DC-1"), logon(4624, "ana", 1, "CAJA-9"))
    assert [host for host, _ in site.wait(LISTED_ID)[0].hosts] == ["DC-1"]
    site.room.detect.put_value_list(ANALYST, "Servidores", ["CAJA-*"])
    assert site.room.link.wait_rules(10)
    site.settle()
    site.send(logon(4624, "ana", 2, "DC-1"), logon(4624, "ana", 2, "CAJA-9"))
    assert {one.alert.entity: one.alert.count for one in site.wait(LISTED_ID, 2)} == {"DC-1": 1, "CAJA-9": 1}


# --- restarts ------------------------------------------------------------------------------------

END = "kill -9 of the worker", "both"


def restart(site: Site, how: str) -> None:
    """After it the worker knows only what the database says."""
    if how != "a new web process":
        site.worker.kill()
    if how != "kill -9 of the worker":
        site.room.link.stop()
        site.room.store.close()
        site.room = site.worker.room = open_room(
            site.room.settings.data, str(site.room.store.url), SystemClock(), limits=QUICK
        )
        site.room.link.start()
    if how != "a new web process":
        site.worker.start()
    assert site.room.link.wait_ready(20)


@pytest.mark.parametrize("how", END)
def test_a_correlation_under_way_survives(site: Site, how: str) -> None:
    """Neither lost nor doubled: half of it before a restart, half after, told once whatever comes next."""
    site.take(FAILED, MANY)
    site.send(*(failed("ana", n) for n in range(3)))
    site.settle()
    restart(site, how)
    site.send(failed("ana", 3), failed("beto", 4))
    (story,) = site.wait(MANY_ID)
    assert story.alert.count == 4
    assert len({one.event for one in story.evidence}) == 4
    restart(site, "a new web process")
    site.send(failed("ana", 5), failed("ana", 6))
    site.judge()
    (story,) = site.stories(MANY_ID)
    assert story.alert.correlation and story.alert.correlation.matches == 1


def test_what_was_found_and_not_stored_is_found_again_once(site: Site) -> None:
    """The worker is killed after it has told a match, and before the database has taken it."""
    site.take(FAILED, MANY)
    site.send(*(failed("ana", n) for n in range(3)))
    site.settle()
    with site.room.store.write():  # nothing else can be stored for as long as this goes on
        site.send(failed("ana", 3), failed("ana", 500))
        until(lambda: site.room.detect.worker(ANALYST).sigma_lag == 0)
        site.worker.process.kill()  # type: ignore[union-attr]
        site.worker.process.wait(10)  # type: ignore[union-attr]
    site.worker.kill()
    site.worker.start()
    site.judge()
    (story,) = site.wait(MANY_ID)
    assert story.alert.correlation and story.alert.correlation.matches == 1


def test_however_often_the_worker_is_killed_each_group_is_told_once(site: Site) -> None:
    site.take(FAILED, MANY)
    users = [f"u{n}" for n in range(20)]
    for n in range(4):
        site.send(*(failed(user, n) for user in users))
        site.worker.kill()
        site.worker.start()
    site.judge()
    found = [one.alert.correlation for one in site.wait(MANY_ID, len(users))]
    assert sorted(one.group["TargetUserName"] for one in found if one) == sorted(users)
    assert {one.matches for one in found if one} == {1}
