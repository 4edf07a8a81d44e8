"""Signed checkpoints and single proofs, in the forms of C2SP.

A checkpoint (c2sp.org/tlog-checkpoint) says how long a log is and what its Merkle root is, as a
signed note (c2sp.org/signed-note). A proof (c2sp.org/tlog-proof) shows one entry under a checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from istmo.errors import InvalidInput, TooLarge
from istmo.ledger.envelope import from_b64
from istmo.ledger.keys import NodeKeys, verify
from istmo.ledger.merkle import HASH_BYTES, leaf_hash, verify_inclusion

NOTE_LIMIT = 64 << 10
SIGNATURES_LIMIT = 64
PROOF_LIMIT = 256 << 10
PROOF_FIRST_LINE = "c2sp.org/tlog-proof@v1"
_ED25519 = b"\x01"


@dataclass(frozen=True)
class Checkpoint:
    """A log's size and root, with the note that its origin signed."""

    origin: str
    """The origin line, e.g. ``istmo.<uuid of the node's identity>``."""
    size: int
    root: bytes
    note: bytes
    """The signed note as it came."""


def origin_line(member: str) -> str:
    """The origin line of a member's log: ``istmo.`` and the UUID of its STIX identity."""
    return "istmo." + member.removeprefix("identity--")


def verifier_key(name: str, public: bytes) -> str:
    """A note verifier key, ``name+hash+key``, as the tools of C2SP logs write it."""
    encoded = base64.b64encode(_ED25519 + public).decode("ascii")
    return f"{name}+{_key_hash(name, public).hex()}+{encoded}"


def read_verifier_key(text: str) -> tuple[str, bytes]:
    """Name and raw public key of a verifier key; InvalidInput ``ledger.bad_verifier_key``."""
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    try:
        raw = from_b64(encoded, "key")
    except InvalidInput:
        raise InvalidInput("ledger.bad_verifier_key") from None
    if len(raw) != 33 or verifier_key(name, raw[1:]) != text or not _is_key_name(name):
        raise InvalidInput("ledger.bad_verifier_key")
    return name, raw[1:]


def sign_checkpoint(name: str, size: int, root: bytes, keys: NodeKeys) -> Checkpoint:
    """The checkpoint of a log, signed by its own key."""
    text = f"{name}\n{size}\n{_b64(root)}\n"
    signature = _key_hash(name, keys.public) + keys.sign(text.encode("utf-8"))
    return Checkpoint(name, size, root, f"{text}\n— {name} {_b64(signature)}\n".encode())


def read_checkpoint(note: bytes, name: str, public: bytes) -> Checkpoint:
    """Read and verify a checkpoint of the log ``name`` signed by ``public``.

    Signatures of others (witnesses) are passed over, as the specification says.
    Raises InvalidInput ``ledger.bad_checkpoint`` (form) or ``ledger.bad_checkpoint_signature``.
    """
    if len(note) > NOTE_LIMIT:
        raise TooLarge("ledger.header_too_large", size=len(note), limit=NOTE_LIMIT)
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("ledger.bad_checkpoint") from None
    if any(letter < " " and letter != "\n" for letter in whole):
        raise InvalidInput("ledger.bad_checkpoint")
    text, _, signatures = whole.rpartition("\n\n")
    text += "\n"
    lines = text.split("\n")
    if len(lines) < 4 or not all(lines[:-1]) or lines[0] != name:
        raise InvalidInput("ledger.bad_checkpoint")
    size, root = _size(lines[1]), _root(lines[2])
    if not _is_signed(text, signatures, name, public):
        raise InvalidInput("ledger.bad_checkpoint_signature", log=name)
    return Checkpoint(name, size, root, note)


@dataclass(frozen=True)
class Proof:
    """A proof that one entry stands in a log (c2sp.org/tlog-proof).

    ``extra`` may hold ``salt ‖ header``, which opens the entry's commitment to whoever reads it.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def encode(self) -> bytes:
        """The proof as text, for a file ending in ``.tlog-proof``."""
        lines = [PROOF_FIRST_LINE]
        if self.extra:
            lines.append(f"extra {_b64(self.extra)}")
        lines += [f"index {self.index}", *(_b64(step) for step in self.path), "", ""]
        return "\n".join(lines).encode("ascii") + self.checkpoint

    @classmethod
    def decode(cls, raw: bytes) -> Proof:
        """Read a proof. Raises InvalidInput ``ledger.bad_proof``; nothing is verified yet."""
        if len(raw) > PROOF_LIMIT:
            raise TooLarge("ledger.header_too_large", size=len(raw), limit=PROOF_LIMIT)
        head, separator, checkpoint = raw.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
            if lines.pop(0) != PROOF_FIRST_LINE or not separator:
                raise InvalidInput("ledger.bad_proof")
            extra = b""
            if lines and lines[0].startswith("extra "):
                extra = from_b64(lines.pop(0).removeprefix("extra "), "extra")
            word, _, number = lines.pop(0).partition(" ")
            if word != "index":
                raise InvalidInput("ledger.bad_proof")
            path = tuple(_root(line) for line in lines)
            return cls(_size(number), path, checkpoint, extra)
        except (InvalidInput, IndexError, UnicodeDecodeError):
            raise InvalidInput("ledger.bad_proof") from None

    def verify(self, entry: bytes, name: str, public: bytes) -> Checkpoint:
        """The checkpoint under which ``entry`` (a commitment) is proven.

        Raises InvalidInput ``ledger.bad_proof`` or what ``read_checkpoint`` raises.
        """
        checkpoint = read_checkpoint(self.checkpoint, name, public)
        leaf = leaf_hash(entry)
        if not verify_inclusion(self.index, checkpoint.size, leaf, self.path, checkpoint.root):
            raise InvalidInput("ledger.bad_proof")
        return checkpoint


def _is_signed(text: str, signatures: str, name: str, public: bytes) -> bool:
    lines = signatures.split("\n")
    if lines.pop() != "" or not 0 < len(lines) <= SIGNATURES_LIMIT:
        raise InvalidInput("ledger.bad_checkpoint")
    good = False
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—":
            raise InvalidInput("ledger.bad_checkpoint")
        try:
            raw = from_b64(parts[2], "signature")
        except InvalidInput:
            raise InvalidInput("ledger.bad_checkpoint") from None
        if parts[1] != name or raw[:4] != _key_hash(name, public):
            continue
        if not verify(public, text.encode("utf-8"), raw[4:]):
            return False  # a known key's bad signature spoils the note
        good = True
    return good


def _key_hash(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode("utf-8") + b"\n" + _ED25519 + public).digest()[:4]


def _is_key_name(name: str) -> bool:
    return bool(name) and not any(letter.isspace() for letter in name)


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or str(int(text)) != text:
        raise InvalidInput("ledger.bad_checkpoint")
    return int(text)


def _root(text: str) -> bytes:
    try:
        raw = from_b64(text, "root")
    except InvalidInput:
        raise InvalidInput("ledger.bad_checkpoint") from None
    if len(raw) != HASH_BYTES:
        raise InvalidInput("ledger.bad_checkpoint")
    return raw


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
