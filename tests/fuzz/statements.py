"""SQL: whatever the text, rows or a refusal come of it, and nothing of the machine is in them."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from istmo.detect.search.find import OutOfTime
from istmo.detect.search.sql.running import CutAt, SqlQuery
from istmo.detect.wire import Position
from istmo.errors import InvalidInput, TooLarge

from .searching import stores

_END = Position(9, 0)
CANARY = "colibri-4711"
"""In a file beside the store, and in the environment."""


@cache
def _beside() -> Path:
    path = stores()[0].root.parent / "canary.csv"
    path.write_text(f"a\n{CANARY}\n")
    os.environ["ISTMO_CANARY"] = CANARY
    return path


def statements(data: bytes) -> None:
    """A statement; ``@`` stands for the path of a file that is nobody's business."""
    path = str(_beside())
    text = data.decode("utf-8", "surrogateescape").replace("@", path)
    query = SqlQuery(stores()[1], text, _END, 2, limit=20)
    told: list[object] = []
    try:
        with suppress(OutOfTime, CutAt):
            for rows in query.portions():
                told += rows
    except (InvalidInput, TooLarge) as error:
        assert error.code.startswith("detect.sql_"), error
        told.append(error.params.get("detail", ""))
    assert CANARY not in str(told) or CANARY in text, (text, told)


SEEDS = [
    b"SELECT EventID, count(*) FROM events WHERE IpAddress LIKE '192.%' GROUP BY ALL ORDER BY 2 DESC LIMIT 5",
    b"WITH a AS (SELECT * FROM events) SELECT a.time, b.host FROM a JOIN events b USING (Computer) -- x\n",
    b"SELECT * FROM (VALUES (1), ('x')) t(a), events e WHERE EXISTS (SELECT 1 FROM events WHERE n = e.n);",
    b"SELECT unnest(string_split(list, chr(10))), lag(time) OVER (PARTITION BY host ORDER BY id) FROM events",
    b"SELECT event->>'$.a', {'k': [1, 2]}, CASE WHEN t = 'true' THEN 1 ELSE x'00' END FROM events",
    b"FROM read_text('@')",
    b"SELECT * FROM '@'",
    b"SELECT getenv('ISTMO_CANARY'), current_setting('temp_directory'), (FROM query('FROM ''@'''))",
    b"SELECT 1; COPY (SELECT 1) TO '@'; ATTACH '@' AS x; SET enable_external_access = true",
    b"DESCRIBE SUMMARIZE SELECT COLUMNS('.*') FROM events",
]
