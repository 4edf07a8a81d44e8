"""The one-time invitation code: short enough to paste or read aloud, checked before it is used.

    version (1) ‖ inviter's fingerprint (15) ‖ secret (16) ‖ address (UTF-8) ‖ checksum (4)

in base32, in groups of five. The secret is the seed of a key pair: the inviter keeps the public half
alone, so that whoever reads its database cannot use an invitation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from istmo.errors import InvalidInput
from istmo.federation.objects import check_url
from istmo.federation.statement import pae
from istmo.ledger.keys import FINGERPRINT_BYTES

SECRET_BYTES = 16
PROOF = "join-proof"
_VERSION = 1
_CHECKSUM_BYTES = 4
_LONGEST = 600
_MISREAD = str.maketrans("018", "OIB")


@dataclass(frozen=True)
class Code:
    """What a code says: whom to ask, how to know it is them, and the secret that lets one in."""

    url: str
    fingerprint: str
    secret: bytes = field(repr=False)

    def encode(self) -> str:
        """The code as text."""
        raw = (
            bytes([_VERSION]) + _fingerprint_bytes(self.fingerprint) + self.secret + self.url.encode("utf-8")
        )
        letters = base64.b32encode(raw + _checksum(raw)).decode("ascii").rstrip("=")
        return "-".join(letters[at : at + 5] for at in range(0, len(letters), 5))

    @classmethod
    def decode(cls, text: str) -> Code:
        """Read a code as people write it: any case, spaces or line breaks, 0 for O, 1 for I, 8 for B.

        Raises InvalidInput ``federation.code_mistyped``, or what ``check_url`` raises.
        """
        letters = re.sub(r"[^0-9A-Z]", "", text[:_LONGEST].upper()).translate(_MISREAD)
        try:
            raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except binascii.Error:
            raise InvalidInput("federation.code_mistyped") from None
        body, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
        fixed = 1 + FINGERPRINT_BYTES + SECRET_BYTES
        if len(body) <= fixed or _checksum(body) != checksum or body[0] != _VERSION:
            raise InvalidInput("federation.code_mistyped")
        try:
            url = body[fixed:].decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidInput("federation.code_mistyped") from None
        check_url(url)
        return cls(
            url, _fingerprint_text(body[1 : 1 + FINGERPRINT_BYTES]), body[fixed - SECRET_BYTES : fixed]
        )

    def _key(self) -> Ed25519PrivateKey:
        seed = hashlib.sha256(
            b"istmo invitation v1\n" + self.fingerprint.encode("ascii") + self.secret
        ).digest()
        return Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> bytes:
        """What the inviter stores."""
        return self._key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def id(self) -> str:
        return invitation_id(self.public_key)

    def prove(self, request: bytes) -> bytes:
        """Proof that whoever made ``request`` holds the code: it binds the request's key to it."""
        return self._key().sign(pae(PROOF, request))


def new_code(url: str, fingerprint: str) -> Code:
    """A code with a fresh 128-bit secret."""
    return Code(url, fingerprint, secrets.token_bytes(SECRET_BYTES))


def invitation_id(public_key: bytes) -> str:
    """The name of an invitation: 16 hexadecimal digits of the SHA-256 of its public key."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def same_fingerprint(one: str, other: str) -> bool:
    """Whether two fingerprints are the same, however they are spaced and written."""
    plain = [re.sub(r"[^0-9A-Z]", "", text.upper()).translate(_MISREAD) for text in (one, other)]
    return bool(plain[0]) and secrets.compare_digest(plain[0].encode(), plain[1].encode())


def is_fingerprint(text: str) -> bool:
    """Whether ``text`` can be a fingerprint at all."""
    return (
        re.fullmatch(r"[A-Z2-7]{24}", re.sub(r"[^0-9A-Z]", "", text.upper()).translate(_MISREAD)) is not None
    )


def _fingerprint_bytes(text: str) -> bytes:
    return base64.b32decode(text.replace("-", ""))


def _fingerprint_text(raw: bytes) -> str:
    letters = base64.b32encode(raw).decode("ascii")
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def _checksum(raw: bytes) -> bytes:
    return hashlib.sha256(b"istmo invitation code\n" + raw).digest()[:_CHECKSUM_BYTES]
