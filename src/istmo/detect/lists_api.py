"""The machine interface to value lists: what ``%name%`` stands for in Sigma rules."""

from __future__ import annotations

import msgspec
from litestar import delete, get, put

from istmo.detect.answers import list_json
from istmo.detect.service import Detect
from istmo.detect.shapes import ValueListList, ValueListShape
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker


class ValueListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """All values of a list; wildcards as in a rule."""

    values: list[str]


@get("/api/v1/value-lists", opt=PEOPLE, sync_to_thread=True)
def list_value_lists(asker: Asker, detect: Detect) -> ValueListList:
    """Every value list by name."""
    found = detect.value_lists(asker.principal)
    return {"items": [list_json(one) for one in found], "next": None, "total": len(found)}


@get("/api/v1/value-lists/{name:str}", opt=PEOPLE, sync_to_thread=True)
def show_value_list(name: str, asker: Asker, detect: Detect) -> ValueListShape:
    """One value list."""
    return list_json(detect.read_value_list(asker.principal, name))


@put("/api/v1/value-lists/{name:str}", opt=PEOPLE, status_code=200, sync_to_thread=True)
def put_value_list(name: str, data: ValueListRequest, asker: Asker, detect: Detect) -> ValueListShape:
    """A new list, or the new values of one; rules that ask for it go by it from the next event on."""
    return list_json(detect.put_value_list(asker.principal, name, data.values))


@delete("/api/v1/value-lists/{name:str}", opt=PEOPLE, sync_to_thread=True)
def drop_value_list(name: str, asker: Asker, detect: Detect) -> None:
    """Forget a list; rules that ask for it rest until there is one again."""
    detect.drop_value_list(asker.principal, name)


routes = [list_value_lists, show_value_list, put_value_list, drop_value_list]
