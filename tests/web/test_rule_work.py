"""Working on rules in the console, without scripts: found, switched, tuned, brought in."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from scenes import Scene, fill
from web_site import PASSWORD, Site, csrf_in, make_site

from istmo.clock import ManualClock, SystemClock
from istmo.detect.objects_rule import RuleFilter
from istmo.policy.principals import Operator, Role

OTHERS = """
title: Failed to sign in
id: 5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a11
author: ana lópez
logsource: {product: windows, service: security}
tags: [attack.t1110]
level: low
detection: {s: {EventID: 4625}, condition: s}
---
title: Sudo failed
id: 5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a12
logsource: {product: linux, service: sudo}
tags: [attack.t1110.001]
level: high
detection: {s: [failure], condition: s}
"""
EXCEPTION = {
    "name": "Respaldo <nocturno>",
    "field": "User",
    "operator": "equals",
    "values": "svc_respaldo",
    "reason": "Corre cada noche",
    "days": "7",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Scene]]:
    site = make_site(tmp_path_factory.mktemp("rules"), ManualClock(SystemClock().now()), rooms=None)
    site.node.identity.create_account(Operator(), "olga", Role.OBSERVER, PASSWORD)
    scene = fill(site.node)
    site.node.detect.import_rules(Operator(), OTHERS.encode())
    yield site, scene
    site.node.store.close()


def enter(site: Site, name: str = "ana", language: str = "es") -> TestClient[Litestar]:
    client = site.client(**{"Accept-Language": language})
    site.sign_in(client, name)
    return client


def send(client: TestClient[Litestar], path: str, **values: str):  # type: ignore[no-untyped-def]
    csrf = csrf_in(client.get("/rules").text)
    return client.post(path, data={**values, "csrf": csrf}, follow_redirects=False)


def press_undo(client: TestClient[Litestar], at: str):  # type: ignore[no-untyped-def]
    """What the button of the notice does on the page that a change leads to."""
    shown = client.get(at).text
    form = re.search(r'<form class="no-print" method="post" action="([^"]+)">(.*?)</form>', shown, re.DOTALL)
    assert form, shown
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form[2]))
    told = {name: html.unescape(value) for name, value in fields.items()}
    return client.post(html.unescape(form[1]), data=told, follow_redirects=False)


def titles(page: str) -> list[str]:
    return [
        html.unescape(one) for one in re.findall(r'<a class="value" href="/rules/[^"]+">([^<]+)</a>', page)
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("logsource=linux", ["Sudo failed"]),
        ("logsource=security", ["Failed to sign in"]),
        ("tag=attack.t1110", ["Failed to sign in"]),
        ("author=L%C3%B3pez", ["Failed to sign in"]),
        ("hits=yes", ["PowerShell codificado"]),
        ("hits=no", ["Failed to sign in", "Sudo failed"]),
        ("enabled=slow", ["PowerShell codificado"]),
        ("level=high&q=sudo", ["Sudo failed"]),
    ],
)
def test_rules_are_found_by_what_they_are_and_do(
    whole: tuple[Site, Scene], query: str, found: list[str]
) -> None:
    client = enter(whole[0])
    page = client.get(f"/rules?{query}").text
    assert titles(page) == found
    path = html.unescape(re.findall(r'<link rel="alternate" type="application/json" href="([^"]+)"', page)[0])
    assert [one["title"] for one in client.get(path).json()["items"]] == found


def test_rules_are_ordered_by_what_a_tuner_asks(whole: tuple[Site, Scene]) -> None:
    site, _ = whole
    client = enter(site)
    noisy = "PowerShell codificado"
    for order in ("hits", "cost"):
        page = client.get(f"/rules?order={order}").text
        assert titles(page)[0] == noisy and f'<option value="{order}" selected>' in page
        path = re.findall(r'type="application/json" href="([^"]+)"', page)[0]
        assert [one["title"] for one in client.get(path).json()["items"]] == titles(page)
    assert titles(client.get("/rules?order=title").text)[0] != noisy
    assert titles(client.get("/rules?order=nonsense").text) == titles(client.get("/rules").text)
    assert client.get("/api/v1/rules?order=nonsense").status_code == 400


def test_the_list_tells_hits_and_cost_and_the_page_draws_them(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client = enter(site)
    listed = client.get("/api/v1/rules?hits=true").json()["items"]
    assert [one["hits"] for one in listed] == [6]
    page = client.get(f"/rules/{scene.rule}").text
    assert "<svg" in page and "6 eventos en total" in page
    assert f"detector=sigma&amp;subject={scene.rule}" in page
    assert "Ninguno en 30" in client.get("/rules/5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a11").text


def test_a_switch_can_be_taken_back(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client = enter(site)
    done = send(client, f"/rules/{scene.rule}/switch", enabled="off")
    assert done.status_code == 303 and not site.node.detect.read_rule(Operator(), scene.rule).is_enabled
    assert press_undo(client, done.headers["location"]).status_code == 303
    assert site.node.detect.read_rule(Operator(), scene.rule).is_enabled


def test_a_switch_is_not_taken_back_once_somebody_else_has_decided(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client, detect = enter(site), site.node.detect
    done = send(client, f"/rules/{scene.rule}/switch", enabled="off")
    detect.enable_rule(Operator(), scene.rule, True)
    detect.enable_rule(Operator(), scene.rule, False)
    refused = press_undo(client, done.headers["location"])
    assert refused.status_code == 409 and "no se deshizo nada" in refused.text
    assert not detect.read_rule(Operator(), scene.rule).is_enabled, "the other's decision stands"
    assert send(client, f"/rules/{scene.rule}/undo", enabled="on", at="ayer").status_code == 409
    detect.enable_rule(Operator(), scene.rule, True)


def test_many_are_switched_after_saying_how_many_and_back_again(whole: tuple[Site, Scene]) -> None:
    site, _ = whole
    client, detect = enter(site), site.node.detect
    detect.enable_rule(Operator(), "5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a12", False)
    asked = client.get("/rules/switch?to=off").text
    assert "2 reglas" in asked
    narrowed = client.get(
        "/rules/switch?to=off&level=low&enabled=on&hits=no&kind=rule&logsource=windows"
    ).text
    listed = re.findall(r"<li>([^<]+): <strong class=\"value\">([^<]+)</strong></li>", narrowed)
    assert listed == [
        ("Tipo", "Regla"),
        ("Nivel", "Bajo"),
        ("Estado", "Encendida"),
        ("Fuente de eventos", "windows"),
        ("Aciertos", "sin aciertos en 30 días"),
    ]
    assert send(client, "/rules/switch", to="off", expected="3").status_code == 409
    assert detect.list_rules(Operator(), RuleFilter(is_enabled=True)).total == 2, "nothing was changed"
    site.clock.advance(1)
    done = send(client, "/rules/switch", to="off", expected="2")
    assert done.status_code == 303 and detect.list_rules(Operator(), RuleFilter(is_enabled=True)).total == 0
    site.clock.advance(1)
    assert press_undo(client, done.headers["location"]).status_code == 303
    on = detect.list_rules(Operator(), RuleFilter(is_enabled=True)).items
    assert [one.title for one in on] == ["Failed to sign in", "PowerShell codificado"], (
        "what was off stays off"
    )
    detect.enable_rule(Operator(), "5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a12", True)


def test_an_exception_is_made_of_a_match_and_kept_though_no_worker_can_try_it(
    whole: tuple[Site, Scene],
) -> None:
    site, scene = whole
    client, at = enter(site), f"/rules/{scene.rule}"
    form = client.get(f"{at}/exception").text
    link = html.unescape(re.findall(r'href="([^"]+field=Image[^"]+)"', form)[0])
    assert "C:\\Windows\\System32\\svchost.exe</textarea>" in client.get(link).text
    tried = send(client, f"{at}/exception", **EXCEPTION)
    assert tried.status_code == 422 and 'value="keep"' in tried.text, "the worker is away: said so"
    assert "svc_respaldo</textarea>" in tried.text
    kept = send(client, f"{at}/exception", **EXCEPTION, do="keep")
    assert kept.status_code == 303
    (made,) = site.node.detect.exceptions_of(Operator(), scene.rule)
    assert (made.kind, made.author, made.description) == ("filter", "ana", "Corre cada noche")
    page = client.get(at).text
    assert "Respaldo &lt;nocturno&gt;" in page and "Corre cada noche" in page
    assert "<code>User</code> es igual a <code>svc_respaldo</code>" in page
    assert "De esta regla quedan 3 alertas abiertas" in page, "they came before the exception"
    (waiting,) = re.findall(r'href="(/alerts\?[^"]*group=subject[^"]*)"', page)
    queue = client.get(html.unescape(waiting)).text
    assert queue.count("<tr data-row") == 1 and "PowerShell codificado" in queue
    removed = send(client, f"/rules/{made.id}/switch", enabled="off", next=at)
    assert unquote(removed.headers["location"]) == at
    assert not site.node.detect.read_rule(Operator(), made.id).is_enabled
    assert press_undo(client, at).headers["location"] == at
    assert site.node.detect.read_rule(Operator(), made.id).is_enabled
    site.node.detect.enable_rule(Operator(), made.id, False)


def test_an_exception_that_somebody_else_has_put_in_force_again_is_not_taken_back(
    whole: tuple[Site, Scene],
) -> None:
    site, scene = whole
    client, detect = enter(site), site.node.detect
    kept = send(client, f"/rules/{scene.rule}/exception", **{**EXCEPTION, "name": "Dos"}, do="keep")
    (made,) = (one for one in detect.exceptions_of(Operator(), scene.rule) if one.title == "Dos")
    detect.enable_rule(Operator(), made.id, True)
    assert press_undo(client, kept.headers["location"]).status_code == 409
    assert detect.read_rule(Operator(), made.id).is_enabled
    detect.enable_rule(Operator(), made.id, False)


@pytest.mark.parametrize("language", ["es", "en"])
def test_what_is_wrong_with_an_exception_stands_beside_it_and_nothing_is_lost(
    whole: tuple[Site, Scene], language: str
) -> None:
    site, scene = whole
    client = enter(site, language=language)
    wrong = {**EXCEPTION, "operator": "re", "values": "(abierto"}
    refused = send(client, f"/rules/{scene.rule}/exception", **wrong, do="keep")
    assert refused.status_code == 422 and 'id="values-wrong"' in refused.text
    assert "(abierto</textarea>" in refused.text and "⟦" not in refused.text
    unnamed = send(client, f"/rules/{scene.rule}/exception", **{**EXCEPTION, "name": ""})
    assert 'id="name-wrong"' in unnamed.text and "svc_respaldo" in unnamed.text


def test_rules_are_brought_in_as_text_with_each_problem_at_its_line(whole: tuple[Site, Scene]) -> None:
    client = enter(whole[0])
    csrf = csrf_in(client.get("/rules/import").text)
    good = OTHERS.replace("0a11", "0b11").replace("0a12", "0b12")
    text = f"{good}---\ntitle: Roto\nlogsource: {{product: windows}}\ndetection: {{condition: nada}}\n"
    sent = client.post("/rules/import", data={"csrf": csrf, "text": text}, files={"file": ("", b"")})
    assert sent.status_code == 200 and "2 reglas quedaron" in sent.text
    assert re.search(r"texto pegado:?\d*|\.yml:\d+", sent.text) and "Roto" in sent.text
    assert "title: Roto" in sent.text, "what was pasted stays"
    by_file = client.post(
        "/rules/import", data={"csrf": csrf, "text": ""}, files={"file": ("r.yml", good.encode())}
    )
    assert "2 reglas quedaron" in by_file.text and "Nuevas: 0" in by_file.text


def test_a_text_that_is_replaced_is_shown_with_who_last_changed_it(whole: tuple[Site, Scene]) -> None:
    ana, luis = enter(whole[0]), enter(whole[0], "raiz")
    rule = OTHERS.split("---")[0].replace("0a11", "0c11")
    for client, text in ((ana, rule), (luis, rule.replace("level: ", "level:  ")), (luis, rule)):
        csrf = csrf_in(client.get("/rules/import").text)
        sent = client.post("/rules/import", data={"csrf": csrf, "text": text}, files={"file": ("", b"")})
        assert sent.status_code == 200
        told = html.unescape(sent.text)
        if client is ana:
            assert "Texto anterior" not in told
        elif text != rule:
            assert rule.strip() in told and "Último cambio: ana," in told
        else:
            assert "Último cambio: usted" in told


def test_a_trial_without_a_worker_says_so_in_words(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    page = enter(site).get(f"/rules/{scene.rule}/test?days=30")
    assert (
        page.status_code == 422 and 'id="wrong"' in page.text and '<option value="30" selected' in page.text
    )


def test_who_may_only_look_changes_nothing(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client, at = enter(site, "olga"), f"/rules/{scene.rule}"
    assert f"{at}/exception" not in client.get(at).text and "/rules/import" not in client.get("/rules").text
    for path in (f"{at}/exception", "/rules/import", "/rules/switch?to=off", f"{at}/test"):
        assert client.get(path).status_code == 403, path
    for path in (f"{at}/exception", f"{at}/undo", f"{at}/switch", "/rules/switch"):
        sent = send(
            client, path, **{**EXCEPTION, "to": "off", "enabled": "off", "expected": "1", "do": "keep"}
        )
        assert sent.status_code == 403, path
    assert site.node.detect.read_rule(Operator(), scene.rule).is_enabled
