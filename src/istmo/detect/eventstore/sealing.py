"""Sealed events: AES-256-GCM under keys that rest elsewhere.

A key file has one key a line, 256 bits in base64. The first one seals what is written, all of them open.
Each file of the store is sealed under a key of its own, derived (HKDF-SHA256, RFC 5869) from one of these
and the file's name, each piece of it with a random nonce (96 bits) and, as associated data, its place in the
file: so a piece opens nowhere but where it belongs, and two pieces that share a nonce are past all chance.
A sealed file names its key by a short id. A key that is not there is no damage: whoever finds it says so,
and nothing is let go of for its sake.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from istmo.errors import Conflict, InvalidInput, Unavailable
from istmo.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
OVERHEAD: Final = NONCE_BYTES + 16
"""Bytes by which a piece grows: its nonce and its tag."""
PLAIN: Final = b""
"""In place of a key's id: not sealed."""
_LONGEST_FILE: Final = 16 << 10
"""Some hundred keys; as much fits into a pipe that nobody reads yet."""


class SealedAway(ValueError):
    """Sealed with a key that is not in the key file."""

    def __init__(self, name: str, key: bytes) -> None:
        super().__init__(f"{name}: sealed with key {key.hex()}, which is not in the key file")
        self.key = key


class NotAsSealed(ValueError):
    """A piece that its own key does not open: damaged, or not where it belongs."""


class Sealer:
    """One file's own key. ``place`` is where in the file a piece belongs."""

    def __init__(self, key: bytes, name: str) -> None:
        self.key_id = id_of(key)
        self._name = name
        self._cipher, self._refusal = _cipher(key, b"istmo events 1\x00" + name.encode())

    def seal(self, piece: bytes, place: bytes) -> bytes:
        """Nonce, what was sealed, tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, piece, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What was sealed at ``place``. Raises NotAsSealed."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place)
        except (self._refusal, ValueError):
            what = f"{self._name}: {place.decode()}"
            raise NotAsSealed(f"{what} is damaged, or is not where it belongs") from None


def _cipher(key: bytes, info: bytes) -> tuple[AESGCM, type[Exception]]:
    # Loaded by the process that first seals or opens: 6 MB that a node without a key file has no use for.
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    return AESGCM(HKDF(SHA256(), KEY_BYTES, None, info).derive(key)), InvalidTag


class Keys:
    """The keys of one store. Without any, nothing is sealed and nothing sealed can be opened."""

    def __init__(self, keys: Sequence[bytes] = (), *, is_sealing: bool = True) -> None:
        """``is_sealing``: what is written is sealed, with the first key."""
        self._keys = {id_of(key): key for key in keys}
        self.first = id_of(keys[0]) if keys and is_sealing else PLAIN
        """The id of the key that seals; ``PLAIN`` where nothing is sealed."""

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __contains__(self, key_id: bytes) -> bool:
        return key_id == PLAIN or key_id in self._keys

    def sealer(self, name: str) -> Sealer | None:
        """What seals a new file of this name; None where it is to be plain."""
        return self.opener(name, self.first) if self.first else None

    def opener(self, name: str, key_id: bytes) -> Sealer:
        """What opens a file. Raises SealedAway."""
        key = self._keys.get(key_id)
        if key is None:
            raise SealedAway(name, key_id)
        return Sealer(key, name)

    @contextmanager
    def handed_over(self) -> Iterator[int]:
        """A descriptor for a process of ours to ``take_over`` from: a key file may be gone by then."""
        reading, writing = os.pipe()
        try:
            lines = [b"seal" if self.first else b"open", *map(base64.b64encode, self._keys.values())]
            os.write(writing, b"\n".join(lines))
            os.close(writing)
            yield reading
        finally:
            os.close(reading)

    @classmethod
    def take_over(cls, descriptor: int) -> Keys:
        """The keys that were handed over."""
        with os.fdopen(descriptor, "rb") as pipe:
            word, *lines = pipe.read().split(b"\n")
        return cls([base64.b64decode(line) for line in lines], is_sealing=word == b"seal")


NO_KEYS: Final = Keys()


def id_of(key: bytes) -> bytes:
    """A key's short name: what a sealed file says of it. Nothing of the key follows from it."""
    return blake2b(key, digest_size=ID_BYTES, person=b"istmo key id").digest()


def key_path(settings: Settings) -> Path | None:
    """Where the key file is; a relative one is told from the data folder."""
    named = settings.retention.key_file
    return settings.data / Path(named).expanduser() if named else None


def keys_of(settings: Settings) -> Keys:
    """The keys of a node's store.

    Raises Unavailable or InvalidInput where a key file is named that cannot be used: whoever asked for
    sealed events is not to get plain ones.
    """
    path = key_path(settings)
    if path is None:
        return NO_KEYS
    return Keys(read_keys(path), is_sealing=settings.retention.seal)


def read_keys(path: Path) -> list[bytes]:
    """The keys of a file; empty lines and those that begin with ``#`` are none.

    Raises Unavailable("detect.seal_key_unreadable") or InvalidInput("detect.seal_key_wrong").
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_FILE)
    except OSError as error:
        detail = error.strerror or type(error).__name__
        raise Unavailable("detect.seal_key_unreadable", file=str(path), detail=detail) from None
    keys = []
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            key = base64.b64decode(line.strip(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise InvalidInput("detect.seal_key_wrong", file=str(path), line=number)
        keys.append(key)
    if not keys:
        raise InvalidInput("detect.seal_key_wrong", file=str(path), line=1)
    return keys


def make_key_file(path: Path) -> str:
    """Write a file with one new key, for its owner alone; the key's id.

    Raises Conflict("detect.seal_key_exists"), Unavailable("detect.seal_key_not_written").
    """
    key = secrets.token_bytes(KEY_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict("detect.seal_key_exists", file=str(path)) from None
    except OSError as error:
        detail = error.strerror or type(error).__name__
        raise Unavailable("detect.seal_key_not_written", file=str(path), detail=detail) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(key) + b"\n")
        file.flush()
        os.fsync(descriptor)
    return id_of(key).hex()
