"""Compiled classes kept from run to run: found again, never trusted from a place others can write to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from istmo.detect.sigma import Logsource, RuleSet, load_rules
from istmo.detect.sigma.engine import Engine, PlanFolder, engine, plans, scanners

from .test_engine import by_engine, by_oracle
from .worlds import Asked

EVENTS = [Asked({"A": one, "EventID": number}) for one in ("xx", "xyz", "zz") for number in (1, 2)]


def rules(*values: str) -> RuleSet:
    documents = [
        f"title: t\nid: r{n}\nlogsource: {{category: test}}\n"
        f"detection: {{s: {{A|contains: {value}, EventID: {1 + n % 2}}}, condition: s}}\n"
        for n, value in enumerate(values)
    ]
    return load_rules("---\n".join(documents).encode())


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A line for each class that was made and not found."""
    counted: list[object] = []
    make = engine.make_plan

    def count(*args: object, **kwargs: object) -> object:
        counted.append(args)
        return make(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "make_plan", count)
    return counted


@pytest.mark.parametrize("kind", ["hyperscan", "plain"])
def test_a_second_run_finds_what_the_first_has_made(
    tmp_path: Path, made: list[object], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "plain":
        monkeypatch.setattr(scanners, "hyperscan", None)
    ruleset = rules("x", "y")
    for _ in range(2):
        found = by_engine(Engine(ruleset, plans=PlanFolder(tmp_path / "plans")), EVENTS)
        assert found == by_oracle(ruleset, EVENTS) != []
        assert len(made) == 2


def test_so_it_does_what_was_learnt(tmp_path: Path, made: list[object]) -> None:
    ruleset, plans = rules("x"), PlanFolder(tmp_path / "plans")
    Engine(ruleset, plans=plans).find([Asked({"A": "y", "EventID": 1})] * 600)
    assert len(made) == 2, "once on assumptions, once on what was seen"
    again = Engine(ruleset, plans=plans)
    again.find(EVENTS)
    assert any(one.is_trained for one in again._classes.values())


def test_a_changed_rule_makes_anew_the_class_it_belongs_to_alone(tmp_path: Path, made: list[object]) -> None:
    plans = PlanFolder(tmp_path / "plans")
    before = load_rules(_two_sources("x", "y"))
    after = load_rules(_two_sources("x", "z"))
    asked = [Asked({"A": one}, source) for one in "xyz" for source in _SOURCES]
    by_engine(Engine(before, plans=plans), asked)
    assert len(made) == 2
    assert by_engine(Engine(after, plans=plans), asked) == by_oracle(after, asked)
    assert len(made) == 3


_SOURCES = [(Logsource("one"),), (Logsource("two"),)]


def _two_sources(*values: str) -> bytes:
    return b"---\n".join(
        f"title: t\nid: r{name}\nlogsource: {{category: {name}}}\n"
        f"detection: {{s: {{A: {value}}}, condition: s}}\n".encode()
        for name, value in zip(("one", "two"), values, strict=True)
    )


def test_what_another_version_has_made_is_made_anew(
    tmp_path: Path, made: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    ruleset = rules("x", "y")
    by_engine(Engine(ruleset, plans=PlanFolder(tmp_path / "plans")), EVENTS)
    monkeypatch.setattr(plans, "code", lambda: "another")
    by_engine(Engine(ruleset, plans=PlanFolder(tmp_path / "plans")), EVENTS)
    assert len(made) == 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_plan_is_made_anew(tmp_path: Path, made: list[object], damage: str) -> None:
    ruleset, folder = rules("x", "y"), tmp_path / "plans"
    by_engine(Engine(ruleset, plans=PlanFolder(folder)), EVENTS)
    for path in folder.iterdir():
        data = path.read_bytes()
        path.write_bytes(
            {
                "cut": data[:-3],
                "flipped": data[:40] + bytes((data[40] ^ 1,)) + data[41:],
                "empty": b"",
                "other": os.urandom(100),
            }[damage]
        )
    found = by_engine(Engine(ruleset, plans=PlanFolder(folder)), EVENTS)
    assert found == by_oracle(ruleset, EVENTS)
    assert len(made) == 4


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "plans"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(PermissionError):
        PlanFolder(folder)


def test_a_folder_that_cannot_be_written_costs_the_plan_alone(tmp_path: Path) -> None:
    ruleset, folder = rules("x"), tmp_path / "plans"
    plans = PlanFolder(folder)
    folder.rmdir()
    assert by_engine(Engine(ruleset, plans=plans), EVENTS) == by_oracle(ruleset, EVENTS)
