"""OpenTelemetry's logs over HTTP."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from detect.intake.conftest import Port
from istmo.detect.intake.doors.otlp import _of_json, _of_protobuf
from istmo.errors import InvalidInput

PROTOBUF = "application/x-protobuf"


def request(*records: dict[str, Any]) -> dict[str, Any]:
    host = {"key": "host.name", "value": {"stringValue": "web1"}}
    scope = {"logRecords": list(records)}
    return {"resourceLogs": [{"resource": {"attributes": [host]}, "scopeLogs": [scope]}]}


def record(body: Any, **other: Any) -> dict[str, Any]:
    return {"body": body, "timeUnixNano": "1772442000250000000"} | other


RECORDS = [
    record({"stringValue": "hola"}, severityText="WARN", severityNumber=13),
    record({"kvlistValue": {"values": [{"key": "EventID", "value": {"intValue": "1"}}]}}),
    record(
        {"stringValue": json.dumps({"EventID": 2, "Channel": "X"})},
        attributes=[
            {"key": "log.file.name", "value": {"stringValue": "a.log"}},
            {"key": "many", "value": {"arrayValue": {"values": [{"boolValue": True}, {"doubleValue": 1.5}]}}},
        ],
    ),
    {},
]
EXPECTED = [
    {"message": "hola", "severity_text": "WARN", "severity_number": 13},
    {"EventID": 1},
    {"EventID": 2, "Channel": "X", "log.file.name": "a.log", "many": [True, 1.5]},
]


@pytest.mark.parametrize("kind", [PROTOBUF, "application/json"])
def test_records_are_events_in_either_form(port: Port, kind: str) -> None:
    told = request(*RECORDS)
    body = json.dumps(told).encode()
    if kind == PROTOBUF:
        body = ParseDict(told, ExportLogsServiceRequest()).SerializeToString()
    answer = port.ask("POST", "/v1/logs", gzip.compress(body), Content_Type=kind, Content_Encoding="gzip")
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    if kind == PROTOBUF:
        assert not ExportLogsServiceResponse.FromString(answer.content).partial_success.rejected_log_records
    rest = {"resource": {"host.name": "web1"}, "host": "web1", "@timestamp": "2026-03-02T09:00:00.250000Z"}
    *events, empty = port.events()
    assert events == [one | rest for one in EXPECTED]
    assert empty == {"resource": {"host.name": "web1"}, "host": "web1"}


@pytest.mark.parametrize("kind", [PROTOBUF, "application/json", ""])
@pytest.mark.parametrize(
    "body", [b"\xff\xff\xff", b"[1]", b'{"resourceLogs":[1]}', b'{"resourceLogs":{"a":1}}']
)
def test_what_is_no_request_is_told_so(port: Port, kind: str, body: bytes) -> None:
    answer = port.ask("POST", "/v1/logs", body, Content_Type=kind, Accept_Language="es")
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert "OTLP" in answer.json()["message"]
    assert port.stored() == []


def test_a_full_disk_is_told_as_what_senders_repeat_for(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("istmo.detect.eventstore.log.has_room", lambda folder, size: False)
    answer = port.ask("POST", "/v1/logs", json.dumps(request(*RECORDS)).encode())
    assert (answer.status_code, answer.json()["code"]) == (503, 14)


def test_records_past_the_limit_are_told_and_no_other_suffers(port: Port) -> None:
    told = request(record({"stringValue": "x" * (1 << 20)}), record({"stringValue": "hola"}))
    answer = port.ask("POST", "/v1/logs", json.dumps(told).encode())
    assert answer.json() == {"partialSuccess": {"rejectedLogRecords": "1"}}
    assert [one["message"] for one in port.events()] == ["hola"]


@given(st.binary())
def test_no_bytes_do_harm(body: bytes) -> None:
    for read in (_of_json, _of_protobuf):
        try:
            list(read(body))
        except InvalidInput as error:
            assert error.code == "detect.otlp_unreadable"
