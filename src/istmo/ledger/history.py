"""What a node says about its own log as a whole, and what others say about theirs: checkpoints, proofs."""

from __future__ import annotations

from pathlib import Path

import structlog
from sqlalchemy import Connection, Row

from istmo.clock import Clock
from istmo.errors import InvalidInput, NotFound
from istmo.ledger import records
from istmo.ledger.checkpoint import Checkpoint, Proof, origin_line, read_checkpoint, sign_checkpoint
from istmo.ledger.entry import entry_of, open_body
from istmo.ledger.keys import NodeKeys
from istmo.ledger.merkle import (
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    nodes_of,
    verify_inclusion,
)
from istmo.ledger.tiles import stored_nodes
from istmo.store.engine import Store, Transaction

log = structlog.get_logger(__name__)

_PAGE = 4096


class History:
    """The Merkle tree over a node's own entries, and the checkpoints that it has seen of others."""

    def __init__(self, store: Store, keys: NodeKeys, member_id: str, clock: Clock, files: Path) -> None:
        self._store, self._keys, self._clock, self._files = store, keys, clock, files
        self._member = member_id
        self.name = origin_line(member_id)

    # --- our own -----------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """The signed checkpoint of the log as it is now; a new one is signed if the log has grown.

        Opens its own transactions: call it outside a write (or ``sign_checkpoint`` inside one).
        """
        with self._store.read() as connection:
            last = records.last_checkpoint(connection, self._member)
            size = records.last_sequence(connection, self._member)
        if last is not None and last.size == size:
            return self._as_kept(last)
        with self._store.write() as tx:
            return self.sign_checkpoint(tx)

    def sign_checkpoint(self, tx: Transaction) -> Checkpoint:
        """The same inside a write that is under way."""
        last = records.last_checkpoint(tx.connection, self._member)
        size = records.last_sequence(tx.connection, self._member)
        if last is not None and last.size == size:
            return self._as_kept(last)
        tree = self._tree(tx.connection, last, size)
        signed = sign_checkpoint(self.name, size, tree.root(), self._keys)
        records.insert_checkpoint(
            tx.connection, self._member, size, signed.root, signed.note, tree.encode(), self._clock.now()
        )
        return signed

    def _as_kept(self, row: Row[tuple[object, ...]]) -> Checkpoint:
        return Checkpoint(self.name, row.size, bytes(row.root), bytes(row.note))

    def _tree(self, connection: Connection, last: Row[tuple[object, ...]] | None, size: int) -> CompactRange:
        """The tree over the first ``size`` entries, grown from the last checkpoint."""
        tree = CompactRange() if last is None else CompactRange.decode(last.size, bytes(last.peaks))
        while tree.size < size:
            page = records.commitments(connection, self._member, tree.size, min(size, tree.size + _PAGE))
            tree = tree.extend(leaf_hash(one) for one in page)
        return tree

    def prove(self, sequence: int, *, with_opening: bool = False) -> Proof:
        """A proof (c2sp.org/tlog-proof) that an entry stands in the log, under the present checkpoint.

        ``with_opening`` adds ``salt ‖ header``: only for somebody who may read the entry.
        Raises NotFound ``ledger.no_entry``.
        """
        checkpoint = self.checkpoint()
        with self._store.read() as connection:
            row = records.find_entry(connection, self._member, sequence)
            if row is None or sequence > checkpoint.size:
                raise NotFound("ledger.no_entry", origin=self._member, sequence=sequence)
            path = self._path(connection, sequence - 1, checkpoint, leaf_hash(bytes(row.commitment)))
        extra = b""
        if with_opening:
            entry = entry_of(row, self._keys)
            opened = open_body(entry.header, entry.envelope, self._keys)
            extra = b"" if opened is None else opened[0] + entry.envelope.header
        return Proof(sequence - 1, tuple(path), checkpoint.note, extra)

    def _path(self, connection: Connection, index: int, checkpoint: Checkpoint, leaf: bytes) -> list[bytes]:
        """The inclusion proof from the tiles; from the database where they lag behind or are damaged."""
        try:
            path = inclusion_proof(index, checkpoint.size, stored_nodes(self._files, checkpoint.size))
            if verify_inclusion(index, checkpoint.size, leaf, path, checkpoint.root):
                return path
            log.warning("ledger_tiles_damaged", folder=str(self._files))
        except (FileNotFoundError, ValueError):
            log.debug("ledger_tiles_behind", size=checkpoint.size)
        return inclusion_proof(index, checkpoint.size, nodes_of(self._leaves(connection, checkpoint.size)))

    def prove_growth(self, old: int, new: int) -> list[bytes]:
        """A consistency proof between two sizes of the log (RFC 6962, 2.1.2).

        Raises InvalidInput ``ledger.no_such_size``.
        """
        with self._store.read() as connection:
            if not 0 <= old <= new <= records.last_sequence(connection, self._member):
                raise InvalidInput("ledger.no_such_size", old=old, new=new)
            return consistency_proof(old, new, nodes_of(self._leaves(connection, new)))

    def _leaves(self, connection: Connection, size: int) -> list[bytes]:
        return [leaf_hash(one) for one in records.commitments(connection, self._member, 0, size)]

    # --- those of others ---------------------------------------------------------------------

    def see(self, tx: Transaction, origin: str, note: bytes, *, key: bytes) -> bool:
        """Keep another member's checkpoint; False when it contradicts one that is kept already.

        A second root for the same size is evidence of two histories, and is kept as such. Raises
        InvalidInput ``ledger.bad_checkpoint`` or ``ledger.bad_checkpoint_signature``.
        """
        seen = read_checkpoint(note, origin_line(origin), key)
        now = self._clock.now()
        known = records.find_checkpoint(tx.connection, origin, seen.size)
        if known is None:
            records.insert_checkpoint(tx.connection, origin, seen.size, seen.root, note, None, now)
            return True
        if bytes(known.root) == seen.root:
            return True
        if records.insert_evidence(
            tx.connection, "checkpoint", origin, seen.size, bytes(known.note), note, now
        ):
            log.error("ledger_two_histories", origin=origin, size=seen.size)
            tx.notify("evidence", f"{origin}/{seen.size}", kind="checkpoint")
        return False
