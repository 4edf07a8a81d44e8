"""What the worker and its Sigma process say to one another, over a pair of sockets.

Rules take more of a processor than everything else, and two threads of Python share one. The Sigma stage is
a process of its own that reads the event log as it rests on disk; the worker hands on what the web process
tells it, and passes back what it says. Each conversation with the web process has a number, so that nothing
said in an earlier one is passed on in a later one.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final

import msgspec
from msgspec import Struct

from istmo.detect.wire import (
    BEFORE,
    LONGEST,
    Costs,
    DropRules,
    Hits,
    Lags,
    Live,
    Position,
    PutRules,
    StoredState,
)

_LENGTH: Final = struct.Struct(">I")


class Told(Struct, tag=True, frozen=True):
    """Rules from the web process."""

    talk: int
    message: PutRules | DropRules


class Follow(Struct, tag=True, frozen=True):
    """Evaluate everything from ``position`` on, and say it in this conversation."""

    talk: int
    position: Position
    judged: int = BEFORE
    state: StoredState | None = None


class Rest(Struct, tag=True, frozen=True):
    """The conversation has ended."""


class Reaches(Struct, tag=True, frozen=True):
    """The event log is on disk up to here: ``offset`` is the length of the open file there."""

    position: Position
    offset: int
    events: int


class Said(Struct, tag=True, frozen=True):
    """To be passed on to the web process."""

    talk: int
    message: Live | Hits | Costs | Lags


class Standing(Struct, tag=True, frozen=True):
    """How the stage stands, told every second."""

    position: Position
    rules: int
    correlations: dict[str, int]
    has_failed: bool


ToSigma = Told | Follow | Rest | Reaches
ToStage = Said | Standing

_encoder: Final = msgspec.msgpack.Encoder()
_to_sigma: Final = msgspec.msgpack.Decoder(ToSigma)
_to_stage: Final = msgspec.msgpack.Decoder(ToStage)


def encode(message: ToSigma | ToStage) -> bytes:
    """A message with its length in front."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def decode_to_sigma(body: bytes) -> ToSigma:
    message: ToSigma = _to_sigma.decode(body)
    return message


def decode_to_stage(body: bytes) -> ToStage:
    message: ToStage = _to_stage.decode(body)
    return message


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The next message's bytes; None when the other side has gone."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > 2 * LONGEST:
            return None
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
