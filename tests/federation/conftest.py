"""Sites for the tests of this room: made, served on real sockets, stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import Clock, SystemClock
from istmo.federation.service import Pace
from istmo.ledger import keys as node_keys
from istmo.model.ids import new_id
from istmo.settings import Settings
from line import Proxy

from .sites import COUNTRIES, Meddle, Site, join


@pytest.fixture(scope="session")
def key_store(tmp_path_factory: pytest.TempPathFactory) -> dict[str, node_keys.NodeKeys]:
    """Keys by country name, made once."""
    return {name: node_keys.create(tmp_path_factory.mktemp(name) / "keys") for name in COUNTRIES}


@pytest.fixture
def make_site(
    tmp_path: Path, key_store, make_database: Callable[[str], str]
) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(
        name: str,
        *,
        url: str | None = None,
        clock: Clock | None = None,
        meddle: Meddle | None = None,
        proxy: Proxy | None = None,
        serve: bool = True,
        **settings: Any,
    ) -> Site:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if proxy is not None:
            proxy.target = ("127.0.0.1", port)
            url = proxy.url
        scheme = "https" if settings.get("tls") == "own" else "http"
        folder = tmp_path / name.replace(" ", "")
        site = Site(
            name,
            folder,
            clock or SystemClock(),
            Settings(
                data=folder,
                name=f"CSIRT {name}",
                country=COUNTRIES[name],
                member=new_id("identity"),
                url=f"{scheme}://127.0.0.1:{port}" if url is None else url,
                port=port,
                database=make_database(COUNTRIES[name].lower()),
                **settings,
            ),
            key_store[name],
            listener,
            Pace(heartbeat=0.3, longest_wait=0.4, join_poll=0.05),
            meddle,
        )
        site.open()
        if serve:
            site.serve()
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.stop()
        site.listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


@pytest.fixture
def pair(make_site) -> tuple[Site, Site]:
    """Guatemala and Honduras in one region."""
    gt, hn = make_site("Guatemala"), make_site("Honduras")
    join(gt, hn)
    return gt, hn
