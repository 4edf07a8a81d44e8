"""A match as the web process is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.eventstore.times import event_micros
from istmo.detect.indicators import PATTERN, Hit
from istmo.detect.normalise import NormalEvent
from istmo.detect.wire import INDICATORS, SIGMA, WireHit

MOST_TERMS: Final = 100
MOST_TOLD: Final = 8 << 20
"""What the hits of one message bring of their events, all together, about."""
LONGEST_RAW: Final = 64 << 10
"""Of one event, which may be a megabyte and be found by hundreds: an alert keeps no more of it."""
LONGEST_FIELD: Final = 4096
_LONGEST_NAME: Final = 200
_MOST_FIELDS: Final = 200


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


def fitting(hits: list[WireHit]) -> list[WireHit]:
    """Hits as they fit into one message: where they would not, each brings less of its event."""
    if sum(map(_weight, hits)) <= MOST_TOLD:
        return hits
    share = MOST_TOLD // (2 * len(hits))
    return [
        msgspec.structs.replace(
            one,
            raw=one.raw[:share],
            fields={name: value[: share // len(one.fields)] for name, value in one.fields.items()},
        )
        for one in hits
    ]


def _weight(one: WireHit) -> int:
    return len(one.raw) + sum(map(len, one.fields.values()))


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
        host=normal.host[:256],
        fields={
            name[:_LONGEST_NAME]: value[:LONGEST_FIELD] for name, value in list(fields.items())[:_MOST_FIELDS]
        },
        raw=event.raw[:LONGEST_RAW],
        stored=is_stored,
        received=event.received,
        source=event.source,
        terms=terms or [],
    )
