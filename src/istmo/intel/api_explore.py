"""The machine interface of looking around: neighbours, versions, export, what is about to be published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, RawBody
from litestar.response import Stream

from istmo.errors import InvalidInput
from istmo.intel.answers import (
    Words,
    changes_json,
    checked_json,
    neighbourhood_json,
    past_json,
)
from istmo.intel.exporting import csv_values, stix_bundle
from istmo.intel.objects import Order, State
from istmo.intel.past import indicators_in
from istmo.intel.reading import LONGEST_PAGE
from istmo.intel.service import Intel
from istmo.intel.shapes import CheckedList, NeighbourList, PastMatches, VersionChanges
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.openapi import operation_with_answer, operation_with_body
from istmo.model import instants
from istmo.model.markings import Tlp
from istmo.model.stix import parse_bundle
from istmo.settings import Settings

STIX = "application/stix+json;version=2.1"
CSV = "text/csv"
LARGEST_BUNDLE = 16 << 20
LARGEST_LIST = 1 << 20

LookingBack = Any
"""``intel.past.PastMatching``: a function of another room; the framework would refuse to check its type."""

_OBJECT = Schema(type=OpenAPIType.OBJECT)
_BUNDLE = operation_with_body(
    "A STIX 2.1 bundle, or one object.", {"application/json": _OBJECT, "application/stix+json": _OBJECT}
)


class CheckRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A list of values as people paste it: one a line, or between spaces or commas."""

    values: str


@post(
    "/api/v1/objects/check",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_LIST,
)
def check_values(data: JSONBody[CheckRequest], asker: Asker, intel: Intel) -> CheckedList:
    """What a pasted list would be read as, and what is known of each value. Nothing is kept."""
    return checked_json(intel.check(asker.principal, data.values))


@post(
    "/api/v1/objects/past",
    opt=PEOPLE,
    operation_class=_BUNDLE,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BUNDLE,
)
def match_past(
    body: RawBody, asker: Asker, intel: Intel, catalogue: Catalogue, settings: Settings, past: LookingBack
) -> PastMatches:
    """What the indicators of the bundle in the body would have matched in the events stored here."""
    bundle = parse_bundle(body, settings.limits)
    found = past(asker.principal, indicators_in(bundle))
    return past_json(found, Words(asker, catalogue, intel.names()))


@get("/api/v1/objects/{object_id:str}/neighbours", opt=PEOPLE, sync_to_thread=True)
def show_neighbours(
    object_id: FromPath[str], asker: Asker, intel: Intel, catalogue: Catalogue
) -> NeighbourList:
    """The objects that relationships or references connect with this one."""
    found = intel.neighbourhood(asker.principal, object_id)
    return neighbourhood_json(found, Words(asker, catalogue, intel.names()))


@get("/api/v1/objects/{object_id:str}/compare", opt=PEOPLE, sync_to_thread=True)
def compare_versions(
    object_id: FromPath[str], asker: Asker, intel: Intel, before: FromQuery[str], after: FromQuery[str]
) -> VersionChanges:
    """In what two versions differ, each named by its entry: ``sequence`` or ``sequence@origin``."""
    return changes_json(*intel.compare(asker.principal, object_id, before, after))


@get(
    "/api/v1/objects/export",
    opt=PEOPLE,
    sync_to_thread=True,
    operation_class=operation_with_answer(
        "A STIX 2.1 bundle, or the values of indicators with ``as=csv``.",
        {STIX: _OBJECT, CSV: Schema(type=OpenAPIType.STRING)},
    ),
)
def export_objects(
    asker: Asker,
    intel: Intel,
    q: FromQuery[str] = "",
    kind: Annotated[str, QueryParameter(name="type")] = "",
    tlp: FromQuery[str] = "",
    origin: FromQuery[str] = "",
    object_state: Annotated[str, QueryParameter(name="state")] = "",
    seen: FromQuery[bool | None] = None,
    since: FromQuery[str] = "",
    parts: FromQuery[bool] = True,
    form: Annotated[str, QueryParameter(name="as")] = "stix",
) -> Response[Any]:
    """What a search finds as a file, up to 10,000 objects; what was taken back is left out. Relations and
    observables go along unless ``parts`` is false: without them the others would stand alone elsewhere.
    """
    if form not in ("stix", "csv"):
        raise InvalidInput("intel.unknown_export", form=form[:40])
    sought: dict[str, Any] = {
        "query": q,
        "type": kind,
        "tlp": read_tlp(tlp),
        "origin": origin,
        "state": read_state(object_state),
        "is_seen": seen,
        "since": read_since(since),
        "parts": parts,
    }
    first = intel.search(asker.principal, limit=LONGEST_PAGE, **sought)
    found = intel.export(asker.principal, first, **sought)
    lines: Iterator[bytes] = csv_values(found, intel.names()) if form == "csv" else stix_bundle(first, found)
    name = "istmo.csv" if form == "csv" else "istmo.stix.json"
    return Stream(
        lines,
        media_type=CSV if form == "csv" else STIX,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def read_tlp(text: str) -> Tlp | None:
    """A level by its label or name. Raises InvalidInput("intel.unknown_tlp")."""
    if not text:
        return None
    found = Tlp.read(text)
    if found is None:
        raise InvalidInput("intel.unknown_tlp", tlp=text[:40])
    return found


def read_state(text: str) -> State | None:
    """A state by its name. Raises InvalidInput("intel.unknown_state")."""
    if not text:
        return None
    if text not in list(State):
        raise InvalidInput("intel.unknown_state", state=text[:40])
    return State(text)


def read_since(text: str) -> datetime | None:
    """An RFC 3339 time. Raises InvalidInput as ``instants.parse``."""
    return instants.parse(text) if text else None


def read_order(text: str) -> Order:
    """An order by its name. Raises InvalidInput("intel.unknown_order")."""
    if text not in list(Order):
        raise InvalidInput("intel.unknown_order", order=text[:40])
    return Order(text)


routes = [check_values, match_past, export_objects, show_neighbours, compare_versions]
