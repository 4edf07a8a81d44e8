"""Splunk's HTTP Event Collector: events, raw lines and acknowledgements.

An event that is an object is the event; ``host``, ``source``, ``sourcetype``, ``index`` and ``fields`` stand
beside it in ``splunk``, ``host`` and ``time`` where the event itself names neither. An event that is text is
read as what it is: JSON, a Windows event's XML, or a line of the source's form.

Every answer is sent after the events are on disk, so each acknowledgement that was given out is true. Their
numbers go up with the time, over restarts too: nothing needs to be remembered to say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

import orjson

from istmo.detect.eventstore.times import to_micros
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.asking import Handler, Reply, Request, json_reply
from istmo.detect.intake.desk import Desk
from istmo.detect.intake.texts import TextReader, add_lines, written_time
from istmo.detect.wire import WireSource
from istmo.errors import InvalidInput, IstmoError, TooLarge
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
_LOOKED_AT: Final = 500
"""Events by whose texts the form of all is told."""
_LINE: Final = re.compile(rb"[^\r\n]+")
_BLANKS: Final = re.compile(r"[ \t\r\n,]*+")
_TOKENS: Final = re.compile(r'"(?:[^"\\]++|\\.)*+("?)|[{}\[\]]', re.DOTALL)
"""A string is one even without its end: else one would be looked for from each quote in it anew."""
_MOST_TOKENS: Final = 200_000
"""Of one object that is too long to be read: past it the whole body is refused."""
_LONGEST_WORD: Final = 12
"""Characters before the end of a text in which what is cut there may be told to stand."""


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
        _add(_objects(body, arrived), source, desk, arrived)
        del body  # many wait for the store at once: what they hold is in ``arrived``
        await desk.store(source, arrived, held)
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
        await desk.store(source, arrived, held)
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


def _objects(body: bytes, arrived: Arrivals) -> Iterator[dict[str, Any]]:
    """The objects of a body, one after the other, so that what is read of them is not held together.

    Raises InvalidInput naming the first that is none: then nothing is stored. One that is longer than any
    event may be is passed over and counted.
    """
    number, longest = 0, 2 * arrived.limits.line_bytes
    for line in _LINE.finditer(body):
        if line.end() - line.start() > longest:
            break
        if not line[0].strip():
            continue
        try:
            found = orjson.loads(line[0])
        except orjson.JSONDecodeError:
            break
        yield _object(found, number)
        number += 1
    else:
        return
    # No line each: told apart from the beginning on, and given from where it was left.
    for seen, found in enumerate(_told_apart(body.decode("utf-8", "replace"), longest, arrived)):
        if seen >= number and found is not None:
            yield _object(found, seen)


def _told_apart(text: str, longest: int, arrived: Arrivals) -> Iterator[Any]:
    """What stands in a text, one after another; None for one of more than ``longest`` characters.

    It is read in pieces of that length, of which the last value is cut and read again with the next piece.
    """
    reader = json.JSONDecoder()
    start = at = seen = 0
    piece = text[:longest]
    while True:
        at = _end_of_blanks(piece, at)
        is_last = start + len(piece) >= len(text)
        if at >= len(piece):
            if is_last:
                return
            start, at = start + at, 0
            piece = text[start : start + longest]
            continue
        try:
            found, at = reader.raw_decode(piece, at)
        except (ValueError, RecursionError) as error:
            is_long = at == 0
            end = _end_of_object(text, start) if is_long else start + at
            if is_last or end is None or not _is_cut(error, piece):
                raise InvalidInput("detect.hec_format", number=seen) from None
            start, at = end, 0
            piece = text[start : start + longest]
            if not is_long:
                continue
            arrived.refuse(TooLarge("detect.line_too_long", limit=arrived.limits.line_bytes))
            found = None
        yield found
        seen += 1


def _end_of_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return at if found is None else found.end()


def _end_of_object(text: str, start: int) -> int | None:
    """Where an object that is too long to be read ends; None where it cannot be told at little cost."""
    depth = 0
    for number, token in enumerate(_TOKENS.finditer(text, start)):
        letter = text[token.start()]
        if token[1] == "":
            return None
        depth += (letter in "{[") - (letter in "}]")
        if not depth or number > _MOST_TOKENS:
            return None if depth else token.end()
    return None


def _is_cut(error: ValueError | RecursionError, piece: str) -> bool:
    """Whether a text is no JSON since it ends too early."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated") or error.pos >= len(piece) - _LONGEST_WORD


def _object(found: Any, number: int) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InvalidInput("detect.hec_format", number=number)
    if found.get("event") is None:
        raise InvalidInput("detect.hec_no_event", number=number)
    if found["event"] == "":
        raise InvalidInput("detect.hec_blank_event", number=number)
    return found


def _add(told: Iterator[dict[str, Any]], source: WireSource, desk: Desk, arrived: Arrivals) -> None:
    """Take events as they are told. Raises what ``_objects`` raises, InvalidInput where there are none."""
    first = list(islice(told, _LOOKED_AT))
    if not first and not arrived.refused:
        raise InvalidInput("detect.hec_no_data")
    sample = [_bytes(one["event"]) for one in first if isinstance(one["event"], str)]
    reader = TextReader(source.form, desk.clock.now(), sample, desk.limits)
    for one in chain(first, told):
        event = one["event"]
        if isinstance(event, str):
            event = reader.read(_bytes(event))
        elif not isinstance(event, dict):
            event = {"message": event}
        arrived.add_made(_with_meta(event, one))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


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
