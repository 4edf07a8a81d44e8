"""What somebody prefers: language, time zone and colours, kept in their browser."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, post

from istmo.kit import times
from istmo.kit.access import PUBLIC
from istmo.kit.forms import Sent, one
from istmo.kit.i18n import LANGUAGES
from istmo.kit.pages import back_to, faces_of, local_path
from istmo.web.admission import LANGUAGE, SCHEME, SCHEMES, ZONE
from istmo.web.bodies import SMALL_FORM

_YEAR = 365 * 86_400


@post("/preferences", opt=PUBLIC, sync_to_thread=True, request_max_body_size=SMALL_FORM)
def save(request: Request[Any, Any, Any], data: Sent) -> Response[Any]:
    """Keep what is known of; anything else is left as it was."""
    faces, answer = faces_of(request), back_to(request, local_path(one(data, "next")))
    language, zone, scheme = one(data, "language"), one(data, "zone"), one(data, "scheme")
    if language in LANGUAGES:
        answer.set_cookie(faces.bake(LANGUAGE, language, seconds=_YEAR, lax=True))
    if zone and times.zone(zone):
        answer.set_cookie(faces.bake(ZONE, zone, seconds=_YEAR, lax=True))
    if scheme == "system":
        answer.set_cookie(faces.bake(SCHEME, "", seconds=0, lax=True))
    elif scheme in SCHEMES:
        answer.set_cookie(faces.bake(SCHEME, scheme, seconds=_YEAR, lax=True))
    return answer


routes = [save]
