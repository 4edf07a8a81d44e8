"""Objects in the console: search and filters, all of them in the address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Request, Response, get

from istmo.intel.exploring import MOST_EXPORTED
from istmo.intel.objects import Order, State
from istmo.intel.pages.names_shown import names_shown, types_offered
from istmo.intel.service import Intel
from istmo.kit import times
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.pages import page
from istmo.model import instants
from istmo.model.markings import Tlp

ROWS: Final = 50
FILTERS: Final = ("q", "type", "tlp", "origin", "state", "seen", "since", "parts", "sort")
_SEEN: Final = {"yes": True, "no": False}


@get("/objects", opt=PEOPLE, sync_to_thread=True)
def object_list(request: Request[Any, Any, Any], asker: Asker, intel: Intel) -> Response[Any]:
    """Search and filters; everything is in the address."""
    chosen = {name: request.query_params.get(name, "")[:200] for name in FILTERS}
    chosen["tlp"] = chosen["tlp"].upper().removeprefix("TLP:")
    cursor = request.query_params.get("cursor", "")
    since = _since(chosen["since"], asker.zone)
    order = Order(chosen["sort"]) if chosen["sort"] in set(Order) else Order.NEWEST
    found = intel.search(
        asker.principal,
        query=chosen["q"],
        type=chosen["type"],
        tlp=Tlp.read(chosen["tlp"]) if chosen["tlp"] else None,
        origin=chosen["origin"],
        state=State(chosen["state"]) if chosen["state"] in set(State) else None,
        is_seen=_SEEN.get(chosen["seen"]),
        since=since,
        parts=chosen["parts"] == "yes",
        order=order,
        cursor=int(cursor) if cursor.isascii() and cursor.isdecimal() and len(cursor) < 18 else None,
        limit=ROWS,
    )
    asked = _api_query(chosen, since)
    if chosen["parts"] not in ("", "yes"):
        chosen["parts"] = ""
    return page(
        request,
        "intel/objects.html",
        json_path=f"/api/v1/objects{asked}",
        export_path=f"/api/v1/objects/export{asked + '&' if asked else '?'}as=",
        most=MOST_EXPORTED,
        found=found,
        chosen=chosen,
        is_filtered=any(value for name, value in chosen.items() if name != "sort"),
        is_first=not cursor,
        members=intel.names(),
        seen=intel.sightings_of(asker.principal, [one.id for one in found.items]),
        type_options=types_offered(request, asker),
        **names_shown(request, asker),
        states=[str(state) for state in State],
        orders=[str(one) for one in Order],
        order=str(order),
        levels=[level.label.removeprefix("TLP:") for level in Tlp],
        now=intel.now(),
    )


def _since(text: str, zone: str) -> datetime | None:
    """The beginning of a day in the asker's zone; None where the text is no day."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), times.zone(zone) or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _api_query(chosen: Mapping[str, str], since: datetime | None) -> str:
    """The same question to the machine interface."""
    asked = {
        name: value for name, value in chosen.items() if value and name not in ("seen", "since", "parts")
    }
    if chosen["seen"] in _SEEN:
        asked["seen"] = str(_SEEN[chosen["seen"]]).lower()
    if chosen["parts"] == "yes":
        asked["parts"] = "true"
    if since is not None:
        asked["since"] = instants.format(since)
    return f"?{urlencode(asked)}" if asked else ""


routes = [object_list]
