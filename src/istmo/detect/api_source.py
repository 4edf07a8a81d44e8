"""The machine interface of detection: intake sources."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.params import QueryParameter
from msgspec import UNSET, UnsetType

from istmo.clock import Clock
from istmo.detect.service import Detect
from istmo.detect.shapes_source import SourceList, SourceMade, SourceShape
from istmo.detect.source_answers import narrowed, source_json
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import instants
from istmo.settings import Settings


class SourceChange(msgspec.Struct, forbid_unknown_fields=True):
    """Settings of a source; what is not named stays as it is.

    ``networks``: CIDR; ``certificate``: SHA-256 in hex, or a PEM; ``form``: a format of lines; ``zone``: an
    IANA name; ``rate``: events a second; ``silent_after``: seconds, or as ``15m``. Empty or 0 takes one away.
    """

    networks: list[str] | UnsetType = UNSET
    certificate: str | UnsetType = UNSET
    form: str | UnsetType = UNSET
    zone: str | UnsetType = UNSET
    rate: int | str | UnsetType = UNSET
    silent_after: int | str | UnsetType = UNSET


class SourceChangeRequest(SourceChange, forbid_unknown_fields=True, kw_only=True):
    """Settings that change, perhaps the ``name``, and the ``version`` of what was seen."""

    name: str | None = None
    version: str | None = None


class SourceRequest(SourceChange, forbid_unknown_fields=True, kw_only=True):
    """A new source of events; ``expires`` in RFC 3339, settings as when one is changed."""

    name: str
    expires: str | None = None


class PauseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Whether nothing is to be taken of the source for now."""

    paused: bool


@get("/api/v1/sources", opt=PEOPLE, sync_to_thread=True)
def list_sources(
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    settings: Settings,
    clock: Clock,
    q: str = "",
    source_state: Annotated[str, QueryParameter(name="state")] = "",
) -> SourceList:
    """Intake sources: settings, what each has sent, when last, how late, what was refused and why."""
    found = narrowed(detect.sources(asker.principal), clock.now(), q, source_state)
    items = [source_json(one, asker, catalogue, settings.limits, clock.now()) for one in found]
    return {"items": items, "next": None, "total": len(found)}


@get("/api/v1/sources/{source_id:str}", opt=PEOPLE, sync_to_thread=True)
def show_source(
    source_id: str, asker: Asker, detect: Detect, catalogue: Catalogue, settings: Settings, clock: Clock
) -> SourceShape:
    """One source, revoked or not."""
    found = detect.read_source(asker.principal, source_id)
    return source_json(found, asker, catalogue, settings.limits, clock.now())


@post("/api/v1/sources", opt=PEOPLE, status_code=201, sync_to_thread=True)
def create_source(
    data: SourceRequest,
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    settings: Settings,
    clock: Clock,
) -> SourceMade:
    """A new source. Its ``secret`` (the bearer token of the intake) is told this once."""
    expires = None if data.expires is None else instants.parse(data.expires)
    source, secret = detect.create_source(asker.principal, data.name, expires=expires, settings=_given(data))
    return {**source_json(source, asker, catalogue, settings.limits, clock.now()), "secret": secret}


@post("/api/v1/sources/{source_id:str}", opt=PEOPLE, status_code=200, sync_to_thread=True)
def change_source(
    source_id: str,
    data: SourceChangeRequest,
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    settings: Settings,
    clock: Clock,
) -> SourceShape:
    """Give settings of a source anew, or its name; its token stays. ``version``: of what was seen, 409 where
    it is another by now; without it, whatever there is is written over.
    """
    found = detect.change_source(
        asker.principal, source_id, _given(data), name=data.name, version=data.version
    )
    return source_json(found, asker, catalogue, settings.limits, clock.now())


@post("/api/v1/sources/{source_id:str}/token", opt=PEOPLE, status_code=201, sync_to_thread=True)
def rotate_source(
    source_id: str, asker: Asker, detect: Detect, catalogue: Catalogue, settings: Settings, clock: Clock
) -> SourceMade:
    """A new ``secret`` in place of the old, told this once; the old one opens nothing any more."""
    source, secret = detect.rotate_source(asker.principal, source_id)
    return {**source_json(source, asker, catalogue, settings.limits, clock.now()), "secret": secret}


@post("/api/v1/sources/{source_id:str}/pause", opt=PEOPLE, status_code=200, sync_to_thread=True)
def pause_source(
    source_id: str,
    data: PauseRequest,
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    settings: Settings,
    clock: Clock,
) -> SourceShape:
    """Take nothing of a source for now, or again."""
    found = detect.pause_source(asker.principal, source_id, data.paused)
    return source_json(found, asker, catalogue, settings.limits, clock.now())


@delete("/api/v1/sources/{source_id:str}", opt=PEOPLE, sync_to_thread=True)
def revoke_source(source_id: str, asker: Asker, detect: Detect) -> None:
    """Refuse what this source sends from now on."""
    detect.revoke_source(asker.principal, source_id)


def _given(data: SourceChange) -> dict[str, Any]:
    named = ((name, getattr(data, name)) for name in SourceChange.__struct_fields__)
    return {name: value for name, value in named if value is not UNSET}


routes = [
    list_sources,
    show_source,
    create_source,
    change_source,
    rotate_source,
    pause_source,
    revoke_source,
]
