"""Processing pipelines of the asker's own, and how far a hunt is."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from istmo.detect import commands_rules
from istmo.detect.sigma import load_rules
from istmo.detect.triage.hunting import Hunt, Wanted, list_parts
from istmo.detect.triage.rule_paths import words_of
from istmo.settings import Limits

from .test_hunt import event, found, lines, rule, run

RENAMES = """name: ours
priority: {priority}
transformations:
  - type: field_name_mapping
    mapping: {{{theirs}: {ours}}}
"""


def pipeline(path: Path, theirs: str, ours: str, priority: int = 10) -> Path:
    path.write_text(RENAMES.format(theirs=theirs, ours=ours, priority=priority), "utf-8")
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "r.yml"
    path.write_text(rule(1, "uno"), "utf-8")
    return path


def test_pipelines_change_the_rules_in_the_order_of_their_priority(tmp_path: Path, rules: Path) -> None:
    one = event()
    one["Event"]["EventData"] = {"cmd": "uno.exe"}
    (tmp_path / "a.jsonl").write_bytes(lines(one))
    last = pipeline(tmp_path / "last.yml", "between", "cmd", 20)
    first = pipeline(tmp_path / "first.yml", "CommandLine", "between", 10)
    assert found(run(tmp_path / "a.jsonl", "--rules", rules, "--json"))["matches"] == []
    options = ("--pipeline", last, "--pipeline", first)
    (group,) = found(run(tmp_path / "a.jsonl", "--rules", rules, *options, "--json"))["matches"]
    assert group["samples"][0]["matched"] == {"cmd": "uno.exe"}


@pytest.mark.parametrize(
    ("text", "line"),
    [("transformations:\n  - type: nonsense\n", 2), ("postprocessing: [{type: x}]\n", 1), ("a: [", 2)],
)
def test_a_pipeline_that_cannot_be_applied_ends_it_before_anything_is_asked(
    tmp_path: Path, rules: Path, text: str, line: int
) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(event()))
    (tmp_path / "p.yml").write_text(text, "utf-8")
    hunted = run(tmp_path / "a.jsonl", "--rules", rules, "--pipeline", tmp_path / "p.yml", "--json")
    arguments = [str(rules), "--pipeline", str(tmp_path / "p.yml"), "--json"]
    for done in (hunted, CliRunner().invoke(commands_rules.check, arguments)):
        assert done.exit_code == 1
        error = json.loads(done.stdout)["error"]
        assert error["code"] == "detect.pipeline_unusable"
        assert f"p.yml:{line}" in error["message"]


def test_rules_are_checked_as_a_pipeline_leaves_them(tmp_path: Path, rules: Path) -> None:
    (tmp_path / "p.yml").write_text(
        "transformations:\n  - type: rule_failure\n    message: no de aquí\n", "utf-8"
    )
    assert CliRunner().invoke(commands_rules.check, [str(rules)]).exit_code == 0
    arguments = [str(rules), "--pipeline", str(tmp_path / "p.yml"), "--json"]
    done = CliRunner().invoke(commands_rules.check, arguments)
    assert done.exit_code == 1
    (refused,) = json.loads(done.stdout)["refused"]
    assert "no de aquí" in refused["message"]


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("form", ["jsonl", "gz", "zip"])
def test_progress_comes_to_the_size_of_the_files_and_moves_within_one(
    tmp_path: Path, rules: Path, form: str, processes: int
) -> None:
    varied = b"".join(lines(event(f"uno {n * 2654435761 % 2**32:x}")) for n in range(2500))
    for name in ("a", "b"):
        path = tmp_path / f"{name}.{form}"
        if form == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for number in range(30):
                    archive.writestr(f"{number}.jsonl", varied[: 40_000 + number])
        else:
            path.write_bytes(varied if form == "jsonl" else packed(varied))
    parts = list_parts([str(path) for path in sorted(tmp_path.glob(f"*.{form}"))], lambda name, error: None)
    steps: list[float] = []

    @contextmanager
    def progress() -> Iterator[Callable[[float], None]]:
        yield steps.append

    hunt = Hunt(load_rules(rules), (), Wanted(), Limits(), words_of, lambda: 0)
    hunt.run(parts, progress, processes)
    hunt.spool.close()
    sizes = [path.stat().st_size for path in tmp_path.glob(f"*.{form}")]
    total = sum(one.size for one in parts)
    assert sum(steps) == total
    assert 0 < total <= sum(sizes)
    assert all(step >= 0 for step in steps)
    if processes == 1 and form == "jsonl":
        assert max(steps) <= 256 << 10
    assert not hunt.is_cut_short
