"""``istmo search --rules`` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from answering import answering

from .test_commands import run

MATCH = {"rule": "r", "title": "Who", "level": "high", "event": "1-7", "time": "2026-03-02T09:00:00Z"}
SUM = {"rule": "r", "title": "Who", "level": "high", "count": 12, "events": ["1-7"]}
LEFT_OUT = {"rule": "Bad", "line": 4, "code": "sigma.problem.x", "text": "No se entiende."}


def lines(host: str = "PC-07", **last: Any) -> bytes:
    end = {"done": True, "looked": 30, "rules": [SUM], "left_out": [], "problem": None} | last
    return json.dumps(MATCH | {"host": host}).encode() + b"\n\n" + json.dumps(end).encode() + b"\n"


@pytest.fixture
def rules(tmp_path: Path) -> str:
    (tmp_path / "rule.yml").write_text("title: x")
    return str(tmp_path / "rule.yml")


def test_matches_are_lines_and_the_sums_stand_beside_them(rules: str) -> None:
    with answering(lines(host="\x1b[2JPC-07")) as url:
        done = run("search", "--rules", rules, "--url", url)
        programs = run("search", "--rules", "all", "--url", url, "--json")
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    assert "Who" in line and "1-7" in line and "\x1b" not in done.output
    assert "12" in done.stderr and "30" in done.stderr
    assert [json.loads(one).get("done") for one in programs.stdout.splitlines()] == [None, True]


@pytest.mark.parametrize(
    "last", [{"left_out": [LEFT_OUT]}, {"problem": {"code": "x", "text": "No se entiende."}}]
)
def test_what_was_not_used_or_not_seen_is_told_and_is_no_success(rules: str, last: dict[str, Any]) -> None:
    with answering(lines(**last)) as url:
        done = run("search", "--rules", rules, "--url", url)
    assert done.exit_code == 1 and "No se entiende." in done.stderr
    assert ("Bad:4" in done.stderr) == ("left_out" in last)


@pytest.mark.parametrize("options", [("x", "--rules", "all"), ("--rules", "all", "--by", "Image")])
def test_rules_and_a_query_are_not_mixed(options: tuple[str, ...]) -> None:
    assert run("search", *options, "--url", "http://127.0.0.1:1").exit_code == 1


def test_an_empty_file_does_not_mean_all_rules(tmp_path: Path) -> None:
    (tmp_path / "empty.yml").write_text(" \n")
    done = run("search", "--rules", str(tmp_path / "empty.yml"), "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1 and "empty.yml" in done.stderr
    assert run("search", "--rules", "nothing.yml", "--url", "http://127.0.0.1:1").exit_code == 1


def test_a_date_will_do_and_what_is_no_time_is_refused(rules: str) -> None:
    with answering(lines()) as url:
        assert run("search", "--rules", rules, "--from", "2026-03-02", "--url", url).exit_code == 0
        refused = run("search", "--rules", rules, "--to", "mañana", "--url", url)
    assert refused.exit_code == 1 and "mañana" in refused.stderr
