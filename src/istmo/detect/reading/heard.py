"""A file that tells how much of it was read: what progress is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

Heard = Callable[[int], object]
"""Told of a number of bytes."""


class HeardFile:
    """An open file; what is read of it is heard. As much of a file as readers of archives and logs need."""

    def __init__(self, file: IO[bytes], heard: Heard) -> None:
        self._file, self._heard = file, heard
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read, and tell."""
        data = self._file.read(size)
        self._heard(len(data))
        return data
