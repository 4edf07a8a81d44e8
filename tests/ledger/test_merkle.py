"""The Merkle tree against RFC 6962's own recursive definitions."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.ledger import merkle

ENTRIES = [bytes([at % 256, at // 256]) for at in range(400)]
LEAVES = [merkle.leaf_hash(one) for one in ENTRIES]


def mth(entries: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\1" + mth(entries[:k]) + mth(entries[k:])).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1."""
    n = len(entries)
    if n == 1:
        return []
    k = split(n)
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], b: bool) -> list[bytes]:
    """RFC 6962, 2.1.2."""
    n = len(entries)
    if m == n:
        return [] if b else [mth(entries)]
    k = split(n)
    if m <= k:
        return [*subproof(m, entries[:k], b), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


sizes = st.integers(0, 130)


@given(sizes)
def test_roots_are_those_of_the_definition(size):
    assert merkle.root_of(LEAVES[:size]) == mth(ENTRIES[:size])


@given(sizes, sizes)
def test_appending_in_two_goes_is_appending_in_one(first, second):
    grown = merkle.CompactRange().extend(LEAVES[:first])
    kept = merkle.CompactRange.decode(first, grown.encode())
    assert kept.extend(LEAVES[first : first + second]).root() == mth(ENTRIES[: first + second])


@given(st.data(), st.integers(1, 130))
def test_inclusion_proofs_are_those_of_the_definition_and_hold(data, size):
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, merkle.nodes_of(LEAVES[:size]))
    assert proof == path(index, ENTRIES[:size])
    assert merkle.verify_inclusion(index, size, LEAVES[index], proof, mth(ENTRIES[:size]))


@given(st.data(), st.integers(1, 130))
def test_a_changed_inclusion_proof_does_not_hold(data, size):
    index = data.draw(st.integers(0, size - 1))
    proof = path(index, ENTRIES[:size])
    root = mth(ENTRIES[:size])
    other = data.draw(st.integers(0, size + 2).filter(lambda at: at != index))
    assert not merkle.verify_inclusion(other, size, LEAVES[index], proof, root)
    assert not merkle.verify_inclusion(index, size, LEAVES[index], [*proof, bytes(32)], root)
    assert not merkle.verify_inclusion(index, size, LEAVES[399], proof, root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not merkle.verify_inclusion(index, size, LEAVES[index], proof[:-1], root)
        changed = [*proof[:at], bytes(32), *proof[at + 1 :]]
        assert not merkle.verify_inclusion(index, size, LEAVES[index], changed, root)


@given(st.data(), sizes)
def test_consistency_proofs_are_those_of_the_definition_and_hold(data, new):
    old = data.draw(st.integers(0, new))
    proof = merkle.consistency_proof(old, new, merkle.nodes_of(LEAVES[:new]))
    if 0 < old < new:
        assert proof == subproof(old, ENTRIES[:new], True)
    else:
        assert proof == []
    assert merkle.verify_consistency(old, new, mth(ENTRIES[:old]), mth(ENTRIES[:new]), proof)


@given(st.data(), st.integers(2, 130))
def test_a_tree_that_was_rewritten_is_not_consistent(data, new):
    old = data.draw(st.integers(1, new - 1))
    rewritten = [b"other", *ENTRIES[1:new]]
    proof = subproof(old, rewritten, True)
    assert not merkle.verify_consistency(old, new, mth(ENTRIES[:old]), mth(rewritten), proof)
    good = subproof(old, ENTRIES[:new], True)
    assert not merkle.verify_consistency(old, new, mth(ENTRIES[:old]), mth(ENTRIES[:new]), [*good, bytes(32)])
    assert not merkle.verify_consistency(old, new, mth(ENTRIES[:old]), mth(ENTRIES[:new]), good[:-1])


@pytest.mark.parametrize(("old", "new"), [(3, 2), (-1, 2)])
def test_sizes_that_cannot_be_are_refused(old, new):
    with pytest.raises(ValueError, match="cannot begin"):
        merkle.consistency_proof(old, new, merkle.nodes_of(LEAVES))
    assert not merkle.verify_consistency(old, new, bytes(32), bytes(32), [])


def test_a_leaf_outside_the_tree_has_no_proof():
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_proof(3, 3, merkle.nodes_of(LEAVES[:3]))
    assert not merkle.verify_inclusion(3, 3, LEAVES[3], [], LEAVES[3])


def test_peaks_that_do_not_fit_the_size_are_refused():
    with pytest.raises(ValueError, match="peaks"):
        merkle.CompactRange.decode(3, bytes(32))
