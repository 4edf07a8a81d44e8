"""A list costs the database as many statements however many rows it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crowds import crowd
from litestar import Litestar
from litestar.testing import TestClient
from scenes import fill
from sqlalchemy import Engine, event
from web_site import Site, make_site

from istmo.clock import ManualClock


@pytest.fixture
def site(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile, to whatever database."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def cost(client: TestClient[Litestar], path: str, rows: Callable[[str], int]) -> tuple[int, int]:
    """How many rows an answer has, and how many statements it took."""
    client.get(path)  # what is made once is made
    with counted() as found:
        answer = client.get(path)
    assert answer.status_code == 200
    return rows(answer.text), len(found)


@pytest.mark.parametrize(
    ("path", "mark"),
    [
        ("/administration/people", "data-row"),
        ("/api/v1/accounts", '"name"'),
        ("/notices", "data-row"),
        ("/api/v1/objects/export", '"pattern"'),
    ],
)
def test_more_rows_take_no_more_statements(site: Site, path: str, mark: str) -> None:
    who = "raiz" if path.startswith(("/administration", "/api/v1/accounts")) else "rosa"
    scene = fill(site.node)
    with site.client() as client:
        site.sign_in(client, who)
        few, statements = cost(client, path, lambda text: text.count(mark))
        crowd(site.node, "de muchas", 30, scene.indicator)
        site.node.notices.telling.tell({})
        many, after = cost(client, path, lambda text: text.count(mark))
    assert many >= few + 20 and after <= statements, f"{few} rows: {statements}; {many} rows: {after}"
