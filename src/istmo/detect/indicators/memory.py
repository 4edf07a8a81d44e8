"""What patterns remember of events, as bytes: to be taken up again by a matcher that starts anew.

It names each pattern by what it is, not by its row: one that changed in between, or is new, takes up nothing.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from istmo.detect.indicators.moments import Moment
from istmo.detect.indicators.watches import Watches

FORM: Final = 1
_DIGEST: Final = 8


class MemoryUnreadable(ValueError):
    """Bytes that are no such memory."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """One pattern that remembers something: by observation the time, the event and the fields of each."""

    digest: bytes
    moments: list[list[tuple[int, str, tuple[tuple[str, str], ...]]]]


class _Memory(msgspec.Struct, frozen=True, array_like=True):
    form: int
    known: bytes
    """The digests of all patterns that look at when things happened, one after the other."""
    kept: list[_Kept]
    """Those that waited longest first."""


_DECODER: Final = msgspec.msgpack.Decoder(_Memory)


def pack_memory(watches: Watches, ids: dict[int, str]) -> bytes:
    """What these watches remember. ``ids``: of each row the indicator."""
    digests = {row: _digest(ids[row], watch.plan) for row, watch in watches.in_time() if row in ids}
    kept = [
        _Kept(digests[row], [[(one.time, one.event, one.told) for one in some] for some in tracker.kept])
        for row, tracker in watches.remembering()
        if row in digests
    ]
    return msgspec.msgpack.encode(_Memory(FORM, b"".join(digests.values()), kept))


def take_up(watches: Watches, ids: dict[int, str], data: bytes) -> set[int]:
    """Let watches remember again; the rows of those that the memory does not know.

    Raises MemoryUnreadable.
    """
    try:
        memory = _DECODER.decode(data)
    except msgspec.DecodeError as error:
        raise MemoryUnreadable(str(error)) from None
    if memory.form != FORM or len(memory.known) % _DIGEST:
        raise MemoryUnreadable("another form")
    rows = {_digest(ids[row], watch.plan): row for row, watch in watches.in_time() if row in ids}
    known = {memory.known[at : at + _DIGEST] for at in range(0, len(memory.known), _DIGEST)}
    for one in memory.kept:
        row = rows.get(one.digest)
        if row is not None:
            watches.recall(row, [[Moment(*moment) for moment in some] for some in one.moments])
    return {row for digest, row in rows.items() if digest not in known}


def _digest(id: str, plan: str) -> bytes:
    return hashlib.blake2b(f"{id}\0{plan}".encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
