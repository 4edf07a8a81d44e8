"""What is counted of a source: also what was refused whole, and nothing that will come again."""

from __future__ import annotations

import gzip

import pytest

from istmo.settings import Limits

from .conftest import Port

EVENT = b'{"a": 1}\n'


@pytest.fixture
def limits() -> Limits:
    return Limits(batch_bytes=4_000, line_bytes=2_000)


def test_a_body_that_is_refused_whole_is_counted_with_its_reason(port: Port) -> None:
    assert port.ask("POST", "/api/v1/events", EVENT * 2_000).status_code == 413
    assert port.ask("POST", "/api/v1/events", EVENT, Content_Encoding="br").status_code == 415
    assert port.ask("POST", "/api/v1/events", b"no gzip", Content_Encoding="gzip").status_code == 400
    assert port.ask("POST", "/_bulk", b'{"explode":{}}\n{}\n').status_code == 400
    assert port.ask("POST", "/services/collector/event", b"{}").status_code == 400
    assert port.ask("POST", "/v1/logs", b"\xff").status_code == 400
    assert port.ask("POST", "/gelf", b'{"short_message": "' + b"x" * 2_500 + b'"}').status_code == 400
    told = port.count()
    assert (told["accepted"], told["refused"]) == (0, 7)
    assert told["reasons"] == {
        "detect.batch_too_large": 1,
        "detect.encoding_unknown": 1,
        "detect.body_not_gzip": 1,
        "detect.bulk_action": 1,
        "detect.hec_no_event": 1,
        "detect.otlp_unreadable": 1,
        "detect.line_too_long": 1,
    }


def test_lines_that_are_refused_are_counted_once_also_where_all_are(port: Port) -> None:
    assert port.ask("POST", "/api/v1/events", b"no\nnot\n").status_code == 400
    told = port.count()
    assert (told["refused"], told["reasons"]) == (2, {"detect.line_not_json": 2})
    packed = gzip.compress(EVENT + b'{"b": "' + b"x" * 2_500 + b'"}\n')
    assert port.ask("POST", "/api/v1/events", packed, Content_Encoding="gzip").status_code == 200
    told = port.count()
    assert (told["accepted"], told["refused"], told["reasons"]) == (1, 1, {"detect.line_too_long": 1})


def test_what_is_sent_again_is_not_unreadable_again(port: Port) -> None:
    for _ in range(2):
        assert port.ask("POST", "/api/v1/events", EVENT + b"no\n", Idempotency_Key="uno").status_code == 200
    told = port.count()
    assert (told["accepted"], told["doubled"], told["unreadable"]) == (2, 2, 1)
    assert told["reasons"] == {"detect.line_not_json": 1}


def test_who_is_not_known_is_nobody_s_refusal(port: Port) -> None:
    assert port.ask("POST", "/api/v1/events", EVENT, secret="wrong").status_code == 401
    assert port.ask("PATCH", "/api/v1/events").status_code == 405
    assert port.sources.take_counts() == []
