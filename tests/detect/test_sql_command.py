"""``istmo search --sql`` as it is typed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from answering import answering

from .test_commands import run

HEAD = {"columns": [{"name": "Image", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"}]}


def lines(*rows: list[Any], problem: dict[str, str] | None = None, is_whole: bool = True) -> bytes:
    last = [{"done": True, "count": len(rows), "problem": problem}] if is_whole else []
    return b"\n".join(json.dumps(one).encode() + b"\n" for one in (HEAD, *rows, *last))


def test_rows_stand_under_the_names_of_their_columns() -> None:
    with answering(lines(["\x1b[2Ja.exe", 12], [None, 3], ["x", [1]])) as url:
        done = run("search", "--sql", "SELECT", "--url", url)
        programs = run("search", "--sql", "SELECT", "--url", url, "--json")
    assert done.exit_code == 0, done.output
    head, first, second, third = done.stdout.splitlines()
    assert head.split() == ["Image", "n"] and "\x1b" not in done.output
    assert first.endswith("12") and second.strip() == "3" and third.endswith("[1]")
    assert head.index("n") == second.index("3")
    assert "3" in done.stderr
    told = [json.loads(line) for line in programs.stdout.splitlines()]
    assert (told[0], told[2], told[-1]["done"]) == (HEAD, [None, 3], True)


def test_many_rows_come_as_they_arrive() -> None:
    with answering(lines(*(["x" * n, n] for n in range(300)))) as url:
        done = run("search", "--sql", "SELECT", "--url", url)
    assert len(done.stdout.splitlines()) >= 301 and "299" in done.stdout


def test_an_answer_that_is_not_all_is_no_success() -> None:
    problem = {"code": "detect.sql_cut_short", "text": "Se agotó el tiempo."}
    with answering(lines(["a", 1], problem=problem)) as url:
        done = run("search", "--sql", "SELECT", "--url", url)
    assert done.exit_code == 1 and problem["text"] in done.stderr and "a" in done.stdout


def test_an_answer_that_breaks_off_is_no_success() -> None:
    with answering(lines(["a", 1], is_whole=False)) as url:
        assert run("search", "--sql", "SELECT", "--url", url).exit_code == 1


@pytest.mark.parametrize("more", [("x",), ("--by", "Image"), ("--histogram", "1h"), ("--rules", "all")])
def test_sql_and_another_kind_of_question_are_not_mixed(more: tuple[str, ...]) -> None:
    assert run("search", *more, "--sql", "SELECT", "--url", "http://127.0.0.1:1").exit_code == 1
