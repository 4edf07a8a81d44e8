"""What a page weighs on the wire, where every list is longer than a page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from reading import paths_of, peer_of
from scenes import fill
from web_site import Site, make_site

from istmo.clock import ManualClock

LATER, FIRST = 30_000, 100_000
ON_PAPER = "/report"
"""A case as it is printed: whole, however long it is."""


@pytest.fixture(scope="module")
def paths_and_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], Site]]:
    from datetime import UTC, datetime

    clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    site = make_site(tmp_path_factory.mktemp("node"), clock, rooms=None)
    scene = fill(site.node, alerts=40, many=120)
    yield paths_of(site.app, scene, peer_of(site.node)), site
    site.node.store.close()


def test_every_page_is_small_and_what_it_names_with_it(paths_and_site: tuple[list[str], Site]) -> None:
    paths, site = paths_and_site
    pages, named = {}, {}
    with site.client() as rosa, site.client() as raiz:
        site.sign_in(rosa, "rosa")
        site.sign_in(raiz, "raiz")

        def weigh(path: str) -> tuple[int, str]:
            client = raiz if path.startswith(("/administration", "/sources/new")) else rosa
            with client.stream("GET", path) as answer:
                sent = b"".join(answer.iter_raw())
                head = sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
            text = client.get(path).text if path.startswith("/static/") is False else ""
            return len(sent) + head, text

        for path in paths:
            pages[path], html = weigh(path)
            assets = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html))
            for one in assets - set(named):
                named[one], _ = weigh(one)
            first = pages[path] + sum(named[one] for one in assets)
            assert first <= FIRST, f"{path}: {first} bytes at the first load"
    assert {path for path, size in pages.items() if size > LATER and not path.endswith(ON_PAPER)} == set()
    assert len(named) > 6
