"""A head that does not end is not kept: the connection is closed."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from istmo.kit.heads import LONGEST_HEAD
from listening import listening

BODY = 4 << 20


async def count(scope: Any, receive: Any, send: Any) -> None:
    """Answer with how long the body was."""
    taken, message = 0, {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        taken += len(message.get("body", b""))
    body = str(taken).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listening(count) as port:
        yield port


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"GET /",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: ",
    ],
    ids=["header", "address", "trailer"],
)
def test_a_line_without_end_closes_the_connection(port: int, start: bytes) -> None:
    assert is_closed_while_sending(port, start, b"a" * LONGEST_HEAD)


def test_many_short_lines_close_it_too(port: int) -> None:
    assert is_closed_while_sending(port, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n" * 8_000)


def is_closed_while_sending(port: int, start: bytes, piece: bytes) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(start)
            for _ in range(1_000):  # 64 MB at the most: far past what the buffers of a socket hold
                connection.sendall(piece)
        except ConnectionError:
            return True
    return False


def test_a_long_body_and_many_requests_do_not(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.connect()
    same = connection.sock
    for size in (BODY, *[0] * 200):
        connection.request("POST", "/", body=b"x" * size, headers={"X-A": "a" * 1_000})
        assert connection.getresponse().read() == b"%d" % size
    assert connection.sock is same
    connection.close()
