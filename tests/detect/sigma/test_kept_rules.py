"""Rules read once are found again: the same, for as long as their file is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from istmo.detect.sigma import RuleFile, RuleLimits, RuleSet, collect_rules, kept_rules, load_rules, ruleset
from istmo.detect.sigma.kept import KeptFiles
from istmo.detect.sigma.kept_rules import KeptRules

from .recordings import RULES

ONE = (
    b"title: one\nid: r1\nname: one\nlogsource: {category: test}\n"
    b"detection: {s: {A|cidr: 10.0.0.0/8}, condition: s}\n"
)
OTHER = (
    b"title: two\nid: r2\nlogsource: {category: test}\n"
    b"detection: {s: {'B|re|i': x+, C: [1, null]}, condition: s}\n"
)
MANY = (
    b"title: many\nid: c1\ncorrelation:\n  type: event_count\n  rules: [r1]\n  group-by: [A]\n"
    b"  timespan: 5m\n  condition: {gte: 3}\n"
)
LESS = (
    b"title: less\nid: f1\nlogsource: {category: test}\n"
    b"filter: {rules: [r2], s: {User: adm}, condition: not s}\n"
)
BAD = b"title: bad\nlogsource: {category: test}\ndetection: {s: {A: x}, condition: t}\n"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of each file that was really read."""
    names: list[str] = []
    really = ruleset._read_file

    def note(file: RuleFile, *more: object) -> object:
        names.append(file.name)
        return really(file, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(ruleset, "_read_file", note)
    return names


def collect(folder: Path, *contents: bytes, **how: object) -> RuleSet:
    """The rules of these files, with what is kept in a folder."""
    kept = KeptRules(KeptFiles(folder))
    files = [RuleFile(f"{n}.yml", content) for n, content in enumerate(contents)]
    found = collect_rules(files, kept=kept, **how)  # type: ignore[arg-type]
    kept.keep()
    return found


def test_the_second_time_nothing_is_read_and_all_is_the_same(tmp_path: Path, read: list[str]) -> None:
    contents = (ONE, OTHER, MANY, LESS, BAD, ONE + b"---\n" + BAD)
    first = collect(tmp_path / "kept", *contents)
    assert (len(first.rules), len(first.correlations), len(first.filters), len(first.problems)) == (
        2,
        1,
        1,
        3,
    )
    read.clear()
    assert collect(tmp_path / "kept", *contents) == first
    assert read == []


def test_a_file_that_changed_is_read_alone(tmp_path: Path, read: list[str]) -> None:
    collect(tmp_path / "kept", ONE, OTHER)
    read.clear()
    changed = collect(tmp_path / "kept", ONE, OTHER.replace(b"x+", b"y+"))
    assert read == ["1.yml"]
    assert changed == collect_rules([RuleFile("0.yml", ONE), RuleFile("1.yml", OTHER.replace(b"x+", b"y+"))])


def test_where_more_than_the_bytes_decides_it_is_read(tmp_path: Path, read: list[str]) -> None:
    collect(tmp_path / "kept", ONE)
    for how in ({"placeholders": {"a": ["b"]}}, {"limits": RuleLimits(values=3)}):
        read.clear()
        collect(tmp_path / "kept", ONE, **how)
        assert read == ["0.yml"]


def test_what_is_damaged_is_read_anew(tmp_path: Path, read: list[str]) -> None:
    first = collect(tmp_path / "kept", ONE, OTHER)
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(path.read_bytes()[:-5])
    read.clear()
    assert collect(tmp_path / "kept", ONE, OTHER) == first
    assert read == ["0.yml", "1.yml"]


@pytest.mark.shared_data
def test_a_whole_release_comes_back_as_it_was(
    tmp_path: Path, released_rules: RuleSet, shared_data: Path, read: list[str]
) -> None:
    for _ in range(2):
        read.clear()
        kept = KeptRules(KeptFiles(tmp_path / "kept"))
        assert load_rules(shared_data / RULES, kept=kept) == released_rules
        kept.keep()
    assert read == []


def test_what_another_version_of_the_reader_has_kept_is_read_anew(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(tmp_path / "kept", ONE)
    read.clear()
    monkeypatch.setattr(kept_rules, "code", lambda: "another")
    collect(tmp_path / "kept", ONE)
    assert read == ["0.yml"]
