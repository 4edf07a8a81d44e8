"""The examples and the table of docs/indicators.md, and of its Spanish sister, hold."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from istmo.detect.indicators import Matcher
from istmo.detect.levels import level_of
from istmo.kit.i18n import Catalogue
from istmo.model.patterns import read_pattern

from .pattern_cases import SECOND

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {"en": DOCS / "indicators.md", "es": DOCS / "indicators.es.md"}
CELL = re.compile(r"`([^`]*)`")


def rows(page: Path, heading: int) -> list[list[str]]:
    """The rows of the table below a heading, by its number."""
    part = page.read_text("utf-8").split("\n## ")[heading]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def true_at(pattern: str, events: list[tuple[int, dict[str, Any]]]) -> list[int]:
    read = read_pattern(pattern)
    assert read.not_detected is None, pattern
    matcher = Matcher(lambda: 0)
    matcher.put("indicator--x", read.terms, None, read.plan)
    return [at for n, (at, one) in enumerate(events) if matcher.match(one, at * SECOND, f"0-{n}")]


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_what_is_matched_where(page: Path) -> None:
    found = rows(page, 1)
    assert len(found) >= 5
    for pattern, event, answer in found:
        fields = json.loads(event.strip("`"))
        assert bool(true_at(pattern.strip("`"), [(0, fields)])) is (answer in ("yes", "sí")), pattern


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_whole_patterns(page: Path) -> None:
    found = rows(page, 2)
    assert len(found) >= 3
    for pattern, events, at in found:
        came = [one.split(" ", 1) for one in CELL.findall(events)]
        shown = [(int(second), json.loads(event)) for second, event in came]
        assert true_at(pattern.strip("`"), shown) == [int(at)], pattern


@pytest.mark.parametrize("language", PAGES)
def test_levels(language: str) -> None:
    catalogue = Catalogue()
    columns: list[list[str]] = [["malicious-activity"], [], ["anonymization"], ["benign"]]
    found = rows(PAGES[language], 3)
    assert len(found) == 4
    for confidence, (_, *cells) in zip((80, 50, 10, 0), found, strict=True):
        for types, said in zip(columns, cells, strict=True):
            told = catalogue.text(language, f"kit.level.{level_of(confidence, types)}")
            assert said.casefold() == told.casefold(), (confidence, types)
