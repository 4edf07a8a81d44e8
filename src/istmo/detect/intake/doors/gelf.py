"""Graylog's GELF over HTTP: ``POST /gelf``, one message a body (or several, a line each)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from istmo.detect.eventstore.lines import read_event
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.asking import Handler, Reply, Request, json_reply
from istmo.detect.intake.desk import Desk
from istmo.detect.intake.splitting import Splitter
from istmo.detect.intake.texts import written_time
from istmo.errors import InvalidInput, IstmoError, TooLarge
from istmo.kit.i18n import Told


class Gelf:
    """GELF's protocol: nothing but a status comes back."""

    @property
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        return {("POST", "/gelf"): take}

    def refuse(self, error: IstmoError, told: Told) -> Reply:
        return json_reply(error.status, {"message": told.message, "remedy": told.remedy})


async def take(desk: Desk, request: Request) -> Reply:
    """Store messages."""
    source = desk.admit(request)
    arrived = desk.arrivals()
    with desk.holding(request) as held:
        body = await desk.read_whole(request, held)
        splitter = Splitter(desk.limits.line_bytes)
        for _, piece in [*splitter.feed(body), *splitter.finish()]:
            if piece is None:
                arrived.refuse(TooLarge("detect.line_too_long", limit=desk.limits.line_bytes))
            else:
                add_message(piece, arrived)
        del body, splitter
        await desk.store(source, arrived, held)
        if not arrived.events:
            raise InvalidInput("detect.nothing_accepted", n=max(1, arrived.refused.total()))
    return Reply(202)


def add_message(raw: bytes, arrived: Arrivals) -> None:
    """One message; what is none is kept as text. Raises TooLarge where all together are."""
    try:
        message = read_event(raw, arrived.limits)[1]
    except InvalidInput:
        arrived.add(raw)
    except TooLarge as error:
        arrived.refuse(error)
    else:
        arrived.add_made(gelf_event(message))


def gelf_event(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as an event: its own fields by their names without the leading underscore.

    ``short_message`` is the ``message``, ``timestamp`` (seconds since 1970) the ``@timestamp``.
    """
    event: dict[str, Any] = {}
    for name, value in message.items():
        match name:
            case "short_message":
                event["message"] = value
            case "timestamp":
                event["@timestamp"] = written_time(value)
            case _:
                event.setdefault(name.removeprefix("_"), value)
    return event
