"""A source with a bound of events a second: what it sends is taken whole, and then it waits."""

from __future__ import annotations

import pytest

from detect.intake.conftest import SECRET, Port, source

EVENTS = b'{"n":1}\n' * 30
NATIVE = "/api/v1/events"


@pytest.fixture
def bounded(port: Port) -> Port:
    port.sources.replace([source(rate=10), source("other", id="s2")])
    return port


def test_what_is_too_much_is_taken_and_the_next_request_waits_for_it(bounded: Port) -> None:
    assert bounded.ask("POST", NATIVE, EVENTS).json()["accepted"] == 30
    refused = bounded.ask("POST", NATIVE, EVENTS, Accept_Language="es")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert refused.json()["error"]["code"] == "detect.source_too_fast"
    assert "2 s" in refused.json()["error"]["remedy"]
    bounded.clock.advance(2)
    assert bounded.ask("POST", NATIVE, EVENTS).status_code == 200
    assert len(bounded.stored()) == 60


def test_other_sources_do_not_wait_nor_does_whoever_only_asks(bounded: Port) -> None:
    bounded.ask("POST", NATIVE, EVENTS)
    assert bounded.ask("POST", NATIVE, EVENTS, secret="other").status_code == 200
    assert bounded.ask("GET", "/").status_code == 200


def test_however_much_it_was_nobody_is_told_to_come_back_later_than_in_a_minute(bounded: Port) -> None:
    bounded.ask("POST", NATIVE, EVENTS * 100)
    assert bounded.ask("POST", NATIVE, EVENTS).headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/_bulk", b'{"create":{}}\n{}\n', 429),
        ("/services/collector/event", b'{"event":{}}', 503),
        ("/services/collector/raw", b"x", 503),
        ("/v1/logs", b"{}", 429),
        ("/gelf", b"{}", 429),
    ],
)
def test_each_protocol_says_it_in_its_own_words(bounded: Port, path: str, body: bytes, status: int) -> None:
    bounded.ask("POST", NATIVE, EVENTS)
    answer = bounded.ask("POST", path, body, Authorization=f"Bearer {SECRET}")
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "2")
