"""A sender that is refused, or falls silent, is not listened to any longer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from istmo.clock import ManualClock
from istmo.detect.eventstore.log import EventLog
from istmo.detect.intake import app as intake
from istmo.detect.intake import desk
from istmo.detect.intake.denials import Denials
from istmo.detect.intake.sources import Sources
from istmo.detect.wire import WireSource
from istmo.settings import Limits
from listening import answer_to_unended, listening

EVENTS = "POST /api/v1/events HTTP/1.1\r\nHost: x"


@pytest.fixture
def port(tmp_path: Path, clock: ManualClock) -> Iterator[int]:
    log = EventLog(tmp_path / "events", clock)
    sources = Sources("test")
    sources.introduce("here", ["here"])
    sources.replace([WireSource("s", "fuente", hashlib.sha256(b"secret").digest(), ["submit"], None)])
    app = intake.Intake(log, sources, Denials(clock), Limits(archive_bytes=10_000), clock)
    with listening(app) as port:
        yield port
    log.close()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (EVENTS, 401),
        (f"{EVENTS}\r\nAuthorization: Bearer wrong", 401),
        ("POST /api/elsewhere HTTP/1.1\r\nHost: x", 404),
        ("PUT /api/v1/events HTTP/1.1\r\nHost: x", 405),
        ("GET /healthz HTTP/1.1\r\nHost: x", 200),
        (f"{EVENTS}\r\nAuthorization: Bearer secret\r\nContent-Encoding: zstd", 415),
    ],
)
def test_a_body_that_nobody_waits_for_ends_with_the_answer(port: int, asked: str, status: int) -> None:
    said = answer_to_unended(port, asked)
    assert said.startswith(f"HTTP/1.1 {status} ")
    assert "\r\nconnection: close\r\n" in said


def test_so_does_one_that_is_too_large(port: int) -> None:
    said = answer_to_unended(port, f"{EVENTS}\r\nAuthorization: Bearer secret", pieces=11)
    assert said.startswith("HTTP/1.1 413 ")
    assert "\r\nconnection: close\r\n" in said


def test_so_does_one_whose_sender_falls_silent(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "PATIENCE", 0.05)
    said = answer_to_unended(port, f"{EVENTS}\r\nAuthorization: Bearer secret")
    assert said.startswith("HTTP/1.1 408 ")
    assert "\r\nconnection: close\r\n" in said
