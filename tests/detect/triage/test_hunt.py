"""``istmo hunt`` as it is typed: what it finds, how it is told, and what hostile input does to it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from istmo.detect import commands_hunt
from istmo.detect.triage import correlated, findings, hunting
from istmo.kit.cli import speak
from istmo.kit.i18n import Catalogue

RULE = """title: {title}
id: {id}
status: test
level: {level}
date: 2026-01-02
author: Ana Pérez
license: DRL 1.1
tags: [attack.execution, attack.t1059.001]
logsource: {{category: process_creation, product: windows}}
detection:
  selection:
    CommandLine|contains: {value}
  condition: selection
"""
T0 = "2026-03-02T09:00:00Z"
ID = "5f0a3a5e-6a09-413f-8743-e6cf35561{}"


def rule(number: int, value: str, level: str = "high", title: str = "Prueba") -> str:
    return RULE.format(title=json.dumps(title), id=ID.format(f"{number:03}"), level=level, value=value)


def event(
    command: str = "uno.exe", time: str = "2026-03-02T09:00:00Z", host: str = "PC-07"
) -> dict[str, Any]:
    return {
        "Event": {
            "System": {
                "Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon"}},
                "EventID": 1,
                "Channel": "Microsoft-Windows-Sysmon/Operational",
                "Computer": host,
                "EventRecordID": 7,
                "TimeCreated": {"#attributes": {"SystemTime": time}},
            },
            "EventData": {"CommandLine": command, "Image": "C:\\uno.exe", "DestinationIp": "192.0.2.7"},
        }
    }


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


@pytest.fixture(params=["es", "en"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    speak(request.param)
    yield request.param
    speak("es")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "one.yml").write_text(rule(1, "uno"), "utf-8")
    (folder / "two.yml").write_text(rule(2, "dos", "low", "Otra"), "utf-8")
    (folder / "bad.yml").write_text("title: [", "utf-8")
    return folder


def run(*arguments: object, stdin: bytes = b"") -> Result:
    runner = CliRunner(env={"COLUMNS": "200"})
    return runner.invoke(commands_hunt.hunt, [str(one) for one in arguments], input=stdin)


def found(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_group_a_rule_with_counts_files_and_hosts(tmp_path: Path, rules: Path) -> None:
    (tmp_path / "a.json").write_bytes(lines(event(), event("uno dos", "2026-03-02T10:00:00Z", "PC-08")))
    done = run(tmp_path / "a.json", "--rules", rules, "--json")
    assert done.exit_code == 0, done.output
    document = found(done)
    first, second = document["matches"]
    assert (first["id"], first["title"], first["level"], first["count"]) == (
        ID.format("001"),
        "Prueba",
        "high",
        2,
    )
    assert (first["first"], first["last"]) == ("2026-03-02T09:00:00.000000Z", "2026-03-02T10:00:00.000000Z")
    assert first["files"] == [str(tmp_path / "a.json")]
    assert first["hosts"] == {"PC-07": 1, "PC-08": 1}
    assert first["techniques"] == ["T1059.001"]
    assert first["samples"][0]["matched"] == {"CommandLine": "uno.exe"}
    assert (second["title"], second["count"]) == ("Otra", 1)
    (problem,) = document["problems"]
    assert (problem["kind"], problem["file"], problem["line"]) == ("rule", "bad.yml", 2)
    assert document["summary"]["rules"] == 2


def test_a_refused_rule_changes_neither_matches_nor_the_end(tmp_path: Path, rules: Path) -> None:
    (tmp_path / "a.json").write_bytes(lines(event()))
    with_bad = run(tmp_path / "a.json", "--rules", rules, "--json")
    (rules / "bad.yml").unlink()
    without = run(tmp_path / "a.json", "--rules", rules, "--json")
    assert with_bad.exit_code == without.exit_code == 0
    assert found(with_bad)["matches"] == found(without)["matches"]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ((), 2),
        (("--level", "medium"), 1),
        (("--host", "pc-07"), 2),
        (("--host", "PC-09"), 0),
        (("--since", "2026-03-02T09:00:00Z"), 2),
        (("--since", "2026-03-03"), 0),
        (("--until", "2026-03-02T09:00:00Z"), 0),
    ],
)
def test_what_counts_can_be_narrowed(
    tmp_path: Path, rules: Path, options: tuple[str, ...], count: int
) -> None:
    (tmp_path / "a.json").write_bytes(lines(event("uno dos")))
    done = run(tmp_path / "a.json", "--rules", rules, "--json", *options)
    assert done.exit_code == 0
    assert found(done)["summary"]["matches"] == count


def test_every_kind_of_input(tmp_path: Path, rules: Path) -> None:
    data = lines(event())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_bytes(data)
    (tmp_path / "in" / "b.gz").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(tmp_path / "in" / "c.zip", "w") as archive:
        for number in range(60):
            archive.writestr(f"{number}.json", data)
    done = run(tmp_path / "in", "-", "--rules", rules, "--json", stdin=data)
    assert done.exit_code == 0, done.output
    (group,) = found(done)["matches"]
    assert group["count"] == 63
    assert len(group["files"]) == 63
    assert group["files"][-1] == "-", "the order of what was named"


def test_the_table_and_the_last_line(tmp_path: Path, rules: Path, language: str) -> None:
    (tmp_path / "a.json").write_bytes(lines(event()))
    for by in ("rule", "host", "technique"):
        done = run(tmp_path / "a.json", "--rules", rules, "--by", by)
        assert done.exit_code == 0
        assert "Prueba" in done.stdout
        assert Catalogue().text(language, "kit.level.high") in done.stdout
        assert "1" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("level", "status"), [("critical", 0), ("high", 1), ("low", 1)])
def test_a_program_may_ask_for_a_status(tmp_path: Path, rules: Path, level: str, status: int) -> None:
    (tmp_path / "a.json").write_bytes(lines(event()))
    assert run(tmp_path / "a.json", "--rules", rules, "--fail-on", level).exit_code == status


def test_the_timeline_is_in_order_of_time(
    tmp_path: Path, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [f"2026-03-02T{hour:02}:00:00Z" for hour in (11, 9, 10)]
    (tmp_path / "a.json").write_bytes(lines(*(event(time=one) for one in times)))
    done = run(tmp_path / "a.json", "--rules", rules, "--timeline")
    assert [line[:13] for line in done.stdout.splitlines()] == [f"2026-03-02 {h}" for h in ("09", "10", "11")]
    assert "CommandLine=uno.exe" in done.stdout


# --- files that are written ------------------------------------------------------------------


def test_no_spreadsheet_takes_a_cell_for_a_formula(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(rule(1, "uno", title="=cmd|' /C calc'!A0"), "utf-8")
    (tmp_path / "a.json").write_bytes(lines(event(host="@SUM(1)"), event(host="-2+3"), event(host="+1")))
    for form in ("--csv", "--timesketch"):
        done = run(tmp_path / "a.json", "--rules", tmp_path / "r.yml", form)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert len(rows) == 3
        for cell in (cell for row in rows for cell in row.values()):
            assert not cell.startswith(("=", "+", "-", "@"))
        if form == "--timesketch":
            assert list(rows[0])[:3] == ["message", "datetime", "timestamp_desc"]


def test_the_report_stands_alone_and_obeys_nothing(tmp_path: Path, language: str) -> None:
    evil = "<script>alert(1)</script>\x1b[2J\u202e"
    (tmp_path / "r.yml").write_text(rule(1, "uno", title=evil), "utf-8")
    (tmp_path / "a.json").write_bytes(lines(event(f"uno {evil}", host='"><img src=x>')))
    output = tmp_path / "report.html"
    done = run(tmp_path / "a.json", "--rules", tmp_path / "r.yml", "--html", "--output", output)
    assert done.exit_code == 0, done.output
    page = output.read_text("utf-8")
    assert f'<html lang="{language}">' in page
    assert (
        "default-src 'none'; style-src &#39;sha256-" in page
        or "style-src 'sha256-" in page
        or "sha256-" in page
    )
    assert "<script" not in page
    assert "<img" not in page
    assert not set("\x1b\u202e") & set(page)
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    for text in ("Ana Pérez", "DRL 1.1", "T1059.001", "CommandLine", "<svg"):
        assert text in page
    assert "⟦" not in page


def test_what_events_hold_cannot_steer_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(rule(1, "uno", title="\x1b[31mrojo"), "utf-8")
    (tmp_path / "a.json").write_bytes(lines(event("uno\x1b[2J\r\nfalso", host="\x9b31mPC")))
    for options in ((), ("--timeline",), ("--csv",), ("--json",), ("--by", "host")):
        done = run(tmp_path / "a.json", "--rules", tmp_path / "r.yml", *options)
        assert done.exit_code == 0
        assert not set("\x1b\x9b") & set(done.output)


# --- indicators ------------------------------------------------------------------------------


def test_indicators_from_a_list_and_from_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(lines(event()))
    (tmp_path / "list.csv").write_text("value,note\n192[.]0[.]2[.]0/24,red\nmalo.example\n", "utf-8")
    indicator = {
        "type": "indicator",
        "id": "indicator--1",
        "name": "Servidor",
        "pattern": "[ipv4-addr:value = '192.0.2.7']",
        "pattern_type": "stix",
    }
    (tmp_path / "bundle.json").write_text(json.dumps({"type": "bundle", "objects": [indicator]}), "utf-8")
    done = run(
        tmp_path / "a.json",
        "--indicators",
        tmp_path / "list.csv",
        "--indicators",
        tmp_path / "bundle.json",
        "--json",
    )
    assert done.exit_code == 0, done.output
    groups = found(done)["matches"]
    assert {(one["kind"], one["title"], one["count"]) for one in groups} == {
        ("indicator", "192.0.2.0/24", 1),
        ("indicator", "Servidor", 1),
    }
    assert groups[0]["samples"][0]["matched"] == {"DestinationIp": "192.0.2.7"}


# --- what is wrong is told -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: None, "no_such_file"),
        (lambda path: path.mkdir(), "hunt_empty_folder"),
        (lambda path: path.write_bytes(b"MZ\x90 no"), "not_evtx"),
        (lambda path: path.write_bytes(b"ElfFile\0"), "evtx_unreadable"),
        (lambda path: path.write_bytes(b'{"a":"' + b"a" * (100 << 20) + b'"}'), "line_too_long"),
        (lambda path: path.write_bytes(b'{"a":' * 200_000 + b"}"), "line_too_deep"),
        (lambda path: path.write_bytes(b'{"a":"\xff"}'), "line_not_utf8"),
        (lambda path: path.write_bytes(gzip.compress(b"{" + b" " * (20 << 20))), "archive_bomb"),
    ],
)
def test_where_nothing_could_be_read_it_is_said_why(
    tmp_path: Path, rules: Path, language: str, make: Callable[[Path], object], code: str
) -> None:
    path = tmp_path / "in.evtx"
    make(path)
    done = run(path, "--rules", rules, "--json")
    assert done.exit_code == 1
    problems = [one for one in found(done)["problems"] if one["kind"] == "file"]
    assert f"detect.{code}" in [one["code"] for one in problems]
    assert len(problems) <= 2
    assert problems[0]["message"]
    assert problems[0]["remedy"]
    assert run(path, "--rules", rules).exit_code == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), "hunt_nothing_to_look_for"),
        (("--rules", "none"), "no_such_file"),
        (("--rules", "empty"), "hunt_no_rules"),
        (("--indicators", "none"), "no_such_file"),
        (("--indicators", "remarks"), "indicators_none"),
        (("--rules", "rules", "--since", "ayer"), "hunt_not_a_time"),
        (("--rules", "rules", "--csv"), "hunt_two_forms"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(
    tmp_path: Path,
    rules: Path,
    language: str,
    options: tuple[str, ...],
    code: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "remarks").write_text("# nada\n", "utf-8")
    (tmp_path / "a.json").write_bytes(lines(event()))
    done = run("a.json", "--json", *options)
    assert done.exit_code == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == f"detect.{code}"
    assert "{" not in error["message"] + error["remedy"]


def test_a_folder_of_traps(tmp_path: Path, rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.json").write_bytes(lines(event()))
    (folder / "gone.json").write_bytes(lines(event()))
    (folder / "loop").symlink_to(folder)
    (folder / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")

    def listed(*given: Any) -> list[hunting.Part]:
        parts = hunting.list_parts(*given)
        (folder / "gone.json").unlink()
        return parts

    monkeypatch.setattr(commands_hunt, "list_parts", listed)
    done = run(folder, "--rules", rules, "--json")
    assert done.exit_code == 0
    document = found(done)
    assert document["matches"][0]["files"] == [str(folder / "a.json")]
    assert [one["file"] for one in document["problems"] if one["kind"] == "file"] == [
        str(folder / "gone.json")
    ]


def test_ctrl_c_keeps_what_was_found(
    tmp_path: Path, rules: Path, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_bytes(lines(event()))
    (tmp_path / "b.json").write_bytes(lines(event()))
    monkeypatch.setattr(hunting.os, "cpu_count", lambda: 1)
    look = hunting.Work.look

    def interrupted(self: hunting.Work, part: hunting.Part, *given: Any) -> None:
        if part.path and part.path.name == "b.json":
            raise KeyboardInterrupt
        look(self, part, *given)

    monkeypatch.setattr(hunting.Work, "look", interrupted)
    done = run(tmp_path / "a.json", tmp_path / "b.json", "--rules", rules)
    assert done.exit_code == 130
    assert "Prueba" in done.stdout
    assert Catalogue().text(language, "detect.hunt.cut_short") in done.stderr


# --- the real thing --------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.shared_data
def test_the_recordings_count_as_the_golden_figures_say(shared_data: Path) -> None:
    done = run(shared_data / "events", "--rules", shared_data / "sigma" / "sigma_rules.zip", "--json")
    assert done.exit_code == 0
    counted: Counter[tuple[str, str]] = Counter()
    for group in found(done)["matches"]:
        for file, n in group["count_by_file"].items():
            counted[group["id"], Path(file.split("!")[0]).stem] += n
    golden = json.loads((Path(__file__).parents[2] / "golden" / "sigma_matches.json").read_text("utf-8"))
    assert counted == {(row["rule"], row["recording"]): row["count"] for row in golden}


@pytest.mark.shared_data
def test_the_event_logs_of_real_techniques(shared_data: Path) -> None:
    rules = shared_data / "sigma" / "sigma_rules.zip"
    done = run(
        shared_data / "evtx" / "evtx_attack_samples.zip", "--rules", rules, "--level", "medium", "--json"
    )
    assert done.exit_code == 0
    document = found(done)
    assert (document["summary"]["events"], document["summary"]["files"]) == (8255, 277)
    hit = {file for group in document["matches"] for file in group["files"]}
    assert len(hit) >= 200
    cleared = next(one for one in document["matches"] if one["title"] == "Security Eventlog Cleared")
    assert cleared["count"] == 24


CORRELATION = """title: Muchos
id: 7c0a3a5e-6a09-413f-8743-e6cf35561001
level: critical
author: Ana Pérez
correlation:
  type: event_count
  rules: [{id}]
  group-by: [Computer]
  timespan: 10m
  condition: {{gte: 3}}
"""


def test_a_correlation_counts_over_all_files_and_its_part_is_silent(tmp_path: Path, rules: Path) -> None:
    (rules / "many.yml").write_text(CORRELATION.format(id=ID.format("001")), "utf-8")
    for n, host in enumerate(["PC-07", "PC-08", "PC-07", "PC-07", "PC-07"]):
        (tmp_path / f"{9 - n}.jsonl").write_bytes(lines(event(time=f"2026-03-02T09:0{n}:00Z", host=host)))
    files = [str(one) for one in tmp_path.glob("*.jsonl")]
    done = CliRunner().invoke(commands_hunt.hunt, [*files, "--rules", str(rules), "--json"])
    (found,) = json.loads(done.stdout)["matches"]
    assert (found["title"], found["level"], found["count"]) == ("Muchos", "critical", 1)
    assert (found["first"], found["hosts"]) == ("2026-03-02T09:00:00.000000Z", {"PC-07": 1})


@pytest.mark.parametrize("level", ["low", "critical"])
def test_a_level_that_is_asked_for_leaves_a_correlation_its_parts(
    tmp_path: Path, rules: Path, level: str
) -> None:
    (rules / "many.yml").write_text(CORRELATION.format(id=ID.format("001")), "utf-8")
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines(*[event(time=f"2026-03-02T09:0{n}:00Z") for n in range(3)]))
    done = CliRunner().invoke(
        commands_hunt.hunt, [str(path), "--rules", str(rules), "--json", "--level", level]
    )
    assert [one["title"] for one in json.loads(done.stdout)["matches"]] == ["Muchos"]


def test_what_correlations_could_not_see_is_told(
    tmp_path: Path, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rules / "many.yml").write_text(CORRELATION.format(id=ID.format("001")), "utf-8")
    monkeypatch.setattr(findings, "MOST_CONTRIBUTIONS", 4)
    monkeypatch.setattr(correlated, "MOST_CONTRIBUTIONS", 4)
    for n in range(3):
        one = [event(time=f"2026-03-02T09:0{n}:0{k}Z") for k in range(3)]
        (tmp_path / f"{n}.jsonl").write_bytes(lines(*one))
    (tmp_path / "3.jsonl").write_bytes(lines(event(time="")))
    files = [str(path) for path in tmp_path.glob("*.jsonl")]
    done = CliRunner().invoke(commands_hunt.hunt, [*files, "--rules", str(rules), "--json"])
    told = {one["code"]: one["message"] for one in json.loads(done.stdout)["problems"]}
    assert "5" in told["detect.hunt_correlations_full"]
    assert "detect.hunt_correlations_time" in told
