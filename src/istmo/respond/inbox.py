"""What happens when an entry comes out of the log, written here or received: the same for both."""

from __future__ import annotations

from istmo.clock import Clock
from istmo.errors import NotAllowed, TooLarge
from istmo.ledger.entry import Entry
from istmo.ledger.envelope import ERASURE
from istmo.ledger.log import Ledger
from istmo.respond import entries, records
from istmo.respond.fold import Folded, merge
from istmo.respond.objects import (
    ENTRIES_A_CASE,
    ENTRIES_AHEAD,
    Alert,
    CaseEntry,
    Note,
    Object,
    Opening,
    OwnerChange,
    Task,
    TitleChange,
)
from istmo.store.engine import Transaction


class Inbox:
    """Folds ``case`` entries into the tables, inside the transaction that appends them."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._me, self._clock = ledger.member_id, clock
        ledger.on(entries.TYPE, self.take)
        ledger.on(ERASURE, self.forget)

    def take(self, tx: Transaction, entry: Entry) -> None:
        """One envelope of type ``case``.

        Raises (the ledger keeps the envelope, marks it refused and reports it) what
        ``entries.decode_payload`` does; NotAllowed ``respond.not_a_participant`` where nobody on the
        case let the author in, ``respond.not_for_us`` where it quotes what this member may not see;
        TooLarge ``respond.case_full``.
        """
        if entry.payload is None:
            return
        found = entries.decode_payload(
            entry.payload, entry.origin, entry.header.audience, entry.header.markings
        )
        self._check_quoted(found)
        known = records.entry(tx.connection, found.case, found.id)
        self._check_room(tx, found, is_new=known is None)
        whole = merge(known, found) if known else found
        records.put_envelope(tx.connection, entry.origin, entry.sequence, found)
        records.put_entry(tx.connection, whole, text_of(found), self._clock.now())
        folded = self._refold(tx, found.case)
        refused = {one.id for one in folded.strangers.get(entry.origin, ())}
        if found.id in refused and folded.opening:
            raise NotAllowed("respond.not_a_participant", member=entry.origin, case=found.case)
        tx.notify("case", found.case, entry=found.id, kind=found.kind, origin=entry.origin)

    def forget(self, tx: Transaction, entry: Entry) -> None:
        """An envelope was erased: the words go, the entry's place stays."""
        erased = entry.header.extra.get("erases")
        if not isinstance(erased, dict):
            return
        origin, sequence = erased.get("origin"), erased.get("sequence")
        # Only what this node itself erased: nobody deletes on another's node.
        if entry.origin != self._me or not isinstance(origin, str) or not isinstance(sequence, int):
            return
        case = records.forget_envelope(tx.connection, origin, sequence)
        if case:
            self._refold(tx, case)
            tx.notify("case", case, kind="erased", origin=origin)

    def _refold(self, tx: Transaction, case: str) -> Folded:
        folded = Folded(case, records.entries(tx.connection, case))
        records.put_case(tx.connection, folded.case(), self._clock.now(), "")
        return folded

    def _check_quoted(self, entry: CaseEntry) -> None:
        marking = entry.marking
        if marking is None or marking.audience is None or entry.author.node == self._me:
            return
        if self._me not in marking.audience and marking.origin != self._me:
            raise NotAllowed("respond.not_for_us", entry=entry.id)

    def _check_room(self, tx: Transaction, entry: CaseEntry, *, is_new: bool) -> None:
        if not is_new or entry.author.node == self._me:
            return
        if records.count_entries(tx.connection, entry.case) >= ENTRIES_A_CASE:
            raise TooLarge("respond.case_full", limit=ENTRIES_A_CASE)
        summary = records.summary(tx.connection, entry.case)
        is_ahead = (summary is None or not summary.opener) and not isinstance(entry.body, Opening)
        if is_ahead and records.count_ahead(tx.connection, entry.author.node) >= ENTRIES_AHEAD:
            raise TooLarge("respond.case_full", limit=ENTRIES_AHEAD)


def text_of(entry: CaseEntry) -> str:
    """What a search looks through."""
    match entry.body:
        case Opening(title=text) | TitleChange(title=text) | Note(text=text) | Task(text=text):
            found = text
        case Alert(title=title, evidence=evidence, indicator=indicator):
            found = "\n".join((title, *evidence, indicator or ""))
        case Object(object=id, name=name):
            found = f"{name}\n{id}"
        case OwnerChange(owner=owner):
            found = owner.name if owner else ""
        case _:
            found = ""
    return found.casefold()
