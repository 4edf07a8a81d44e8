"""A node's own log as a folder of plain files that anybody can check without istmo.

::

    key                      the verifier key: name+hash+key (c2sp.org/signed-note)
    checkpoint               size and root, signed (c2sp.org/tlog-checkpoint)
    tile/<L>/<N>[.p/<W>]     the Merkle tree (c2sp.org/tlog-tiles)
    tile/entries/<N>[.p/<W>] the entries: commitments
    envelopes/<N>.jsonl      256 envelopes a file, one a line, in the one form that is allowed
    chains.json              the delivery chain to each recipient
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection

from istmo.errors import Conflict
from istmo.ledger import records
from istmo.ledger.checkpoint import origin_line, sign_checkpoint, verifier_key
from istmo.ledger.entry import envelope_of
from istmo.ledger.keys import NodeKeys
from istmo.ledger.merkle import leaf_hash, root_of
from istmo.ledger.records import Chain
from istmo.ledger.report import Progress
from istmo.ledger.tiles import CHECKPOINT, WIDTH, bundles_of, index_path, tiles_of, write_durably

KEY = "key"
CHAINS = "chains.json"


def envelopes_path(index: int) -> str:
    """The file of entries ``256 * index + 1`` and on, e.g. ``envelopes/x001/234.jsonl``."""
    return f"envelopes/{index_path(index)}.jsonl"


def encode_chains(chains: Mapping[str, Chain]) -> bytes:
    """Delivery chains by recipient, in the one form that is allowed."""
    told = {one: {"count": chain.count, "head": chain.head.hex()} for one, chain in sorted(chains.items())}
    return json.dumps(told, separators=(",", ":")).encode("ascii") + b"\n"


def export_log(
    connection: Connection,
    keys: NodeKeys,
    member_id: str,
    folder: Path,
    progress: Progress = lambda done: None,
) -> int:
    """Write the whole log of ``member_id`` as it stands in this snapshot; how many entries.

    Nothing is written to the database: the checkpoint is signed over what is committed, which can
    only be added to, so it never contradicts another. Raises Conflict ``ledger.folder_not_empty``.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Conflict("ledger.folder_not_empty", folder=str(folder))
    size = records.last_sequence(connection, member_id)
    name = origin_line(member_id)
    for index, start in enumerate(range(0, size, WIDTH)):
        rows = records.entries_of(connection, member_id, start, WIDTH)
        lines = b"".join(envelope_of(row).encode() + b"\n" for row in rows)
        write_durably(folder / envelopes_path(index), lines)
        progress(len(rows))
    entries = records.commitments(connection, member_id, 0, size)
    leaves = [leaf_hash(one) for one in entries]
    for path, content in (*bundles_of(entries), *tiles_of(leaves)):
        write_durably(folder / path, content)
    last = {
        row.recipient: Chain(row.number, bytes(row.head))
        for row in records.delivery_rows(connection, member_id)
    }
    write_durably(folder / CHAINS, encode_chains(last))
    write_durably(folder / KEY, verifier_key(name, keys.public).encode("ascii") + b"\n")
    write_durably(folder / CHECKPOINT, sign_checkpoint(name, size, root_of(leaves), keys).note)
    return size
