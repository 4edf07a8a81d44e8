"""What was worked out once, kept in files for the next run: only where nobody else can write."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

_LARGEST: Final = 128 << 20
_MOST: Final = 4096
_DIGEST: Final = 32


class KeptFiles:
    """Bytes by name. What cannot be read, or is not as it was written, is as if it were not there.

    A digest finds damage; against somebody who writes there on purpose stand the folder's rights alone.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder, made where it is missing. Raises OSError where others may write to it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
            raise PermissionError(f"{folder} can be written by others")
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """What was kept under a name."""
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(_LARGEST + 1)
        except OSError:
            return None
        kept = data[_DIGEST:]
        return kept if _digest(kept) == data[:_DIGEST] else None

    def put(self, name: str, data: bytes) -> None:
        """Keep bytes, whole or not at all; a folder that is full, or gone, keeps none."""
        if len(data) > _LARGEST - _DIGEST:
            return
        with suppress(OSError):
            descriptor, written = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(_digest(data) + data)
                Path(written).replace(self._folder / name)
            except OSError:
                Path(written).unlink()
                raise
            self._make_room()

    def _make_room(self) -> None:
        """Let go of what was written longest ago."""
        kept = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in kept[: max(0, len(kept) - _MOST)]:
            path.unlink()


@cache
def code() -> str:
    """A digest of this package's own source: what another version has worked out is not to be trusted."""
    here = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(here.rglob("*.py")):
        digest.update(path.relative_to(here).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()
