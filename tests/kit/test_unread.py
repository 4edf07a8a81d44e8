"""A sender that is refused in the middle of its body hears why, and is not listened to for ever."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from istmo.kit import unread
from listening import listening

LARGE = 20 << 20


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """An application that reads a first piece where it is asked to, then refuses."""
    if scope["path"] == "/reads":
        await receive()
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(refuse) as port:
        yield port


@pytest.mark.parametrize("path", ["/", "/reads"])
def test_who_sends_all_before_it_reads_is_told_and_may_ask_again(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(2):
        connection.request("POST", path, b"x" * LARGE)
        answer = connection.getresponse()
        assert (answer.status, answer.read(), answer.getheader("connection")) == (401, b"no", None)
    connection.close()


def test_so_are_many_at_once(port: int) -> None:
    told: list[int] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/", b"x" * LARGE)
        told.append(connection.getresponse().status)
        connection.close()

    senders = [threading.Thread(target=ask) for _ in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert told == [401] * 8


def test_who_waits_before_it_sends_on_is_answered_and_no_more_is_awaited(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "LINGER_SILENT", 0.05)
    assert _answer(port, b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000).endswith(
        b"connection: close\r\n\r\nno"
    )


def test_who_asks_whether_to_send_is_told_no_at_once(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "LINGER_SILENT", 60.0)
    monkeypatch.setattr(unread, "LINGER_SECONDS", 60.0)
    said = _answer(port, b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 401 ") and said.endswith(b"connection: close\r\n\r\nno")


@pytest.mark.parametrize("bound", [{"LINGER_BYTES": 4 << 20}, {"LINGER_SECONDS": 0.2}])
def test_who_sends_for_ever_is_cut_off(
    port: int, monkeypatch: pytest.MonkeyPatch, bound: dict[str, float]
) -> None:
    for name, most in bound.items():
        monkeypatch.setattr(unread, name, most)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as connection,
        pytest.raises(ConnectionError),
    ):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def _answer(port: int, rest: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + rest)
        return b"".join(iter(lambda: connection.recv(65_536), b""))
