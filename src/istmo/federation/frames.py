"""The one frame format: what travels over a stream, in a POST and in a carried file alike.

A frame is a signed statement (``statement``) of kind ``frame`` whose JSON names its origin, its one
recipient, the session it was made for and the delivery chain as it stands after it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from istmo.errors import InvalidInput, IstmoError
from istmo.federation import statement
from istmo.federation.objects import Member
from istmo.ledger.envelope import HEADER_LIMIT, SEALED_OVERHEAD, Envelope
from istmo.ledger.keys import NodeKeys
from istmo.ledger.records import Chain
from istmo.model import instants

KIND = "frame"
ENVELOPES, URGENT, HEARTBEAT, RECEIPT = "envelopes", "urgent", "heartbeat", "receipt"
KINDS = (ENVELOPES, URGENT, HEARTBEAT, RECEIPT)
ITEMS = 500
"""Envelopes in one frame, at most: they are applied in one transaction."""
FRAME_BYTES = 4 << 20
"""Where a frame stops taking on more envelopes. One envelope may be larger by itself."""
REFUSED_LIMIT = 1000
_VERSION = 1


def frame_limit(body_limit: int) -> int:
    """The longest frame line that a receiver reads, in bytes."""
    return FRAME_BYTES + (HEADER_LIMIT + body_limit + SEALED_OVERHEAD) * 4 // 3 + (1 << 20)


@dataclass(frozen=True)
class Item:
    """One delivery. Without an ``envelope`` it is withheld: it counts in the chain and shows nothing."""

    number: int
    """Its place in the delivery chain, 1, 2, 3 …"""
    sequence: int
    commitment: bytes
    envelope: Envelope | None

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "sequence": self.sequence,
            "commitment": _b64(self.commitment),
            "envelope": self.envelope.to_json() if self.envelope else None,
        }


@dataclass(frozen=True)
class Frame:
    """One frame, read."""

    kind: str
    origin: str
    recipient: str
    session: str
    """The nonce of the request that opened the stream; empty in a POST or a file."""
    created: datetime
    chain: Chain
    """The origin's chain to the recipient, as it stands after this frame. In a ``receipt``: the
    recipient's chain to the origin, as far as the origin holds it."""
    sequence: int = 0
    """Of the last delivery that ``chain`` counts."""
    charter: int = 0
    items: tuple[Item, ...] = ()
    checkpoint: str = ""
    refused: tuple[tuple[int, str], ...] = ()
    """In a ``receipt``: (sequence, code) of what the origin would not take in."""

    def encode(self, keys: NodeKeys) -> bytes:
        """The signed line."""
        return statement.sign(
            keys,
            KIND,
            {
                "v": _VERSION,
                "kind": self.kind,
                "origin": self.origin,
                "recipient": self.recipient,
                "session": self.session,
                "created": instants.format(self.created),
                "charter": self.charter,
                "chain": {
                    "count": self.chain.count,
                    "sequence": self.sequence,
                    "head": self.chain.head.hex(),
                },
                "items": [one.to_json() for one in self.items],
                "checkpoint": self.checkpoint,
                "refused": [{"sequence": sequence, "code": code} for sequence, code in self.refused],
            },
        )


@dataclass
class Reader:
    """Reads and verifies the frames of one peer that are meant for this node."""

    me: str
    peer: Member
    body_limit: int
    session: str | None = None
    """What the frames must be bound to; None where the carrier has no session."""
    limit: int = field(init=False)

    def __post_init__(self) -> None:
        self.limit = frame_limit(self.body_limit)

    def read(self, line: bytes) -> Frame:
        """One frame. Raises InvalidInput: ``federation.bad_statement``, ``federation.forged``,
        ``federation.bad_frame``, ``federation.frame_not_ours``; TooLarge."""
        value = statement.read_verified(line, KIND, self.peer.signing_key, limit=self.limit)
        frame = read_frame(value, self.body_limit)
        if frame.origin != self.peer.id or frame.recipient != self.me:
            raise InvalidInput("federation.frame_not_ours", origin=frame.origin, recipient=frame.recipient)
        if self.session is not None and frame.session != self.session:
            raise InvalidInput("federation.frame_replayed", origin=frame.origin)
        return frame


def read_frame(value: Mapping[str, Any], body_limit: int) -> Frame:
    """A frame from its JSON. Raises InvalidInput ``federation.bad_frame`` with the ``part``.

    An envelope that cannot be read is an item without one and is refused when its turn comes: it
    must not stop the others.
    """
    try:
        if value["v"] != _VERSION or value["kind"] not in KINDS:
            raise _bad("kind")
        found, refused = value["items"], value["refused"]
        if not isinstance(found, list) or not isinstance(refused, list):
            raise _bad("items")
        if len(found) > ITEMS or len(refused) > REFUSED_LIMIT:
            raise _bad("items")
        chain = value["chain"]
        return Frame(
            kind=value["kind"],
            origin=_text(value["origin"], 64),
            recipient=_text(value["recipient"], 64),
            session=_text(value["session"], 128),
            created=instants.parse(_text(value["created"], 40)),
            charter=_number(value["charter"]),
            chain=Chain(_number(chain["count"]), _hash(bytes.fromhex(chain["head"]))),
            sequence=_number(chain["sequence"]),
            items=tuple(_item(one, body_limit) for one in found),
            checkpoint=_text(value["checkpoint"], 8 << 10),
            refused=tuple((_number(one["sequence"]), _text(one["code"], 64)) for one in refused),
        )
    except IstmoError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _bad("form") from None


@dataclass(frozen=True)
class UnreadableItem(Item):
    """An item whose envelope could not be read; ``code`` says why."""

    code: str = "ledger.bad_envelope"


def _item(value: Any, body_limit: int) -> Item:
    number, sequence = _number(value["number"]), _number(value["sequence"])
    try:
        commitment = _hash(base64.b64decode(value["commitment"], validate=True))
    except binascii.Error:
        raise _bad("commitment") from None
    if value["envelope"] is None:
        return Item(number, sequence, commitment, None)
    try:
        return Item(
            number, sequence, commitment, Envelope.from_json(value["envelope"], body_limit=body_limit)
        )
    except IstmoError as error:
        return UnreadableItem(number, sequence, commitment, None, error.code)


def read_lines(raw: bytes) -> Iterable[bytes]:
    """The frame lines of a POST body or a file."""
    return (line for line in raw.split(b"\n") if line.strip())


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise _bad("number")
    return value


def _text(value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise _bad("text")
    return value


def _hash(raw: bytes) -> bytes:
    if len(raw) != 32:
        raise _bad("hash")
    return raw


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bad(part: str) -> InvalidInput:
    return InvalidInput("federation.bad_frame", part=part)
