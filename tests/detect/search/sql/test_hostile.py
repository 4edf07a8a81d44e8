"""SQL that wants out: to files, to the network, to other rooms of the process, or to all of the machine.

The lists of ``test_statement`` show what is refused as it is read. Here the reading is taken away, and what
runs DuckDB must hold by itself; then a process aside is asked for more than there is.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from istmo.detect.aside.jobs import FindRows, Found
from istmo.detect.aside.pool import Pool
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.search.sql import running
from istmo.detect.search.sql.statement import Statement
from istmo.detect.wire import Problem

from .asking import EVERYTHING, ask, fill, gathered, job

CANARY = "colibrí-4711"


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a store stands beside files that are nobody's business."""
    folder = tmp_path_factory.mktemp("around")
    for name in ("canary.csv", "canary.txt", "canary.json", "canary.parquet"):
        (folder / name).write_text(f'{{"a":"{CANARY}"}}\n')
    fill(folder / "events", [b'{"Image":"a%d.exe"}' % n for n in range(20)])
    return folder


@pytest.fixture(scope="module")
def folder(around: Path) -> EventFolder:
    return EventFolder(around / "events")


REACHING = [
    "FROM read_csv('{0}/canary.csv')",
    "FROM read_text('{0}/canary.txt')",
    "FROM read_blob('{0}/canary.txt')",
    "FROM read_json('{0}/canary.json')",
    "FROM read_ndjson_objects('{0}/canary.json')",
    "FROM read_parquet('{0}/canary.parquet')",
    "FROM '{0}/canary.csv'",
    "FROM '{0}/events/segments/*.parquet'",
    "FROM glob('{0}/*')",
    "FROM sniff_csv('{0}/canary.csv')",
    "FROM parquet_metadata('{0}/canary.parquet')",
    "FROM read_text('{0}/events/wal/00000005.ndjson')",
    "FROM read_text('/proc/self/environ')",
    "FROM read_text('/proc/self/fd/0')",
    "FROM read_blob('/dev/zero')",
    "FROM read_csv('https://example.org/a.csv')",
    "FROM read_parquet('s3://a/b')",
    "FROM 'http://127.0.0.1:1/a.parquet'",
    "FROM read_duckdb('{0}/x.db')",
    "SELECT getenv('CANARY')",
    "FROM query('SELECT * FROM read_text(''{0}/canary.txt'')')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{0}/canary.txt'')'))",
    "COPY (SELECT 1) TO '{0}/out.csv'",
    "SELECT 1) TO '{0}/out.csv'; --",
    "SELECT 1); COPY (SELECT 1) TO '{0}/out.csv'; SELECT (1",
    "SELECT 1); SET enable_external_access = true; SELECT (1",
    "SELECT 1); SET memory_limit = '1TB'; SELECT (1",
    "SELECT 1); ATTACH '{0}/x.db' AS x; SELECT (1",
    "SELECT 1); INSTALL httpfs; SELECT (1",
    "SELECT 1); LOAD '{0}/canary.txt'; SELECT (1",
    "SELECT 1); CREATE SECRET (TYPE s3); SELECT (1",
    "SELECT 1); DROP VIEW events; SELECT (1",
    "FROM folder",
    "FROM CANARY",
]


@pytest.mark.parametrize("text", REACHING)
def test_duckdb_itself_is_shut_in_should_the_reading_ever_let_something_through(
    folder: EventFolder, around: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("CANARY", CANARY)
    before = {path: path.stat().st_mtime_ns for path in around.rglob("*") if path.is_file()}
    monkeypatch.setattr(running, "read_statement", lambda _, sql: Statement(sql, frozenset({"image"}), False))
    columns, rows, problem = ask(folder, text.format(around))
    assert CANARY not in str((columns, rows, problem))
    assert rows == [] and problem is not None
    assert str(around) not in str(problem.params), "no path of the machine is told"
    assert {path: path.stat().st_mtime_ns for path in around.rglob("*") if path.is_file()} == before


def test_a_connection_for_sql_cannot_be_told_anything_else() -> None:
    connection = running._connect([])
    for setting in (
        "enable_external_access = true",
        "memory_limit = '1TB'",
        "threads = 8",
        "TimeZone = 'Asia/Tokyo'",
    ):
        with pytest.raises(running.duckdb_().Error):
            connection.execute(f"SET {setting}")
    found = connection.execute(
        """SELECT name, value FROM duckdb_settings() WHERE name IN (
            'enable_external_access', 'lock_configuration', 'autoload_known_extensions',
            'autoinstall_known_extensions', 'allow_community_extensions', 'python_enable_replacements',
            'allow_unsigned_extensions', 'max_temp_directory_size', 'threads')"""
    )
    told = dict(found.fetchall())
    assert told.pop("lock_configuration") == "true" and told.pop("threads") == "1"
    assert told.pop("max_temp_directory_size") == "0 bytes"
    assert set(told.values()) == {"false"} and len(told) == 6
    connection.close()


async def _aside(folder: EventFolder, texts: list[str], seconds: float) -> list[tuple[list[Found], float]]:
    pool = Pool(folder.root)
    told = []
    for text in texts:
        began = time.monotonic()
        told.append(([one async for one in pool.run(job(text, seconds=seconds))], time.monotonic() - began))
        assert not pool._busy and not pool._idle, "what ran SQL does nothing else"
    search = FindRows("Image:a7.exe", None, None, 10, EVERYTHING, 20.0)
    (*some, _) = [one async for one in pool.run(search)]
    assert sum(len(one.rows) for one in some) == 1, "the pool serves whoever comes next"
    await pool.close()
    return told


GREEDY = [
    "SELECT count(*) FROM range(1000000000000) a, range(1000) b WHERE a.range * b.range % 7 = 3",
    "WITH RECURSIVE t AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t",
    "SELECT length(repeat('x', 2000000000))",
    "SELECT lpad('x', 2000000000, 'y')",
    "SELECT list_sum(range(2000000000))",
    "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "SELECT repeat('x', 1000000) FROM range(4096)",
    "SELECT printf('%2000000000d', 3)",
    "SELECT list(range) FROM range(1000000000)",
]


@pytest.mark.parametrize("text", [GREEDY[0], GREEDY[2]])
def test_a_greedy_statement_ends_by_itself_or_is_ended(folder: EventFolder, text: str) -> None:
    _ends(folder, text)


@pytest.mark.long
@pytest.mark.parametrize("text", [GREEDY[1], *GREEDY[3:]])
def test_every_other_greedy_statement_ends_as_well(folder: EventFolder, text: str) -> None:
    _ends(folder, text)


def _ends(folder: EventFolder, text: str) -> None:
    ((found, took),) = asyncio.run(_aside(folder, [text], 1.0))
    _, rows, problem = gathered(found)
    assert problem is not None
    codes = ("detect.sql_cut_short", "detect.sql_memory", "detect.aside_failed", "detect.sql_cut_bytes")
    assert problem.code in codes, problem
    assert took < 1.0 + running.GRACE + 5
    assert sum(map(len, map(str, rows))) <= running.MOST_BYTES


def test_an_answer_is_cut_at_so_many_rows_and_at_so_many_bytes(folder: EventFolder) -> None:
    _, rows, problem = ask(folder, "FROM range(100)", limit=10)
    assert (len(rows), problem) == (10, Problem("", "detect.sql_cut_rows", {"limit": 10}))
    assert ask(folder, "FROM range(10)", limit=10)[2] is None
    _, rows, problem = ask(folder, "SELECT repeat('x', 1000000) FROM range(40)")
    assert 30 <= len(rows) < 40 and problem == Problem("", "detect.sql_cut_bytes", {"limit": 32})


def test_a_very_wide_answer_is_refused(folder: EventFolder) -> None:
    wide = ", ".join(["1"] * 1001)
    assert ask(folder, f"SELECT {wide}")[2] == Problem("", "detect.sql_too_wide", {"limit": 1000})


def test_whoever_leaves_ends_the_process(folder: EventFolder) -> None:
    async def go() -> None:
        pool = Pool(folder.root)
        answers = pool.run(job(GREEDY[0], seconds=60.0))
        assert not (await anext(answers)).done, "it is told that it goes on"
        (process,) = pool._busy
        await answers.aclose()
        assert process.returncode is not None and not pool._busy
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)
        await pool.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT Imag FROM events", "detect.sql_no_column"),
        ("SELECT CAST(Image AS INTEGER) FROM events", "detect.sql_failed"),
        ("SELECT sum(Image) FROM events", "detect.sql_failed"),
        ("SELECT 1 // 0, error('x')", "detect.sql_function"),
        ("SELECT regexp_matches(Image, '(') FROM events", "detect.sql_failed"),
        ("SELECT Image[", "detect.sql_syntax"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(folder: EventFolder, text: str, code: str) -> None:
    _, rows, problem = ask(folder, text)
    assert rows == [] and problem is not None and problem.code == code
    told = str(problem.params.get("detail", ""))
    assert len(told) <= 300 and told.isprintable() and "LINE" not in told


def test_a_column_that_no_event_has_is_told_with_those_that_are_like_it(folder: EventFolder) -> None:
    problem = ask(folder, "SELECT Imag FROM events")[2]
    assert problem == Problem("", "detect.sql_no_column", {"name": "Imag", "near": "Image"})


def test_patterns_that_would_take_for_ever_elsewhere_do_not(folder: EventFolder) -> None:
    text = (
        "SELECT regexp_matches(repeat('a', 30000) || 'b', '(a|aa)+$'), regexp_matches('a', '(a{0,900}){9}')"
    )
    began = time.monotonic()
    ask(folder, text)
    assert time.monotonic() - began < 10


def test_values_of_every_kind_are_json(folder: EventFolder) -> None:
    text = r"""SELECT 1.5::DECIMAL(9, 2), [1, 2], {'a': 'b'}, map {'a': 1}, DATE '2026-03-02', TIME '10:00',
        TIMESTAMP '2026-03-02 09:00:00', TIMESTAMPTZ '2026-03-02 09:00:00-06:00', INTERVAL 1 DAY,
        'a\xC3'::BLOB, NULL, 170141183460469231731687303715884105727::HUGEINT, 'NaN'::DOUBLE, true,
        '{"a": [1]}'::JSON, 9007199254740993"""
    columns, rows, problem = ask(folder, text)
    assert problem is None
    (row,) = rows
    assert len(columns) == len(row)
    assert row == [
        1.5, [1, 2], {"a": "b"}, {"a": 1}, "2026-03-02", "10:00:00", "2026-03-02T09:00:00.000000Z",
        "2026-03-02T15:00:00.000000Z", "1 day", r"a\xC3", None, str(2**127 - 1), None, True, {"a": [1]},
        9007199254740993,
    ]  # fmt: skip
