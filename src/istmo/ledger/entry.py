"""What the ledger hands to the rooms: an entry as it is kept, a delivery on its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from istmo.ledger.envelope import SEAL_AGE, Envelope, Header, split_body
from istmo.ledger.keys import NodeKeys
from istmo.ledger.records import Chain


@dataclass(frozen=True)
class Entry:
    """One entry of a log, as this node keeps it."""

    origin: str
    sequence: int
    type: str
    header: Header
    envelope: Envelope
    payload: bytes | None
    """None once erased."""
    commitment: bytes
    received: datetime
    """When it was written here: for one's own entries, when they were made."""
    state: str
    """``accepted``, ``refused`` (kept, without effect, ``refusal`` says why) or ``erased``."""
    refusal: str | None = None
    refusal_params: Mapping[str, Any] | None = None
    position: int = 0
    """Its place in the order of arrival at this node, over all origins."""


@dataclass(frozen=True)
class Delivery:
    """An entry on its way to one recipient, with the delivery chain that ends in it."""

    sequence: int
    type: str
    lane: str
    expires: datetime | None
    envelope: Envelope
    commitment: bytes
    chain: Chain


def envelope_of(row: Row[Any]) -> Envelope:
    """The envelope in a row of ``log_entries``, byte for byte as it came."""
    body = None if row.body is None else bytes(row.body)
    return Envelope(bytes(row.header), row.keyid, bytes(row.signature), body)


def entry_of(row: Row[Any], keys: NodeKeys) -> Entry:
    """The entry in a row of ``log_entries``, its body opened."""
    envelope = envelope_of(row)
    header = Header.decode(envelope.header)
    opened = open_body(header, envelope, keys)
    return Entry(
        origin=row.origin,
        sequence=row.sequence,
        type=row.type,
        header=header,
        envelope=envelope,
        payload=None if opened is None else opened[1],
        commitment=bytes(row.commitment),
        received=row.received,
        state=row.state,
        refusal=row.refusal,
        refusal_params=row.refusal_params,
        position=row.position,
    )


def open_body(header: Header, envelope: Envelope, keys: NodeKeys) -> tuple[bytes, bytes] | None:
    """Salt and payload of an envelope; None where the body was erased.

    Raises InvalidInput ``ledger.sealed_to_others`` or ``ledger.body_mismatch``.
    """
    if envelope.body is None:
        return None
    return split_body(keys.open(envelope.body) if header.seal == SEAL_AGE else envelope.body)
