"""Working on sources in the console: found, paused and taken again, a token changed, a first event seen."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from scenes import Scene, fill
from web_site import Site, csrf_in, make_site

from istmo.clock import ManualClock, SystemClock
from istmo.detect.objects_source import Sent
from istmo.detect.reading import FORMS
from istmo.detect.records import sources
from istmo.detect.service.sources import SECRET_PREFIX
from istmo.policy.principals import Operator


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Scene]]:
    site = make_site(tmp_path_factory.mktemp("sources"), ManualClock(SystemClock().now()), rooms=None)
    yield site, fill(site.node)
    site.node.store.close()


def enter(site: Site, name: str = "raiz", language: str = "es") -> TestClient[Litestar]:
    client = site.client(**{"Accept-Language": language})
    site.sign_in(client, name)
    return client


def send(client: TestClient[Litestar], path: str, **values: str):  # type: ignore[no-untyped-def]
    csrf = csrf_in(client.get("/sources").text)
    return client.post(path, data={**values, "csrf": csrf}, follow_redirects=False)


def press_undo(client: TestClient[Litestar], page: str):  # type: ignore[no-untyped-def]
    """What the button of a page's notice does."""
    form = re.search(r'action="([^"]+/undo)">(.*?)</form>', page, re.DOTALL)
    assert form, page
    fields = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form[2]))
    return client.post(form[1], data=fields, follow_redirects=False)


def digest_of(site: Site, source: str) -> bytes:
    with site.node.store.read() as connection:
        known = sources.valid_digests(connection, site.clock.now())
    return next(digest for one, digest in known if one.id == source)


def names(page: str) -> list[str]:
    return re.findall(r'<a class="value" href="/sources/[^"]+">([^<]+)</a>', page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=silent", ["Cortafuegos de la sede"]),
        ("state=waiting", ["Servidor de correo"]),
        ("q=SEDE+corta", ["Cortafuegos de la sede"]),
        ("state=revoked", []),
    ],
)
def test_sources_are_found_by_state_and_words(
    whole: tuple[Site, Scene], query: str, found: list[str]
) -> None:
    client = enter(whole[0], "ana")
    page = client.get(f"/sources?{query}").text
    assert names(page) == found
    assert [one["name"] for one in client.get(f"/api/v1/sources?{query}").json()["items"]] == found


def test_each_format_of_lines_is_offered_in_words(whole: tuple[Site, Scene]) -> None:
    page = enter(whole[0]).get("/sources/new").text
    offered = dict(re.findall(r'<option value="(\w+)">([^<]+)</option>', page[page.index('name="form"') :]))
    assert set(offered) == set(FORMS) and all(offered[one] != one for one in FORMS)


def test_what_came_in_the_last_hour_is_drawn_and_told(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client = enter(site, "ana")
    assert '<svg class="sparkline"' in client.get("/sources").text
    assert "9000 eventos" in client.get(f"/sources/{scene.source}").text
    told = client.get(f"/api/v1/sources/{scene.source}").json()["last_hour"]["minutes"]
    assert (len(told), sum(told)) == (60, 9_000)


def test_a_source_that_is_sent_twice_is_made_once(whole: tuple[Site, Scene]) -> None:
    site = whole[0]
    client = enter(site)
    assert "istmo_src_" in send(client, "/sources", name="Área de Señales").text
    again = send(client, "/sources", name="ÁREA de señales")
    assert "istmo_src_" not in again.text and 'value="ÁREA de señales"' in again.text
    again = send(client, "/sources", name="Área de Señales")
    assert "istmo_src_" not in again.text and 'id="name-wrong"' in again.text
    made = [one.name for one in site.node.detect.sources(Operator()) if "rea de" in one.name]
    assert made == ["Área de Señales"]


def test_a_source_is_paused_and_taken_again(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client, at = enter(site), f"/sources/{scene.source}"
    assert send(client, f"{at}/pause", paused="on").status_code == 303
    page = client.get(at).text
    assert "no se recibe nada" in page
    assert client.get(f"/api/v1{at}").json()["state"] == "paused"
    with site.node.store.read() as connection:
        watched = [one.id for one in sources.watched_for_silence(connection) if one.silence is None]
    assert scene.source not in watched, "nobody is told of a silence that was asked for"
    assert press_undo(client, page).status_code == 303
    assert client.get(f"/api/v1{at}").json()["paused"] is None


@pytest.mark.parametrize("is_paused", [True, False])
def test_a_pause_or_its_end_is_not_taken_back_once_somebody_else_has_decided(
    whole: tuple[Site, Scene], is_paused: bool
) -> None:
    site, scene = whole
    client, at, detect = enter(site), f"/sources/{scene.source}", site.node.detect
    detect.pause_source(Operator(), scene.source, not is_paused)
    send(client, f"{at}/pause", paused="on" if is_paused else "off")
    page = client.get(at).text
    for once_more in (not is_paused, is_paused):
        site.clock.advance(1)
        detect.pause_source(Operator(), scene.source, once_more)
    refused = press_undo(client, page)
    assert refused.status_code == 409 and "no se deshizo nada" in refused.text
    assert (detect.read_source(Operator(), scene.source).paused is not None) is is_paused
    detect.pause_source(Operator(), scene.source, False)


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_new_token_is_shown_once_and_the_old_one_is_over(whole: tuple[Site, Scene], language: str) -> None:
    site, scene = whole
    client, before = enter(site, language=language), digest_of(site, scene.source)
    made = send(client, f"/sources/{scene.source}/token")
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    (secret,) = set(re.findall(rf"{SECRET_PREFIX}[A-Za-z0-9_-]+", made.text))
    assert digest_of(site, scene.source) == hashlib.sha256(secret.encode()).digest() != before
    assert secret not in client.get(f"/sources/{scene.source}").text
    assert "output.elasticsearch" in made.text


def test_the_first_event_is_waited_for_and_told(whole: tuple[Site, Scene]) -> None:
    site, _ = whole
    source, _ = site.node.detect.create_source(Operator(), "Nueva")
    client, at = enter(site, "ana"), f"/sources/{source.id}"
    waiting = client.get(at).text
    assert 'hx-trigger="every 3s"' in waiting and "Esperando el primer evento" in waiting
    with site.node.store.write() as tx:
        sources.count_events(tx.connection, [Sent(source.id, 1, 0, site.clock.now() - timedelta(seconds=2))])
    came = client.get(at).text
    assert "Llegó el primer evento" in came and 'id="first" hx-get' not in came


def test_who_may_only_read_changes_nothing(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    client, before = enter(site, "ana"), digest_of(site, scene.source)
    for what in ("pause", "undo", "token"):
        assert send(client, f"/sources/{scene.source}/{what}", paused="on").status_code == 403
    assert digest_of(site, scene.source) == before
    assert site.node.detect.read_source(Operator(), scene.source).paused is None
