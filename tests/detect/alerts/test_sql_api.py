"""SQL over stored events, asked for over the machine interface."""

from __future__ import annotations

import orjson
import pytest

from istmo.detect.wire import AskSql, Problem, SqlRows, Synced

from .test_api import OBSERVER, Peer, Room, _in_thread, client

SQL = b"SELECT Image FROM events"


def test_an_answer_begins_with_its_columns_and_ends_with_how_it_ended(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    asked: list[AskSql] = []

    def answer() -> None:
        sql = peer.expect(AskSql)
        asked.append(sql)
        peer.send(SqlRows(sql.request, False))
        peer.send(SqlRows(sql.request, False, [("Image", "VARCHAR")], [b'["a"]']))
        peer.send(SqlRows(sql.request, False))
        peer.send(SqlRows(sql.request, False, rows=[b'["b"]', b"[null]"]))
        problem = Problem("", "detect.sql_cut_short", {"seconds": 30})
        peer.send(SqlRows(sql.request, True, problem=problem))

    with _in_thread(answer):
        found = client(linked).post("/api/v1/events/sql?from=2026-03-02T00:00:00Z&limit=5", content=SQL)
    assert found.status_code == 200 and found.headers["content-type"].startswith("application/x-ndjson")
    head, *rows, last = (orjson.loads(line) for line in found.content.split(b"\n") if line)
    assert head == {"columns": [{"name": "Image", "type": "VARCHAR"}]}
    assert rows == [["a"], ["b"], [None]]
    assert (last["done"], last["count"], last["problem"]["code"]) == (True, 3, "detect.sql_cut_short")
    assert "⟦" not in last["problem"]["text"]
    assert (asked[0].sql, asked[0].limit, asked[0].start) == (SQL.decode(), 5, 1772409600000000)
    peer.close()


@pytest.mark.parametrize(
    ("code", "status"),
    [("detect.sql_syntax", 400), ("detect.sql_died", 400), ("detect.search_busy", 503)],
)
def test_a_statement_that_cannot_be_run_is_refused_in_words(linked: Room, code: str, status: int) -> None:
    peer = Peer(linked)
    peer.expect(Synced)

    def answer() -> None:
        sql = peer.expect(AskSql)
        assert sql.limit == 10_000, "as many rows as the settings allow, where nobody says otherwise"
        peer.send(SqlRows(sql.request, True, problem=Problem("", code, {"detail": "x"})))

    with _in_thread(answer):
        refused = client(linked).post("/api/v1/events/sql", content=SQL)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    peer.close()


def test_what_is_no_text_is_refused_and_so_is_asking_without_a_worker(linked: Room) -> None:
    refused = client(linked).post("/api/v1/events/sql", content=b"\xff")
    assert (refused.status_code, refused.json()["code"]) == (400, "detect.sql_not_text")
    assert client(linked).post("/api/v1/events/sql", content=SQL).status_code == 503
    assert client(linked).post("/api/v1/events/sql", content=b"-" * 70_000).status_code == 413


def test_whoever_may_not_search_may_not_ask_by_sql(linked: Room) -> None:
    assert client(linked, OBSERVER).post("/api/v1/events/sql", content=SQL).status_code == 403
