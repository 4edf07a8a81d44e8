"""``istmo events``: how stored events are sealed, and the key for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from answering import answering
from istmo.detect import commands_kept

KEPT: dict[str, Any] = {
    "oldest": "2026-03-02T08:00:00Z",
    "bytes": 3_000_000,
    "daily_bytes": 0,
    "days_left": None,
    "keep_days": 0,
    "budget_bytes": 0,
    "sources": [{"id": "s1", "name": "pc", "keep_days": 0, "budget_bytes": 0, "bytes": 3_000_000}],
    "sealed": None,
}
SEALED = {
    "key": "0123456789abcdef",
    "sealed_bytes": 1_000_000,
    "older_key_bytes": 500_000,
    "plain_bytes": 1_500_000,
    "shut": 2,
}


def run(*arguments: str) -> Result:
    command: click.Command = commands_kept.events
    return CliRunner(env={"COLUMNS": "200", "ISTMO_TOKEN": "t"}).invoke(command, list(arguments))


def test_what_is_sealed_with_which_key_is_told() -> None:
    with answering(json.dumps(KEPT | {"sealed": SEALED}).encode()) as url:
        done = run("--url", url)
    assert done.exit_code == 0, done.output
    for shown in ("0123456789abcdef", "1.0 MB", "500.0 kB", "1.5 MB", "2 "):
        assert shown in done.output
    with answering(json.dumps(KEPT | {"sealed": SEALED | {"key": "", "shut": 0}}).encode()) as url:
        assert "0123456789abcdef" not in run("--url", url).output


def test_a_node_that_seals_nothing_says_nothing_of_it() -> None:
    with answering(json.dumps(KEPT).encode()) as url:
        plain = run("--url", url)
        assert plain.exit_code == 0, plain.output
        assert json.loads(run("--url", url, "--json").output) == KEPT
    assert "kB" not in plain.output


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_key_file_is_made_and_not_shown(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "keys"
    done = run("key", str(path), *options)
    assert done.exit_code == 0, done.output
    assert path.read_text().strip() not in done.output
    assert len(base64.b64decode(path.read_bytes())) == 32
    before = path.read_bytes()
    again = run("key", str(path), *options)
    assert again.exit_code == 1
    assert path.read_bytes() == before
