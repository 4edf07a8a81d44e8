"""An application on a real socket, and a sender who does not end its body."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from istmo.kit.heads import BoundedHeads
from istmo.kit.unread import HearsOut


@contextmanager
def listening(app: Any, **how: Any) -> Iterator[int]:
    """Serve an application as a node does; the port. ``how``: more settings of the server."""
    # With its protocol named, asyncio switches off the waiting for full packets (TCP_NODELAY).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = uvicorn.Config(
        HearsOut(app), http=BoundedHeads, ws="none", lifespan="off", log_config=None, access_log=False, **how
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)  # the pace of polling, not a wait for luck
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(15)
        assert server.started and not thread.is_alive()


def answer_to_unended(port: int, head: str, pieces: int = 1, size: int = 1_000) -> str:
    """What a server says to a body in chunks that never ends, up to the end of the connection.

    Raises TimeoutError where the server lets the sender go on.
    """
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{head}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"%x\r\n%s\r\n" % (size, b"x" * size)
        try:
            for _ in range(pieces):
                connection.sendall(chunk)
            while piece := connection.recv(65_536):
                said += piece
        except ConnectionError:
            pass  # closed while we were still sending
    return said.decode()
