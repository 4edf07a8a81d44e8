"""Bounds on what a rule file may hold, far above what any published rule needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleLimits:
    """Sizes in bytes, everything else counts."""

    file_bytes: int = 1 << 20
    files: int = 50_000
    archive_bytes: int = 512 << 20
    """Unpacked, all members together."""
    archive_ratio: int = 200
    """Unpacked to packed size of one member."""
    archive_members: int = 100_000
    documents: int = 2_000
    """In one file."""
    depth: int = 24
    nodes: int = 50_000
    """In one document, each alias counted with all that it repeats."""
    aliases: int = 200
    title_characters: int = 256
    condition_characters: int = 10_000
    condition_depth: int = 32
    values: int = 20_000
    """In one field of one rule, after modifiers have multiplied them."""
    expression_characters: int = 4_096
    problems: int = 10_000


STANDARD = RuleLimits()
