"""Sources in the console: seen by those who may, connected with a token that is shown once, and changed."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient
from scenes import Scene, fill
from web_site import PASSWORD, Site, csrf_in, make_site

from istmo.clock import ManualClock, SystemClock
from istmo.detect.service.sources import SECRET_PREFIX
from istmo.policy.principals import Operator, Role


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Scene]]:
    folder: Path = tmp_path_factory.mktemp("sources")
    clock = ManualClock(SystemClock().now())
    site = make_site(folder, clock, rooms=None, intake_host="0.0.0.0", url="https://nodo.example", tls="own")
    site.node.identity.create_account(Operator(), "olga", Role.OBSERVER, PASSWORD)
    yield site, fill(site.node)
    site.node.store.close()


def enter(site: Site, name: str, language: str = "es") -> TestClient[Litestar]:
    client = site.client(**{"Accept-Language": language})
    client.base_url = "https://nodo.example"
    site.sign_in(client, name)
    return client


def send(client: TestClient[Litestar], at: str, path: str, **values: str) -> Response:
    csrf = csrf_in(client.get(at).text)
    return client.post(path, data={**values, "csrf": csrf}, follow_redirects=False)


@pytest.mark.parametrize("language", ["es", "en"])
def test_an_analyst_reads_what_a_source_sends_and_why_some_was_no_good(
    whole: tuple[Site, Scene], language: str
) -> None:
    site, scene = whole

    def text(key: str, **params: str) -> str:
        return site.node.catalogue.text(language, key, **params)

    client = enter(site, "ana", language)
    listed = client.get("/sources").text
    assert "Cortafuegos de la sede" in listed and text("detect.source.state.silent") in listed
    assert text("detect.source.state.waiting") in listed and "/sources/new" not in listed
    shown = html.unescape(client.get(f"/sources/{scene.source}").text)
    for key in (
        "error.detect.line_not_json",
        "error.detect.line_not_json.remedy",
        "console.source.is_silent",
    ):
        assert text(key) in shown
    assert text("console.source.late", lag="6 h") in shown
    assert "1\u202f048\u202f576" in shown, "the node's own bound is told"
    assert "America/Tegucigalpa" in shown and f"/sources/{scene.source}/settings" not in shown
    (alert,) = re.findall(r"/alerts/(x-istmo-alert--[0-9a-f-]+)", shown)
    about = html.unescape(client.get(f"/alerts/{alert}").text)
    assert text("console.alert.title.source", name="Cortafuegos de la sede") in about
    assert text("detect.silence.check") in about


def test_an_observer_sees_no_source_by_any_path(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client = enter(site, "olga")
    assert "/sources" not in client.get("/").text
    for path in ("/sources", f"/sources/{scene.source}", "/sources/new"):
        assert client.get(path).status_code == 403
    assert "Cortafuegos" not in client.get("/alerts?status=").text
    assert client.get("/api/v1/sources").status_code == 403


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_token_is_shown_once_with_what_to_put_where(whole: tuple[Site, Scene], language: str) -> None:
    site, _ = whole
    client = enter(site, "raiz", language)
    name = f"proxy <b>{language}</b>"
    made = send(client, "/sources/new", "/sources", name=name, silent_after="2h")
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    (secret,) = set(re.findall(rf"{SECRET_PREFIX}[A-Za-z0-9_-]+", made.text))
    port = site.node.settings.intake_port
    assert f"https://nodo.example:{port}/api/v1/events" in made.text
    assert "omelasticsearch" in made.text and "output.elasticsearch" in made.text
    assert "proxy &lt;b&gt;" in made.text
    source = next(one for one in site.node.detect.sources(Operator()) if one.name == name)
    assert source.settings.silent_after == 7200
    for path in ("/sources", f"/sources/{source.id}", "/sources/new"):
        assert secret not in client.get(path).text


def test_what_was_typed_stays_where_something_stands_against_it(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client = enter(site, "raiz")
    wrong = {
        "name": "cámaras", "networks": "10.1.2.3/16", "time_zone": "America/Lima", "certificate": "",
        "form": "", "rate": "", "silent_after": "",
    }  # fmt: skip
    refused = send(client, "/sources/new", "/sources", **wrong)
    assert refused.status_code == 422
    assert "10.1.2.3/16</textarea>" in refused.text and "America/Lima" in refused.text
    assert 'id="networks-wrong"' in refused.text and "10.1.0.0/16" in refused.text
    assert all(one.name != "cámaras" for one in site.node.detect.sources(Operator()))
    del wrong["name"]
    at = f"/sources/{scene.source}"
    refused = send(client, at, f"{at}/settings", **wrong)
    assert refused.status_code == 422 and "10.1.2.3/16</textarea>" in refused.text
    kept = site.node.detect.read_source(Operator(), scene.source).settings
    assert kept.zone == "America/Tegucigalpa"


def test_settings_are_changed_and_a_source_is_revoked(whole: tuple[Site, Scene]) -> None:
    site, _ = whole
    source, _ = site.node.detect.create_source(Operator(), "impresoras", settings={"rate": 5})
    client, at = enter(site, "raiz"), f"/sources/{source.id}"
    settings = {"networks": "10.7.0.0/16\n10.8.0.1", "form": "syslog", "rate": "900"}
    done = send(client, at, f"{at}/settings", version=source.version, name="impresoras", **settings)
    assert (done.status_code, done.headers["location"]) == (303, at)
    now = site.node.detect.read_source(Operator(), source.id).settings
    assert (now.networks, now.form, now.rate) == (
        ("10.7.0.0/16", "10.8.0.1/32"), "syslog", 900
    )  # fmt: skip
    assert 'value="900"' in client.get(at).text
    assert send(client, at, f"{at}/revoke").status_code == 303
    assert f"{at}/settings" not in client.get(at).text
    assert "impresoras" not in client.get("/sources").text
    assert "impresoras" in client.get("/sources?all").text
    assert send(client, "/sources", f"{at}/settings", rate="1").status_code == 404


def test_two_administrators_at_once_are_both_shown_and_the_first_is_not_written_over(
    whole: tuple[Site, Scene],
) -> None:
    site, _ = whole
    source, _ = site.node.detect.create_source(Operator(), "cámaras", settings={"rate": 5})
    at, named = f"/sources/{source.id}", {"name": "cámaras"}
    one, other = enter(site, "raiz"), enter(site, "raiz")
    seen = [version_in(client.get(at).text) for client in (one, other)]
    assert send(one, at, f"{at}/settings", version=seen[0], rate="700", **named).status_code == 303
    wrong = send(other, at, f"{at}/settings", version=seen[1], rate="muchos", form="syslog", **named)
    assert wrong.status_code == 422 and version_in(wrong.text) == seen[1], "a slip of the pen hides nothing"
    late = send(
        other, at, f"{at}/settings", version=version_in(wrong.text), rate="900", form="syslog", **named
    )
    assert late.status_code == 409
    assert site.node.detect.read_source(Operator(), source.id).settings.rate == 700
    assert "700" in late.text and 'value="900"' in late.text
    assert "<td" in late.text and ">Reconocer al leer<" in late.text, "formats are told in words"
    again = send(
        other, at, f"{at}/settings", version=version_in(late.text), rate="900", form="syslog", **named
    )
    assert again.status_code == 303, "knowing both, they decide"
    assert site.node.detect.read_source(Operator(), source.id).settings.rate == 900


def test_a_source_is_called_otherwise_where_no_other_is_called_so(whole: tuple[Site, Scene]) -> None:
    site, _ = whole
    detect = site.node.detect
    source, _ = detect.create_source(Operator(), "Proxi", settings={"form": "pairs"})
    client, at = enter(site, "raiz"), f"/sources/{source.id}"
    form = client.get(at).text
    assert 'name="name" type="text" value="Proxi"' in form
    assert 'value="pairs" selected>Pares clave=valor' in form
    taken = send(client, at, f"{at}/settings", version=source.version, name="servidor DE correo")
    assert (
        taken.status_code == 422
        and 'id="name-wrong"' in taken.text
        and detect.read_source(Operator(), source.id).name == "Proxi"
    )
    done = send(client, at, f"{at}/settings", version=source.version, name=" Proxy  central ", form="pairs")
    assert done.status_code == 303 and detect.read_source(Operator(), source.id).name == "Proxy central"
    late = send(client, at, f"{at}/settings", version=source.version, name="Proxy", form="pairs")
    assert late.status_code == 409 and "Proxy central" in late.text, "renamed since it was seen"
    named = send(
        client, at, f"{at}/settings", version=version_in(late.text), name="PROXY central", form="pairs"
    )
    assert named.status_code == 303, "its own name is no other's"


def test_a_page_without_sources_has_one_way_to_what_a_source_is(whole: tuple[Site, Scene]) -> None:
    site, _ = whole
    everything = [one.id for one in site.node.detect.sources(Operator())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.node.detect, "sources", lambda *_: [])
        page = enter(site, "ana").get("/sources").text
    assert page.count('href="/glossary#term-source"') == 1 and "que ya no env" not in page
    assert everything and enter(site, "ana").get("/sources").text.count('href="/glossary#term-source"') == 1


def version_in(html: str) -> str:
    found = re.search(r'name="version" value="([^"]*)"', html)
    assert found
    return found[1]


def test_who_may_only_read_changes_nothing(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client = enter(site, "ana")
    at = f"/sources/{scene.source}"
    for path in ("/sources", f"{at}/settings", f"{at}/revoke"):
        assert send(client, at, path, name="otra", rate="1").status_code == 403
    assert site.node.detect.read_source(Operator(), scene.source).settings.rate == 0


def test_an_expired_source_says_so(whole: tuple[Site, Scene]) -> None:
    site, _ = whole
    until = site.node.clock.now() + timedelta(seconds=5)
    source, _ = site.node.detect.create_source(Operator(), "pasajera", expires=until)
    site.clock.advance(6)
    assert "Vencida" in enter(site, "ana").get(f"/sources/{source.id}").text
