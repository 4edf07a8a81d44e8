"""GELF over HTTP."""

from __future__ import annotations

import json
import zlib

import pytest

from detect.intake.conftest import Port
from istmo.detect.intake.doors.gelf import gelf_event
from istmo.detect.normalise import normalise


def message(**other: object) -> dict[str, object]:
    return {"version": "1.1", "host": "web1", "short_message": "hola", "timestamp": 1772442000.25} | other


def test_a_message_is_an_event_by_its_own_names(port: Port) -> None:
    answer = port.ask("POST", "/gelf", json.dumps(message(_usuario="ana", level=3)).encode())
    assert (answer.status_code, answer.content) == (202, b"")
    (event,) = port.events()
    assert event["message"] == "hola"
    assert (event["usuario"], event["level"], event["host"]) == ("ana", 3, "web1")
    assert event["@timestamp"] == "2026-03-02T09:00:00.250000Z"


def test_a_windows_event_in_it_is_known_as_one() -> None:
    read = normalise(gelf_event(message(_EventID=4625, _Channel="Security", _TargetUserName="ana")))
    assert (read.fields["EventID"], read.fields["TargetUserName"]) == (4625, "ana")
    assert [one.service for one in read.logsources] == ["security"]


def test_packed_and_several_messages_are_read(port: Port) -> None:
    body = b"\n".join(json.dumps(message(_n=number)).encode() for number in range(3))
    port.ask("POST", "/gelf", zlib.compress(body), Content_Encoding="deflate")
    assert [one["n"] for one in port.events()] == [0, 1, 2]


@pytest.mark.parametrize("when", [None, "x", 1e30, -5, "1772442000", [], {}])
def test_any_time_is_borne(when: object) -> None:
    assert gelf_event(message(timestamp=when))["message"] == "hola"


def test_what_is_no_message_is_kept_as_text(port: Port) -> None:
    assert port.ask("POST", "/gelf", b'{"version":').status_code == 202
    assert port.events() == [{"message": '{"version":', "istmo.unreadable": "line_not_json"}]
    assert port.ask("POST", "/gelf", b"").status_code == 400
