"""Which statements are taken, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import duckdb
import pytest

from istmo.detect.search.sql.functions import FUNCTIONS, TABLE_FUNCTIONS
from istmo.detect.search.sql.statement import LONGEST, read_statement
from istmo.errors import IstmoError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@pytest.fixture(scope="module")
def parser() -> Iterator[DuckDBPyConnection]:
    connection = duckdb.connect()
    yield connection
    connection.close()


TAKEN = [
    "SELECT Image, count(*) AS n FROM events WHERE EventID = '1' GROUP BY ALL ORDER BY n DESC LIMIT 5",
    "FROM events",
    "TABLE events",
    "DESCRIBE events",
    "SUMMARIZE SELECT Image FROM events",
    "VALUES (1), (2)",
    "select e.Image from EVENTS e join events f using (User) where e.time between f.time and now()",
    "WITH a AS (SELECT Image FROM events), b AS (SELECT * FROM a) SELECT * FROM b",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
    "SELECT Image, row_number() OVER (PARTITION BY host ORDER BY time) FROM events QUALIFY rank() OVER "
    "(PARTITION BY User ORDER BY time DESC) = 1",
    "SELECT unnest(string_split(Data, chr(10))) FROM events",
    "SELECT list_transform([1, 2], lambda x: x + 1), [x for x in [1, 2] if x > 1]",
    "SELECT event->>'$.a', json_extract_string(event, '$.b') FROM events",
    "SELECT date_trunc('hour', time), extract(year FROM time), time AT TIME ZONE 'UTC' FROM events;",
    "SELECT 1 UNION SELECT 2 EXCEPT SELECT 3",
    "SELECT * FROM events ASOF JOIN events e2 USING (host, time)",
    "SELECT DISTINCT ON (host) host, time FROM events -- a remark",
    "/* one */ SELECT /* two */ 'DROP TABLE events; --' FROM events",
    "SELECT * FROM range(10), (SELECT 1)",
    "SELECT TRY_CAST(DestinationPort AS INTEGER) < 1024, Image SIMILAR TO '.*a', Image GLOB 'a*' FROM events",
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_reads_events_and_calculates_is_taken(parser: DuckDBPyConnection, text: str) -> None:
    found = read_statement(parser, text)
    again = read_statement(parser, found.text)
    assert (again.names, again.is_all) == (found.names, found.is_all), "what runs is what was judged"


REFUSED = {
    "detect.sql_not_select": [
        "INSERT INTO events VALUES (1)", "DELETE FROM events", "UPDATE events SET a = 1", "DROP VIEW events",
        "CREATE TABLE a AS SELECT 1", "COPY events TO '/tmp/x'", "COPY (SELECT 1) TO '/tmp/x.parquet'",
        "ATTACH '/tmp/x.db' AS x", "DETACH x", "INSTALL httpfs", "LOAD httpfs", "SET memory_limit = '1TB'",
        "RESET memory_limit", "PRAGMA database_list", "CALL duckdb_settings()", "EXPORT DATABASE '/tmp/x'",
        "IMPORT DATABASE '/tmp/x'", "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1", "USE main", "CHECKPOINT",
        "BEGIN", "VACUUM", "PREPARE a AS SELECT 1", "EXECUTE a", "CREATE MACRO a() AS 1", "PIVOT events ON a",
        "CREATE SECRET (TYPE s3)", "SET VARIABLE a = 1", "SELECT 1; COPY events TO 'x'",
        "FROM (PIVOT events ON a USING count(*))",
    ],
    "detect.sql_not_one": ["", " ", ";", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1;; FROM events"],
    "detect.sql_table": [
        "FROM '/etc/passwd'", "FROM 'a.parquet'", 'FROM "a.csv"', "FROM 'https://x.example/a.csv'",
        "FROM main.events", "FROM memory.main.events", "FROM information_schema.tables", "FROM sqlite_master",
        "FROM pg_catalog.pg_class", "FROM duckdb_tables", "FROM other", 'FROM "/proc/self/environ"',
        "WITH \"a.csv\" AS (SELECT 1) SELECT * FROM 'a.csv'", "WITH events AS (SELECT 1) FROM events",
        "WITH duckdb_tables AS (SELECT 1) FROM duckdb_tables", "FROM (WITH a AS (SELECT 1) FROM a), a",
        "SELECT (SELECT max(x) FROM 'a.csv') FROM events", "SELECT 1 WHERE EXISTS (FROM 'a.csv')",
        "SELECT 1 ORDER BY (FROM 'a.csv')", "SELECT 1 LIMIT (FROM 'a.csv')", "FROM events, LATERAL (FROM x)",
        "SELECT count(*) FILTER (WHERE 1 IN (FROM 'a.csv')) FROM events", "FROM python_variable",
    ],
    "detect.sql_function": [
        "FROM read_csv('/etc/passwd')", "FROM read_text('/etc/passwd')", "FROM read_blob('/etc/passwd')",
        "FROM read_parquet('a')", "FROM parquet_scan('a')", "FROM read_json('a')", "FROM glob('/etc/*')",
        "FROM parquet_metadata('a')", "FROM sniff_csv('a')", "FROM duckdb_settings()",
        "FROM duckdb_secrets()",
        "FROM duckdb_views()", "FROM query('SELECT 1')", "FROM query_table('events')",
        "FROM json_execute_serialized_sql('')", "FROM pragma_database_size()", "FROM which_secret('a', 'b')",
        "SELECT getenv('HOME')", "SELECT getvariable('a')", "SELECT current_setting('temp_directory')",
        "SELECT current_query()", "SELECT nextval('a')", "SELECT write_log('a')", "SELECT sleep_ms(100000)",
        "SELECT pg_sleep(9)", "SELECT json_serialize_sql('SELECT 1')", "SELECT sql_auto_complete('a')",
        "SELECT pg_get_viewdef(1)", "SELECT version()", "SELECT main.upper('a')",
        "SELECT system.main.upper('a')",
        "SELECT 'a'.getvariable()", "SELECT list_transform(['a'], lambda x: getvariable(x))",
        "SELECT * FROM events WHERE getvariable(Image) = '1'", "FROM repeat(1, 1000000000)",
        "FROM test_all_types()", "SELECT vector_type(1)", "SELECT \"GetVariable\"('a')", "FROM seq_scan('a')",
    ],
    "detect.sql_construct": [
        "WITH a AS (DELETE FROM events RETURNING *) FROM a", "WITH a AS (INSERT INTO events VALUES (1) "
        "RETURNING *) FROM a", "SELECT ?", "SELECT $1", "SELECT $a", "SHOW TABLES", "FROM (SHOW TABLES)",
        "SHOW ALL TABLES", "FROM events TABLESAMPLE 10%", "FROM events AT (VERSION => 1)",
        "SELECT a::main.b FROM events", "UNPIVOT events ON a",
    ],
    "detect.sql_syntax": [
        "SELEC", "SELECT * FROM", "SELECT * FROM events FOR UPDATE", "nonsense", "SELECT 'a", "SELECT \x00",
        "SELECT * FROM events |> WHERE a", "\ufeffSELECT\u2028", "(" * 900, "SELECT '\ud800'",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, some in REFUSED.items() for text in some])
def test_everything_else_is_refused_by_its_name(parser: DuckDBPyConnection, code: str, text: str) -> None:
    with pytest.raises(IstmoError) as refused:
        read_statement(parser, text)
    assert refused.value.code == code, refused.value


OUT = "x) FROM read_text('/etc/passwd') --"


@pytest.mark.parametrize(
    "text",
    [
        'SELECT a COLLATE "{0}" FROM events',
        'SELECT CAST(a AS "{0}") FROM events',
        'SELECT CAST(a AS STRUCT("{0}" INT)) FROM events',
        'SELECT struct_pack("{0}" := 1)',
        'SELECT * FROM events AS "{0}"("{0}")',
        'SELECT list_transform([1], lambda "{0}": 1)',
        'SELECT * EXCLUDE ("{0}") FROM events',
        'SELECT * RENAME (a AS "{0}") FROM events',
        'SELECT * REPLACE (1 AS "{0}") FROM events',
        'SELECT sum(a) OVER "{0}" FROM events WINDOW "{0}" AS (ORDER BY b)',
        'SELECT * FROM events JOIN events b USING ("{0}")',
        'WITH t("{0}") AS (SELECT 1) FROM t',
        'SELECT "{0}".*, 1 AS "{0}" FROM events "{0}"',
        "SELECT $$ {0} $$, '{1}', DATE '{1}', {{'{1}': 1}}, map {{'{1}': 1}}",
    ],
)
def test_a_name_stays_a_name_when_the_statement_is_written_anew(
    parser: DuckDBPyConnection, text: str
) -> None:
    found = read_statement(parser, text.format(OUT, OUT.replace("'", "''")))
    assert read_statement(parser, found.text).text == found.text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "-(" * 3000 + "1" + ")" * 3000,
        "SELECT " + " + ".join(["1"] * 4000),
        "SELECT " + "[" * 2000 + "1" + "]" * 2000,
        "SELECT " + "CASE WHEN 1 THEN " * 500 + "1" + " END" * 500,
        "FROM (" * 1500 + "FROM events" + ")" * 1500,
    ],
)
def test_what_nests_too_deep_is_refused_and_nothing_breaks(parser: DuckDBPyConnection, text: str) -> None:
    with pytest.raises(IstmoError) as refused:
        read_statement(parser, text)
    assert refused.value.code in ("detect.sql_too_deep", "detect.sql_syntax")


def test_a_long_statement_is_refused_before_it_is_read(parser: DuckDBPyConnection) -> None:
    assert read_statement(parser, "SELECT 1 " + "-" * (LONGEST - 10))
    with pytest.raises(IstmoError) as refused:
        read_statement(parser, "SELECT 1 " + "-" * LONGEST)
    assert refused.value.code == "detect.sql_too_long"


def test_every_function_that_is_listed_exists(parser: DuckDBPyConnection) -> None:
    found = parser.execute("SELECT lower(function_name) FROM duckdb_functions()").fetchall()
    windows = "cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank"
    known = {name for (name,) in found} | set(windows.split()) | {"rank_dense", "row_number"}
    assert FUNCTIONS - known == set()
    assert TABLE_FUNCTIONS - known == set()


@pytest.mark.parametrize(
    ("text", "names", "is_all"),
    [
        (
            "SELECT Image, e.USER FROM events e JOIN events f USING (Host)",
            {"image", "user", "host", "e"},
            False,
        ),
        ("SELECT count(*), 'Image' FROM events", set(), False),
        ("WITH a AS (SELECT Image FROM events) SELECT * FROM a", {"image"}, False),
        ("SELECT * FROM (SELECT * FROM events)", set(), True),
        ("SELECT e FROM events e", {"e"}, True),
        ("SELECT COLUMNS('Im.*') FROM events", set(), True),
        ("FROM events a NATURAL JOIN events b SELECT 1", set(), True),
    ],
)
def test_it_is_known_which_columns_are_asked_for(
    parser: DuckDBPyConnection, text: str, names: set[str], is_all: bool
) -> None:
    found = read_statement(parser, text)
    assert (found.names, found.is_all) == (names, is_all)
