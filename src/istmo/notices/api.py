"""Notices, for programs: one's own list, and the ways out of the node."""

from __future__ import annotations

from typing import Annotated, cast

import msgspec
from litestar import delete, get, post, put
from litestar.params import QueryParameter

from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import instants
from istmo.notices.objects import Plan, Shown, Way
from istmo.notices.service import Notices, read_kinds
from istmo.notices.shapes import (
    NoticeChoice,
    NoticeLine,
    NoticeList,
    NoticesRead,
    WayGone,
    WayList,
    WayMade,
    WayShape,
    WayTested,
)


class ReadRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which notices were read: one, or all up to one."""

    id: int | None = None
    upto: int | None = None


class ChoiceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What to be told of in the console."""

    kinds: list[str]
    level: str = "high"


class WayRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to tell, by which way, of what and when. ``every``: minutes between two messages."""

    address: str
    kinds: list[str]
    person: str = ""
    notifier: str = "mail"
    level: str = "high"
    quiet: str = ""
    wakes: bool = True
    every: int = 0
    version: int | None = None


class WaySwitch(msgspec.Struct, forbid_unknown_fields=True):
    """Whether anything is sent by it."""

    on: bool


@get("/api/v1/notices", opt=PEOPLE, sync_to_thread=True, tags=["notices"])
def list_notices(
    asker: Asker,
    notices: Notices,
    catalogue: Catalogue,
    unread: bool = False,
    cursor: int | None = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> NoticeList:
    """One's own notices, newest first."""
    found = notices.list_notices(asker.principal, unread=unread, before=cursor, limit=limit)
    return {
        "items": [_line(one, asker, catalogue) for one in found],
        "next": str(found[-1].notice.id) if len(found) == limit else None,
        "total": None,
        "unread": notices.unread(asker.principal),
    }


@post("/api/v1/notices/read", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["notices"])
def mark_read(data: ReadRequest, asker: Asker, notices: Notices) -> NoticesRead:
    """Mark one of one's own as read, or all up to one."""
    return {"read": notices.mark_read(asker.principal, id=data.id, upto=data.upto)}


@get("/api/v1/notices/settings", opt=PEOPLE, sync_to_thread=True, tags=["notices"])
def show_choice(asker: Asker, notices: Notices) -> NoticeChoice:
    """What one is told of in the console."""
    return _choice(notices.console_plan(asker.principal))


@put("/api/v1/notices/settings", opt=PEOPLE, sync_to_thread=True, tags=["notices"])
def choose(data: ChoiceRequest, asker: Asker, notices: Notices) -> NoticeChoice:
    """Say what one wants to be told of in the console."""
    return _choice(notices.set_console_plan(asker.principal, data.kinds, data.level))


@get("/api/v1/notice-ways", opt=PEOPLE, sync_to_thread=True, tags=["notices"])
def list_ways(asker: Asker, notices: Notices, catalogue: Catalogue) -> WayList:
    """Every way by which somebody is told outside of the console, and how it went the last time."""
    items = [way_json(way, name, asker, catalogue) for way, name in notices.ways(asker.principal)]
    return {"items": items, "next": None, "total": len(items)}


@post("/api/v1/notice-ways", opt=PEOPLE, status_code=201, sync_to_thread=True, tags=["notices"])
def add_way(data: WayRequest, asker: Asker, notices: Notices, catalogue: Catalogue) -> WayMade:
    """A new way out. The ``secret`` of a webhook is told here and never again."""
    way = notices.add_way(asker.principal, data.person, _plan(data))
    return _made(notices, asker, catalogue, way.id)


@put("/api/v1/notice-ways/{way_id:str}", opt=PEOPLE, sync_to_thread=True, tags=["notices"])
def change_way(
    way_id: str, data: WayRequest, asker: Asker, notices: Notices, catalogue: Catalogue
) -> WayShape:
    """Give a way out another plan; person and notifier stay."""
    notices.change_way(asker.principal, way_id, _plan(data), data.version)
    return way_json(*notices.way(asker.principal, way_id), asker, catalogue)


@delete(
    "/api/v1/notice-ways/{way_id:str}", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["notices"]
)
def drop_way(way_id: str, asker: Asker, notices: Notices) -> WayGone:
    """Take a way out away, with what waited for it."""
    notices.drop_way(asker.principal, way_id)
    return {"deleted": way_id}


@post(
    "/api/v1/notice-ways/{way_id:str}/switch",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    tags=["notices"],
)
def switch_way(
    way_id: str, data: WaySwitch, asker: Asker, notices: Notices, catalogue: Catalogue
) -> WayShape:
    """Send nothing more by it, or again."""
    notices.switch_way(asker.principal, way_id, on=data.on)
    return way_json(*notices.way(asker.principal, way_id), asker, catalogue)


@post(
    "/api/v1/notice-ways/{way_id:str}/secret",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    tags=["notices"],
)
def new_secret(way_id: str, asker: Asker, notices: Notices, catalogue: Catalogue) -> WayMade:
    """Sign with another secret from now on; it is told here and never again."""
    notices.new_secret(asker.principal, way_id)
    return _made(notices, asker, catalogue, way_id)


@post(
    "/api/v1/notice-ways/{way_id:str}/test",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    tags=["notices"],
)
def test_way(way_id: str, asker: Asker, notices: Notices) -> WayTested:
    """Send a test by it, now."""
    notices.test_way(asker.principal, way_id)
    return {"id": way_id, "tested": True}


def way_json(way: Way, person: str, asker: Asker, catalogue: Catalogue) -> WayShape:
    """A way out, for a program."""
    problem = way.problem
    return {
        "id": way.id,
        "person": person,
        "notifier": way.plan.notifier,
        "address": way.plan.address,
        "kinds": sorted(str(kind) for kind in way.plan.kinds),
        "level": way.plan.level,
        "quiet": way.plan.quiet,
        "wakes": way.plan.wakes,
        "every": way.plan.every,
        "is_on": way.is_on,
        "created": instants.format(way.created),
        "sent": instants.format(way.sent) if way.sent else None,
        "tried": instants.format(way.tried) if way.tried else None,
        "problem": {
            "code": problem[0],
            "text": catalogue.text(asker.language, f"error.{problem[0]}", **problem[1]),
        }
        if problem
        else None,
        "version": way.version,
    }


def _made(notices: Notices, asker: Asker, catalogue: Catalogue, way_id: str) -> WayMade:
    way, person = notices.way(asker.principal, way_id)
    made = cast("WayMade", way_json(way, person, asker, catalogue))
    if secret := notices.secret(asker.principal, way):
        made["secret"] = secret
    return made


def _plan(data: WayRequest) -> Plan:
    return Plan(
        read_kinds(data.kinds), data.level, data.notifier, data.address, data.quiet, data.wakes, data.every
    )


def _choice(plan: Plan) -> NoticeChoice:
    return {"kinds": sorted(str(kind) for kind in plan.kinds if kind != "test"), "level": plan.level}


def _line(shown: Shown, asker: Asker, catalogue: Catalogue) -> NoticeLine:
    one, heading = shown.notice, shown.heading
    title = None
    if heading is not None:
        words = catalogue.text(asker.language, heading.words, **heading.params) if heading.words else ""
        title = shown.family.title if shown.family else words or heading.title
    return {
        "id": one.id,
        "kind": str(one.kind),
        "at": instants.format(one.at),
        "read": instants.format(one.read) if one.read else None,
        "text": catalogue.text(asker.language, f"notices.kind.{one.kind}"),
        "title": title,
        "number": one.number,
        "level": heading.level or None if heading else None,
        "tlp": heading.tlp.label if heading else None,
        "path": (shown.family or heading).path if heading else None,
    }


routes = [
    list_notices,
    mark_read,
    show_choice,
    choose,
    list_ways,
    add_way,
    change_way,
    drop_way,
    switch_way,
    new_secret,
    test_way,
]
