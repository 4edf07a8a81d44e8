"""The correlator's memory as bytes (msgpack), to survive a restart."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from istmo.detect.sigma.correlating.matches import Counts
from istmo.detect.sigma.correlating.plans import Prepared
from istmo.detect.sigma.correlating.windows import Counted, contributor

VERSION: Final = 2


class SnapshotUnreadable(Exception):
    """Bytes that are no snapshot, or one of another version: begin without."""


class GroupState(msgspec.Struct, array_like=True, frozen=True):
    key: list[str]
    written: list[str]
    quiet_until: int
    since: int
    touched: int
    window: Any


class HeldState(msgspec.Struct, array_like=True, frozen=True):
    time: int
    arrived: int
    correlation: str
    prepared: Any


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    arrived: int
    newest: int
    heard: int
    reached: int
    counts: Counts
    states: dict[str, tuple[str, list[GroupState]]]
    """Groups by correlation, with what they are bound to: its text and the parts it is made of."""
    held: list[HeldState]
    version: int = VERSION


_decoder = msgspec.msgpack.Decoder(Snapshot)


def write_snapshot(snapshot: Snapshot) -> bytes:
    return msgspec.msgpack.encode(snapshot)


def read_snapshot(data: bytes) -> Snapshot:
    """Raises SnapshotUnreadable."""
    try:
        snapshot = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise SnapshotUnreadable(str(error)) from None
    if snapshot.version != VERSION:
        raise SnapshotUnreadable(f"version {snapshot.version}")
    return snapshot


def dump_prepared(prepared: Prepared) -> Any:
    return [list(prepared.groups.items()), prepared.counted]


def load_prepared(dumped: Any) -> Prepared:
    groups, (by, rule, values) = dumped
    return Prepared(
        {tuple(key): tuple(written) for key, written in groups},
        Counted(contributor(by), rule, [tuple(one) if isinstance(one, list) else one for one in values]),
    )
