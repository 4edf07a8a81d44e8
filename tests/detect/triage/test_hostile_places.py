"""Names, folders and lines that somebody made to be overlooked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from istmo.detect.triage.parts import is_among, list_parts

from .test_hunt import event, found, lines, rule, rules, run  # noqa: F401 - the fixture

NO_UTF8 = b"a\xff"


def named(folder: Path, name: bytes, content: bytes) -> Path:
    """A file whose name is any bytes."""
    path = folder / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", ["--json", "--csv", "--timesketch", "--html", "--timeline"])
def test_a_file_name_that_is_no_text_costs_no_match(tmp_path: Path, rules: Path, form: str) -> None:  # noqa: F811
    named(tmp_path / "logs", NO_UTF8 + b".json", lines(event()))
    (tmp_path / "logs" / "b.json").write_bytes(lines(event()))
    done = run(tmp_path / "logs", "--rules", rules, form)
    assert done.exit_code == 0, done.output
    if form == "--timeline":
        assert len(done.stdout.splitlines()) == 2
    else:
        assert "a\ufffd.json" in done.stdout and "b.json" in done.stdout


def test_nor_does_one_of_rules(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_bytes(lines(event(), event("dos")))
    named(tmp_path / "rules", NO_UTF8 + b".yml", rule(1, "uno").encode())
    named(tmp_path / "rules", b"b.yml", rule(2, "dos").encode())
    named(tmp_path / "rules", b"c" + NO_UTF8 + b".yml", b"title: [")
    done = run(tmp_path / "log.json", "--rules", tmp_path / "rules", "--json")
    assert len(found(done)["matches"]) == 2


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    told: list[tuple[str, str]] = []
    assert list_parts([str(tmp_path)], lambda name, error: told.append((name, error.code))) == []
    assert told == [(str(tmp_path / "closed"), "detect.folder_unreadable")]


def test_no_name_is_no_folder(rules: Path) -> None:  # noqa: F811
    done = run("", "--rules", rules, "--json")
    assert done.exit_code == 1
    assert [one["code"] for one in found(done)["problems"] if one["kind"] == "file"] == [
        "detect.no_such_file"
    ]


def test_the_result_never_takes_the_place_of_what_is_looked_through(tmp_path: Path, rules: Path) -> None:  # noqa: F811
    log = tmp_path / "logs" / "log.json"
    log.parent.mkdir()
    log.write_bytes(lines(event()))
    hard, link = tmp_path / "hard", tmp_path / "link"
    hard.hardlink_to(log)
    link.symlink_to(log)
    for output in (log, hard, link):
        for given in (log, log.parent):
            done = run(given, "--rules", rules, "--csv", "--output", output)
            assert done.exit_code != 0
    assert log.read_bytes() == lines(event())
    assert not is_among(tmp_path / "new.csv", [str(tmp_path)])


def test_half_a_character_hides_no_event(tmp_path: Path, rules: Path) -> None:  # noqa: F811
    text = json.dumps(event("uno.exe \\ud800 x")).replace("\\\\ud800", "\\ud800")
    (tmp_path / "log.json").write_text(text + "\n" + text.replace("uno.exe \\ud800", "uno.exe"))
    done = run(tmp_path / "log.json", "--rules", rules, "--json")
    (group,) = found(done)["matches"]
    assert group["count"] == 2
    assert [one for one in found(done)["problems"] if one["kind"] == "file"] == []


def test_a_line_that_is_no_json_is_searched_as_text(tmp_path: Path, rules: Path) -> None:  # noqa: F811
    (tmp_path / "log.json").write_bytes(lines(event()) + b'{"cut": "203.0.113.7 \n')
    (tmp_path / "list.txt").write_text("203.0.113.7\n")
    done = run(tmp_path / "log.json", "--rules", rules, "--indicators", tmp_path / "list.txt", "--json")
    kinds = {one["kind"]: one["count"] for one in found(done)["matches"]}
    assert kinds == {"rule": 1, "indicator": 1}
    assert [one["code"] for one in found(done)["problems"] if one["kind"] == "file"] == [
        "detect.line_not_json"
    ]
