"""One search over what this node knows: objects, alerts, cases, rules, members; not over stored events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from litestar import Request, Response, get

from istmo.detect.objects import AlertFilter
from istmo.detect.objects_rule import RuleFilter
from istmo.detect.service import Detect
from istmo.detect.service.asking import words_of
from istmo.intel.naming import name_of, type_words
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import faces_of, page, with_query
from istmo.model.values import refang
from istmo.policy.actions import Action
from istmo.respond.records import Filter
from istmo.respond.service import Respond

SHOWN: Final = 6
LONGEST: Final = 200


@dataclass(frozen=True)
class Hit:
    """One thing that was found. ``level`` and ``tlp`` are empty where it has none."""

    path: str
    text: str
    level: str = ""
    tlp: object = ""
    told: str = ""


@dataclass(frozen=True)
class Found:
    """What was found in one place; ``more`` leads to all of it there, empty where this is all."""

    key: str
    hits: tuple[Hit, ...]
    more: str = ""


@get("/search", opt=PEOPLE, sync_to_thread=True)
def search(
    request: Request[Any, Any, Any],
    asker: Asker,
    intel: Intel,
    detect: Detect,
    respond: Respond,
    names: dict[str, str],
    own_member: str,
) -> Response[Any]:
    """Everything that the asker may read and that has every word. A defanged value is looked for as it is."""
    query = " ".join(refang(word) for word in request.query_params.get("q", "")[:LONGEST].split())
    faces = faces_of(request)
    may = faces.may
    places: list[tuple[Action, Callable[[], Found]]] = [
        (Action.OBJECT_READ, lambda: _objects(intel, faces.catalogue, asker, query)),
        (Action.ALERT_READ, lambda: _alerts(detect, asker, query)),
        (Action.CASE_READ, lambda: _cases(respond, asker, query)),
        (Action.RULE_READ, lambda: _rules(detect, asker, query)),
        (Action.PEER_READ, lambda: _members(names, own_member, query)),
    ]
    found = [make() for action, make in places if may(asker.principal, action)] if query else []
    return page(
        request,
        "web/search.html",
        query=query,
        found=[one for one in found if one.hits],
        hunt_path=with_query("/hunt", q=query),
        may_hunt=may(asker.principal, Action.EVENT_SEARCH),
    )


def _objects(intel: Intel, catalogue: Catalogue, asker: Asker, query: str) -> Found:
    text = partial(catalogue.text, asker.language)
    items = intel.search(asker.principal, query=query, parts=False, limit=SHOWN + 1).items
    return _found(
        "kit.nav.objects",
        "/objects",
        query,
        (
            Hit(f"/objects/{one.id}", name_of(one, text), tlp=one.tlp, told=type_words(one.type, text))
            for one in items
        ),
    )


def _alerts(detect: Detect, asker: Asker, query: str) -> Found:
    items = detect.list_alerts(asker.principal, AlertFilter(words=words_of(query)), limit=SHOWN + 1).items
    return _found(
        "kit.nav.alerts",
        "/alerts",
        query,
        (
            Hit(f"/alerts/{one.id}", one.title or one.subject, str(one.level), one.tlp, one.entity)
            for one in items
        ),
        status="",
    )


def _cases(respond: Respond, asker: Asker, query: str) -> Found:
    items = respond.list_cases(asker.principal, Filter(q=query), limit=SHOWN + 1).items
    return _found(
        "kit.nav.cases",
        "/cases",
        query,
        (Hit(f"/cases/{one.id}", one.title or one.id, one.severity, one.tlp) for one in items),
    )


def _rules(detect: Detect, asker: Asker, query: str) -> Found:
    items = detect.list_rules(asker.principal, RuleFilter(words=words_of(query)), limit=SHOWN + 1).items
    return _found(
        "kit.nav.rules",
        "/rules",
        query,
        (Hit(f"/rules/{one.id}", one.title, str(one.level)) for one in items),
    )


def _members(names: Mapping[str, str], own: str, query: str) -> Found:
    words = query.casefold().split()
    return _found(
        "kit.nav.peers",
        "/peers",
        query,
        (
            Hit(f"/peers/{id}", name)
            for id, name in names.items()
            if id != own and all(word in f"{name} {id}".casefold() for word in words)
        ),
    )


def _found(key: str, path: str, query: str, hits: Iterator[Hit], **more: str) -> Found:
    some = tuple(hits)
    all_path = with_query(path, q=query) + "".join(f"&{name}={value}" for name, value in more.items())
    return Found(key, some[:SHOWN], all_path if len(some) > SHOWN else "")


routes = [search]
