"""The nouns of a region: members, invitations, cursors, problems, reconciliation."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from istmo.errors import InvalidInput, IstmoError
from istmo.ledger.keys import PUBLIC_BYTES, fingerprint
from istmo.model import instants
from istmo.model.ids import is_id

MEMBER, PARTNER = "member", "partner"
LOOPBACK_NAMES = ("localhost",)

_COUNTRY = re.compile(r"[A-Z]{2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_AGE = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True)
class Member:
    """One institution of a region, as the charter names it."""

    id: str
    """STIX identity id."""
    name: str
    country: str
    """ISO 3166-1 alpha-2."""
    kind: str
    """``member`` (a nation's CSIRT, may sign charters) or ``partner``."""
    url: str
    """Where the node is reached; empty for a node that can only call out."""
    signing_key: bytes
    """Raw Ed25519 public key."""
    age_recipient: str
    tls_certificate: str
    """SHA-256 of the node's own TLS certificate (DER), hexadecimal; empty for ordinary web TLS."""
    joined: datetime

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.signing_key)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "country": self.country,
            "kind": self.kind,
            "url": self.url,
            "signing_key": base64.b64encode(self.signing_key).decode("ascii"),
            "age_recipient": self.age_recipient,
            "tls_certificate": self.tls_certificate,
            "joined": instants.format(self.joined),
        }

    @classmethod
    def from_json(cls, value: Any) -> Member:
        """Read strictly; InvalidInput ``federation.bad_member`` names the ``field`` that is wrong."""
        if not isinstance(value, dict):
            raise _bad("member")
        texts: dict[str, str] = {}
        for name in cls.__dataclass_fields__:
            text = value.get(name)
            if not isinstance(text, str) or len(text) > 500:
                raise _bad(name)
            texts[name] = text
        if not is_id(texts["id"], "identity"):
            raise _bad("id")
        for name, form in (("name", _TEXT), ("country", _COUNTRY), ("age_recipient", _AGE)):
            if not form.fullmatch(texts[name]):
                raise _bad(name)
        if texts["kind"] not in (MEMBER, PARTNER):
            raise _bad("kind")
        if texts["tls_certificate"] and not _SHA256.fullmatch(texts["tls_certificate"]):
            raise _bad("tls_certificate")
        if texts["url"]:
            check_url(texts["url"])
        try:
            joined = instants.parse(texts["joined"])
        except IstmoError:
            raise _bad("joined") from None
        return cls(
            texts["id"], texts["name"], texts["country"], texts["kind"], texts["url"],
            read_key(texts["signing_key"]), texts["age_recipient"], texts["tls_certificate"], joined,
        )  # fmt: skip


def read_key(text: Any) -> bytes:
    """A raw Ed25519 public key from base64; InvalidInput ``federation.bad_member``."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise _bad("signing_key") from None
    if len(raw) != PUBLIC_BYTES:
        raise _bad("signing_key")
    return raw


def check_url(url: str) -> None:
    """Raise InvalidInput unless ``url`` is where a node may be reached.

    ``federation.plain_http``: http is for loopback alone. ``federation.bad_url``: anything else but
    a scheme, a host and perhaps a port.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput("federation.bad_url", url=url[:200]) from None
    plain = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or port == 0:
        raise InvalidInput("federation.bad_url", url=url[:200])
    if plain.lower() != url.lower():
        raise InvalidInput("federation.bad_url", url=url[:200])
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise InvalidInput("federation.plain_http", url=url[:200])


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES


@dataclass(frozen=True)
class Invitation:
    """A place kept for somebody, opened by a one-time code of which only a public key is stored."""

    id: str
    public_key: bytes
    name: str
    fingerprint: str
    """What the invited node's key must be, when that is known already; empty when not."""
    created: datetime
    expires: datetime
    state: str
    """``open``, ``pending`` (asked to join, waits for a person's comparison), ``joined`` or ``withdrawn``."""
    member: Member | None
    """Who used the code."""


@dataclass(frozen=True)
class Cursor:
    """How far a peer's chain to us has been taken in: everything up to ``count``, nothing past it."""

    count: int = 0
    sequence: int = 0
    head: bytes = bytes(32)


@dataclass(frozen=True)
class Problem:
    """Why the exchange with a peer does not work, or not as it should. Words are in the catalogue."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)
    at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        at = None if self.at is None else instants.format(self.at)
        params = {
            name: value if isinstance(value, (int, float, str, list)) else str(value)
            for name, value in self.params.items()
        }
        return {"code": self.code, "params": params, "at": at}


@dataclass(frozen=True)
class Refusal:
    """An entry that a receiver would not take in, and why."""

    sequence: int
    code: str
    at: datetime

    def to_json(self) -> dict[str, Any]:
        return {"sequence": self.sequence, "code": self.code, "at": instants.format(self.at)}


@dataclass(frozen=True)
class Acknowledged:
    """How far a recipient says that it holds our chain to it."""

    count: int
    head: bytes
    at: datetime


def _bad(field_name: str) -> InvalidInput:
    return InvalidInput("federation.bad_member", field=field_name)
