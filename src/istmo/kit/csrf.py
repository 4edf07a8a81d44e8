"""Tokens that tie a form to the session it was drawn for.

A token is a fresh nonce and its HMAC under the session's secret: bound to the session, different on
every page (so compression reveals nothing about it), and checked without keeping anything.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

FIELD: Final = "csrf"
HEADER: Final = "x-csrf"
_NONCE: Final = 16


def token(secret: str) -> str:
    """A new token for the session whose secret is given."""
    nonce = secrets.token_hex(_NONCE)
    return nonce + _mac(secret, nonce)


def is_valid(secret: str, given: str) -> bool:
    """Whether ``given`` was made for this session. Constant time in the part that is secret."""
    if not secret or len(given) != _NONCE * 2 + 64 or not given.isascii():
        return False
    nonce, mac = given[: _NONCE * 2], given[_NONCE * 2 :]
    return hmac.compare_digest(_mac(secret, nonce), mac)


def _mac(secret: str, nonce: str) -> str:
    return hmac.new(secret.encode(), b"istmo csrf " + nonce.encode(), hashlib.sha256).hexdigest()
