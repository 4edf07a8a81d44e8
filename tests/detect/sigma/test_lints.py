"""Each remark on a rule: when it is made, at which line, and that it has its words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

from istmo.detect import commands_rules
from istmo.detect.sigma import Problem, RuleFile, lints, read_rules
from istmo.detect.sigma.lints import Linter, Remark
from istmo.detect.sigma.logsources import Logsource
from istmo.kit.cli import speak
from istmo.kit.i18n import Catalogue

RULE = """title: Una regla
id: 0f06a3a5-6a09-413f-8743-e6cf35561297
status: test
level: high
date: 2026-01-02
tags: [attack.t1059.001]
logsource: {product: windows, category: process_creation}
detection:
  selection:
    CommandLine|contains: powershell
  condition: selection
"""


def remarks(source: str, linter: Linter | None = None) -> list[Remark]:
    found: list[Remark] = []
    linter = linter or Linter(lambda source: source.product == "windows")
    for one in read_rules([RuleFile("a.yml", source.encode())]):
        assert not isinstance(one, Problem), one
        found += linter.look(one)
    return found


def test_a_good_rule_has_none() -> None:
    assert remarks(RULE) == []


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("id: 0f06a3a5-6a09-413f-8743-e6cf35561297\n", "", "no_id", 1),
        ("0f06a3a5-6a09-413f-8743-e6cf35561297", "mine-1", "id_not_uuid", 2),
        ("level: high\n", "", "no_level", 1),
        ("level: high", "level: severe", "level_unknown", 4),
        ("date: 2026-01-02\n", "", "no_date", 1),
        ("date: 2026-01-02", "date: 2026/01/02", "date_form", 5),
        ("status: test", "status: deprecated", "deprecated", 3),
        ("status: test", "status: fine", "status_unknown", 3),
        ("attack.t1059.001", "attack.T1059", "tag_form", 6),
        ("attack.t1059.001", "attack.t59", "tag_form", 6),
        ("attack.t1059.001", "powershell", "tag_form", 6),
        ("condition: selection", "condition: not selection", "only_negative", 11),
        ("condition: selection", "condition: 1 of them", "of_one", 11),
        ("selection", "notepad", "name_begins_with_not", 9),
        ("  condition", "  other:\n    Image: uno.exe\n  condition", "search_unused", 11),
        ("contains: powershell", "re: '[a-z]{8}.*'", "expression_without_literal", 10),
        ("CommandLine|contains: powershell", "EventID: 1\n    Image: '*'", "wildcard_alone", 11),
        ("|contains: powershell", r": 'C:\Windows\*\x.exe'", "escaped_wildcard", 10),
        ("contains: powershell", "contains: [-k, /c]", "short_literals", 9),
        ("|contains: powershell", ": [uno.exe, 0429]", "mixed_list", 10),
        ("product: windows", "product: abacus", "logsource_unknown", 7),
    ],
)
def test_what_is_remarked_on(old: str, new: str, code: str, line: int) -> None:
    found = {one.code: one for one in remarks(RULE.replace(old, new))}
    assert code in found
    assert (found[code].file, found[code].line) == ("a.yml", line)
    for language in ("es", "en"):
        text = Catalogue(strict=True).text(language, found[code].key, **found[code].params)
        assert "{" not in text.replace(r"{8}", "")


def test_lines_count_from_the_beginning_of_the_file() -> None:
    other = RULE.replace("35561297", "35561298").replace("level: high", "level: severe")
    found = {one.code: one.line for one in remarks(f"{RULE}---\n{other}")}
    assert found["level_unknown"] == 16
    assert found["duplicate_title"] == 13


@pytest.mark.parametrize(
    "value",
    [r"C:\Windows\\*\x.exe", r"\\\\\*\\IPC$", r"SELECT \* FROM", r"C:\Users\*"[:-1], "*.exe"],
)
def test_a_star_that_is_meant_is_left_alone(value: str) -> None:
    source = RULE.replace("|contains: powershell", f": '{value}'")
    assert "escaped_wildcard" not in {one.code for one in remarks(source)}


def test_every_remark_has_its_text_and_every_text_its_remark() -> None:
    codes = {
        str(node.args[0].value)
        for node in ast.walk(ast.parse(Path(lints.__file__).read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Remark"
        if isinstance(node.args[0], ast.Constant)
    }
    known = Catalogue().keys("es")
    assert codes == {key.removeprefix("sigma.lint.") for key in known if key.startswith("sigma.lint.")}


# --- the command -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "options", "status"),
    [
        (RULE, (), 0),
        (RULE, ("--strict",), 0),
        (RULE.replace("level: high\n", ""), (), 0),
        (RULE.replace("level: high\n", ""), ("--strict",), 1),
        (RULE.replace("condition: selection", "condition: other"), (), 1),
        ("", (), 1),
    ],
)
def test_the_status_at_the_end(tmp_path: Path, source: str, options: tuple[str, ...], status: int) -> None:
    (tmp_path / "a.yml").write_text(source, "utf-8")
    done = CliRunner().invoke(commands_rules.check, [str(tmp_path), *options])
    assert done.exit_code == status, done.output


@pytest.mark.parametrize("language", ["es", "en"])
def test_what_was_refused_is_named_with_file_line_and_reason(tmp_path: Path, language: str) -> None:
    speak(language)
    try:
        (tmp_path / "a.yml").write_text(RULE.replace("condition: selection", "condition: other"), "utf-8")
        done = CliRunner(env={"COLUMNS": "200"}).invoke(commands_rules.check, [str(tmp_path)])
    finally:
        speak("es")
    assert "a.yml:11" in done.stdout
    assert "Una regla" in done.stdout
    assert "⟦" not in done.output


def test_a_title_cannot_steer_the_terminal(tmp_path: Path) -> None:
    source = RULE.replace("Una regla", '"\\x1b[31mrojo"').replace("level: high\n", "")
    (tmp_path / "a.yml").write_text(source, "utf-8")
    for options in ((), ("--json",)):
        done = CliRunner().invoke(commands_rules.check, [str(tmp_path), *options])
        assert "\x1b" not in done.output


def test_a_log_source_of_windows_is_known() -> None:
    from istmo.detect.normalise.known import known_logsource

    assert known_logsource(Logsource("process_creation", "windows", ""))
    assert known_logsource(Logsource("", "windows", "security"))
    assert not known_logsource(Logsource("", "windows", "nothing"))
