"""What went wrong in detection is said on the pages, in words, in both languages, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from scenes import Scene, fill
from web_site import Site, make_site

from istmo.clock import ManualClock
from istmo.detect.objects import WorkerNotice, WorkerState
from istmo.detect.records import positions
from istmo.kit.i18n import Catalogue

SAID = Catalogue(strict=True)
LANGUAGES = ("es", "en")


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


@pytest.fixture(scope="module")
def hunted(real_site: Site) -> tuple[Site, Scene]:
    """A node with an indicator and what was found of it; how its hunt ended, each test says."""
    return real_site, fill(real_site.node)


def read(site: Site, path: str, language: str) -> str:
    with site.client(**{"accept-language": language}) as client:
        site.sign_in(client)
        answer = client.get(path)
    assert answer.status_code == 200
    assert "⟦" not in answer.text
    return answer.text


def worker_is(site: Site, monkeypatch: pytest.MonkeyPatch, **told: Any) -> None:
    monkeypatch.setattr(site.node.detect, "worker", lambda _: WorkerState("ready", **told))


def notice(clock: ManualClock, code: str, *, hours: float = 1, **params: Any) -> WorkerNotice:
    return WorkerNotice(code, params, clock.now() - timedelta(hours=hours))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "code", ["detect.hunt_unreadable", "detect.hunt_cut_short", "detect.hunt_failed", None]
)
def test_an_object_and_its_alert_say_when_the_hunt_did_not_see_everything(
    hunted: tuple[Site, Scene], code: str | None, language: str
) -> None:
    site, scene = hunted
    with site.node.store.write() as tx:
        positions.finish_hunts(tx.connection, {scene.indicator: "terms"}, code, site.clock.now())
    for path in (f"/objects/{scene.indicator}", f"/alerts/{scene.alert}"):
        html = read(site, path, language)
        for one in ("detect.hunt_unreadable", "detect.hunt_cut_short", "detect.hunt_failed"):
            assert (SAID.text(language, f"error.{one}") in html) == (one == code), path


@pytest.mark.parametrize("language", LANGUAGES)
def test_why_intake_stands_still_is_said_in_words(
    whole: Site, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    worker_is(whole, monkeypatch, intake_problem="detect.disk_full")
    html = read(whole, "/", language)
    assert SAID.text(language, "web.trouble.intake") in html
    assert SAID.text(language, "error.detect.disk_full") in html
    assert "detect.disk_full" not in html


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_worker_wants_known_stands_on_the_situation(
    whole: Site, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    told = (
        notice(clock, "detect.segment_not_closed", segment=7),
        notice(clock, "detect.segment_not_closed", hours=2, segment=6),
        notice(clock, "detect.events_unreadable", n=2, segments="3, 4"),
    )
    worker_is(whole, monkeypatch, notices=told)
    html = read(whole, "/", language)
    assert SAID.text(language, "error.detect.segment_not_closed", segment=7) in html
    assert SAID.text(language, "error.detect.segment_not_closed.remedy") in html
    assert SAID.text(language, "error.detect.segment_not_closed", segment=6) not in html, (
        "the latest is enough"
    )
    assert SAID.text(language, "error.detect.events_unreadable", n=2, segments="3, 4") in html
    assert SAID.text(language, "web.situation.well") not in html


def test_what_has_passed_is_not_told_as_trouble(
    whole: Site, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SAID.text("es", "error.detect.disk_full")
    has_room = notice(clock, "detect.disk_has_room", folder="events")
    was_full = notice(clock, "detect.disk_full", hours=2, folder="events")
    worker_is(whole, monkeypatch, notices=(has_room, was_full))
    html = read(whole, "/", "es")
    assert SAID.text("es", "error.detect.disk_has_room") in html
    assert full not in html
    worker_is(whole, monkeypatch, intake_problem="detect.disk_full", notices=(was_full,))
    assert read(whole, "/", "es").count(full) == 1
    worker_is(whole, monkeypatch, notices=(notice(clock, "detect.disk_has_room", hours=25, folder="events"),))
    assert SAID.text("es", "error.detect.disk_has_room") not in read(whole, "/", "es")
