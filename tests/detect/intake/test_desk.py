"""What all requests together have in hand is bounded, and who is too much is told so before it has sent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import orjson
import pytest

from istmo.detect.eventstore.log import Batch
from istmo.detect.intake.desk import IN_HAND_BYTES, SHARE_BYTES

from .conftest import SECRET, Port, source

ANNOUNCED = 1 << 20
SECOND, THIRD = "istmo_src_second", "istmo_src_third"
SHARE = SHARE_BYTES // ANNOUNCED


@pytest.fixture(autouse=True)
def three(port: Port) -> None:
    assert 2 * SHARE_BYTES == IN_HAND_BYTES
    others = [source(secret, id=secret, name=secret) for secret in (SECOND, THIRD)]
    port.sources.replace([source(), *others])


@contextmanager
def begun(port: Port, secret: str = SECRET, announced: int = ANNOUNCED) -> Iterator[socket.socket]:
    """A request that announces so much, and has sent one event of it."""
    with socket.create_connection(("127.0.0.1", port.number), timeout=30) as sender:
        head = f"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
        head += f"Connection: close\r\nContent-Length: {announced}\r\n\r\n"
        sender.sendall(head.encode() + b'{"n":1}\n')
        yield sender


def wait_until_busy(port: Port, secret: str) -> None:
    deadline = time.monotonic() + 30
    while port.ask("POST", "/api/v1/events", b'{"n":0}', secret).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the pace of polling


@pytest.mark.parametrize(
    ("path", "status"), [("/api/v1/events", 429), ("/_bulk", 429), ("/services/collector/event", 503)]
)
def test_who_is_too_much_beside_all_others_is_told_to_come_back(port: Port, path: str, status: int) -> None:
    with ExitStack() as stack:
        for secret in (SECRET, SECOND) * SHARE:
            stack.enter_context(begun(port, secret))
        wait_until_busy(port, THIRD)
        refused = port.ask("POST", path, b"x" * ANNOUNCED, THIRD)
        assert (refused.status_code, refused.headers["Retry-After"]) == (status, "1")
    # They have gone, and left nothing behind that would count on.
    deadline = time.monotonic() + 30
    while port.ask("POST", "/api/v1/events", b'{"n":2}').status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the pace of polling


def test_who_has_begun_is_heard_out(port: Port) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(begun(port))
        for _ in range(SHARE - 1):
            stack.enter_context(begun(port))
        wait_until_busy(port, SECRET)
        first.sendall(b'{"n":7}\n'.ljust(ANNOUNCED - 8, b" "))
        answer = b"".join(iter(lambda: first.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["accepted"] == 2
    assert {"n": 7} in port.events()


def test_announcing_much_and_sending_nothing_blocks_nobody(port: Port) -> None:
    with begun(port, announced=64 << 30):
        assert port.ask("POST", "/api/v1/events", b'{"n":3}').status_code == 200


def test_one_source_that_sends_slowly_and_much_leaves_room_for_the_others(port: Port) -> None:
    with ExitStack() as stack:
        for _ in range(SHARE):
            stack.enter_context(begun(port))
        wait_until_busy(port, SECRET)
        assert port.ask("POST", "/api/v1/events", b'{"n":4}', SECOND).status_code == 200


@pytest.mark.parametrize(
    ("path", "one"),
    [
        ("/services/collector/event", b'{"event":1}'),
        ("/_bulk", b'{"create":{}}\n{}\n'),
        ("/gelf", b'{"short_message":"a"}\n'),
        ("/api/v1/events", b'{"n":1}\n'),
    ],
)
def test_what_waits_for_the_store_counts_by_what_it_weighs(
    port: Port, monkeypatch: pytest.MonkeyPatch, path: str, one: bytes
) -> None:
    """A thousand small events hold more than the bytes in which they came."""
    in_hand: list[int] = []
    append = port.log.append

    def noting(batch: Batch) -> None:
        in_hand.append(port.app._desk._in_hand)
        append(batch)

    monkeypatch.setattr(port.log, "append", noting)
    assert port.ask("POST", path, one * 1_000).status_code in (200, 202)
    assert in_hand[0] > 10 * len(one) * 1_000
    assert port.app._desk._in_hand == 0
