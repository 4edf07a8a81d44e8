"""The rooms that this application opens: each room's routes, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from litestar.types import ControllerRouterHandler

from istmo.detect import api as detect_api
from istmo.detect import api_kept as detect_api_kept
from istmo.detect import api_warning as detect_api_warning
from istmo.detect import pages as detect_pages
from istmo.federation import api as federation_api
from istmo.federation import pages as federation_pages
from istmo.intel import api as intel_api
from istmo.intel import pages as intel_pages
from istmo.notices import api as notice_api
from istmo.notices import pages as notice_pages
from istmo.respond import api as respond_api
from istmo.respond import pages as respond_pages
from istmo.web import account_api, admin_api, audit_api, detection_api, ledger_api, node_api
from istmo.web.pages import (
    account_own,
    admin_audit,
    admin_doctor,
    admin_jobs,
    admin_node,
    admin_notices,
    admin_people,
    admin_tokens,
    glossary,
    search,
    situation,
)


@dataclass(frozen=True)
class Rooms:
    """Routes for programs (in the OpenAPI document) and pages (not in it)."""

    api: Sequence[ControllerRouterHandler] = ()
    pages: Sequence[ControllerRouterHandler] = ()


def open_rooms() -> Rooms:
    """Every room of the node."""
    return Rooms(
        [
            *account_api.routes,
            *audit_api.routes,
            *admin_api.routes,
            *node_api.routes,
            *ledger_api.routes,
            *detection_api.routes,
            *intel_api.routes,
            *detect_api.routes,
            *detect_api_kept.routes,
            *detect_api_warning.routes,
            *respond_api.routes,
            *federation_api.routes,
            *notice_api.routes,
            *glossary.api_routes,
        ],
        [
            *situation.routes,
            *search.routes,
            *detect_pages.routes,
            *intel_pages.routes,
            *respond_pages.routes,
            *federation_pages.routes,
            *account_own.routes,
            *admin_node.routes,
            *admin_people.routes,
            *admin_tokens.routes,
            *admin_audit.routes,
            *admin_jobs.routes,
            *admin_doctor.routes,
            *notice_pages.routes,
            *admin_notices.routes,
            *glossary.routes,
        ],
    )
