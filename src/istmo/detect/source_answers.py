"""What is told of sources: as plain JSON, and why events were refused in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from istmo.detect.objects_source import Source
from istmo.detect.shapes_source import ReasonShape, SourceShape
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue, grouped
from istmo.model import instants
from istmo.settings import Limits

LATE_SECONDS: Final = 900
"""From which on a lag, or a time to come, is worth a word: a queue that is not drained, a clock, a zone."""


@dataclass(frozen=True)
class Refusal:
    """Why events were refused or kept as mere text, in words."""

    code: str
    count: int
    text: str
    remedy: str


def refusals(
    reasons: Mapping[str, int], language: str, catalogue: Catalogue, limits: Limits
) -> list[Refusal]:
    """The most frequent reason first. What only the single event knew is left open."""
    known = {
        "detect.line_too_deep": limits.json_depth,
        "detect.line_too_long": limits.line_bytes,
        "detect.batch_too_large": limits.batch_bytes,
        "detect.body_too_large": limits.archive_bytes,
    }
    told = []
    for code, count in sorted(reasons.items(), key=lambda one: (-one[1], one[0])):
        limit = {"limit": grouped(known[code])} if code in known else {}
        key = f"error.{code}"
        words = [
            catalogue.outline(language, one, **limit) if catalogue.has(language, one) else ""
            for one in (key, f"{key}.remedy")
        ]
        told.append(Refusal(code, count, words[0] or code, words[1]))
    return told


def narrowed(sources: Iterable[Source], now: datetime, words: str, state: str) -> list[Source]:
    """Those whose name holds every word and that are in this state; empty narrows nothing."""
    wanted = words.lower().split()[:8]
    return [
        one
        for one in sources
        if all(word in one.name.lower() for word in wanted) and state in ("", one.state(now))
    ]


def source_json(
    source: Source, asker: Asker, catalogue: Catalogue, limits: Limits, now: datetime
) -> SourceShape:
    """A source without anything secret."""
    settings, recent = source.settings, source.recent
    reasons: list[ReasonShape] = [
        {"code": one.code, "count": one.count, "text": one.text, "remedy": one.remedy}
        for one in refusals(source.reasons, asker.language, catalogue, limits)
    ]
    return {
        "id": source.id,
        "name": source.name,
        "created": _time(source.created),
        "created_by": source.created_by,
        "expires": _time(source.expires),
        "revoked": _time(source.revoked),
        "state": source.state(now),
        "paused": _time(source.paused),
        "settings": {
            "networks": list(settings.networks),
            "certificate": settings.certificate,
            "form": settings.form,
            "zone": settings.zone,
            "rate": settings.rate,
            "silent_after": settings.silent_after,
            "version": source.version,
        },
        "accepted": source.accepted,
        "doubled": source.doubled,
        "unreadable": source.unreadable,
        "unreadable_share": round(source.unreadable_share, 4),
        "refused": source.refused,
        "reasons": reasons,
        "first_event": _time(source.first_event),
        "last_event": _time(source.last_event),
        "rate": round(recent.rate, 2),
        "lag": None if source.lag is None else source.lag / 1_000_000,
        "last_hour": {
            "accepted": recent.accepted,
            "unreadable": recent.unreadable,
            "refused": recent.refused,
            "much_unreadable": recent.is_badly_read,
            "much_refused": recent.is_much_refused,
            "minutes": list(recent.minutes),
        },
        "silence": source.silence,
    }


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else instants.format(instant)
