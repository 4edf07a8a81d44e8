"""``istmo warning-lists`` as it is typed: files and folders, one bad file costs no other."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from answering import answering
from istmo.detect import commands_warning

KEPT = {"name": "Public resolvers", "type": "string", "entries": 2, "unusable": 0}


def run(*arguments: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "200", "ISTMO_TOKEN": "istmo_x"})
    return runner.invoke(commands_warning.warning_lists, list(arguments))


def test_files_and_folders_are_put(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "lists" / name).mkdir(parents=True)
        (tmp_path / "lists" / name / "list.json").write_text("{}")
    with answering(json.dumps(KEPT).encode()) as url:
        done = run("put", str(tmp_path), "--url", url)
        told = json.loads(run("put", str(tmp_path), "--url", url, "--json").stdout)
    assert done.exit_code == 0, done.output
    assert done.output.count("Public resolvers") == 2
    assert told == {"items": [KEPT, KEPT], "refused": 0}


def test_a_file_that_is_refused_is_named_and_the_status_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[]")
    error = {"error": {"code": "detect.warning_list", "message": "No.", "remedy": "", "params": {}}}
    with answering(json.dumps(error).encode(), status=400) as url:
        done = run("put", str(tmp_path / "bad.json"), "--url", url)
    assert done.exit_code == 1
    assert "bad.json" in done.output


def test_no_file_at_all_is_told(tmp_path: Path) -> None:
    done = run("put", str(tmp_path))
    assert done.exit_code == 1
    assert "--reserved" in done.output
