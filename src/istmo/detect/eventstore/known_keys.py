"""Which events have been stored already, by the names that their senders gave them.

A sender that was not answered sends again: what carries a name is stored once. The newest names are
remembered (MOST to twice as many), and found again in the newest segments after a restart.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import orjson
import structlog

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.sealing import SealedAway
from istmo.detect.eventstore.wal import WriteAheadReader

log = structlog.get_logger(__name__)

MOST: Final = 500_000
"""Names of one generation: two are kept, about 70 bytes each."""
_MARK: Final = b',"key":'


class KnownKeys:
    """Two generations of digests. For one thread."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._salt = secrets.token_bytes(16)
        self._young: set[int] = set()
        self._old: set[int] = set()

    def digest(self, source: bytes, key: bytes) -> int:
        """A source's name for an event, short; both as JSON."""
        # Salted anew in each process: nobody can prepare two names that are taken for one.
        return int.from_bytes(blake2b(source + key, digest_size=8, key=self._salt).digest())

    def __contains__(self, digest: int) -> bool:
        return digest in self._young or digest in self._old

    def add(self, digests: Iterable[int]) -> None:
        """Remember names whose events are on disk."""
        self._young.update(digests)
        if len(self._young) > self._most:
            self._old, self._young = self._young, set()

    def add_stored(self, line: bytes) -> bool:
        """Remember the name in a stored line, where it has one."""
        head, mark, _ = line.partition(b',"event":')
        if not mark or _MARK not in head:
            return False
        try:
            about = orjson.loads(head + b"}")
        except orjson.JSONDecodeError:
            return False
        if not isinstance(about.get("key"), str):
            return False
        self.add([self.digest(orjson.dumps(about["from"]), orjson.dumps(about["key"]))])
        return True


def recall(known: KnownKeys, folder: EventFolder, most: int = MOST) -> None:
    """Remember the newest names of a store: those of its open segments, and of the newest closed one."""
    found = 0
    for segment in reversed(folder.wal_segments()):
        reader = WriteAheadReader(folder.wal_path(segment), keys=folder.keys)
        try:
            while lines := reader.read():
                found += sum(known.add_stored(line) for line in lines)
        except SealedAway as error:
            log.error("event_names_unreadable", segment=segment, problem=str(error))
        finally:
            reader.close()
        if found >= most:
            return
    for closed in folder.closed()[-1:]:
        try:
            with FrameReader(folder.raw_path(closed), folder.keys) as frames:
                for block in frames:
                    for line in block:
                        known.add_stored(line)
        except (ValueError, OSError) as error:
            log.error("event_names_unreadable", segment=closed.first, problem=str(error))
