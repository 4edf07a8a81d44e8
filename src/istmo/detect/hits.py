"""A match as the web process is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.times import event_micros
from istmo.detect.indicators import PATTERN, Hit
from istmo.detect.normalise import NormalEvent
from istmo.detect.wire import INDICATORS, SIGMA, WireHit

MOST_TERMS: Final = 100


def indicator_hits(
    found: list[Hit], event: StoredEvent, normal: NormalEvent, *, is_stored: bool = False
) -> list[WireHit]:
    """One hit for each indicator, with every field that carried one of its values."""
    by_id: dict[str, dict[str, str]] = {}
    terms: dict[str, dict[tuple[str, str], None]] = {}
    for hit in found:
        by_id.setdefault(hit.id, {})[hit.field] = hit.value
        if hit.kind != PATTERN:
            terms.setdefault(hit.id, {})[hit.kind, hit.term] = None
    return [
        _hit(INDICATORS, id_, event, normal, fields, is_stored, list(terms.get(id_, ()))[:MOST_TERMS])
        for id_, fields in by_id.items()
    ]


def rule_hit(
    rule: str, event: StoredEvent, normal: NormalEvent, fields: Mapping[str, str], *, is_stored: bool = False
) -> WireHit:
    """A hit of one Sigma rule, with the fields by which it holds."""
    return _hit(SIGMA, rule, event, normal, dict(fields), is_stored)


def _hit(
    detector: str,
    subject: str,
    event: StoredEvent,
    normal: NormalEvent,
    fields: dict[str, str],
    is_stored: bool,
    terms: list[tuple[str, str]] | None = None,
) -> WireHit:
    return WireHit(
        detector=detector,
        subject=subject,
        event_id=event.id,
        time=event_micros(normal, event.received),
        host=normal.host,
        fields=fields,
        raw=event.raw,
        stored=is_stored,
        received=event.received,
        source=event.source,
        terms=terms or [],
    )
