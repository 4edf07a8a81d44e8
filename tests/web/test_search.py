"""One search over everything that somebody may read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scenes import HOSTILE, Scene, fill
from web_site import Site, make_site

from istmo.clock import ManualClock
from istmo.web.pages import search


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


@pytest.fixture(scope="module")
def filled(real_site: Site) -> tuple[Site, Scene]:
    """A node to look into, with one of everything."""
    return real_site, fill(real_site.node)


def look(site: Site, query: str, name: str = "ana") -> str:
    with site.client() as client:
        site.sign_in(client, name)
        answer = client.get("/search", params={"q": query})
    assert answer.status_code == 200
    return answer.text.split("<main")[1]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("evil.example", "/objects/{0.indicator}"),
        ("EVIL[.]example", "/objects/{0.indicator}"),
        ("hxxp://evil[.]example", None),
        ("powershell codificado", "/rules/{0.rule}"),
        ("adjunto ministerio", "/cases/{0.case}"),
        ("tapir evil", "/alerts/{0.alert}"),
        ("guatemala", "/peers/identity--"),
        ("%", None),
        ("nothing of the kind", None),
    ],
)
def test_whatever_has_every_word_is_found(filled: tuple[Site, Scene], query: str, path: str | None) -> None:
    site, scene = filled
    told = look(site, query)
    if path is None:
        assert "Nada de lo que usted puede ver" in told
    else:
        assert f'href="{path.format(scene)}' in told


def test_kinds_of_objects_have_their_words(whole: Site) -> None:
    fill(whole.node)
    assert ">Indicador<" in look(whole, "evil.example")


def test_what_was_asked_for_can_be_looked_for_in_stored_events(whole: Site) -> None:
    assert 'href="/hunt?q=evil.example"' in look(whole, "evil.example")


def test_many_of_one_kind_lead_to_their_own_list(whole: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(whole.node)
    assert "/alerts?q=" not in look(whole, "powershell")
    monkeypatch.setattr(search, "SHOWN", 2)
    assert '/alerts?q=powershell&amp;status="' in look(whole, "powershell")


def test_hostile_words_stay_words(whole: Site) -> None:
    fill(whole.node, text=HOSTILE)
    told = look(whole, "<script>alert(1)</script>")
    assert "<script>alert" not in told and "<img src=x" not in told and "&lt;script&gt;" in told


def test_an_empty_search_says_what_is_searched(whole: Site) -> None:
    assert "Busca en objetos" in look(whole, "  ")
