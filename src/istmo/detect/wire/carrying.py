"""Messages as bytes, and the web process's end of the socket."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Final

import msgspec

from istmo.detect.wire.said import ToWeb
from istmo.detect.wire.told import ToWorker

LONGEST: Final = 64 << 20
"""Bytes that one message may have; senders split lists well below it."""
_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_to_web: msgspec.msgpack.Decoder[ToWeb] = msgspec.msgpack.Decoder(ToWeb)
_LENGTH = struct.Struct(">I")


def encode(message: ToWorker | ToWeb) -> bytes:
    """One message with its length in front."""
    body = _encoder.encode(message)
    if len(body) > LONGEST:
        raise ValueError(f"a message of {len(body)} bytes: split it")
    return _LENGTH.pack(len(body)) + body


def decode_to_worker(body: bytes) -> ToWorker:
    """The message without its length; raises msgspec.DecodeError."""
    return _to_worker.decode(body)


def decode_to_web(body: bytes) -> ToWeb:
    """The message without its length; raises msgspec.DecodeError."""
    return _to_web.decode(body)


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's bytes; None when the other side has gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > LONGEST:
            return None
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


class Channel:
    """The web process's end, for threads: one may receive while any number send."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._turn = threading.Lock()

    def send(self, message: ToWorker) -> None:
        """Raises OSError when the worker has gone."""
        data = encode(message)
        with self._turn:
            self._socket.sendall(data)

    def receive(self) -> ToWeb | None:
        """The next message; None when the worker has gone."""
        head = self._read(_LENGTH.size)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        body = self._read(length) if length <= LONGEST else None
        return None if body is None else decode_to_web(body)

    def close(self) -> None:
        """Wake whoever receives, and let go."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self._socket.close()  # the other side was faster
        else:
            self._socket.close()

    def _read(self, wanted: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < wanted:
            try:
                part = self._socket.recv(min(wanted - len(parts), 1 << 18))
            except OSError:
                return None
            if not part:
                return None
            parts += part
        return bytes(parts)
