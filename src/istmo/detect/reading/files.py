"""Lines of events from files and archives, in memory that does not depend on what they hold.

Nothing is ever unpacked to disk, so a member's path (``../../x``) is a name and nothing more.
"""

from __future__ import annotations

import codecs
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from istmo.detect.intake.inflating import Inflater
from istmo.detect.intake.splitting import Splitter
from istmo.detect.reading import evtx_files, zstd_streams
from istmo.detect.reading.folders import files_in
from istmo.detect.reading.found import JSON, FileProblem, Found, Line, name_of
from istmo.detect.reading.heard import Heard, HeardFile
from istmo.detect.reading.line_logs import FORMS, LineLogs, LogEvents, form_of, is_text
from istmo.errors import InvalidInput, IstmoError, NotFound, TooLarge
from istmo.settings import Limits

Members = tuple[int, int] | None
"""The first member of an archive that is meant, and the one after the last; None for all."""
_CHUNK: Final = 256 << 10
_FREE: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_NAME: Final = 300
_IN_MEMORY: Final = 32 << 20
"""Bytes of an event log out of an archive that are kept in memory; a larger one is a file without a name."""


def open_events(
    path: Path,
    limits: Limits,
    part: Members = None,
    logs: LineLogs | None = None,
    heard: Heard | None = None,
) -> Iterator[Found]:
    """Every event of a file, an archive, or a folder of them.

    ``part`` takes some of the members of an archive, for who shares the work on one. ``logs``: read logs
    of lines too; without it, JSON and Windows event logs alone. ``heard`` is told how many bytes of the
    file were read, each time that some were.
    """
    if path.is_dir():
        refused: list[Path] = []
        for inner in files_in(path, refused.append):
            yield from open_events(inner, limits, None, logs, heard)
        for one in refused:
            yield FileProblem(name_of(one), 0, InvalidInput("detect.folder_unreadable", folder=name_of(one)))
        return
    name = name_of(path)
    is_open = False
    try:
        with path.open("rb") as file:
            is_open = True
            if logs is not None:
                written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
                logs = replace(logs, received=min(logs.received, written))
            opened = file if heard is None else cast(IO[bytes], HeardFile(file, heard))
            yield from open_stream(opened, name, limits, part, logs)
    except OSError as error:
        problem: IstmoError = NotFound("detect.no_such_file", file=name)
        if is_open:
            detail = error.strerror or type(error).__name__
            problem = InvalidInput("detect.file_unreadable", file=name, detail=detail)
        yield FileProblem(name, 0, problem)


def open_stream(
    file: IO[bytes], place: str, limits: Limits, part: Members = None, logs: LineLogs | None = None
) -> Iterator[Found]:
    """Every event of an open file or pipe."""
    head = file.read(_CHUNK)
    if head.startswith(_ZIP):
        yield from _zip(file, head, place, limits, part, logs)
    elif head.startswith(evtx_files.SIGNATURE) and file.seekable():
        yield from evtx_files.read_evtx(file, place)
    else:
        yield from _lines(_chunks(file, head), place, limits, logs, packed_size=None)


def member_sizes(path: Path) -> list[int]:
    """How large the members of an archive are as they are packed; none for what is no archive."""
    try:
        with path.open("rb") as file:
            if not path.is_file() or not file.read(4).startswith(_ZIP):
                return []
            with zipfile.ZipFile(file) as archive:
                return [member.compress_size for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _chunks(file: IO[bytes], head: bytes) -> Iterator[bytes]:
    while head:
        yield head
        head = file.read(_CHUNK)


def _lines(
    chunks: Iterator[bytes], place: str, limits: Limits, logs: LineLogs | None, *, packed_size: int | None
) -> Iterator[Found]:
    """Lines of a stream that may be packed. ``packed_size`` bounds what a zip member may come to."""
    events: _JsonEvents | LogEvents | None = None
    try:
        pieces = _in_utf8(inflated(_bounded(chunks, place, limits, packed_size), limits, place))
        for data in pieces:
            if events is None:
                if data.startswith(evtx_files.SIGNATURE):
                    yield from _evtx(data, pieces, place)
                    return
                events = _events_of(data, place, limits, logs)
                if events is None:
                    yield FileProblem(place, 0, _no_log(data, place, logs))
                    return
            yield from events.feed(data)
    except IstmoError as error:
        yield FileProblem(place, 0, error)
    except (OSError, zlib.error, zipfile.BadZipFile, EOFError, ValueError, RuntimeError) as error:
        problem = InvalidInput("detect.archive_unreadable", file=place, detail=str(error)[:200])
        yield FileProblem(place, 0, problem)
    if events is not None:
        yield from events.finish()


def _events_of(
    head: bytes, place: str, limits: Limits, logs: LineLogs | None
) -> _JsonEvents | LogEvents | None:
    """How to read a file that begins so; None where it is no log."""
    if logs is None:
        return _JsonEvents(place, limits) if _looks_like_events(head) else None
    form = logs.form or form_of(head)
    if not form or (not logs.form and place.lower().endswith(evtx_files.SUFFIX) and form != JSON):
        return None
    if form == JSON:
        return _JsonEvents(place, limits)
    return LogEvents(place, form, logs.received, limits.line_bytes)


def _no_log(head: bytes, place: str, logs: LineLogs | None) -> IstmoError:
    if place.lower().endswith(evtx_files.SUFFIX):
        return InvalidInput("detect.not_evtx", member=place)
    if logs is not None and is_text(head):
        return InvalidInput("detect.form_unknown", member=place, forms=", ".join(FORMS))
    return InvalidInput("detect.member_stray", member=place)


class _JsonEvents:
    """Events that are JSON, one a line or in one array."""

    def __init__(self, place: str, limits: Limits) -> None:
        self._place, self._limits = place, limits
        self._splitter = Splitter(limits.line_bytes)

    def feed(self, data: bytes) -> Iterator[Found]:
        return _told(self._splitter.feed(data), self._place, self._limits)

    def finish(self) -> Iterator[Found]:
        yield from _told(self._splitter.finish(), self._place, self._limits)
        if self._splitter.cut_at is not None:
            yield FileProblem(self._place, self._splitter.cut_at, InvalidInput("detect.array_cut_short"))


def _evtx(first: bytes, rest: Iterator[bytes], place: str) -> Iterator[Found]:
    """An event log that is packed: its chunks are found by their place, so it must be whole first."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
        copy.write(first)
        try:
            for data in rest:
                copy.write(data)
        except IstmoError as error:
            yield FileProblem(place, 0, error)
        except (OSError, zlib.error, zipfile.BadZipFile, EOFError, ValueError, RuntimeError) as error:
            problem = InvalidInput("detect.archive_unreadable", file=place, detail=str(error)[:200])
            yield FileProblem(place, 0, problem)
        copy.seek(0)
        yield from evtx_files.read_evtx(copy, place)


def _told(pieces: list[tuple[int, bytes | None]], place: str, limits: Limits) -> Iterator[Found]:
    for number, raw in pieces:
        if raw is None:
            too_long = TooLarge("detect.line_too_long", limit=limits.line_bytes)
            yield FileProblem(place, number, too_long, JSON)
        else:
            yield Line(place, number, raw)


def _bounded(chunks: Iterator[bytes], place: str, limits: Limits, packed_size: int | None) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if packed_size is not None and (
            total > limits.archive_bytes or total > _FREE + limits.archive_ratio * packed_size
        ):
            raise TooLarge("detect.archive_bomb", file=place, ratio=limits.archive_ratio)
        yield chunk


def inflated(chunks: Iterator[bytes], limits: Limits, place: str) -> Iterator[bytes]:
    """What gzip or Zstandard packed, bounded; all else as it is."""
    first = next(chunks, b"")
    if first.startswith(zstd_streams.SIGNATURE):
        yield from zstd_streams.unpacked(chain((first,), chunks), limits, place)
        return
    if not first.startswith(_GZIP):
        if first:
            yield first
        yield from chunks
        return
    inflater = Inflater(limits.archive_bytes, limits.archive_ratio)
    try:
        yield from inflater.feed(first)
        for chunk in chunks:
            yield from inflater.feed(chunk)
        inflater.finish()
    except TooLarge:
        raise TooLarge("detect.archive_bomb", file=place, ratio=limits.archive_ratio) from None
    except InvalidInput:
        raise InvalidInput("detect.archive_unreadable", file=place, detail="gzip") from None


def _in_utf8(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Text that begins with UTF-16's mark, as Windows' own tools write it, in UTF-8; all else as it is."""
    first = next(pieces, b"")
    if not first.startswith(_UTF_16):
        if first:
            yield first
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    for piece in chain((first,), pieces):
        if text := decoder.decode(piece):
            yield text.encode("utf-8", "replace")
    if text := decoder.decode(b"", True):
        yield text.encode("utf-8", "replace")


def _looks_like_events(head: bytes) -> bool:
    """Whether some line at the beginning opens a JSON value: one bad line first is no verdict."""
    lines = head.removeprefix(_BOM).split(b"\n")
    return any(line.lstrip().startswith((b"{", b"[")) for line in lines)


def _zip(
    file: IO[bytes], head: bytes, place: str, limits: Limits, part: Members, logs: LineLogs | None
) -> Iterator[Found]:
    if not file.seekable():  # a pipe: the directory of a zip stands at its end
        with tempfile.TemporaryFile() as copy:
            size = 0
            for chunk in _chunks(file, head):
                size += len(chunk)
                if size > limits.archive_bytes:
                    error = TooLarge("detect.archive_bomb", file=place, ratio=limits.archive_ratio)
                    yield FileProblem(place, 0, error)
                    return
                copy.write(chunk)
            yield from _members(copy, place, limits, part, logs)
    else:
        yield from _members(file, place, limits, part, logs)


def _members(
    file: IO[bytes], place: str, limits: Limits, part: Members, logs: LineLogs | None
) -> Iterator[Found]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        problem = InvalidInput("detect.archive_unreadable", file=place, detail=str(error)[:200])
        yield FileProblem(place, 0, problem)
        return
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        if len(members) > limits.archive_members:
            too_many = TooLarge("detect.archive_members", file=place, limit=limits.archive_members)
            yield FileProblem(place, 0, too_many)
            return
        for member in members[slice(*part) if part else slice(None)]:
            yield from _member(archive, member, f"{place}!{member.filename[:_LONGEST_NAME]}", limits, logs)


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: str, limits: Limits, logs: LineLogs | None
) -> Iterator[Found]:
    path = PurePosixPath(member.filename)
    if "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store":
        yield FileProblem(place, 0, InvalidInput("detect.member_stray", member=place))
        return
    if member.flag_bits & 0x1:
        yield FileProblem(place, 0, InvalidInput("detect.member_encrypted", member=place))
        return
    try:
        opened = archive.open(member)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        problem = InvalidInput("detect.archive_unreadable", file=place, detail=str(error)[:200])
        yield FileProblem(place, 0, problem)
        return
    with opened:
        chunks = iter(lambda: opened.read(_CHUNK), b"")
        if logs is not None:
            logs = replace(logs, received=_written(member, logs.received))
        yield from _lines(chunks, place, limits, logs, packed_size=member.compress_size)


def _written(member: zipfile.ZipInfo, latest: datetime) -> datetime:
    """When a member was last written, where its header says something that can be true."""
    try:
        return min(latest, datetime(*member.date_time, tzinfo=UTC))
    except ValueError:
        return latest
