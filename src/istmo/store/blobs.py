"""Files named by what is in them: written once, on disk before the answer, verified on every read.

``put`` writes to a temporary file in the same folder, ``fsync``s it, renames it to its SHA-256 and
``fsync``s the folder: a reader sees the whole file or none, also after a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from istmo.errors import IstmoError, NotFound, TooLarge, Unavailable

_NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PARTIAL = ".partial-"
_CHUNK = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DamagedBlob(IstmoError):
    """What is on disk is no longer what was written."""

    status = 503


class Blobs:
    """A folder of blobs, in 256 subfolders by the first byte of the name. Thread-safe.

    ``limit``: the largest blob in bytes.
    """

    def __init__(self, folder: Path, *, limit: int = 256 << 20) -> None:
        self.folder, self.limit = folder, limit
        _make_folder(folder)
        self._drop_partials()

    def put(self, data: bytes) -> str:
        """Keep ``data``; its SHA-256 in hex. When this returns, it survives a power cut.

        Raises TooLarge past the limit, Unavailable("store.disk_full") with nothing left behind.
        """
        return self.put_stream((data,))

    def put_stream(self, chunks: Iterable[bytes]) -> str:
        """Keep what ``chunks`` add up to, never holding more than one of them in memory."""
        digest, size = hashlib.sha256(), 0
        with _disk_in_words(), self._partial() as (descriptor, partial):
            for chunk in chunks:
                size += len(chunk)
                if size > self.limit:
                    raise TooLarge("store.blob_too_large", limit=self.limit)
                digest.update(chunk)
                _write_all(descriptor, chunk)
            name = digest.hexdigest()
            path = self._path(name)
            if path.exists() and _digest(path) == name:
                # It may have been written by one who crashed before its fsync: make it durable too.
                _sync_file(path)
            else:
                os.fsync(descriptor)
                _make_folder(path.parent)
                partial.replace(path)
            _sync_folder(path.parent)
        return name

    def get(self, name: str) -> bytes:
        """The bytes. Raises NotFound, or DamagedBlob when they no longer match their name."""
        try:
            data = self._path(name).read_bytes()
        except FileNotFoundError:
            raise NotFound("store.no_blob", name=name) from None
        if hashlib.sha256(data).hexdigest() != name:
            raise DamagedBlob("store.blob_damaged", name=name)
        return data

    def has(self, name: str) -> bool:
        """Whether a blob of this name is there (not whether it is whole)."""
        return self._path(name).exists()

    def delete(self, name: str) -> None:
        """Forget a blob; nothing happens when it is not there."""
        path = self._path(name)
        path.unlink(missing_ok=True)
        if path.parent.exists():
            _sync_folder(path.parent)

    def names(self) -> Iterator[str]:
        """Every blob's name, in order."""
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir() and len(folder.name) == 2:
                yield from sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))

    def damaged(self) -> list[str]:
        """Names of the blobs that no longer match their content. Reads everything."""
        return [name for name in self.names() if _digest(self._path(name)) != name]

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFound("store.no_blob", name=name[:80])
        return self.folder / name[:2] / name

    @contextlib.contextmanager
    def _partial(self) -> Iterator[tuple[int, Path]]:
        descriptor, place = tempfile.mkstemp(prefix=_PARTIAL, dir=self.folder)
        try:
            yield descriptor, Path(place)
        finally:
            os.close(descriptor)
            Path(place).unlink(missing_ok=True)

    def _drop_partials(self) -> None:
        for left in self.folder.glob(f"{_PARTIAL}*"):
            left.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[:_CHUNK]) :]


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk_in_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable("store.disk_full") from error
        raise Unavailable("store.disk_error", detail=errno.errorcode.get(error.errno or 0, "?")) from error
