"""Writes docs/vectors/*.json when the format changes: ``PYTHONPATH=tests python -m ledger.make_vectors``.

Everything follows from fixed keys and salts, except the age file of ``sealed.json``, which is kept as
it was first made, since age draws a fresh file key each time.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyrage import x25519

from istmo.ledger import keys
from istmo.ledger.checkpoint import Proof, origin_line, sign_checkpoint, verifier_key
from istmo.ledger.envelope import Envelope, Header, commitment_of, pae
from istmo.ledger.merkle import consistency_proof, inclusion_proof, leaf_hash, nodes_of, root_of
from istmo.ledger.records import Chain
from istmo.ledger.tiles import bundles_of, tiles_of
from istmo.model.markings import Tlp

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "vectors"
ORIGIN = "identity--11111111-1111-4111-8111-111111111111"
READER = "identity--22222222-2222-4222-8222-222222222222"
SEED = bytes(range(32))
CREATED = datetime(2026, 3, 2, 9, 0, 0, 123456, UTC)


def fixed_keys() -> keys.NodeKeys:
    """Node keys whose signing key is SEED; the rest does not matter to the vectors."""
    signing = Ed25519PrivateKey.from_private_bytes(SEED)
    age = x25519.Identity.generate()
    public = signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return keys.NodeKeys(Path(), public, str(age.to_public()), b"", signing, age)


def envelope(sequence: int, payload: bytes, salt: bytes, body: bytes | None = None) -> tuple[Envelope, bytes]:
    """A signed envelope and its commitment; ``body`` is an age file of ``salt ‖ payload`` where sealed."""
    signer = fixed_keys()
    carried = salt + payload if body is None else body
    header = Header.of_body(
        carried,
        origin=ORIGIN,
        sequence=sequence,
        type="stix",
        audience=(ORIGIN, READER),
        markings=(Tlp.AMBER.marking_id if body is None else Tlp.RED.marking_id,),
        lane="normal",
        expires=CREATED + timedelta(days=90),
        purpose="prueba: ñandú",
        created=CREATED + timedelta(seconds=sequence - 1),
        seal="none" if body is None else "age",
    ).encode()
    return Envelope(header, signer.keyid, signer.sign(pae(header)), carried), commitment_of(salt, header)


def told(one: Envelope, commitment: bytes, salt: bytes, payload: bytes) -> dict[str, Any]:
    return {
        "salt": salt.hex(),
        "payload": payload.decode(),
        "header": one.header.decode(),
        "pae": pae(one.header).hex(),
        "keyid": one.keyid,
        "signature": one.signature.hex(),
        "body": b64(one.body or b""),
        "commitment": commitment.hex(),
        "envelope": one.encode().decode(),
    }


def salt_of(sequence: int) -> bytes:
    return bytes([sequence]) * 32


def payload_of(sequence: int) -> bytes:
    return b'{"n":%d}' % sequence


def build() -> dict[str, Any]:
    """Every vector except ``sealed.json``, by file name."""
    signer = fixed_keys()
    made = [envelope(at, payload_of(at), salt_of(at)) for at in range(1, 6)]
    entries = [commitment for _, commitment in made]
    leaves = [leaf_hash(one) for one in entries]
    nodes = nodes_of(leaves)
    name = origin_line(ORIGIN)
    checkpoint = sign_checkpoint(name, 5, root_of(leaves), signer)
    proof = Proof(2, tuple(inclusion_proof(2, 5, nodes)), checkpoint.note, salt_of(3) + made[2][0].header)
    chains, chain = [], Chain()
    for one in entries:
        chain = chain.add(one)
        chains.append({"count": chain.count, "head": chain.head.hex()})
    return {
        "envelope.json": {
            "seed": SEED.hex(),
            "public": signer.public.hex(),
            "fingerprint": signer.fingerprint,
            **told(*made[0], salt_of(1), payload_of(1)),
        },
        "log.json": {
            "public": signer.public.hex(),
            "verifier_key": verifier_key(name, signer.public),
            "entries": [one.hex() for one in entries],
            "leaves": [one.hex() for one in leaves],
            "roots": [root_of(leaves[:size]).hex() for size in range(6)],
            "inclusion": [[one.hex() for one in inclusion_proof(at, 5, nodes)] for at in range(5)],
            "consistency": [[one.hex() for one in consistency_proof(at, 5, nodes)] for at in range(6)],
            "checkpoint": checkpoint.note.decode(),
            "proof_of_entry_3": proof.encode().decode(),
            "files": {path: content.hex() for path, content in [*bundles_of(entries), *tiles_of(leaves)]},
        },
        "chain.json": {"start": bytes(32).hex(), "entries": [one.hex() for one in entries], "heads": chains},
    }


def build_sealed() -> dict[str, Any]:
    """A sealed envelope with the age identities that open it."""
    origin, reader = x25519.Identity.generate(), x25519.Identity.generate()
    payload, salt = b'{"n":6}', salt_of(6)
    sealed = keys.seal(salt + payload, [str(origin.to_public()), str(reader.to_public())])
    one, commitment = envelope(6, payload, salt, sealed)
    return {
        "age_identities": [str(origin), str(reader)],
        "age_recipients": [str(origin.to_public()), str(reader.to_public())],
        **told(one, commitment, salt, payload),
    }


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    everything = build()
    if "--sealed" in sys.argv or not (FOLDER / "sealed.json").exists():
        everything["sealed.json"] = build_sealed()
    for name, content in everything.items():
        (FOLDER / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
