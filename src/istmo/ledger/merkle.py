"""The Merkle tree of a log: RFC 6962, section 2.1, with SHA-256. Pure.

A leaf is the hash of one log entry; the tree over the first ``size`` leaves has one root. Proofs
are built from *nodes*: ``node(level, index)`` gives the hash of the perfect subtree over leaves
``index * 2**level`` up to ``(index + 1) * 2**level``, which tiles hold (``ledger.tiles``).
Verification follows RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962: SHA-256(0x00 ‖ entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962: SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class CompactRange:
    """The roots of the perfect subtrees of a tree, left to right: enough to append and to know the root.

    A tree of ``size`` leaves has one peak for each 1 in the binary form of ``size``.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> CompactRange:
        """The tree with one more leaf hash."""
        peaks, filled, carry = list(self.peaks), self.size, leaf
        while filled & 1:  # as in binary addition: a full pair merges upwards
            carry = node_hash(peaks.pop(), carry)
            filled >>= 1
        return CompactRange(self.size + 1, (*peaks, carry))

    def extend(self, leaves: Iterable[bytes]) -> CompactRange:
        """The tree with all of ``leaves`` (leaf hashes) appended in order."""
        grown = self
        for leaf in leaves:
            grown = grown.append(leaf)
        return grown

    def root(self) -> bytes:
        """The Merkle tree hash; of the empty tree, SHA-256 of nothing."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def encode(self) -> bytes:
        """The peaks, one after another (the size says how many there are)."""
        return b"".join(self.peaks)

    @classmethod
    def decode(cls, size: int, peaks: bytes) -> CompactRange:
        """The inverse of ``encode``; ValueError when ``peaks`` is not a tree of ``size`` leaves."""
        if len(peaks) != size.bit_count() * HASH_BYTES:
            raise ValueError("the number of peaks does not fit the size")
        return cls(size, tuple(peaks[at : at + HASH_BYTES] for at in range(0, len(peaks), HASH_BYTES)))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    return CompactRange().extend(leaves).root()


def nodes_of(leaves: Sequence[bytes]) -> Node:
    """``node(level, index)`` over leaf hashes held in memory."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """RFC 6962, 2.1.1: the path from leaf ``index`` to the root over ``size`` leaves, leaf's sibling first.

    Raises ValueError when the leaf is not in the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path, low, high = [], 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_subtree(middle, high, node))
            high = middle
        else:
            path.append(_subtree(low, middle, node))
            low = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """RFC 6962, 2.1.2: that the tree of ``new`` leaves begins with the tree of ``old`` leaves.

    Empty when ``old`` is 0 or equals ``new``. Raises ValueError when ``old`` is larger than ``new``.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} cannot begin with one of {old}")
    if old in (0, new):
        return []
    proof, low, high, is_whole = [], 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_subtree(middle, high, node))
            high = middle
        else:
            proof.append(_subtree(low, middle, node))
            low, is_whole = middle, False
    if not is_whole:
        proof.append(_subtree(low, high, node))
    return proof[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` shows the leaf hash ``leaf`` at ``index`` under ``root`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, computed = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            computed = node_hash(step, computed)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            computed = node_hash(computed, step)
        at, last = at >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the new tree only added to the old one (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)  # a perfect old tree is itself the first node of the path
    if not steps:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _split(count: int) -> int:
    """The largest power of two smaller than ``count`` (which is at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtree(low: int, high: int, node: Node) -> bytes:
    """The hash over leaves ``low`` up to ``high``, where ``low`` is where a subtree of a tree begins."""
    count = high - low
    if count & (count - 1) == 0:
        return node(count.bit_length() - 1, low // count)
    middle = low + _split(count)
    return node_hash(_subtree(low, middle, node), _subtree(middle, high, node))
