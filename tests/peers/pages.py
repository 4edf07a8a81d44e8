"""Configuration as ``docs/intake/`` gives it to be copied: what stands there is what the peers run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

PAGES = Path(__file__).resolve().parents[2] / "docs" / "intake"
LANGUAGES = ("es", "en")


def blocks(page: str, kind: str, language: str = "es") -> list[str]:
    """The blocks of one kind of a page, in order."""
    text = (PAGES / f"{page}.{language}.md").read_text("utf-8")
    return re.findall(rf"^```{re.escape(kind)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def put_in(block: str, here: Mapping[str, object]) -> str:
    """A block with what a reader would put in the place of the example's own; each must be there."""
    for theirs, ours in here.items():
        assert theirs in block, theirs
        block = block.replace(theirs, str(ours))
    return block
