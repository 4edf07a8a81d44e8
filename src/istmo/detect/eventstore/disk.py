"""What the event store asks of the file system: things that stay, and a clear word when there is no room."""

from __future__ import annotations

import errno
import os
from hashlib import blake2b
from pathlib import Path

from istmo.errors import Unavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
RESERVE = 64 << 20
"""Bytes kept free for the node's own database, so that a flood of events cannot stop it from writing."""


class DiskFull(Unavailable):
    """There is no room for more events; those accepted are intact, and intake resumes by itself."""

    status = 507

    def __init__(self, folder: Path) -> None:
        super().__init__("detect.disk_full", folder=str(folder))


def is_full(error: OSError) -> bool:
    """Whether the error says that there is no room (disk, quota, file size)."""
    return error.errno in _FULL


def has_room(folder: Path, wanted: int) -> bool:
    """Whether ``wanted`` bytes fit beside the reserve (a twentieth of a small disk, 64 MB of a large one)."""
    found = os.statvfs(folder)
    reserve = min(RESERVE, found.f_blocks * found.f_frsize // 20)
    return found.f_bavail * found.f_frsize >= wanted + reserve


def sync_file(path: Path) -> None:
    """Put a finished file's bytes on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk: what was created, renamed or removed in it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> bytes:
    """BLAKE2b of a file's bytes, 16 bytes."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.digest()


def make_folder(folder: Path) -> None:
    """Create a folder that survives a power cut, for its owner alone."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(folder.parent)
