"""A signed statement: one line of text, a signature and the JSON that it signs.

    <Ed25519 signature, base64> <JSON without line breaks>

The signature is over DSSE's pre-authentication encoding of the JSON bytes under the statement's own
media type, so a frame can never pass for an invitation's answer. What carries the line (a stream, a
POST, a file) changes nothing about it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from istmo.errors import InvalidInput, TooLarge
from istmo.ledger.keys import NodeKeys, verify

_SIGNATURE_LETTERS = 88


def pae(kind: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding under ``application/vnd.istmo.<kind>+json``."""
    type = f"application/vnd.istmo.{kind}+json".encode("ascii")
    return b"DSSEv1 %d %s %d %s" % (len(type), type, len(payload), payload)


def sign(keys: NodeKeys, kind: str, value: Mapping[str, Any]) -> bytes:
    """The line that states ``value``."""
    payload = orjson.dumps(value)
    return base64.b64encode(keys.sign(pae(kind, payload))) + b" " + payload


def read(line: bytes, *, limit: int) -> tuple[bytes, bytes, dict[str, Any]]:
    """Signature, payload bytes and payload of a line. **Nothing is verified yet.**

    Raises InvalidInput ``federation.bad_statement`` or TooLarge ``federation.statement_too_large``.
    """
    if len(line) > limit:
        raise TooLarge("federation.statement_too_large", size=len(line), limit=limit)
    signature, space, payload = line.partition(b" ")
    if not space or len(signature) != _SIGNATURE_LETTERS:
        raise InvalidInput("federation.bad_statement")
    try:
        raw = base64.b64decode(signature, validate=True)
        value = orjson.loads(payload)
    except (binascii.Error, ValueError):
        raise InvalidInput("federation.bad_statement") from None
    if not isinstance(value, dict):
        raise InvalidInput("federation.bad_statement")
    return raw, payload, value


def is_signed_by(public: bytes, kind: str, signature: bytes, payload: bytes) -> bool:
    """Whether ``signature`` over ``payload`` as a statement of ``kind`` is by ``public``."""
    return verify(public, pae(kind, payload), signature)


def read_verified(line: bytes, kind: str, public: bytes, *, limit: int) -> dict[str, Any]:
    """The payload of a line that ``public`` signed; InvalidInput ``federation.forged`` otherwise."""
    signature, payload, value = read(line, limit=limit)
    if not is_signed_by(public, kind, signature, payload):
        raise InvalidInput("federation.forged")
    return value
