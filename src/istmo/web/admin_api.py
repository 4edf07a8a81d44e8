"""The node's administration, for programs: roles, settings, the doctor."""

from __future__ import annotations

from litestar import get, post

from istmo.federation.service import Federation
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import instants
from istmo.policy.actions import ROLE_MAY, ROLE_READS, Action
from istmo.policy.principals import Role
from istmo.settings import FILE, Settings
from istmo.web.examining import Examination, Examining
from istmo.web.pages.admin_node import settings_told
from istmo.web.permitting import require
from istmo.web.shapes import ExaminationShape, RoleList, SettingList


@get("/api/v1/roles", opt=PEOPLE, sync_to_thread=False, tags=["people"])
def list_roles(asker: Asker, federation: Federation) -> RoleList:
    """What each role may do, and the strictest marking that it reads."""
    require(asker.principal, Action.NODE_READ, federation.context())
    return {
        "items": [
            {
                "role": str(role),
                "may": sorted(str(action) for action in ROLE_MAY[role]),
                "reads": ROLE_READS[role].label,
            }
            for role in Role
        ],
        "next": None,
        "total": len(Role),
    }


@get("/api/v1/settings", opt=PEOPLE, sync_to_thread=False, tags=["node"])
def list_settings(asker: Asker, federation: Federation, settings: Settings) -> SettingList:
    """What the node was told at its start; secrets never."""
    require(asker.principal, Action.NODE_MANAGE, federation.context())
    items = [
        {"table": table, "name": name, "value": value, "is_usual": is_usual}
        for table, rows in settings_told(settings)
        for name, value, is_usual in rows
    ]
    return {"file": str(settings.data / FILE), "items": items, "next": None, "total": len(items)}  # type: ignore[typeddict-item]


@get("/api/v1/doctor", opt=PEOPLE, sync_to_thread=True, tags=["node"])
def last_examination(asker: Asker, examining: Examining, catalogue: Catalogue) -> ExaminationShape:
    """What the last examination from the console or this API found."""
    return _told(examining.last(asker.principal), asker, catalogue)


@post("/api/v1/doctor", opt=PEOPLE, status_code=200, sync_to_thread=True, tags=["node"])
def examine(asker: Asker, examining: Examining, catalogue: Catalogue) -> ExaminationShape:
    """Examine the node now: a few seconds at most."""
    return _told(examining.examine(asker), asker, catalogue)


def _told(found: Examination | None, asker: Asker, catalogue: Catalogue) -> ExaminationShape:
    if found is None:
        return {"at": None, "healthy": True, "checks": []}

    def say(key: str, **params: object) -> str:
        return catalogue.text(asker.language, key, **params)

    return {
        "at": instants.format(found.at),
        "healthy": found.is_healthy,
        "checks": [
            {"check": one.check, "state": one.state, "text": one.text(say, asker.zone)}
            for one in found.findings
        ],
    }


routes = [list_roles, list_settings, last_examination, examine]
