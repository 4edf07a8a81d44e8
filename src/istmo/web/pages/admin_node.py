"""Administration itself, what each role may do, the node's settings, and what to keep safe of it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from litestar import Request, Response, get

from istmo.federation.service import Federation
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.pages import faces_of, page
from istmo.policy.actions import ROLE_MAY, ROLE_READS, Action
from istmo.policy.principals import Role
from istmo.settings import FILE, Settings
from istmo.web.permitting import require

ROOMS: Final = (
    ("/administration/people", "people", Action.ACCOUNT_MANAGE),
    ("/administration/tokens", "tokens", Action.ACCOUNT_MANAGE),
    ("/administration/audit", "audit", Action.AUDIT_READ),
    ("/administration/roles", "roles", Action.NODE_READ),
    ("/administration/notices", "notices", Action.NOTICE_MANAGE),
    ("/administration/jobs", "jobs", Action.JOB_MANAGE),
    ("/administration/doctor", "doctor", Action.NODE_MANAGE),
    ("/administration/settings", "settings", Action.NODE_MANAGE),
    ("/administration/keys", "keys", Action.NODE_MANAGE),
)
"""The pages of the place: path, name, and the action that must be allowed."""

SECRETS: Final = frozenset({"database"})
"""Settings that may hold a password: whether there is one is told, never which."""


@get("/administration", opt=PEOPLE, sync_to_thread=True)
def administration(request: Request[Any, Any, Any], asker: Asker) -> Response[Any]:
    """What there is to administer, for this asker."""
    may = faces_of(request).may
    return page(
        request,
        "web/administration.html",
        rooms=[(path, name) for path, name, action in ROOMS if may(asker.principal, action)],
    )


@get("/administration/roles", opt=PEOPLE, sync_to_thread=True)
def roles(request: Request[Any, Any, Any], asker: Asker, federation: Federation) -> Response[Any]:
    """What each role may do: policy's own table, in words."""
    require(asker.principal, Action.NODE_READ, federation.context())
    return page(
        request,
        "web/admin_roles.html",
        roles=[str(one) for one in Role],
        rows=[
            (str(action), [action in ROLE_MAY[role] for role in Role])
            for action in Action
            if any(action in ROLE_MAY[role] for role in Role)
        ],
        reads=[ROLE_READS[role] for role in Role],
        mine=str(getattr(asker.principal, "role", "")),
        json_path="/api/v1/roles",
    )


@get("/administration/settings", opt=PEOPLE, sync_to_thread=True)
def settings_page(
    request: Request[Any, Any, Any], asker: Asker, federation: Federation, settings: Settings
) -> Response[Any]:
    """What the node was told at its start, secrets left out, and where that stands."""
    require(asker.principal, Action.NODE_MANAGE, federation.context())
    return page(
        request,
        "web/admin_settings.html",
        tables=settings_told(settings),
        file=str(settings.data / FILE),
        json_path="/api/v1/settings",
    )


@get("/administration/keys", opt=PEOPLE, sync_to_thread=True)
def keys_page(
    request: Request[Any, Any, Any], asker: Asker, federation: Federation, settings: Settings
) -> Response[Any]:
    """The node's fingerprints, and what to keep a copy of."""
    require(asker.principal, Action.NODE_MANAGE, federation.context())
    return page(
        request,
        "web/admin_keys.html",
        fingerprint=federation.keys.fingerprint,
        member=settings.member,
        folder=str(settings.data),
        key_file=settings.retention.key_file,
        is_sqlite=settings.database_url.startswith("sqlite"),
    )


def settings_told(settings: Settings) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Tables of the settings file: (name, value as written there, whether it is the usual one) each."""
    usual = Settings(settings.data, name="", country="")  # of these two nothing is usual: each node's own
    tables: list[tuple[str, list[tuple[str, str, bool]]]] = [("", [])]
    for one in fields(settings):
        value, standard = getattr(settings, one.name), getattr(usual, one.name)
        if hasattr(value, "__dataclass_fields__"):
            rows = [
                (
                    inner.name,
                    _told(getattr(value, inner.name)),
                    getattr(value, inner.name) == getattr(standard, inner.name),
                )
                for inner in fields(value)
            ]
            tables.append(("events" if one.name == "retention" else one.name, rows))
        elif one.name in SECRETS:
            tables[0][1].append((one.name, "•••" if value else "", not value))
        elif one.name != "data":
            tables[0][1].append((one.name, _told(value), value == standard))
    return tables


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value)
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


routes = [administration, roles, settings_page, keys_page]
