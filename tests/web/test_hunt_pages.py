"""Saved hunts in the console, without scripts: saved, changed, run, switched, copied and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from scenes import Scene, fill
from web_site import Site, csrf_in, make_site

from istmo.clock import ManualClock
from istmo.detect.objects_hunt import SavedHunt
from istmo.detect.wire import Problem, RuleFound, RuleHits, RuleMatch, SqlRows, WireRow
from istmo.policy.principals import Operator

FORM = {"name": "Quién soy", "kind": "query", "text": "Image:*whoami.exe", "window": "7d", "level": "low"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    clock = ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    made = make_site(tmp_path_factory.mktemp("node"), clock, rooms=None)
    yield made
    made.node.store.close()


@pytest.fixture(scope="module")
def scene(site: Site) -> Scene:
    return fill(site.node)


@pytest.fixture
def ana(site: Site, scene: Scene) -> Iterator[Any]:
    with site.client() as client:
        site.sign_in(client, "ana")
        yield client


def send(client: Any, path: str, **fields: str) -> Any:
    token = csrf_in(client.get("/hunts").text)
    return client.post(path, data={**fields, "csrf": token}, follow_redirects=False)


def saved(site: Site, name: str) -> SavedHunt:
    """The hunt of that name which was saved last."""
    found = [one for one in site.node.detect.list_hunts(Operator()) if one.plan.name == name]
    return max(found, key=lambda one: one.row)


def test_a_hunt_is_saved_changed_switched_and_deleted(site: Site, ana: Any) -> None:
    made = send(ana, "/hunts", **FORM | {"name": "por hora"}, every="1h", alert="on")
    assert made.status_code == 303, made.text
    hunt = saved(site, "por hora")
    page = ana.get(made.headers["location"]).text
    assert "Image:*whoami.exe" in page and "quedó guardada" in page and 'value="1h"' in page
    changed = send(
        ana, f"/hunts/{hunt.id}", **{**FORM, "name": "por hora", "text": "whoami"}, every="1h", version="1"
    )
    assert changed.status_code == 303
    hunt = saved(site, "por hora")
    assert (hunt.plan.text, hunt.plan.is_alerting, hunt.version) == ("whoami", False, 2)
    assert send(ana, f"/hunts/{hunt.id}/switch", on="").status_code == 303
    assert not saved(site, "por hora").plan.is_on
    assert send(ana, f"/hunts/{hunt.id}/delete").status_code == 303
    assert hunt.id not in [one.id for one in site.node.detect.list_hunts(Operator())]


def test_a_search_of_everything_is_saved_as_one_of_everything(site: Site, ana: Any) -> None:
    form = ana.get("/hunts?kind=query&text=whoami&window=all").text
    assert 'name="window" type="text" value="todo"' in form
    assert 'value="all"' in ana.get("/hunts?window=all", headers={"Accept-Language": "en"}).text
    made = send(ana, "/hunts", **FORM | {"name": "desde siempre", "window": "todo"})
    hunt = saved(site, "desde siempre")
    page = ana.get(made.headers["location"]).text
    assert "<dd>todo lo guardado</dd>" in page and 'name="window" type="text" value="todo"' in page
    assert ana.get(f"/api/v1/hunts/{hunt.id}").json()["window"] == "all"
    asked = {}

    def search(query: str, start: int, *_: Any, **__: Any) -> Iterator[Any]:
        asked[query] = start
        yield from ()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.node.link.ask, "search", search)
        found = send(ana, f"/hunts/{hunt.id}/run").text
    assert asked == {"Image:*whoami.exe": 0} and "Se buscó en todo lo guardado." in found
    assert (
        "7 días" in ana.get(send(ana, "/hunts", **FORM | {"name": "de una semana"}).headers["location"]).text
    )


def test_what_was_typed_stays_and_the_field_says_what_is_wrong(ana: Any) -> None:
    for changes, field in (
        ({"text": "Image:("}, "text"),
        ({"window": "ayer"}, "window"),
        ({"every": "5"}, "every"),
        ({"kind": "rules", "text": "title: nada"}, "text"),
        ({"name": "   "}, "name"),
    ):
        answer = send(ana, "/hunts", **{**FORM, "description": "para el turno", **changes})
        assert answer.status_code == 422 and f'id="{field}-wrong"' in answer.text, field
        assert "para el turno" in answer.text


def test_who_changed_it_meanwhile_is_not_written_over(site: Site, ana: Any) -> None:
    send(ana, "/hunts", **{**FORM, "name": "a la vez"})
    hunt = saved(site, "a la vez")
    for version, status in (("1", 303), ("1", 409), ("x", 409)):
        answer = send(
            ana, f"/hunts/{hunt.id}", **{**FORM, "name": "a la vez", "text": "mío"}, version=version
        )
        assert answer.status_code == status
    assert "mío" in answer.text and 'name="version" value="2"' in answer.text
    typed = {"name": "a la vez", "text": "[ipv4-addr:value = '203.0.113.7']", "kind": "pattern"}
    typed |= {"level": "high", "alert": "on", "shared": "on"}
    answer = send(ana, f"/hunts/{hunt.id}", **{**FORM, **typed}, version="1")
    assert "Como está ahora" in answer.text
    for words in ("Un patrón STIX", "Alto", "Sí"):
        assert f"<mark>{words}</mark>" in answer.text


def test_of_another_persons_hunt_one_sees_runs_and_copies_what_is_shared(
    site: Site, scene: Scene, ana: Any
) -> None:
    page = ana.get(f"/hunts/{scene.hunt}").text
    assert f"/hunts?copy={scene.hunt}" in page and f'action="/hunts/{scene.hunt}/run"' in page
    assert f'action="/hunts/{scene.hunt}/delete"' not in page and 'id="change"' not in page
    copy = ana.get(f"/hunts?copy={scene.hunt}").text
    assert re.search(r'name="name"[^>]*value="Órdenes codificadas"', copy) and "User:respaldo" in copy
    assert send(ana, f"/hunts/{scene.hunt}", **FORM, version="1").status_code == 403
    with site.client() as client:
        site.sign_in(client, "raiz")
        page = client.get(f"/hunts/{scene.hunt}").text
        assert f'action="/hunts/{scene.hunt}/switch"' in page, "an administrator may switch it off"
        assert f'action="/hunts/{scene.hunt}/run"' not in page


def test_a_run_shows_its_events_or_says_why_not(
    site: Site, scene: Scene, ana: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = send(ana, f"/hunts/{scene.hunt}/run")
    assert away.status_code == 422 and 'role="alert"' in away.text
    link = site.node.link.ask
    row = WireRow("1-7", 1_772_442_000_000_000, 0, "s", "CAJA-1", b'{"Image":"<b>x</b>"}')
    cut = Problem("", "detect.search_cut_short", {"seconds": 30})
    monkeypatch.setattr(link, "search", lambda *_: (one for one in (row, cut)))
    found = send(ana, f"/hunts/{scene.hunt}/run").text
    assert "CAJA-1" in found and "&lt;b&gt;x" in found and "agotó sus 30 s" in found
    monkeypatch.setattr(link, "search", lambda *_: (one for one in ()))
    assert "No encontró nada" in send(ana, f"/hunts/{scene.hunt}/run").text
    rule = f"{Scene.rule}"
    assert send(ana, "/hunts", **{**FORM, "name": "regla", "kind": "rules", "text": rule}).status_code == 303
    match = RuleMatch("r", "Una regla", "high", "1-8", row.time, "CAJA-2")
    parts = [
        RuleHits(1, False, [match]),
        RuleHits(1, False, found=[RuleFound("r", "Una regla", "high", 9, [])]),
    ]
    monkeypatch.setattr(link, "hunt_rules", lambda *_: (one for one in [*parts, RuleHits(1, True)]))
    found = send(ana, f"/hunts/{saved(site, 'regla').id}/run").text
    assert "9 eventos: Una regla (alto)" in found and "id:1-8" in found


def test_a_run_by_sql_shows_its_rows_and_one_by_a_pattern_the_fields(
    site: Site, ana: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = site.node.link.ask
    text = "SELECT host, count(*) AS n FROM events GROUP BY host"
    assert send(ana, "/hunts", **{**FORM, "name": "suma", "kind": "sql", "text": text}).status_code == 303
    parts = [
        SqlRows(1, False, [("host", "VARCHAR"), ("n", "BIGINT")], [b'["<b>PC</b>",7]', b"[null,[1]]"]),
        SqlRows(1, True, problem=Problem("", "detect.sql_cut_rows", {"limit": 2})),
    ]
    monkeypatch.setattr(link, "sql", lambda *_, **__: (one for one in parts))
    found = send(ana, f"/hunts/{saved(site, 'suma').id}/run").text
    assert "2 filas encontradas" in found and "&lt;b&gt;PC" in found and "[1]" in found and "—" in found
    assert 'data-label="n"' in found and 'class="notice warn"' in found
    pattern = "[ipv4-addr:value = '203.0.113.7']"
    assert (
        send(ana, "/hunts", **{**FORM, "name": "dir", "kind": "pattern", "text": pattern}).status_code == 303
    )
    row = WireRow("1-7", 1_772_442_000_000_000, 0, "s", "CAJA-1", b"{}", {"DestinationIp": "203.0.113.7"})
    monkeypatch.setattr(link, "search", lambda *_, **__: (one for one in (row,)))
    found = send(ana, f"/hunts/{saved(site, 'dir').id}/run").text
    assert "DestinationIp" in found and "203.0.113.7" in found
    for kind, text in (("pattern", "[x-a:b = 'c']"), ("pattern", "[ipv4-addr"), ("sql", "x" * 20_000)):
        answer = send(ana, "/hunts", **{**FORM, "kind": kind, "text": text})
        assert answer.status_code in (413, 422) and 'id="text-wrong"' in answer.text, (
            kind,
            answer.status_code,
        )


def test_a_page_does_not_wait_for_minutes(
    site: Site, scene: Scene, ana: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def slow(*_: Any) -> Iterator[RuleHits]:
        try:
            for number in range(600):
                site.clock.advance(1)
                match = RuleMatch("r", "Una regla", "high", f"1-{number}", 1_772_442_000_000_000, "PC")
                yield RuleHits(1, False, [match])
        finally:
            told.append("called off")

    monkeypatch.setattr(site.node.link.ask, "hunt_rules", slow)
    send(ana, "/hunts", **{**FORM, "name": "lenta", "kind": "rules", "text": Scene.rule})
    found = send(ana, f"/hunts/{saved(site, 'lenta').id}/run").text
    assert "agotó sus 30 s" in found and "31 eventos" in found and told == ["called off"]


def test_an_alert_leads_to_its_hunt(site: Site, scene: Scene, ana: Any) -> None:
    (alert,) = site.node.detect.alerts_about(Operator(), scene.hunt)
    assert f'href="/hunts/{scene.hunt}"' in ana.get(f"/alerts/{alert.id}").text
    assert f"/alerts/{alert.id}" in ana.get(f"/hunts/{scene.hunt}").text
    assert "Órdenes codificadas" in ana.get("/alerts?detector=hunt").text
