"""HTTP as uvicorn speaks it with httptools, with an end to what a connection may hold unread.

httptools itself gathers a header, or a trailer, for as long as it goes on: anybody could fill the
memory with one line.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD: Final = 64 << 10
"""Bytes of a head, or of trailers, past which a connection is closed; to about one read more."""


class BoundedHeads(HttpToolsProtocol):
    """Closes a connection whose bytes come to nothing: no end of a head, no body, no end of a request."""

    _pending = 0
    _came_to_something = False

    def data_received(self, data: bytes) -> None:
        """Take bytes from the connection."""
        self._came_to_something = False
        super().data_received(data)
        self._pending = 0 if self._came_to_something else self._pending + len(data)
        if self._pending > LONGEST_HEAD:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self._came_to_something = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body: how much of it is kept is for its reader to say."""
        self._came_to_something = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has ended."""
        self._came_to_something = True
        super().on_message_complete()
