"""The unit of exchange: one immutable signed envelope (protocol.md, "Envelopes").

The *header* is JSON bytes signed by DSSE, so nothing is canonicalised to be verified: the bytes as
they came are what is kept and sent on. The *body* is ``salt ‖ payload``, or an age file of that
where the markings ask for it. The *commitment*, SHA-256(salt ‖ header), is all that the log holds.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from istmo.errors import InvalidInput, IstmoError, TooLarge
from istmo.ledger.keys import keyid, verify
from istmo.model import instants
from istmo.model.ids import is_id
from istmo.model.markings import Tlp, tlp_of

VERSION = 1
PAYLOAD_TYPE = "application/vnd.istmo.header+json"
SALT_BYTES = 32
HEADER_LIMIT = 64 << 10
AUDIENCE_LIMIT = 512
MARKINGS_LIMIT = 32
JSON_DEPTH = 8
SEALED_OVERHEAD = 64 << 10
"""What an age file may add to a body: its header grows by about 100 bytes a recipient."""

ERASURE = "erasure"
"""The type of the record that an entry's body was erased; its header says which in ``erases``."""

LANES = ("fast", "normal", "bulk")
SEAL_NONE, SEAL_AGE = "none", "age"

_TYPE = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Header:
    """What is signed, read. ``extra`` holds the fields that this version does not know."""

    origin: str
    """The STIX identity of the node that wrote the entry."""
    sequence: int
    """1, 2, 3 … in the origin's log."""
    type: str
    audience: tuple[str, ...]
    """Member identities, sorted. Never empty: an empty audience would be nobody."""
    markings: tuple[str, ...]
    lane: str
    expires: datetime | None
    purpose: str
    created: datetime
    seal: str
    """``none``, or ``age`` when only the audience can open the body."""
    body_sha256: str
    body_size: int
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_body(cls, body: bytes, **fields: Any) -> Header:
        """A header for ``body`` as it will be carried; ``fields`` are all the others."""
        return cls(body_sha256=hashlib.sha256(body).hexdigest(), body_size=len(body), **fields)

    def encode(self) -> bytes:
        """The header's JSON bytes, as they will be signed."""
        return json.dumps(
            {
                "v": VERSION,
                "origin": self.origin,
                "sequence": self.sequence,
                "type": self.type,
                "audience": list(self.audience),
                "markings": list(self.markings),
                "lane": self.lane,
                "expires": None if self.expires is None else instants.format(self.expires),
                "purpose": self.purpose,
                "created": instants.format(self.created),
                "seal": self.seal,
                "body_sha256": self.body_sha256,
                "body_size": self.body_size,
                **self.extra,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode("utf-8")

    @classmethod
    def decode(cls, raw: bytes) -> Header:
        """Read header bytes strictly.

        Raises InvalidInput ``ledger.bad_header`` naming the ``field``, ``ledger.unknown_version``
        with the version found, or TooLarge ``ledger.header_too_large``.
        """
        if len(raw) > HEADER_LIMIT:
            raise TooLarge("ledger.header_too_large", size=len(raw), limit=HEADER_LIMIT)
        found = read_json(raw, "header")
        if not isinstance(found, dict):
            raise _bad("header")
        version = found.pop("v", None)
        if type(version) is not int or version != VERSION:
            raise InvalidInput("ledger.unknown_version", version=str(version)[:40], known=VERSION)
        taken = _Fields(found)
        return cls(
            origin=taken.id("origin", "identity"),
            sequence=taken.number("sequence", 1),
            type=taken.matching("type", _TYPE),
            audience=taken.ids("audience", "identity", AUDIENCE_LIMIT, at_least=1),
            markings=taken.ids("markings", "marking-definition", MARKINGS_LIMIT),
            lane=taken.one_of("lane", LANES),
            expires=taken.instant_or_none("expires"),
            purpose=taken.text("purpose", 200),
            created=taken.instant("created"),
            seal=taken.one_of("seal", (SEAL_NONE, SEAL_AGE)),
            body_sha256=taken.matching("body_sha256", _SHA256),
            body_size=taken.number("body_size", 0),
            extra=taken.rest,
        )


class _Fields:
    """Takes fields out of a parsed header one by one; what is left is unknown to this version."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.rest = found

    def _take(self, name: str) -> Any:
        if name not in self.rest:
            raise _bad(name)
        return self.rest.pop(name)

    def text(self, name: str, longest: int) -> str:
        value = self._take(name)
        if not isinstance(value, str) or len(value) > longest:
            raise _bad(name)
        return value

    def matching(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self.text(name, 200)
        if not pattern.fullmatch(value):
            raise _bad(name)
        return value

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        value = self.text(name, 32)
        if value not in known:
            raise _bad(name)
        return value

    def number(self, name: str, lowest: int) -> int:
        value = self._take(name)
        if type(value) is not int or not lowest <= value < 1 << 53:
            raise _bad(name)
        return value

    def id(self, name: str, type: str) -> str:
        value = self.text(name, 200)
        if not is_id(value, type):
            raise _bad(name)
        return value

    def ids(self, name: str, type: str, most: int, at_least: int = 0) -> tuple[str, ...]:
        value = self._take(name)
        if not isinstance(value, list) or not at_least <= len(value) <= most:
            raise _bad(name)
        if not all(is_id(one, type) for one in value):
            raise _bad(name)
        if value != sorted(set(value)):  # one order only, and nobody named twice
            raise _bad(name)
        return tuple(value)

    def instant(self, name: str) -> datetime:
        value = self.text(name, 40)
        try:
            return instants.parse(value)
        except (IstmoError, ValueError):
            raise _bad(name) from None

    def instant_or_none(self, name: str) -> datetime | None:
        if name in self.rest and self.rest[name] is None:
            del self.rest[name]
            return None
        return self.instant(name)


@dataclass(frozen=True)
class Envelope:
    """Header bytes, their one signature, and the body as it is carried (None once erased)."""

    header: bytes
    keyid: str
    signature: bytes
    body: bytes | None

    def encode(self) -> bytes:
        """The wire form: one JSON text without spaces, the same for the same envelope everywhere."""
        return json.dumps(self.to_json(), separators=(",", ":")).encode("ascii")

    def to_json(self) -> dict[str, Any]:
        """The wire form as a JSON value: ``{"header": <DSSE envelope>, "body": base64 or null}``."""
        return {
            "header": {
                "payload": _b64(self.header),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": self.keyid, "sig": _b64(self.signature)}],
            },
            "body": None if self.body is None else _b64(self.body),
        }

    @classmethod
    def decode(cls, raw: bytes, *, body_limit: int) -> Envelope:
        """Read the wire form; bytes that ``encode`` would not have written are refused.

        Raises InvalidInput ``ledger.bad_envelope`` naming the part, or TooLarge
        ``ledger.body_too_large``. Nothing is verified yet.
        """
        longest = (HEADER_LIMIT + body_limit + SEALED_OVERHEAD) * 4 // 3 + 4096
        if len(raw) > longest:
            raise TooLarge("ledger.body_too_large", size=len(raw), limit=body_limit)
        envelope = cls.from_json(read_json(raw, "envelope"), body_limit=body_limit)
        if envelope.encode() != raw:
            raise InvalidInput("ledger.bad_envelope", part="envelope")
        return envelope

    @classmethod
    def from_json(cls, value: Any, *, body_limit: int) -> Envelope:
        """Read the wire form from a JSON value that stands inside a larger frame."""
        outer = _exactly(value, ("header", "body"), "envelope")
        dsse = _exactly(outer["header"], ("payload", "payloadType", "signatures"), "header")
        if dsse["payloadType"] != PAYLOAD_TYPE:
            raise InvalidInput("ledger.bad_envelope", part="payloadType")
        signatures = dsse["signatures"]
        # version 1 carries exactly one: a second one that nobody checks could be changed unseen
        if not isinstance(signatures, list) or len(signatures) != 1:
            raise InvalidInput("ledger.bad_envelope", part="signatures")
        signed = _exactly(signatures[0], ("keyid", "sig"), "signatures")
        if not isinstance(signed["keyid"], str) or not _SHA256.fullmatch(signed["keyid"]):
            raise InvalidInput("ledger.bad_envelope", part="keyid")
        body = None if outer["body"] is None else from_b64(outer["body"], "body")
        if body is not None and len(body) > body_limit + SEALED_OVERHEAD:
            raise TooLarge("ledger.body_too_large", size=len(body), limit=body_limit)
        return cls(
            from_b64(dsse["payload"], "payload"), signed["keyid"], from_b64(signed["sig"], "sig"), body
        )

    def is_signed_by(self, public: bytes) -> bool:
        """Whether the header's signature is by the raw Ed25519 key ``public``."""
        return self.keyid == keyid(public) and verify(public, pae(self.header), self.signature)

    def check_body(self, header: Header) -> None:
        """Raise InvalidInput ``ledger.body_mismatch`` unless the body is the one that was signed."""
        body = self.body or b""
        if len(body) != header.body_size or hashlib.sha256(body).hexdigest() != header.body_sha256:
            raise InvalidInput("ledger.body_mismatch")


def pae(header: bytes) -> bytes:
    """DSSE's pre-authentication encoding of header bytes: what the signature is over."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(header), header)


def commitment_of(salt: bytes, header: bytes) -> bytes:
    """The log entry: SHA-256(salt ‖ header bytes)."""
    return hashlib.sha256(salt + header).digest()


def must_seal(markings: tuple[str, ...]) -> bool:
    """Whether bodies under these markings travel sealed: AMBER+STRICT, RED, none, or one unknown."""
    return tlp_of(markings) >= Tlp.AMBER_STRICT


def split_body(opened: bytes) -> tuple[bytes, bytes]:
    """Salt and payload of an opened body; InvalidInput ``ledger.body_mismatch`` when it is too short."""
    if len(opened) < SALT_BYTES:
        raise InvalidInput("ledger.body_mismatch")
    return opened[:SALT_BYTES], opened[SALT_BYTES:]


def read_json(raw: bytes, part: str) -> Any:
    """JSON as strict as it gets: UTF-8, no name twice, no NaN, no deep nesting.

    Raises InvalidInput ``ledger.bad_envelope`` with ``part``.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise InvalidInput("ledger.bad_envelope", part=part) from None
    if _depth(value) > JSON_DEPTH:
        raise InvalidInput("ledger.bad_envelope", part=part)
    return value


def from_b64(text: Any, part: str) -> bytes:
    """Standard base64 in its one canonical form; InvalidInput ``ledger.bad_envelope`` otherwise."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidInput("ledger.bad_envelope", part=part) from None
    if _b64(raw) != text:  # Python lets stray bits pass in the last letter
        raise InvalidInput("ledger.bad_envelope", part=part)
    return raw


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bad(name: str) -> InvalidInput:
    return InvalidInput("ledger.bad_header", field=name)


def _exactly(value: Any, names: tuple[str, ...], part: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise InvalidInput("ledger.bad_envelope", part=part)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(one) for one in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(one) for one in value), default=0)
    return 0
