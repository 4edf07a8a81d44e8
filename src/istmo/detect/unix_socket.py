"""The Unix socket over which a node's two processes speak, wherever the node's folder lies."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from istmo.errors import Unavailable

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


def listen(run: Path) -> socket.socket:
    """The socket, in a folder that only this user can enter. What a former process left is removed."""
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = run / SOCKET
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with address(run) as where:
            listener.bind(where)
        path.chmod(0o600)
        listener.listen(4)
    except OSError as error:
        listener.close()
        raise Unavailable("detect.socket", path=str(path), detail=error.strerror or "?") from error
    return listener
