"""A node's keys: Ed25519 to sign, age X25519 to open sealed bodies, a certificate for its own TLS.

They rest as files of mode 0600 in a folder of mode 0700, and nowhere else. What others know of a
node is its public key, the key id (SHA-256 of the raw public key, hexadecimal) that stands in every
signature, and the fingerprint that two people read to each other over the telephone.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyrage import DecryptError, IdentityError, RecipientError, decrypt, encrypt, x25519

from istmo.clock import Clock, SystemClock
from istmo.errors import Conflict, InvalidInput, NotFound

SIGNING = "signing.pem"
AGE = "age.txt"
TLS_KEY = "tls.key"
TLS_CERTIFICATE = "tls.crt"
FILES = (SIGNING, AGE, TLS_KEY, TLS_CERTIFICATE)

PUBLIC_BYTES = 32
FINGERPRINT_BYTES = 15  # 120 bits: 24 letters, six groups of four
CERTIFICATE_DAYS = 3650  # pinned by peers, so its end is a nuisance and no protection


@dataclass(frozen=True)
class NodeKeys:
    """The keys of one node, loaded. Nothing secret shows in ``repr``."""

    folder: Path
    public: bytes
    """Raw Ed25519 public key, 32 bytes."""
    age_recipient: str
    """The age recipient (``age1…``) to which others seal."""
    certificate_pem: bytes
    _signing: Ed25519PrivateKey = field(repr=False)
    _age: x25519.Identity = field(repr=False)

    @property
    def keyid(self) -> str:
        return keyid(self.public)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)

    @property
    def tls_key(self) -> Path:
        """Where the TLS server finds its private key."""
        return self.folder / TLS_KEY

    @property
    def tls_certificate(self) -> Path:
        return self.folder / TLS_CERTIFICATE

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """For RFC 9421 request signatures, which want the key itself."""
        return self._signing

    def tls_trust(self) -> ssl.SSLContext:
        """For a client that calls this very node: trusts its own certificate and no other."""
        return trust_only(self.certificate_pem)

    def sign(self, message: bytes) -> bytes:
        """Ed25519 over ``message``: 64 bytes."""
        return self._signing.sign(message)

    def open(self, sealed: bytes) -> bytes:
        """Open an age file that was sealed to this node.

        Raises InvalidInput ``ledger.sealed_to_others`` when it was not, or was damaged.
        """
        try:
            return bytes(decrypt(sealed, [self._age]))
        except (DecryptError, ValueError, OSError):
            raise InvalidInput("ledger.sealed_to_others") from None


def trust_only(certificate_pem: bytes) -> ssl.SSLContext:
    """A TLS client context that trusts exactly one certificate, and its names.

    Raises InvalidInput ``ledger.bad_certificate`` when it cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is the anchor
    try:
        context.load_verify_locations(cadata=certificate_pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise InvalidInput("ledger.bad_certificate") from None
    return context


def keyid(public: bytes) -> str:
    """The key id in signatures: SHA-256 of the raw public key, hexadecimal."""
    return hashlib.sha256(public).hexdigest()


def fingerprint(public: bytes) -> str:
    """The first 120 bits of the key's SHA-256 in base32, as six groups of four: easy to say aloud."""
    letters = base64.b32encode(hashlib.sha256(public).digest()[:FINGERPRINT_BYTES]).decode("ascii")
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` over ``message`` is by the raw Ed25519 key ``public``."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def seal(plain: bytes, recipients: list[str]) -> bytes:
    """An age file (age-encryption.org/v1) that each of ``recipients`` (``age1…``) can open."""
    try:
        return bytes(encrypt(plain, [x25519.Recipient.from_str(one) for one in recipients]))
    except RecipientError:
        raise InvalidInput("ledger.bad_recipient_key") from None


def create(folder: Path, *, url: str = "", clock: Clock | None = None) -> NodeKeys:
    """Make a node's keys in ``folder``; the certificate names the host of ``url`` and localhost.

    Raises Conflict ``ledger.keys_exist`` when the folder holds any key already: nothing is overwritten.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    for name in FILES:
        if (folder / name).exists():
            raise Conflict("ledger.keys_exist", file=str(folder / name))
    tls_key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(tls_key, url, clock or SystemClock())
    _write_secret(folder / TLS_KEY, _pem(tls_key))
    _write_secret(folder / TLS_CERTIFICATE, certificate.public_bytes(Encoding.PEM))
    _write_secret(folder / AGE, f"{x25519.Identity.generate()}\n".encode("ascii"))
    _write_secret(folder / SIGNING, _pem(Ed25519PrivateKey.generate()))
    return load(folder)


def load(folder: Path) -> NodeKeys:
    """Read a node's keys.

    Raises NotFound ``ledger.keys_missing``, InvalidInput ``ledger.keys_damaged`` or
    ``ledger.keys_exposed`` (others on this machine can read them), each with the ``file``.
    """
    signing = _signing_key(folder / SIGNING)
    age = _age_identity(folder / AGE)
    _tls_key_of(folder / TLS_KEY, folder / TLS_CERTIFICATE)
    return NodeKeys(
        folder=folder,
        public=signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        age_recipient=str(age.to_public()),
        certificate_pem=(folder / TLS_CERTIFICATE).read_bytes(),
        _signing=signing,
        _age=age,
    )


def _signing_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(_read_secret(path), password=None)
    except (ValueError, TypeError):
        raise _damaged(path) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _damaged(path)
    return key


def _age_identity(path: Path) -> x25519.Identity:
    try:
        return x25519.Identity.from_str(_read_secret(path).decode("ascii").strip())
    except (IdentityError, ValueError):
        raise _damaged(path) from None


def _tls_key_of(key_path: Path, certificate_path: Path) -> None:
    """Check that the TLS key is readable and belongs to the certificate."""
    try:
        key = load_pem_private_key(_read_secret(key_path), password=None)
    except (ValueError, TypeError):
        raise _damaged(key_path) from None
    try:
        certificate = x509.load_pem_x509_certificate(_read_secret(certificate_path))
    except ValueError:
        raise _damaged(certificate_path) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise _damaged(key_path)


def _read_secret(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotFound("ledger.keys_missing", file=str(path)) from None
    except OSError as error:
        raise InvalidInput("ledger.keys_unreadable", file=str(path), detail=error.strerror) from None
    if mode & 0o077:
        raise InvalidInput("ledger.keys_exposed", file=str(path))
    return content


def _write_secret(path: Path, content: bytes) -> None:
    # O_EXCL and the mode at creation: the file is never there with wider rights, not even briefly
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _damaged(path: Path) -> InvalidInput:
    return InvalidInput("ledger.keys_damaged", file=str(path))


def _pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(key: ec.EllipticCurvePrivateKey, url: str, clock: Clock) -> x509.Certificate:
    """Self-signed; ECDSA P-256, since browsers do not take Ed25519 in certificates."""
    host = urlsplit(url).hostname or "localhost"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # peers' clocks may be behind ours
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName(_alternative_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _alternative_names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for one in dict.fromkeys((host, "localhost", "127.0.0.1", "::1")):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(one)))
        except ValueError:
            names.append(x509.DNSName(one.encode("idna").decode("ascii")))
    return names
