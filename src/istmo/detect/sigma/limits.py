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
    """Of all conditions of a rule together."""
    operands: int = 20_000
    """Search identifiers in them, once ``1 of …`` is spelled out."""
    condition_depth: int = 32
    values: int = 20_000
    """In one field of one rule, after modifiers have multiplied them."""
    expression_characters: int = 4_096
    references: int = 100
    """Rules that one correlation refers to."""
    counted_in_order: int = 16
    """Of them, where ``temporal_ordered`` counts how many occur in order."""
    filter_references: int = 10_000
    chain: int = 10
    """Correlations over correlations."""
    group_fields: int = 20
    terms: int = 64
    """Ways in which the boolean condition of a correlation can hold."""
    placeholders: int = 10_000
    placeholder_characters: int = 4_096
    """In one value."""
    problems: int = 10_000


STANDARD = RuleLimits()
