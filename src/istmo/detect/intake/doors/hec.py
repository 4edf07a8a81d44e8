"""Splunk's HTTP Event Collector: events, raw lines and acknowledgements.

An event that is an object is the event; ``host``, ``source``, ``sourcetype``, ``index`` and ``fields`` stand
beside it in ``splunk``, ``host`` and ``time`` where the event itself names neither. An event that is text is
read as what it is: JSON, a Windows event's XML, or a line of the source's form.

Every answer is sent after the events are on disk, so each acknowledgement that was given out is true. Their
numbers go up with the time, over restarts too: nothing needs to be remembered to say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from istmo.detect.eventstore.times import to_micros
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.asking import Handler, Reply, Request, json_reply
from istmo.detect.intake.desk import Desk
from istmo.detect.intake.texts import TextReader, add_lines, written_time
from istmo.detect.wire import WireSource
from istmo.errors import InvalidInput, IstmoError
from istmo.kit.i18n import Told

_EVENTS: Final = ("/services/collector", "/services/collector/event", "/services/collector/event/1.0")
_RAW: Final = ("/services/collector/raw", "/services/collector/raw/1.0")
_HEALTH: Final = ("/services/collector/health", "/services/collector/health/1.0")
_ACKS: Final = ("/services/collector/ack", "/services/collector/ack/1.0")
_META: Final = ("source", "sourcetype", "index", "fields")
_CODES: Final = {
    "detect.hec_no_data": (400, 5, "No data"),
    "detect.hec_format": (400, 6, "Invalid data format"),
    "detect.hec_no_event": (400, 12, "Event field is required"),
    "detect.hec_blank_event": (400, 13, "Event field cannot be blank"),
    "detect.hec_no_channel": (400, 10, "Data channel is missing"),
    "detect.token_unknown": (403, 4, "Invalid token"),
    "detect.token_expired": (403, 1, "Token disabled"),
    "detect.submit_denied": (403, 1, "Token disabled"),
}
_BUSY: Final = (503, 9, "Server is busy")
_MOST_ACKS: Final = 10_000
_SPACE: Final = " \t\r\n,"


class Hec:
    """Splunk's protocol."""

    @property
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        known: dict[tuple[str, str], Handler] = {}
        known |= {("POST", path): take_events for path in _EVENTS}
        known |= {("POST", path): take_raw for path in _RAW}
        known |= {("GET", path): tell_health for path in _HEALTH}
        known |= {("POST", path): tell_acks for path in _ACKS}
        # Docker's log driver asks so, without a token, whether anybody is there; else no container starts.
        known |= {("OPTIONS", path): tell_health for path in _EVENTS}
        return known

    def refuse(self, error: IstmoError, told: Told) -> Reply:
        status, code, text = _CODES.get(error.code, (error.status, 6, "Invalid data format"))
        if error.status in (429, 503, 507):
            status, code, text = _BUSY
        elif error.status >= 500:
            code, text = 8, "Internal server error"
        answer: dict[str, Any] = {"text": text, "code": code}
        if "number" in error.params:
            answer["invalid-event-number"] = error.params["number"]
        # Splunk's own words are what a forwarder knows; the node's are for whoever reads its log.
        return json_reply(status, answer | {"message": told.message, "remedy": told.remedy})


async def take_events(desk: Desk, request: Request) -> Reply:
    """Store events that stand one after another, with or without anything between them."""
    source = desk.admit(request)
    arrived = desk.arrivals()
    with desk.holding(request) as held:
        body = await desk.read_whole(request, held)
        told = list(_objects(body))
        if not told:
            raise InvalidInput("detect.hec_no_data")
        _add(told, source, desk, arrived)
        del body, told  # many wait for the store at once: what they hold is in ``arrived``
        await desk.store(source, arrived)
    return _success(desk, request)


async def take_raw(desk: Desk, request: Request) -> Reply:
    """Store lines."""
    source = desk.admit(request)
    arrived = desk.arrivals()
    with desk.holding(request) as held:
        body = await desk.read_whole(request, held)
        if not body.strip():
            raise InvalidInput("detect.hec_no_data")
        add_lines(body, source.form, desk.clock.now(), arrived)
        del body
        await desk.store(source, arrived)
    return _success(desk, request)


async def tell_health(desk: Desk, request: Request) -> Reply:
    """Whether events are taken."""
    desk.require_room()
    return json_reply(200, {"text": "HEC is healthy", "code": 17})


async def tell_acks(desk: Desk, request: Request) -> Reply:
    """Which of these acknowledgements stand for events on disk: all that were ever given out."""
    desk.admit(request)
    if not _channel(request):
        raise InvalidInput("detect.hec_no_channel")
    with desk.holding(request) as held:
        body = await desk.read_whole(request, held)
    try:
        asked = orjson.loads(body)["acks"]
        numbers = [int(one) for one in asked[:_MOST_ACKS]]
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        raise InvalidInput("detect.hec_format") from None
    given = to_micros(desk.clock.now())
    return json_reply(200, {"acks": {str(one): 0 <= one <= given for one in numbers}})


def _success(desk: Desk, request: Request) -> Reply:
    answer: dict[str, Any] = {"text": "Success", "code": 0}
    if _channel(request):
        answer["ackId"] = to_micros(desk.clock.now())
    return json_reply(200, answer)


def _channel(request: Request) -> str:
    return request.headers.get("x-splunk-request-channel", "") or request.asks("channel")


def _objects(body: bytes) -> Iterator[dict[str, Any]]:
    """The objects of a body. Raises InvalidInput naming the first that is none: then nothing is stored."""
    number = 0
    try:
        for line in body.splitlines():
            if line.strip():
                yield _object(orjson.loads(line), number)
                number += 1
        return
    except orjson.JSONDecodeError:
        pass  # no line each: told apart below, from where it was left
    reader, text, at, seen = json.JSONDecoder(), body.decode("utf-8", "replace"), 0, 0
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at >= len(text):
            return
        try:
            found, at = reader.raw_decode(text, at)
        except (ValueError, RecursionError):
            raise InvalidInput("detect.hec_format", number=seen) from None
        if seen >= number:
            yield _object(found, seen)
        seen += 1


def _object(found: Any, number: int) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InvalidInput("detect.hec_format", number=number)
    if found.get("event") is None:
        raise InvalidInput("detect.hec_no_event", number=number)
    if found["event"] == "":
        raise InvalidInput("detect.hec_blank_event", number=number)
    return found


def _add(told: list[dict[str, Any]], source: WireSource, desk: Desk, arrived: Arrivals) -> None:
    texts = [one["event"].encode("utf-8", "replace") for one in told if isinstance(one["event"], str)]
    reader = TextReader(source.form, desk.clock.now(), texts, desk.limits)
    following = iter(texts)
    for one in told:
        event = one["event"]
        if isinstance(event, str):
            event = reader.read(next(following))
        elif not isinstance(event, dict):
            event = {"message": event}
        arrived.add_made(_with_meta(event, one))


def _with_meta(event: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """The event with what was said about it."""
    made = dict(event)
    meta = {name: told[name] for name in _META if told.get(name) not in (None, "")}
    if meta:
        made.setdefault("splunk", meta)
    if "Event" in made:
        return made  # a Windows event tells both itself
    if told.get("host") not in (None, ""):
        made.setdefault("host", told["host"])
    if "time" in told and not {"@timestamp", "timestamp"} & set(made):
        made["@timestamp"] = written_time(told["time"])
    return made
