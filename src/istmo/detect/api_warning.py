"""The machine interface of warning lists."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import delete, get, post, put

from istmo.detect.objects import KeptWarningList
from istmo.detect.service import Detect
from istmo.detect.shapes_warning import ValueOnLists, WarningListList, WarningListShape
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.openapi import TEXT, operation_with_body
from istmo.model import instants

LARGEST_BODY: Final = 64 << 20
_ListOperation = operation_with_body(
    "A warning list in the format of MISP's: ``name``, ``type``, ``list``, ``matching_attributes``.",
    {"application/json": TEXT},
)


class SwitchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A list by its name, and whether it is to be in force."""

    name: str
    enabled: bool


@get("/api/v1/warning-lists", opt=PEOPLE, tags=["warning-lists"], sync_to_thread=True)
def list_warning_lists(asker: Asker, detect: Detect) -> WarningListList:
    """Every warning list by name, without its entries."""
    return _listed(detect.warning_lists(asker.principal))


@post(
    "/api/v1/warning-lists",
    opt=PEOPLE,
    tags=["warning-lists"],
    operation_class=_ListOperation,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=LARGEST_BODY,
)
def put_warning_list(body: bytes, asker: Asker, detect: Detect) -> WarningListShape:
    """A new list, or a new version of the one of that name: hits of its values are informational now."""
    return _shape(detect.put_warning_list(asker.principal, body))


@put(
    "/api/v1/warning-lists/reserved",
    opt=PEOPLE,
    tags=["warning-lists"],
    status_code=200,
    sync_to_thread=True,
)
def put_reserved_lists(asker: Asker, detect: Detect) -> WarningListList:
    """The lists that come with the program, put in force: ranges and names that RFCs reserve."""
    return _listed(detect.put_reserved_lists(asker.principal))


@post(
    "/api/v1/warning-lists/switch",
    opt=PEOPLE,
    tags=["warning-lists"],
    status_code=200,
    sync_to_thread=True,
)
def switch_warning_list(asker: Asker, detect: Detect, data: SwitchRequest) -> WarningListList:
    """Put a list in force, or out of it; it is kept."""
    detect.switch_warning_list(asker.principal, data.name, data.enabled)
    return _listed(detect.warning_lists(asker.principal))


@get("/api/v1/warning-lists/find", opt=PEOPLE, tags=["warning-lists"], sync_to_thread=True)
def find_on_warning_lists(asker: Asker, detect: Detect, value: str) -> ValueOnLists:
    """On which lists in force a value stands."""
    kind, normal, names = detect.lists_with(asker.principal, value[:2_000])
    return {"kind": kind, "value": normal, "lists": list(names)}


@delete("/api/v1/warning-lists", opt=PEOPLE, tags=["warning-lists"], sync_to_thread=True)
def drop_warning_list(name: str, asker: Asker, detect: Detect) -> None:
    """Forget a list: hits of its values have the level of their indicator again."""
    detect.drop_warning_list(asker.principal, name)


def _listed(found: list[KeptWarningList]) -> WarningListList:
    return {"items": [_shape(one) for one in found], "next": None, "total": len(found)}


def _shape(one: KeptWarningList) -> WarningListShape:
    return {
        "name": one.name,
        "type": one.type,
        "description": one.description,
        "version": one.version,
        "kinds": list(one.kinds),
        "entries": one.entries,
        "unusable": one.unusable,
        "enabled": one.is_enabled,
        "changed": instants.format(one.changed),
        "changed_by": one.changed_by,
    }


routes = [
    list_warning_lists,
    put_warning_list,
    put_reserved_lists,
    switch_warning_list,
    find_on_warning_lists,
    drop_warning_list,
]
