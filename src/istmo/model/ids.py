"""Identifiers: ``type--UUID`` (STIX 2.1 section 2.9), and the deterministic ids of observables."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

import rfc8785

from istmo.errors import InvalidInput

SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""The namespace that STIX 2.1 section 2.9 prescribes for UUIDv5 ids of observables."""

TYPE = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,248}[a-z0-9]", re.ASCII)
"""STIX 2.1 section 2.19: 3 to 250 of a-z, 0-9 and single hyphens."""

_ID = re.compile(
    rf"({TYPE.pattern})--[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}}", re.ASCII
)

_HASH_ORDER = ("MD5", "SHA-1", "SHA-256", "SHA-512")

ID_CONTRIBUTING: Mapping[str, tuple[str, ...]] = {
    "artifact": ("hashes", "payload_bin"),
    "autonomous-system": ("number",),
    "directory": ("path",),
    "domain-name": ("value",),
    "email-addr": ("value",),
    "email-message": ("from_ref", "subject", "body"),
    "file": ("hashes", "name", "parent_directory_ref", "extensions"),
    "ipv4-addr": ("value",),
    "ipv6-addr": ("value",),
    "mac-addr": ("value",),
    "mutex": ("name",),
    "network-traffic": (
        "start",
        "end",
        "src_ref",
        "dst_ref",
        "src_port",
        "dst_port",
        "protocols",
        "extensions",
    ),
    "software": ("name", "cpe", "swid", "vendor", "version"),
    "url": ("value",),
    "user-account": ("account_type", "user_id", "account_login"),
    "windows-registry-key": ("key", "values"),
    "x509-certificate": ("hashes", "serial_number"),
}
"""Properties of each observable that its deterministic id is made of (STIX 2.1 section 6)."""


def new_id(type: str) -> str:
    """A fresh random id (UUIDv4) for an object of ``type``."""
    return f"{type}--{uuid.uuid4()}"


def is_id(text: object, type: str | None = None) -> bool:
    """Whether ``text`` is a well-formed id, of ``type`` when one is given."""
    if not isinstance(text, str):
        return False
    found = _ID.fullmatch(text)
    return found is not None and (type is None or found[1] == type)


def type_of(id: str) -> str:
    """The type that an id names; empty when it is no id."""
    found = _ID.fullmatch(id)
    return found[1] if found else ""


def observable_id(data: Mapping[str, Any]) -> str:
    """The deterministic id of an observable (UUIDv5 over RFC 8785 JSON of what contributes).

    Random where no contributing property is present (a process, an empty file), as section 2.9
    says. Raises InvalidInput("id.not_canonical") when a value has no canonical form (an integer
    past 2^53).
    """
    type = str(data.get("type", ""))
    parts = {name: data[name] for name in ID_CONTRIBUTING.get(type, ()) if name in data}
    if isinstance(hashes := parts.get("hashes"), Mapping) and hashes:
        chosen = next((name for name in _HASH_ORDER if name in hashes), min(hashes))
        parts["hashes"] = {chosen: hashes[chosen]}
    if not parts:
        return new_id(type)
    try:
        canonical = rfc8785.dumps(parts)
    except rfc8785.CanonicalizationError as error:
        raise InvalidInput("id.not_canonical", type=type, detail=str(error)[:200]) from None
    return f"{type}--{uuid.uuid5(SCO_NAMESPACE, canonical.decode('utf-8'))}"
