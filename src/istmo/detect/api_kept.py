"""The machine interface of keeping: what stored events take, and how long they stay."""

from __future__ import annotations

import msgspec
from litestar import get, put

from istmo.detect.objects_kept import Kept, Sealed
from istmo.detect.service import Detect
from istmo.detect.shapes_kept import KeptShape, SealedShape
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.model import instants


class KeepRequest(msgspec.Struct, forbid_unknown_fields=True):
    """How long a source's events are kept, and on how much disk; 0 is no bound of its own."""

    keep_days: int = 0
    budget_bytes: int = 0


@get("/api/v1/events/kept", opt=PEOPLE, sync_to_thread=True)
def show_kept(asker: Asker, detect: Detect) -> KeptShape:
    """The oldest event, what events take on disk by source, and for how many days there is room."""
    return kept_json(detect.kept(asker.principal))


@put("/api/v1/sources/{source_id:str}/kept", opt=PEOPLE, sync_to_thread=True)
def keep_source(source_id: str, data: KeepRequest, asker: Asker, detect: Detect) -> KeptShape:
    """Say how long a source's events are kept. What is past it goes within a day, and is audited."""
    detect.keep_source(asker.principal, source_id, data.keep_days, data.budget_bytes)
    return kept_json(detect.kept(asker.principal))


def kept_json(kept: Kept) -> KeptShape:
    return {
        "oldest": None if kept.oldest is None else instants.format(kept.oldest),
        "bytes": kept.bytes,
        "daily_bytes": kept.daily_bytes,
        "days_left": kept.days_left,
        "keep_days": kept.keep.days,
        "budget_bytes": kept.keep.budget,
        "sources": [
            {
                "id": one.id,
                "name": one.name,
                "keep_days": one.keep.days,
                "budget_bytes": one.keep.budget,
                "bytes": one.bytes,
            }
            for one in kept.sources
        ],
        "sealed": None if kept.sealed is None else _sealed_json(kept.sealed),
    }


def _sealed_json(sealed: Sealed) -> SealedShape:
    return {
        "key": sealed.key,
        "sealed_bytes": sealed.sealed,
        "older_key_bytes": sealed.older,
        "plain_bytes": sealed.plain,
        "shut": sealed.shut,
    }


routes = [show_kept, keep_source]
