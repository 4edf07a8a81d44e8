"""OpenTelemetry's logs over HTTP (OTLP 1.x): ``POST /v1/logs``, protobuf or JSON.

A log record is an event. A body that is an object is the event's fields; a body that is text is read as what
it is (JSON, a Windows event's XML, a line of the source's form). Attributes stand beside it by their names,
the resource's attributes in ``resource``; time and severity where the event itself names none.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import orjson

from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.asking import Handler, Reply, Request, json_reply
from istmo.detect.intake.desk import Desk
from istmo.detect.intake.texts import TextReader, written_time
from istmo.detect.wire import WireSource
from istmo.errors import InvalidInput, IstmoError
from istmo.kit.i18n import Told

PROTOBUF: Final = "application/x-protobuf"
_PATH: Final = "/v1/logs"
_CODES: Final = {400: 3, 401: 16, 403: 7, 413: 8, 429: 8, 503: 14, 507: 14}
"""Google's RPC codes, which OTLP uses in the body of an error."""
_NANOS: Final = 1_000_000_000
DEEPEST: Final = 32


class Otlp:
    """OTLP's protocol."""

    @property
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        return {("POST", _PATH): take}

    def refuse(self, error: IstmoError, told: Told) -> Reply:
        status = 503 if error.status == 507 else error.status  # the only answers that senders repeat for
        words = f"{told.message} {told.remedy}".strip()
        return json_reply(status, {"code": _CODES.get(status, 13), "message": words})


@dataclass
class Record:
    """One log record, from either form."""

    body: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    nanos: int = 0
    severity_number: int = 0
    severity_text: str = ""
    trace_id: str = ""
    span_id: str = ""


async def take(desk: Desk, request: Request) -> Reply:
    """Store the records of a body; those past the limits are told in ``partialSuccess``."""
    source = desk.admit(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    arrived = desk.arrivals()
    with desk.holding(request) as held:
        body = await desk.read_whole(request, held)
        records = list(_of_protobuf(body) if kind == PROTOBUF else _of_json(body))
        _add(records, source, desk, arrived)
        del body, records  # many wait for the store at once: what they hold is in ``arrived``
        await desk.store(source, arrived, held)
    return _answer(kind, arrived.refused.total())


def _answer(kind: str, refused: int) -> Reply:
    if kind == PROTOBUF:
        answer = _messages().ExportLogsServiceResponse()
        if refused:
            answer.partial_success.rejected_log_records = refused
        return Reply(200, answer.SerializeToString(), PROTOBUF.encode())
    return json_reply(200, {"partialSuccess": {"rejectedLogRecords": str(refused)}} if refused else {})


def _add(records: list[Record], source: WireSource, desk: Desk, arrived: Arrivals) -> None:
    texts = [one.body.encode("utf-8", "replace") for one in records if isinstance(one.body, str)]
    reader = TextReader(source.form, desk.clock.now(), texts, desk.limits)
    following = iter(texts)
    for one in records:
        event = one.body
        if isinstance(event, str):
            event = reader.read(next(following))
        elif not isinstance(event, dict):
            event = {} if event is None else {"message": event}
        arrived.add_made(_with_rest(event, one))


def _with_rest(event: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """The event with what the record says about it."""
    made = dict(event)
    for name, value in record.attributes.items():
        made.setdefault(name, value)
    if record.resource:
        made.setdefault("resource", record.resource)
    for name in ("severity_text", "severity_number", "trace_id", "span_id"):
        if value := getattr(record, name):
            made.setdefault(name, value)
    if "Event" in made:
        return made  # a Windows event tells when and where itself
    if record.nanos and not {"@timestamp", "timestamp"} & set(made):
        made["@timestamp"] = written_time(record.nanos / _NANOS)
    if (host := record.resource.get("host.name")) and "host" not in made:
        made["host"] = host
    return made


# Protobuf


def _messages() -> Any:
    # Not at the top: most nodes never meet this protocol, and its messages take memory.
    return import_module("opentelemetry.proto.collector.logs.v1.logs_service_pb2")


def _of_protobuf(body: bytes) -> Iterator[Record]:
    message = _messages().ExportLogsServiceRequest()
    try:
        message.ParseFromString(body)
    except import_module("google.protobuf.message").DecodeError:
        raise InvalidInput("detect.otlp_unreadable") from None
    for of_resource in message.resource_logs:
        resource = _pairs(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            for one in of_scope.log_records:
                yield Record(
                    _value(one.body) if one.HasField("body") else None,
                    _pairs(one.attributes),
                    resource,
                    one.time_unix_nano or one.observed_time_unix_nano,
                    one.severity_number,
                    one.severity_text,
                    one.trace_id.hex(),
                    one.span_id.hex(),
                )


def _pairs(pairs: Any, depth: int = 0) -> dict[str, Any]:
    return {one.key: _value(one.value, depth) for one in pairs}


def _value(value: Any, depth: int = 0) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or depth > DEEPEST:
        return None
    found = getattr(value, kind)
    match kind:
        case "array_value":
            return [_value(one, depth + 1) for one in found.values]
        case "kvlist_value":
            return _pairs(found.values, depth + 1)
        case "bytes_value":
            return base64.b64encode(found).decode()
    return found


# JSON


def _of_json(body: bytes) -> Iterator[Record]:
    try:
        told = orjson.loads(body)
        for of_resource in told.get("resourceLogs") or ():
            resource = _json_pairs((of_resource.get("resource") or {}).get("attributes"))
            for of_scope in of_resource.get("scopeLogs") or ():
                for one in of_scope.get("logRecords") or ():
                    yield Record(
                        _json_value(one.get("body")),
                        _json_pairs(one.get("attributes")),
                        resource,
                        int(one.get("timeUnixNano") or one.get("observedTimeUnixNano") or 0),
                        int(one.get("severityNumber") or 0),
                        str(one.get("severityText") or ""),
                        str(one.get("traceId") or ""),
                        str(one.get("spanId") or ""),
                    )
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError, LookupError):
        raise InvalidInput("detect.otlp_unreadable") from None


def _json_pairs(pairs: Any, depth: int = 0) -> dict[str, Any]:
    return {str(one["key"]): _json_value(one.get("value"), depth) for one in pairs or ()}


def _json_value(value: Any, depth: int = 0) -> Any:
    if not value or depth > DEEPEST:
        return None
    ((kind, found),) = value.items()
    match kind:
        case "arrayValue":
            return [_json_value(one, depth + 1) for one in found.get("values") or ()]
        case "kvlistValue":
            return _json_pairs(found.get("values"), depth + 1)
        case "intValue":
            return int(found)
    return found
