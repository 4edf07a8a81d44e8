"""Statements over sealed events answer as over plain ones, and nothing of them is on the disk in clear."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest

from istmo.clock import SystemClock
from istmo.detect.eventstore.columns import column_name
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.log import EventLog
from istmo.detect.eventstore.rewriting import rewrite, tidy
from istmo.detect.eventstore.sealing import NO_KEYS, Keys
from istmo.detect.eventstore.wal import WriteAhead, WriteAheadReader
from istmo.detect.search.sql import lines, opened

from .asking import ask, fill, rows

SEALS = Keys([b"k" * 32])
STATEMENTS = [
    "SELECT id, User, n FROM events ORDER BY id",
    "SELECT User, count(*) AS n FROM events GROUP BY User ORDER BY User",
    "SELECT * FROM events ORDER BY id",
    "SELECT event FROM events ORDER BY id",
]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventFolder, EventFolder]:
    """The same events plain and sealed: closed segments, one that waits, one that is open."""
    root = tmp_path_factory.mktemp("events")
    events = [orjson.dumps({"n": n, "User": f"u{n % 3}", "UtcTime": "2026-03-02 09:00"}) for n in range(40)]
    plain = fill(root / "plain", events)
    shutil.copytree(root / "plain", root / "sealed")
    sealed = EventFolder(root / "sealed", SEALS)
    for old in sealed.closed():
        rewrite(sealed, [old], {})
    tidy(sealed)
    for segment in sealed.wal_segments():
        path = sealed.wal_path(segment)
        reader = WriteAheadReader(path)
        found = reader.read()
        reader.close()
        path.unlink()
        wal = WriteAhead(path, SEALS)
        wal.append(b"".join(found), len(found))
        wal.close()
    EventLog(sealed.root, SystemClock(), SEALS).close()
    return plain, sealed


@pytest.mark.parametrize("sql", STATEMENTS)
def test_sealed_events_answer_as_plain_ones(stores: tuple[EventFolder, EventFolder], sql: str) -> None:
    plain, sealed = stores
    assert rows(sealed, sql) == rows(plain, sql)


def test_lines_for_a_statement_over_sealed_events_are_in_memory(
    stores: tuple[EventFolder, EventFolder],
) -> None:
    for folder, is_sealed in zip(stores, (False, True), strict=True):
        with lines._unnamed(folder) as file:
            held = str(Path(f"/proc/self/fd/{file.fileno()}").readlink())
        assert held.startswith("/memfd:") == is_sealed


def test_without_the_key_a_statement_says_that_it_did_not_see_everything(
    stores: tuple[EventFolder, EventFolder],
) -> None:
    _, told, problem = ask(EventFolder(stores[1].root, NO_KEYS), "SELECT id FROM events")
    assert told == []
    assert problem is not None


def test_more_than_fits_into_memory_is_refused(
    stores: tuple[EventFolder, EventFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in (("MOST_BYTES", 1_000), ("_SHARE", 1 << 30)):
        with monkeypatch.context() as patched:
            patched.setattr(opened, name, bound)
            _, told, problem = ask(stores[1], "SELECT n FROM events")
        assert told == []
        assert problem is not None
        assert problem.code == "detect.sql_too_many_lines"


def test_of_each_segment_the_columns_asked_for_alone_lie_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that many segments fit into a bound that few of them would pass whole."""
    wide = {f"Field{n}": "x" * 40 for n in range(40)}
    made = [orjson.dumps({"n": n, **wide, "Salt": f"{n * 7919}"}) for n in range(120)]
    sealed = EventFolder(fill(tmp_path / "wide", made, segments=12).root, SEALS)
    for old in sealed.closed():
        rewrite(sealed, [old], {})
    tidy(sealed)
    whole = sum(sealed.columns_path(one).stat().st_size for one in sealed.closed())
    monkeypatch.setattr(opened, "MOST_BYTES", whole // 3)
    assert rows(sealed, "SELECT count(*), count(DISTINCT n), sum(TRY_CAST(Salt AS INT)) FROM events") == [
        [120, 120, sum(n * 7919 for n in range(120))]
    ]
    _, told, problem = ask(sealed, "SELECT * FROM events")
    assert told == [] and problem is not None and problem.code == "detect.sql_too_many_lines"


def test_hundreds_of_segments_lie_open_together_and_none_after(
    stores: tuple[EventFolder, EventFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "_SHARE", 1)
    some = opened.OpenedColumns(stores[1])
    paths = {some.open(stores[1].closed()[0], [column_name("n")]) for _ in range(300)}
    some.close()
    assert len(paths) == 300 and not any(path.exists() for path in paths)
