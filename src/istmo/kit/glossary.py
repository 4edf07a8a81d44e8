"""The glossary: each word that istmo uses, said once for page and document.

The words are in the catalogue (``glossary.term.<id>``, ``glossary.means.<id>``).
``python -m istmo.kit.glossary`` writes ``docs/glosario.md`` and ``docs/glossary.md`` anew; a
test says when they are behind.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from istmo.kit.i18n import LANGUAGES, Catalogue

PARTS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "shared",
        (
            "node",
            "region",
            "member",
            "charter",
            "signer",
            "stix",
            "object",
            "bundle",
            "indicator",
            "pattern",
            "warning-list",
            "confidence",
            "sighting",
            "origin",
            "audience",
            "tlp",
            "tlp-red",
            "tlp-amber-strict",
            "tlp-amber",
            "tlp-green",
            "tlp-clear",
            "pap",
            "publish",
            "retraction",
            "revoked",
            "live",
        ),
    ),
    (
        "watched",
        (
            "logs",
            "event",
            "intake",
            "source",
            "segment",
            "detection",
            "watch",
            "rule",
            "switched",
            "hit",
            "logsource",
            "filter",
            "correlation",
            "value-list",
            "hunt",
            "look-back",
            "saved-hunt",
            "sql",
            "alert",
            "status",
            "evidence",
            "host",
            "level",
            "hash",
        ),
    ),
    (
        "worked",
        (
            "case",
            "entry",
            "opening",
            "owner",
            "disputed",
            "share",
        ),
    ),
    (
        "trust",
        (
            "log",
            "envelope",
            "commitment",
            "erase",
            "checkpoint",
            "delivery",
            "frame",
            "acknowledge",
            "key",
            "fingerprint",
            "sealed",
            "invitation",
            "admit",
            "remove",
            "link",
        ),
    ),
    (
        "people",
        (
            "account",
            "role",
            "password",
            "api-token",
            "scope",
            "revoke",
            "audit",
            "backup",
            "service-log",
            "job",
        ),
    ),
)
"""Ids of terms by part, in the order in which they are read."""

DOCUMENTS: Final = {"es": "glosario.md", "en": "glossary.md"}


def document(catalogue: Catalogue, language: str) -> str:
    """The glossary in Markdown."""

    def say(key: str) -> str:
        return catalogue.text(language, key)

    other = next(one for one in LANGUAGES if one != language)
    lines = [f"# {say('glossary.title')}", "", f"{say('glossary.lead')} {say('glossary.document.lead')}"]
    head = " | ".join(say(f"glossary.document.{one}") for one in ("word", "other", "means"))
    for part, terms in PARTS:
        lines += ["", f"## {say(f'glossary.part.{part}')}", "", f"| {head} |", "|---|---|---|"]
        for id in terms:
            words = (say(f"glossary.term.{id}"), catalogue.text(other, f"glossary.term.{id}"))
            lines.append(f"| {words[0]} | {words[1]} | {say(f'glossary.means.{id}')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the documents into the folder that is named."""
    folder, catalogue = Path(sys.argv[1] if len(sys.argv) > 1 else "docs"), Catalogue(strict=True)
    for language, name in DOCUMENTS.items():
        (folder / name).write_text(document(catalogue, language), "utf-8")


if __name__ == "__main__":
    main()
