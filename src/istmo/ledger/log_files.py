"""Keeps the plain files of a node's own log up to date, behind the commits to its database.

SQL is the truth and these files are derived from it: what is missing or damaged is written again.
A partial tile stays until its full one is there, as c2sp.org/tlog-tiles asks.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable

import structlog

from istmo.errors import InvalidInput
from istmo.ledger import records
from istmo.ledger.checkpoint import Checkpoint, read_checkpoint
from istmo.ledger.log import Ledger
from istmo.ledger.merkle import HASH_BYTES, leaf_hash
from istmo.ledger.tiles import (
    CHECKPOINT,
    ENTRIES,
    WIDTH,
    encode_bundle,
    levels,
    tile_path,
    tile_root,
    write_durably,
)
from istmo.store.changes import Change

log = structlog.get_logger(__name__)


class LogFiles:
    """Keeps the files of a ledger's own log up to date, behind its commits."""

    def __init__(self, ledger: Ledger, *, interval: float = 2.0) -> None:
        self._ledger, self._interval = ledger, interval
        self.folder = ledger.files
        self._lock = threading.Lock()
        self._grown = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def publish(self) -> Checkpoint:
        """Sign the log as it is now and bring the files up to it; the checkpoint."""
        with self._lock:
            checkpoint = self._ledger.checkpoint()
            self._bring_to(checkpoint, self._published_size())
            return checkpoint

    def rebuild(self) -> Checkpoint:
        """Write every file again from the database."""
        with self._lock:
            checkpoint = self._ledger.checkpoint()
            shutil.rmtree(self.folder / "tile", ignore_errors=True)
            self._bring_to(checkpoint, 0)
            return checkpoint

    def mend(self) -> Checkpoint:
        """Publish; where a file of the log is missing or has a wrong size, write all of them again."""
        size = self._published_size()
        kinds: list[tuple[int | str, int]] = [(ENTRIES, size), *levels(size)]
        for level, count in kinds:
            step = HASH_BYTES + 2 if level == ENTRIES else HASH_BYTES
            for index in range(-(-count // WIDTH)):
                width = min(WIDTH, count - index * WIDTH)
                path = self.folder / tile_path(level, index, width)
                if not path.is_file() or path.stat().st_size != width * step:
                    log.warning("ledger_files_rebuilt", missing=str(path))
                    return self.rebuild()
        return self.publish()

    def _published_size(self) -> int:
        """How far the files go: 0 unless there is a checkpoint that this log really had."""
        try:
            note = (self.folder / CHECKPOINT).read_bytes()
            found = read_checkpoint(note, self._ledger.history.name, self._ledger.keys.public)
        except (FileNotFoundError, InvalidInput):
            return 0
        with self._ledger.store.read() as connection:
            known = records.find_checkpoint(connection, self._ledger.member_id, found.size)
        return found.size if known is not None and bytes(known.root) == found.root else 0

    def _bring_to(self, checkpoint: Checkpoint, old: int) -> None:
        if old != checkpoint.size:
            self._write_entries(old, checkpoint.size)
            self._write_upper_levels(old, checkpoint.size)
        self._write(CHECKPOINT, checkpoint.note)  # last: what it promises is there

    def _write_entries(self, old: int, new: int) -> None:
        for index in range(old // WIDTH, -(-new // WIDTH)):
            start = index * WIDTH
            with self._ledger.store.read() as connection:
                part = records.commitments(connection, self._ledger.member_id, start, min(new, start + WIDTH))
            self._write_tile(ENTRIES, index, len(part), encode_bundle(part))
            self._write_tile(0, index, len(part), b"".join(leaf_hash(one) for one in part))

    def _write_upper_levels(self, old: int, new: int) -> None:
        before = dict(levels(old))
        for level, count in levels(new):
            if level == 0 or count == before.get(level, 0):
                continue
            for index in range(before.get(level, 0) // WIDTH, -(-count // WIDTH)):
                start = index * WIDTH
                width = min(WIDTH, count - start)
                hashes = [self._root_of_tile(level - 1, below) for below in range(start, start + width)]
                self._write_tile(level, index, width, b"".join(hashes))

    def _root_of_tile(self, level: int, index: int) -> bytes:
        return tile_root((self.folder / tile_path(level, index)).read_bytes())

    def _write_tile(self, level: int | str, index: int, width: int, content: bytes) -> None:
        self._write(tile_path(level, index, width), content)
        if width == WIDTH:
            shutil.rmtree(self.folder / (tile_path(level, index) + ".p"), ignore_errors=True)

    def _write(self, name: str, content: bytes) -> None:
        write_durably(self.folder / name, content)

    # --- in the background -------------------------------------------------------------------

    def start(self) -> None:
        """Follow the log in a thread, ``interval`` seconds behind it at most, until ``stop``.

        Files first wait for that long, so that their writing is not in the way of what has just been
        committed: feeds and detection are hurrying with it.
        """
        self._unsubscribe = self._ledger.store.changes.subscribe(self._hear, "ledger")
        self._grown.set()
        self._thread = threading.Thread(target=self._follow, name="log-files", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following and write what was committed meanwhile: at rest, the files are up to date."""
        self._stopping.set()
        self._grown.set()
        if self._thread:
            self._unsubscribe()
            self._thread.join(30)
            self._bring(self.publish)

    def _hear(self, change: Change) -> None:
        if change.data.get("origin") == self._ledger.member_id:
            self._grown.set()

    def _follow(self) -> None:
        bring, pause = self.mend, 0.0  # the first time: what a crash or a hand took away comes back
        while True:
            self._grown.wait()
            self._stopping.wait(pause)
            if self._stopping.is_set():
                return
            self._grown.clear()
            pause = self._interval
            if self._bring(bring):
                bring = self.publish
            else:
                self._grown.set()

    def _bring(self, bring: Callable[[], Checkpoint]) -> bool:
        try:
            bring()
        except Exception:
            # the log itself is safe in the database; a full disk here must not end the thread
            log.exception("ledger_files_failed", folder=str(self.folder))
            return False
        return True
