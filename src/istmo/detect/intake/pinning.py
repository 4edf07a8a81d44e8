"""Client certificates without an authority: whoever holds the key of a registered one is its source.

OpenSSL lets a handshake through only where its store trusts the certificate, and sources are registered by
fingerprint: the certificate itself comes with the handshake. So it is looked at as it arrives, before OpenSSL
judges it, and put into the store if its fingerprint is registered. All else is OpenSSL's: that the sender
holds the key, that the certificate has not expired. Who the source is, is asked after the handshake
(``Sources``), so that a certificate once trusted here is worth nothing after it was taken from its source.

The hook is ``SSLContext._msg_callback``, which CPython keeps for its own tests; where a Python lacks it,
certificates are not asked for, and TLS senders are known by their address.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_CERTIFICATE: Final = 11
"""The handshake message that carries certificates (RFC 8446, section 4.4.2; RFC 5246, section 7.4.2)."""
_LONGEST: Final = 16_384
_HANDSHAKE_HEAD: Final = 4


def server_context(certificate: Path, key: Path, is_registered: Callable[[str], bool]) -> ssl.SSLContext:
    """TLS for a port whose senders may show a certificate. ``is_registered`` asks by SHA-256, in hex."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if not hasattr(context, "_msg_callback"):
        return context
    trusted: set[str] = set()

    def look(connection: Any, direction: str, version: Any, kind: Any, message: Any, data: bytes) -> None:
        if direction != "read" or message != _CERTIFICATE or len(data) > _LONGEST:
            return
        shown = leaf_of(data, is_newest=version == ssl.TLSVersion.TLSv1_3)
        name = fingerprint_of(shown) if shown else ""
        if shown and name not in trusted and is_registered(name):
            try:
                context.load_verify_locations(cadata=shown)
            except ssl.SSLError:  # no certificate at all: OpenSSL will say so itself
                return
            trusted.add(name)

    context.verify_mode = ssl.CERT_OPTIONAL
    # A certificate in the store is trusted as it is, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context._msg_callback = look
    return context


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 of a certificate in DER, lower-case hex."""
    return hashlib.sha256(certificate).hexdigest()


def leaf_of(message: bytes, *, is_newest: bool) -> bytes:
    """The first certificate of a handshake message; ``b""`` where there is none.

    ``is_newest``: of TLS 1.3, where a context stands before the list.
    """
    at = _HANDSHAKE_HEAD
    if is_newest:
        at += 1 + (message[at] if at < len(message) else 0)
    at += 3  # the length of the list
    length = int.from_bytes(message[at : at + 3], "big")
    shown = message[at + 3 : at + 3 + length]
    return shown if len(shown) == length else b""
