"""Every reason for leaving a rule out can be told to a person."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import istmo.detect.sigma
from istmo.detect.sigma import documents, expressions, load_rules
from istmo.kit.i18n import Catalogue

FOLDER = Path(istmo.detect.sigma.__file__).parent


def codes_in_the_code() -> set[str]:
    """First arguments of ``Refused`` and ``Problem``, and the codes that tables and functions give."""
    found: set[str] = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if name in ("Refused", "Problem") and isinstance(first, ast.Constant):
                found.add(str(first.value))
    found |= {"correlation_not_served", "filter_not_served", "collection_not_served"}
    found |= {code for table in (documents._CAUSES, expressions._CAUSES) for _, code in table}
    found |= {"not_yaml", "no_permission", "unreadable"}
    return found | {"stray_macosx", "stray_not_yaml", "stray_link"}


def test_every_problem_has_its_text_and_every_text_its_problem() -> None:
    catalogue = Catalogue()
    known = {
        key.removeprefix("sigma.problem.") for key in catalogue.keys("es") if key.startswith("sigma.problem.")
    }
    assert known == codes_in_the_code()


RULE = """title: Una regla
id: 0f06a3a5-6a09-413f-8743-e6cf35561297
logsource: {product: windows}
detection:
  selection:
    CommandLine|re: %s
  condition: selection
"""
ENGLISH = re.compile(
    r"\b(did not|could not|expected|found|node|invalid|missing|operator|argument|trailing|bad|zip file|not a"
    r"|allowed|character|unexpected|no such|denied|the|is|while)\b",
    re.IGNORECASE,
)
PATTERNS = [r"(?=a)", r"(?<!a)b", r"(a)\1", "a(", "a)", "[a", "*a", "a**", "a{2000}", "[z-a]", r"\q", "(?P<x"]
YAML = [
    "a: [,]", "a: ]", "a: b: c", "a:\n\t- b", "a: [1, 2", "a: 'x", "a: *.exe", "a: @x", 'a: "C:\\W"',
    "- a\nb: c", "a: {b: c", "a: \x01", "a: !!x/y{ b", "%YAML 3.0\n---\na: b", "a: |0\n b", "a: 'x' y",
    "!e!x a", "a: >x\n b",
]  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [*(RULE % f"'{one}'" for one in PATTERNS), *YAML, "PK\x03\x04 not really"],
)
def test_no_word_of_a_library_reaches_a_spanish_text(source: str) -> None:
    (problem, *_) = load_rules(source.encode()).problems
    assert problem.file == "rules"
    said = Catalogue(strict=True).text("es", problem.key, **problem.params)
    pattern = str(problem.params.get("pattern", ""))
    assert pattern in said
    assert not ENGLISH.search(said.replace(pattern, "") if pattern else said), said
    if not source.startswith("PK"):
        assert problem.line >= 1


def test_no_word_of_the_system_reaches_a_spanish_text(tmp_path: Path) -> None:
    (problem,) = load_rules(tmp_path / "nowhere").problems
    assert not ENGLISH.search(Catalogue(strict=True).text("es", problem.key, **problem.params))
