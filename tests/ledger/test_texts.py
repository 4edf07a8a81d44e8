"""Everything that the ledger can say has its words in both languages, with the placeholders it is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import istmo.ledger
from istmo.kit.i18n import Catalogue, placeholders

ROOT = Path(istmo.ledger.__file__).parent
SOURCES = "\n".join(
    path.read_text("utf-8") for path in [*ROOT.glob("*.py"), ROOT.parent / "cli" / "ledger.py"]
)
ERRORS = {*re.findall(r'(?:InvalidInput|NotFound|Conflict|TooLarge|NotAllowed)\(\s*"(ledger\.\w+)"', SOURCES)}
ERRORS |= {"ledger.equivocation", "ledger.handler_failed"}
PROBLEMS = {*re.findall(r'(?:report|self\.report|check\.report)\.add\(\s*"(\w+)"', SOURCES)}
PROBLEMS |= {"bad_checkpoint", "bad_checkpoint_signature", "wrong_chain", "bad_chains"}


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_error_and_problem_has_words(language):
    catalogue = Catalogue(strict=True)
    wanted = {f"error.{one}" for one in ERRORS} | {f"error.{one}.remedy" for one in ERRORS}
    wanted |= {f"ledger.problem.{one}" for one in PROBLEMS}
    assert {key for key in wanted if not catalogue.has(language, key)} == set()
    assert len(PROBLEMS) > 20


def test_both_languages_fill_the_same_placeholders():
    catalogue = Catalogue(strict=True)
    keys = [one for one in catalogue.keys("es") if one.startswith(("ledger.", "error.ledger."))]
    for key in keys:
        es, en = catalogue.entry("es", key), catalogue.entry("en", key)
        assert [placeholders(one) for one in es] == [placeholders(one) for one in en], key
        assert es != en, key
