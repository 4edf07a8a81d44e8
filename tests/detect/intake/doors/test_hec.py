"""Splunk's HTTP Event Collector as forwarders use it."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detect.intake.conftest import SECRET, Port
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.doors.hec import _objects
from istmo.detect.normalise import normalise
from istmo.errors import InvalidInput, TooLarge
from istmo.settings import Limits

EVENT = "/services/collector/event"
XML = (
    '<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><EventID>4625</EventID>'
    "<Channel>Security</Channel><Computer>PC-07</Computer></System>"
    '<EventData><Data Name="TargetUserName">ana</Data></EventData></Event>'
)


def splunk(secret: str = SECRET) -> str:
    return f"Splunk {secret}"


@pytest.mark.parametrize("between", ["", "\n", "  ", "\r\n", ","])
def test_events_stand_one_after_another_with_anything_between_them(port: Port, between: str) -> None:
    body = between.join(json.dumps({"event": {"n": number}}) for number in range(3))
    answer = port.ask("POST", EVENT, body.encode(), Authorization=splunk())
    assert (answer.status_code, answer.json()) == (200, {"text": "Success", "code": 0})
    assert [one["n"] for one in port.events()] == [0, 1, 2]


def test_what_is_said_about_an_event_stands_beside_it(port: Port) -> None:
    told = {"event": {"n": 1}, "host": "web1", "time": 1772442000.5, "sourcetype": "x", "fields": {"a": "b"}}
    port.ask("POST", "/services/collector", json.dumps(told).encode(), Authorization=splunk())
    assert port.events() == [
        {
            "n": 1,
            "splunk": {"sourcetype": "x", "fields": {"a": "b"}},
            "host": "web1",
            "@timestamp": "2026-03-02T09:00:00.500000Z",
        }
    ]


def test_an_event_that_is_text_is_read_as_what_it_is(port: Port) -> None:
    line = "<34>Oct 11 22:14:15 web1 sshd[8]: Failed password for root from 203.0.113.7 port 22 ssh2"
    for text in (line, json.dumps({"EventID": 1, "Channel": "X"}), XML, "nothing known"):
        port.ask("POST", EVENT, json.dumps({"event": text}).encode(), Authorization=splunk())
    syslog, windows, xml, unknown = port.events()
    assert (syslog["program"], syslog["event.original"]) == ("sshd", line)
    assert (windows["EventID"], windows["Channel"]) == (1, "X")
    read = normalise(xml).fields
    assert (read["EventID"], read["TargetUserName"], read["Computer"]) == (4625, "ana", "PC-07")
    assert unknown == {"message": "nothing known"}


def test_raw_lines_are_read_by_their_form(port: Port) -> None:
    lines = b"Oct 11 22:14:15 web1 sshd[8]: one\nOct 11 22:14:16 web1 sshd[8]: two\n%%%\n"
    port.ask(
        "POST",
        "/services/collector/raw",
        gzip.compress(lines),
        Authorization=splunk(),
        Content_Encoding="gzip",
    )
    assert [one["message"] for one in port.events()] == ["one", "two", "%%%"]
    assert port.events()[2]["istmo.unreadable"] == "line_other_form"
    assert port.count()["unreadable"] == 1


def test_acknowledgements_are_true_once_they_are_given(port: Port) -> None:
    channel = {"X_Splunk_Request_Channel": "a5f0a3a5-6a09-413f-8743-e6cf35561111", "Authorization": splunk()}
    given = port.ask("POST", EVENT, b'{"event":{}}', **channel).json()["ackId"]
    told = port.ask(
        "POST", "/services/collector/ack", json.dumps({"acks": [given, given + 10**9]}).encode(), **channel
    )
    assert told.json() == {"acks": {str(given): True, str(given + 10**9): False}}


@pytest.mark.parametrize(
    ("body", "status", "code", "number"),
    [
        (b"", 400, 5, None),
        (b'{"event":1}{"event":', 400, 6, 1),
        (b'{"event":1}\n[1]', 400, 6, 1),
        (b'{"host":"a"}', 400, 12, 0),
        (b'{"event":1}\n{"event":""}', 400, 13, 1),
        (b"nonsense", 400, 6, 0),
        (b"[" * 100_000, 400, 6, 0),
    ],
)
def test_what_is_wrong_is_told_in_the_codes_that_forwarders_know(
    port: Port, body: bytes, status: int, code: int, number: int | None
) -> None:
    answer = port.ask("POST", EVENT, body, Authorization=splunk())
    told = answer.json()
    assert (answer.status_code, told["code"], told.get("invalid-event-number")) == (status, code, number)
    assert port.stored() == []


def test_a_wrong_token_is_told_so(port: Port) -> None:
    answer = port.ask("POST", EVENT, b'{"event":1}', Authorization=splunk("wrong"))
    assert (answer.status_code, answer.json()["code"], answer.json()["text"]) == (403, 4, "Invalid token")


def test_a_full_disk_is_told_as_busy(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("istmo.detect.eventstore.log.has_room", lambda folder, size: False)
    answer = port.ask("POST", EVENT, b'{"event":1}', Authorization=splunk())
    assert (answer.status_code, answer.json()["code"]) == (503, 9)
    assert port.ask("GET", "/services/collector/health").status_code == 503


def test_half_a_character_and_endless_numbers_cost_no_event(port: Port) -> None:
    body = b'{"event":{"a":"x \\ud800 y","b":123456789012345678901234567890}}{"event":{"n":2}}'
    assert port.ask("POST", EVENT, body, Authorization=splunk()).status_code == 200
    assert [one.get("a") for one in port.events()] == ["x \ufffd y", None]


said = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.sampled_from('ab"\\\\{}[],:ñ\u2028'), max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(said.filter(lambda one: one not in (None, "")), st.sampled_from(["", "\n", " ", ",\r\n"]))
    ),
    st.booleans(),
)
def test_objects_are_told_apart_however_they_are_cut_and_longer_ones_are_passed_over(
    made: list[tuple[Any, str]], is_ascii: bool
) -> None:
    texts = [json.dumps({"event": event}, ensure_ascii=is_ascii) for event, _ in made]
    body = "".join(text + between for text, (_, between) in zip(texts, made, strict=True)).encode()
    arrived = Arrivals(Limits(line_bytes=30))
    found = [one["event"] for one in _objects(body, arrived)]
    fitting = [event for text, (event, _) in zip(texts, made, strict=True) if len(text) <= 60]
    assert found == fitting
    assert arrived.refused.total() == len(made) - len(fitting)


@pytest.mark.parametrize(
    "unit", [b'{"event":1}\n', b'{"event":1}', b'{"event":[{},{},{},{},{},{}]}', b'{"event":"']
)
def test_what_is_read_of_a_body_is_not_held_together(unit: bytes) -> None:
    """Dense bodies were thirty times as much in memory."""
    body = unit * ((2 << 20) // len(unit)) + b'x"}'
    arrived = Arrivals(Limits(line_bytes=64 << 10, batch_bytes=2 << 20))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with pytest.raises((TooLarge, InvalidInput)):
            for one in _objects(body, arrived):
                arrived.add_made(one)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(body)


@pytest.mark.parametrize("unit", [b'\\"', b'"', b"\\\\", b'"\\', b"{", b'{"":'])
def test_a_body_that_never_ends_what_it_begins_is_refused_in_one_pass(unit: bytes) -> None:
    """From each quote in it the end of a string was looked for anew: a day for three megabytes."""
    arrived = Arrivals(Limits(line_bytes=64 << 10))
    with pytest.raises(InvalidInput, match="hec_format"):
        list(_objects(b'{"event":"' + unit * ((1 << 20) // len(unit)), arrived))
    assert not arrived.refused


def test_an_event_past_all_measure_costs_itself_alone(port: Port) -> None:
    long = json.dumps({"event": {"n": "x" * (3 << 20)}})
    for between in ("", "\n"):
        body = between.join(['{"event":{"n":1}}', long, '{"event":{"n":2}}'])
        assert port.ask("POST", EVENT, body.encode(), Authorization=splunk()).status_code == 200
    assert [one["n"] for one in port.events()] == [1, 2, 1, 2]
    assert port.count()["reasons"] == {"detect.line_too_long": 2}
