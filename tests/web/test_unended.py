"""A sender that is refused is not listened to any longer: the connection ends with the answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from web_site import Site, make_site

from istmo.clock import ManualClock
from listening import answer_to_unended, listening


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


@pytest.fixture(scope="module")
def port(real_site: Site) -> Iterator[int]:
    with listening(real_site.app) as port:
        yield port


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("POST /api/v1/cases HTTP/1.1", 401),
        ("POST /api/v1/cases HTTP/1.1\r\nSignature-Input: x", 400),
        ("POST /api/v1/cases HTTP/1.1\r\nAuthorization: Bearer x", 401),
        ("POST /api/v1/nothing HTTP/1.1", 404),
        ("POST /api/v1/me HTTP/1.1", 405),
        ("GET /static/kit.js HTTP/1.1", 404),
        ("GET /sign-in HTTP/1.1", 200),
    ],
)
def test_a_body_that_nobody_waits_for_ends_with_the_answer(port: int, asked: str, status: int) -> None:
    said = answer_to_unended(port, f"{asked}\r\nHost: 127.0.0.1:{port}")
    assert said.startswith(f"HTTP/1.1 {status} ")
    assert "\r\nconnection: close\r\n" in said


def test_so_does_one_that_is_too_large(port: int) -> None:
    head = (
        f"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded"
    )
    said = answer_to_unended(port, head, pieces=66)
    assert said.startswith("HTTP/1.1 413 ")
    assert "\r\nconnection: close\r\n" in said


def test_who_is_refused_after_the_whole_body_keeps_the_connection(whole: Site) -> None:
    with whole.client() as client:
        for answer in (
            client.post("/sign-in", data={"name": "ana", "password": "x", "csrf": "x"}),
            client.post("/api/v1/session", json={"name": "ana", "password": "x"}),
            client.get("/api/v1/me"),
            client.post("/api/v1/cases"),
        ):
            assert answer.status_code in (401, 403)
            assert "connection" not in answer.headers


def test_a_connection_that_is_kept_answers_again(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for _ in range(2):
            body = b'{"name":"ana","password":"x"}'
            head = (
                f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json"
            )
            connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            said = connection.recv(65_536)
            assert said.startswith(b"HTTP/1.1 401 ")
            while b'"params"' not in said:
                said += connection.recv(65_536)
