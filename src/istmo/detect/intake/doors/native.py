"""``POST /api/v1/events``: newline JSON or one JSON array, plain or gzip, with ``Authorization: Bearer``.

``Idempotency-Key`` names a body, so that a sender that was not answered may send it once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from istmo.detect.intake.asking import Handler, Reply, Request, json_reply
from istmo.detect.intake.bodies import EventBody
from istmo.detect.intake.desk import Desk
from istmo.errors import InvalidInput, IstmoError
from istmo.kit.i18n import Told

PATH: Final = "/api/v1/events"
HEALTH: Final = "/healthz"
LONGEST_KEY: Final = 200


class Native:
    """The node's own protocol."""

    @property
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        return {
            ("GET", HEALTH): tell_health,
            ("HEAD", HEALTH): tell_health,
            ("POST", PATH): take,
        }

    def refuse(self, error: IstmoError, told: Told) -> Reply:
        headers = [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
        return json_reply(error.status, _told(error, told), *headers)


async def tell_health(desk: Desk, request: Request) -> Reply:
    """Whether the port takes events."""
    desk.require_room()
    return json_reply(200, {"status": "ok"})


async def take(desk: Desk, request: Request) -> Reply:
    """Store events; the answer names the lines that were refused, and those that were kept as text.

    A body of which no line can be read is refused whole: what it is nobody knows.
    """
    source = desk.admit(request)
    key = request.headers.get("idempotency-key", "").strip().encode()
    if len(key) > LONGEST_KEY:
        raise InvalidInput("detect.key_too_long", limit=LONGEST_KEY)
    body = EventBody(desk.arrivals(), key)
    with desk.holding(request) as held:
        await desk.read(request, body, held)
        arrived = body.arrived
        if not body.has_events:
            arrived.events.clear()
            arrived.refused += arrived.unreadable
            arrived.unreadable.clear()
            body.refused = sorted(body.refused + body.unreadable, key=lambda one: one["line"])
            body.unreadable = []
        doubled = await desk.store(source, arrived, held)
    total = arrived.refused.total()
    answer = {
        "accepted": len(arrived.events),
        "doubled": len(doubled),
        "unreadable": body.unreadable,
        "unreadable_total": arrived.unreadable.total(),
        "refused": body.refused,
        "refused_total": total,
    }
    if total and not arrived.events:
        raise NothingAccepted(answer, total)
    return json_reply(200, answer)


class NothingAccepted(InvalidInput):
    """Not one event of a body could be read."""

    def __init__(self, answer: dict[str, Any], total: int) -> None:
        super().__init__("detect.nothing_accepted", n=total)
        self.answer = answer


def _told(error: IstmoError, told: Told) -> dict[str, Any]:
    answer = error.answer if isinstance(error, NothingAccepted) else {}
    words = {
        "code": error.code,
        "message": told.message,
        "remedy": told.remedy,
        "params": error.params,
    }
    return answer | {"error": words}
