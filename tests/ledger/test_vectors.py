"""The test vectors of docs/vectors: what they say is right by plain hashing, and the program agrees."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pyrage import decrypt, x25519

from istmo.ledger.checkpoint import Proof, read_checkpoint, read_verifier_key
from istmo.ledger.envelope import Envelope, Header
from istmo.ledger.merkle import verify_consistency, verify_inclusion

from .make_vectors import FOLDER, build
from .test_merkle import mth


def vector(name: str) -> dict:
    return json.loads((FOLDER / name).read_text("utf-8"))


def sha(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


def test_the_program_writes_exactly_the_vectors():
    for name, content in build().items():
        assert vector(name) == content


@pytest.mark.parametrize("name", ["envelope.json", "sealed.json"])
def test_an_envelope_by_hand(name):
    v, key = vector(name), vector("envelope.json")
    header, body = v["header"].encode(), base64.b64decode(v["body"])
    signing = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key["seed"]))
    assert signing.public_key().public_bytes_raw().hex() == key["public"]
    kind = b"application/vnd.istmo.header+json"
    pae = (
        b"DSSEv1 " + str(len(kind)).encode() + b" " + kind + b" " + str(len(header)).encode() + b" " + header
    )
    assert pae.hex() == v["pae"]
    assert signing.sign(pae).hex() == v["signature"]
    assert sha(bytes.fromhex(key["public"])).hex() == v["keyid"]
    assert sha(bytes.fromhex(v["salt"]) + header).hex() == v["commitment"]
    read = json.loads(header)
    assert (read["body_sha256"], read["body_size"]) == (sha(body).hex(), len(body))
    assert json.loads(v["envelope"])["body"] == v["body"]
    envelope = Envelope.decode(v["envelope"].encode(), body_limit=1000)
    assert envelope.is_signed_by(bytes.fromhex(key["public"]))
    envelope.check_body(Header.decode(envelope.header))


def test_the_plain_body_is_salt_and_payload():
    v = vector("envelope.json")
    assert base64.b64decode(v["body"]) == bytes.fromhex(v["salt"]) + v["payload"].encode()
    spoken = base64.b32encode(sha(bytes.fromhex(v["public"]))[:15]).decode()
    assert v["fingerprint"].replace("-", "") == spoken


def test_the_sealed_body_opens_for_each_recipient():
    v = vector("sealed.json")
    for text in v["age_identities"]:
        opened = decrypt(base64.b64decode(v["body"]), [x25519.Identity.from_str(text)])
        assert opened == bytes.fromhex(v["salt"]) + v["payload"].encode()


def test_the_log_of_five_by_hand():
    v = vector("log.json")
    entries = [bytes.fromhex(one) for one in v["entries"]]
    roots = [bytes.fromhex(one) for one in v["roots"]]
    assert [sha(b"\0" + one).hex() for one in entries] == v["leaves"]
    assert roots == [mth(entries[:size]) for size in range(6)]
    for at, path in enumerate(v["inclusion"]):
        proof = [bytes.fromhex(one) for one in path]
        assert verify_inclusion(at, 5, bytes.fromhex(v["leaves"][at]), proof, roots[5])
    for old, path in enumerate(v["consistency"]):
        assert verify_consistency(old, 5, roots[old], roots[5], [bytes.fromhex(one) for one in path])
    assert v["files"]["tile/0/000.p/5"] == "".join(v["leaves"])
    assert v["files"]["tile/entries/000.p/5"] == "".join("0020" + one for one in v["entries"])


def test_the_checkpoint_and_the_proof_by_hand():
    v = vector("log.json")
    name, public = read_verifier_key(v["verifier_key"])
    text, signature = v["checkpoint"].split("\n\n")
    raw = base64.b64decode(signature.split(" ")[2])
    Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], (text + "\n").encode())
    assert raw[:4] == sha(name.encode() + b"\n\x01" + public)[:4]
    assert text == f"{name}\n5\n{base64.b64encode(bytes.fromhex(v['roots'][5])).decode()}"
    assert read_checkpoint(v["checkpoint"].encode(), name, public).size == 5
    proof = Proof.decode(v["proof_of_entry_3"].encode())
    assert proof.verify(bytes.fromhex(v["entries"][2]), name, public).size == 5
    assert sha(proof.extra).hex() == v["entries"][2]


def test_the_delivery_chain_by_hand():
    v = vector("chain.json")
    head = bytes.fromhex(v["start"])
    for count, (entry, said) in enumerate(zip(v["entries"], v["heads"], strict=True), 1):
        head = sha(head + bytes.fromhex(entry))
        assert said == {"count": count, "head": head.hex()}
