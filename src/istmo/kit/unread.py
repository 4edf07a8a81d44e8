"""Bodies that an answer does not wait for: what still comes is thrown away for a moment, then the end.

A sender that is refused in the middle of its body often reads the answer only after it has sent all
of it; a connection that is closed at once looks to it like a broken line, and it never learns why. Nor
may it send for ever: the server would go on reading for as long as the sender cares to, and a refusal
would cost the node more than the sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

LINGER_BYTES: Final = 64 << 20
"""What is thrown away at most: no more of it than one piece is ever in memory."""
LINGER_SECONDS: Final = 10.0
LINGER_SILENT: Final = 1.0
"""Seconds between two pieces: who waits for the answer before it sends on is answered."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


def announces_body(headers: Mapping[str, str]) -> bool:
    """Whether a request, by its headers in lower case, says that a body follows."""
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip() != "0"


class HearsOut:
    """An ASGI application whose refusals reach their senders: wraps what a server is given to serve."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve; an answer to a body that was not read to its end is sent last on its connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and not await body.ends():
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, body.receive, answer)


class _Body:
    def __init__(self, scope: Any, receive: Receive) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._receive = receive
        self._has_ended = not announces_body(headers)
        self._is_waiting = headers.get("expect", "").lower() == "100-continue"

    async def receive(self) -> Message:
        """The next message of the request."""
        message = await self._receive()
        self._is_waiting = False
        self._has_ended = not message.get("more_body")
        return message

    async def ends(self) -> bool:
        """Whether all of it has come, where need be after a moment of throwing it away."""
        if self._has_ended:
            return True
        if self._is_waiting:  # for a word of ours: nothing is on its way
            return False
        thrown = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while thrown < LINGER_BYTES and not self._has_ended:
                    async with asyncio.timeout(LINGER_SILENT):
                        thrown += len((await self.receive()).get("body", b""))
        except TimeoutError:
            return False
        return self._has_ended
