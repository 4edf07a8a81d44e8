"""What somebody prefers: language, time zone and colours, kept in their browser."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post

from istmo.identity.service import Identity
from istmo.kit import times
from istmo.kit.access import PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.forms import Sent, one
from istmo.kit.i18n import LANGUAGES
from istmo.kit.pages import back_to, faces_of, local_path
from istmo.web.admission import LANGUAGE, SCHEME, SCHEMES, ZONE
from istmo.web.bodies import SMALL_FORM

YEAR = 365 * 86_400


@post("/preferences", opt=PUBLIC, sync_to_thread=True, request_max_body_size=SMALL_FORM)
def save(request: Request[Any, Any, Any], data: Sent, asker: Asker, identity: Identity) -> Response[Any]:
    """Keep what is known of; anything else is left as it was. Of an account, with the account as well."""
    faces, answer = faces_of(request), back_to(request, local_path(one(data, "next")))
    language, zone, scheme = one(data, "language"), one(data, "zone"), one(data, "scheme")
    identity.set_preferences(
        asker.principal,
        language=language if language in LANGUAGES else "",
        zone=zone if zone and times.zone(zone) else "",
    )
    if language in LANGUAGES:
        answer.set_cookie(faces.bake(LANGUAGE, language, seconds=YEAR, lax=True))
    if zone and times.zone(zone):
        answer.set_cookie(faces.bake(ZONE, zone, seconds=YEAR, lax=True))
    if scheme == "system":
        answer.set_cookie(faces.bake(SCHEME, "", seconds=0, lax=True))
    elif scheme in SCHEMES:
        answer.set_cookie(faces.bake(SCHEME, scheme, seconds=YEAR, lax=True))
    return answer


routes = [save]
