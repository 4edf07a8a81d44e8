"""Checkpoints and proofs in the forms of C2SP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.errors import InvalidInput, IstmoError
from istmo.ledger import checkpoint as cp
from istmo.ledger.merkle import inclusion_proof, leaf_hash, nodes_of, root_of

NAME = "istmo.11111111-1111-4111-8111-111111111111"


@pytest.fixture
def key(node_keys):
    return node_keys["gt"]


def test_a_checkpoint_is_a_signed_note(key):
    signed = cp.sign_checkpoint(NAME, 5, bytes(32), key)
    lines = signed.note.decode().split("\n")
    assert lines[:4] == [NAME, "5", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", ""]
    assert lines[4].startswith(f"— {NAME} ")
    assert lines[5] == ""
    assert cp.read_checkpoint(signed.note, NAME, key.public) == signed


def test_witness_signatures_are_passed_over(key, node_keys):
    signed = cp.sign_checkpoint(NAME, 5, bytes(32), key)
    witnessed = (
        signed.note
        + cp.sign_checkpoint("witness.example", 5, bytes(32), node_keys["hn"]).note.split(b"\n\n")[1]
    )
    assert cp.read_checkpoint(witnessed, NAME, key.public).size == 5


def test_another_key_or_name_is_not_believed(key, node_keys):
    signed = cp.sign_checkpoint(NAME, 5, bytes(32), key)
    with pytest.raises(InvalidInput, match="bad_checkpoint_signature"):
        cp.read_checkpoint(signed.note, NAME, node_keys["hn"].public)
    with pytest.raises(InvalidInput, match="bad_checkpoint"):
        cp.read_checkpoint(signed.note, "istmo.other", key.public)


@given(st.data())
def test_a_changed_note_is_never_believed(node_keys, data):
    key = node_keys["gt"]
    note = bytearray(cp.sign_checkpoint(NAME, 1234, bytes(range(32)), key).note)
    at = data.draw(st.integers(0, len(note) - 1))
    note[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidInput):
        cp.read_checkpoint(bytes(note), NAME, key.public)


@given(st.binary(max_size=300))
def test_junk_is_refused_in_words(node_keys, junk):
    with pytest.raises(IstmoError):
        cp.read_checkpoint(junk, NAME, node_keys["gt"].public)
    with pytest.raises(IstmoError):
        cp.Proof.decode(junk)
    with pytest.raises(IstmoError):
        cp.Proof.decode(b"c2sp.org/tlog-proof@v1\n" + junk).verify(b"x", NAME, node_keys["gt"].public)


def test_verifier_keys_are_read_strictly(key):
    text = cp.verifier_key(NAME, key.public)
    assert cp.read_verifier_key(text) == (NAME, key.public)
    for wrong in (text[:-1], text.replace("+", "-", 1), "a+b+c", "", text.upper(), "+".join(["", text])):
        with pytest.raises(InvalidInput, match="bad_verifier_key"):
            cp.read_verifier_key(wrong)


@given(st.integers(1, 40), st.data(), st.binary(max_size=40))
def test_a_proof_survives_its_text_and_holds(node_keys, size, data, extra):
    key = node_keys["gt"]
    entries = [bytes([at]) * 32 for at in range(size)]
    leaves = [leaf_hash(one) for one in entries]
    index = data.draw(st.integers(0, size - 1))
    signed = cp.sign_checkpoint(NAME, size, root_of(leaves), key)
    proof = cp.Proof(index, tuple(inclusion_proof(index, size, nodes_of(leaves))), signed.note, extra)
    again = cp.Proof.decode(proof.encode())
    assert again == proof
    assert again.verify(entries[index], NAME, key.public) == signed
    with pytest.raises(InvalidInput, match="bad_proof"):
        again.verify(bytes(32) + b"x", NAME, key.public)
