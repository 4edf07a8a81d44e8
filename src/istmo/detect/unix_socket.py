"""The Unix socket over which a node's two processes speak, wherever the node's folder lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SOCKET: Final = "worker.sock"
"""In ``settings.run``; the web process listens on it."""
_LONGEST: Final = 100
"""An address of a Unix socket has 107 bytes at most; a folder's path may have thousands."""


@contextmanager
def address(run: Path) -> Iterator[str]:
    """What to bind or dial for the socket in the folder ``run``; good inside the block.

    A long path is replaced by one through an open descriptor of the folder. Raises OSError without it.
    """
    path = run / SOCKET
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)
