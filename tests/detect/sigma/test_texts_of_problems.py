"""Every reason for leaving a rule out can be told to a person."""

from __future__ import annotations

import ast
from pathlib import Path

import istmo.detect.sigma
from istmo.kit.i18n import Catalogue

FOLDER = Path(istmo.detect.sigma.__file__).parent


def codes_in_the_code() -> set[str]:
    """First arguments of ``Refused`` and ``Problem``, and the codes that tables and functions give."""
    found: set[str] = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if name in ("Refused", "Problem") and isinstance(first, ast.Constant):
                found.add(str(first.value))
    found |= {"correlation_not_served", "filter_not_served", "collection_not_served"}
    return found | {"stray_macosx", "stray_not_yaml", "stray_link"}


def test_every_problem_has_its_text_and_every_text_its_problem() -> None:
    catalogue = Catalogue()
    known = {
        key.removeprefix("sigma.problem.") for key in catalogue.keys("es") if key.startswith("sigma.problem.")
    }
    assert known == codes_in_the_code()
