"""What the log shows to whoever asks: its checkpoint, and one entry with its proof. Asks ``policy`` first.

Plain functions: the routes that call them stand above, where HTTP is known.
"""

from __future__ import annotations

import base64
from typing import TypedDict

from istmo.errors import NotAllowed, NotFound
from istmo.ledger.checkpoint import verifier_key
from istmo.ledger.entry import Entry
from istmo.ledger.log import Ledger
from istmo.model import instants
from istmo.model.markings import tlp_of
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Resource, decide
from istmo.policy.principals import Principal


class ShownCheckpoint(TypedDict):
    """A checkpoint. ``root`` is hexadecimal, ``checkpoint`` the signed note, ``verifier_key`` C2SP's."""

    origin: str
    size: int
    root: str
    checkpoint: str
    verifier_key: str
    fingerprint: str


class ShownChain(TypedDict):
    """A delivery chain: how many entries, and the hexadecimal head."""

    count: int
    head: str


class ShownEntry(TypedDict):
    """One entry with what proves it; ``commitment`` is hexadecimal, ``signature`` base64."""

    origin: str
    sequence: int
    type: str
    state: str
    refusal: str | None
    created: str
    received: str
    audience: list[str]
    markings: list[str]
    commitment: str
    header: str
    keyid: str
    signature: str
    proof: str | None
    chain: ShownChain | None


def show_checkpoint(ledger: Ledger, principal: Principal, context: Context) -> ShownCheckpoint:
    """Size, root, signed note and verifier key of this node's log (``GET /api/v1/ledger/checkpoint``).

    Raises NotAllowed ``ledger.not_readable``.
    """
    resource = Resource("log", ledger.member_id, frozenset({ledger.member_id}), space=context.space)
    if not decide(principal, Action.LEDGER_READ, resource, context):
        raise NotAllowed("ledger.not_readable")
    checkpoint = ledger.checkpoint()
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "checkpoint": checkpoint.note.decode("utf-8"),
        "verifier_key": verifier_key(checkpoint.origin, ledger.keys.public),
        "fingerprint": ledger.keys.fingerprint,
    }


def show_entry(
    ledger: Ledger, principal: Principal, context: Context, origin: str, sequence: int
) -> ShownEntry:
    """One entry with what proves it (``GET /api/v1/ledger/entries/{origin}/{sequence}``).

    For this node's own entries ``proof`` is a tlog-proof with opening; for those of others the
    signature and the delivery chain are what there is. Raises NotFound ``ledger.no_entry`` for an
    entry that does not exist and for one that the asker may not see, just alike.
    """
    with ledger.store.read() as connection:
        try:
            entry = ledger.entry(connection, origin, sequence)
        except NotFound:
            entry = None
        if entry is None or not _may_see(entry, principal, context):
            raise NotFound("ledger.no_entry", origin=origin, sequence=sequence)
        chain = ledger.received_chain(connection, origin, sequence)
    is_own = origin == ledger.member_id
    proof = ledger.history.prove(sequence, with_opening=True).encode().decode("utf-8") if is_own else None
    return {
        "origin": entry.origin,
        "sequence": entry.sequence,
        "type": entry.type,
        "state": entry.state,
        "refusal": entry.refusal,
        "created": instants.format(entry.header.created),
        "received": instants.format(entry.received),
        "audience": list(entry.header.audience),
        "markings": list(entry.header.markings),
        "commitment": entry.commitment.hex(),
        "header": entry.envelope.header.decode("utf-8"),
        "keyid": entry.envelope.keyid,
        "signature": base64.b64encode(entry.envelope.signature).decode("ascii"),
        "proof": proof,
        "chain": None if is_own else {"count": chain.count, "head": chain.head.hex()},
    }


def _may_see(entry: Entry, principal: Principal, context: Context) -> bool:
    resource = Resource(
        "entry",
        entry.origin,
        frozenset(entry.header.audience),
        tlp_of(entry.header.markings),
        context.space,
    )
    return all(
        decide(principal, action, resource, context) for action in (Action.LEDGER_READ, Action.OBJECT_READ)
    )
