"""The server of the intake port: who comes while there is no room waits, and is not turned away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from istmo.detect.worker.serving import Server, server_config

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
MOST = 4


class Slow:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.at_work = self.busiest = self.bodies = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.at_work += 1
        self.busiest = max(self.busiest, self.at_work)
        self.bodies += (await receive()).get("body") == b"hi"
        await self.may_answer.wait()
        self.at_work -= 1
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body"})


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - what is waited for is not the loop's
            await asyncio.sleep(0.001)  # the pace of polling, not a wait for luck


def serve(talk: Callable[[Slow, int], Awaitable[None]], **bounds: int) -> None:
    async def run() -> None:
        app = Slow()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        server = Server(server_config(app), MOST, **bounds)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        try:
            await talk(app, listener.getsockname()[1])
        finally:
            app.may_answer.set()
            server.should_exit = True
            await serving

    asyncio.run(run())


async def ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    await writer.drain()
    return reader, writer


def test_more_senders_than_there_is_room_for_are_answered_in_their_turn() -> None:
    async def talk(app: Slow, port: int) -> None:
        asked = [await ask(port) for _ in range(3 * MOST)]
        await until(lambda: app.at_work == MOST)
        app.may_answer.set()
        for reader, writer in asked:
            assert (await reader.readline()).startswith(b"HTTP/1.1 202")
            writer.close()
        assert app.busiest == MOST

    serve(talk)


def test_of_senders_who_hang_up_at_once_every_request_is_read() -> None:
    number = 3 * MOST

    async def talk(app: Slow, port: int) -> None:
        app.may_answer.set()
        for _ in range(number):
            _, writer = await ask(port)
            writer.close()
        await until(lambda: app.bodies == number)

    serve(talk)


def test_open_connections_on_which_nothing_is_asked_take_nobody_s_room() -> None:
    async def talk(app: Slow, port: int) -> None:
        app.may_answer.set()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MOST)]
        reader, writer = await ask(port)
        assert (await reader.readline()).startswith(b"HTTP/1.1 202")
        for _, one in (*idle, (reader, writer)):
            one.close()

    serve(talk)


def test_connections_have_an_end_too() -> None:
    async def talk(app: Slow, port: int) -> None:
        app.may_answer.set()
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST)]
        reader, writer = await ask(port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.readline()
        idle[0][1].close()
        assert (await reader.readline()).startswith(b"HTTP/1.1 202")
        for _, one in (*idle, (reader, writer)):
            one.close()

    serve(talk, connections=MOST)
