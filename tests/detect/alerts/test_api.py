"""The machine interface of detection, in the asker's language."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.testing import TestClient

from istmo.detect import api
from istmo.detect.wire import INDICATORS, Problem, Rows, Search, Synced, WireRow
from istmo.errors import IstmoError
from istmo.kit.access import ACCESS
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model.markings import Tlp

from .room import ANALYST, OBSERVER, OPERATOR, T0, Peer, Room, hit
from .test_link import _in_thread
from .test_service import RULE, packed

CATALOGUE = Catalogue(strict=True)


def failed(request: Request[Any, Any, Any], error: IstmoError) -> Response[Any]:
    told = CATALOGUE.error("es", error)
    body = {"code": error.code, "message": told.message, "remedy": told.remedy}
    return Response(body, status_code=error.status)


def client(
    room: Room, who: Any = ANALYST, language: str = "es", routes: Any = api.routes
) -> TestClient[Litestar]:
    def given(part: Any) -> Provide:
        return Provide(lambda: part, sync_to_thread=False)

    app = Litestar(
        routes,
        dependencies={
            "asker": given(Asker(who, language)),
            "detect": given(room.detect),
            "catalogue": given(CATALOGUE),
            "settings": given(room.settings),
            "clock": given(room.clock),
        },
        exception_handlers={IstmoError: failed},
        logging_config=None,
        request_max_body_size=1 << 20,
    )
    return TestClient(app)


def test_every_route_says_who_may_come() -> None:
    assert all(handler.opt.get(ACCESS) == "people" for handler in api.routes)


def test_alerts_are_listed_read_and_worked_on(linked: Room) -> None:
    watch = linked.shelf.publish(("ipv4", "203.0.113.77"), name="Mando")
    linked.tell(INDICATORS, [hit(watch.id, 1), hit(watch.id, 2, stored=True)])
    speak = client(linked)
    listed = speak.get("/api/v1/alerts", params={"subject": watch.id, "detector": "indicator"}).json()
    assert (listed["total"], listed["next"]) == (1, None)
    (alert,) = listed["items"]
    assert (alert["title"], alert["count"], alert["stored_count"]) == ("Mando", 2, 1)
    assert (alert["tlp"], alert["status"], alert["level"]) == ("TLP:AMBER", "open", "high")
    shown = speak.get(f"/api/v1/alerts/{alert['id']}").json()
    assert shown["timeline"] == [{"hour": "2026-03-02T09:00:00.000000Z", "count": 2}]
    assert shown["by_host"] == [{"host": "CAJA-1", "count": 2}]
    assert [(one["id"], one["stored"], one["event"]) for one in shown["evidence"]] == [
        ("1-1", False, {"EventID": 3}),
        ("1-2", True, {"EventID": 3}),
    ]
    work = f"/api/v1/alerts/{alert['id']}/status"
    closed = speak.post(work, json={"status": "closed", "reason": "false-positive", "version": 1}).json()
    assert (closed["status"], closed["reason"]) == ("closed", "false-positive")
    assert speak.post(work, json={"status": "open", "version": 1}).status_code == 409
    assert speak.post(work, json={"status": "closed"}).status_code == 400
    assert speak.post(work, json={"status": "gone"}).status_code == 400
    assert speak.post(work, json={"status": "closed", "reason": "gone"}).status_code == 400
    assert speak.get("/api/v1/alerts?status=gone").status_code == 400
    assert speak.get("/api/v1/alerts?cursor=gone").status_code == 400
    refused = client(linked, OBSERVER).post(work, json={"status": "open"})
    assert (refused.status_code, refused.json()["code"]) == (403, "detect.not_allowed")
    assert refused.json()["remedy"] == CATALOGUE.text("es", "error.detect.not_allowed.remedy")


def test_an_alert_that_one_may_not_see_answers_as_one_that_is_not(linked: Room) -> None:
    """Invariant 1."""
    watch = linked.shelf.publish(("ipv4", "203.0.113.77"), tlp=Tlp.RED)
    linked.tell(INDICATORS, [hit(watch.id, 1)])
    hidden = linked.alerts()[0].id
    speak = client(linked, OBSERVER)
    none = "x-istmo-alert--00000000-0000-4000-8000-000000000000"
    answers = [speak.get(f"/api/v1/alerts/{one}") for one in (hidden, none)]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].text.replace(hidden, "") == answers[1].text.replace(none, "")
    assert speak.get("/api/v1/alerts").json() == {"items": [], "next": None, "total": 0}


def test_rules_are_imported_listed_and_switched(linked: Room) -> None:
    speak = client(linked)
    upload = packed(**{"a.yml": RULE.format(number=1), "b.yml": "title: x\ndetection: ["})
    done = speak.post("/api/v1/rules/import", content=upload).json()
    assert (done["accepted"], done["added"]) == (1, 1)
    (problem,) = done["problems"]
    assert problem["file"] == "b.yml"
    assert problem["text"] == CATALOGUE.text("es", problem["code"], detail=problem["text"]) or problem["text"]
    (rule,) = speak.get("/api/v1/rules?q=regla&enabled=true").json()["items"]
    assert rule["problem"] is None
    assert speak.get(f"/api/v1/rules/{rule['id']}").json()["text"] == RULE.format(number=1)
    off = speak.post(f"/api/v1/rules/{rule['id']}", json={"enabled": False}).json()
    assert off["enabled"] is False
    assert speak.get("/api/v1/rules?enabled=true").json()["items"] == []
    assert speak.get("/api/v1/rules/none").status_code == 404


def test_sources_are_made_listed_and_revoked(linked: Room) -> None:
    speak = client(linked, OPERATOR)
    made = speak.post("/api/v1/sources", json={"name": "hacienda", "expires": "2099-01-01T00:00:00Z"})
    assert made.status_code == 201
    (listed,) = speak.get("/api/v1/sources").json()["items"]
    assert "secret" not in listed
    assert listed["expires"] == "2099-01-01T00:00:00.000000Z"
    assert speak.delete(f"/api/v1/sources/{made.json()['id']}").status_code == 204
    assert speak.delete(f"/api/v1/sources/{made.json()['id']}").status_code == 404
    assert speak.post("/api/v1/sources", json={"name": "", "expires": "x"}).status_code == 400
    assert speak.post("/api/v1/sources", json={"nome": "x"}).status_code == 400


def test_a_search_streams_lines_and_ends_with_what_became_of_it(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    speak = client(linked)

    def answer(problem: Problem | None, *rows: WireRow) -> None:
        asked = peer.expect(Search)
        peer.send(Rows(asked.request, list(rows), True, problem))

    row = WireRow("1-7", T0, T0, "src", "CAJA-1", b'{"a": 1.0}')
    with _in_thread(lambda: answer(Problem("", "detect.search_cut_short", {"seconds": 30}), row)):
        found = speak.get("/api/v1/events/search?q=a&from=2026-03-02T00:00:00Z&limit=5")
    assert found.headers["content-type"].startswith("application/x-ndjson")
    first, last = (orjson.loads(line) for line in found.content.splitlines())
    assert first == {
        "id": "1-7",
        "time": "2026-03-02T09:00:00.000000Z",
        "received": "2026-03-02T09:00:00.000000Z",
        "source": "src",
        "host": "CAJA-1",
        "event": {"a": 1.0},
    }
    assert (last["done"], last["count"], last["problem"]["code"]) == (True, 1, "detect.search_cut_short")
    assert "30" in last["problem"]["text"]
    with _in_thread(lambda: answer(Problem("", "detect.query_too_long", {"limit": 9}))):
        refused = speak.get("/api/v1/events/search?q=a")
    assert (refused.status_code, refused.json()["code"]) == (400, "detect.query_too_long")
    assert speak.get("/api/v1/events/search?q=a&from=ayer").status_code == 400
    assert client(linked, OBSERVER).get("/api/v1/events/search?q=a").status_code == 403
    peer.close()


@pytest.mark.parametrize("language", ["es", "en"])
def test_without_a_worker_a_search_is_refused_in_words(linked: Room, language: str) -> None:
    refused = client(linked, language=language).get("/api/v1/events/search?q=a")
    assert (refused.status_code, refused.json()["code"]) == (503, "detect.worker_away")
