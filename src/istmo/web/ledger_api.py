"""The node's log over HTTP: its checkpoint, an entry with its proof, and the erasure of one."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get, post
from litestar.params import JSONBody

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput
from istmo.federation.service import Federation
from istmo.identity import audit
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.members import member_named
from istmo.ledger.log import Ledger
from istmo.ledger.showing import ShownCheckpoint, ShownEntry, show_checkpoint, show_entry
from istmo.model import instants
from istmo.policy.actions import Action
from istmo.store.engine import Store
from istmo.web.permitting import require
from istmo.web.shapes import ErasedEntry

REASON_LENGTH: Final = 500


class EraseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Why an entry is erased. The reason is signed into the log for good: it must not repeat what goes."""

    reason: str


@get("/api/v1/ledger/checkpoint", opt=PEOPLE, sync_to_thread=True, tags=["node"])
def checkpoint(asker: Asker, ledger: Ledger, federation: Federation) -> ShownCheckpoint:
    """The signed checkpoint of this node's log (C2SP tlog-checkpoint)."""
    return show_checkpoint(ledger, asker.principal, federation.context())


@get("/api/v1/ledger/entries/{origin:str}/{sequence:int}", opt=PEOPLE, sync_to_thread=True, tags=["node"])
def entry(origin: str, sequence: int, asker: Asker, ledger: Ledger, federation: Federation) -> ShownEntry:
    """One entry of the log with what proves it."""
    return show_entry(ledger, asker.principal, federation.context(), origin, sequence)


@post(
    "/api/v1/ledger/entries/{origin:str}/{sequence:int}/erase",
    opt=PEOPLE,
    status_code=200,
    sync_to_thread=True,
    tags=["node"],
)
def erase(
    origin: str,
    sequence: int,
    data: JSONBody[EraseRequest],
    asker: Asker,
    ledger: Ledger,
    federation: Federation,
    store: Store,
    catalogue: Catalogue,
    clock: Clock,
    names: dict[str, str],
) -> ErasedEntry:
    """Erase the content of an entry on this node for good. An administrator's act, or the operator's.

    Its commitment stays, so the log still verifies; members that have it keep their copies. Whoever
    may erase need not be able to read: the answer tells nothing of the entry but that it was there.
    """
    require(asker.principal, Action.LEDGER_ERASE, federation.context())
    reason = data.reason.strip()
    if not reason or len(reason) > REASON_LENGTH:
        raise InvalidInput("web.no_erasure_reason", limit=REASON_LENGTH)
    origin = member_named(names, origin)
    now = clock.now()
    with store.write() as tx:
        waiting = federation.acks.owed(tx.connection, origin, sequence)
        if waiting:
            # Without its content it would never reach them: they would go on acting on what it takes back.
            members = ", ".join(sorted(names.get(one, one) for one in waiting))
            raise Conflict("ledger.not_heard_by_all", sequence=sequence, members=members)
        record = ledger.erase(tx, origin, sequence, reason)
        left = ledger.entry(tx.connection, origin, sequence)
        audit.record(
            tx, asker.principal, Action.LEDGER_ERASE, f"{origin}/{sequence}", audit.DONE, (), now,
            address=asker.address,
        )  # fmt: skip
    return {
        "origin": origin,
        "sequence": sequence,
        "commitment": left.commitment.hex(),
        "record": record.sequence,
        "erased": instants.format(now),
        "message": catalogue.text(
            asker.language, "ledger.erase.done", sequence=sequence, record=record.sequence,
            commitment=left.commitment.hex(),
        ),
    }  # fmt: skip


routes = [checkpoint, entry, erase]
