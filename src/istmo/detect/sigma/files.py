"""Where rules come from: a folder, a file, a zip as users download it, or the bytes of either."""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.problems import Problem, Refused

SUFFIXES = frozenset({".yml", ".yaml"})
EXPECTED = frozenset({".md", ".txt", ".json", ".csv", ".png", ".svg", ""})
"""Beside the rules in a release: licences, readings, version files. Not worth a word."""
_CHUNK = 1 << 16


class RuleFile(NamedTuple):
    """A file that should hold rules."""

    name: str
    data: bytes


def rule_files(source: Path | str | bytes, limits: RuleLimits = STANDARD) -> Iterator[RuleFile | Problem]:
    """Every rule file of a source in a settled order, and a problem for each that cannot be used."""
    if isinstance(source, bytes):
        yield from _bytes(source, "rules", limits)
        return
    path = Path(source)
    try:
        if path.is_dir():
            yield from _folder(path, limits)
        elif path.stat().st_size > limits.archive_bytes:
            yield Problem("file_too_large", _name(path, path.parent), params={"limit": limits.archive_bytes})
        else:
            yield from _bytes(path.read_bytes(), _name(path, path.parent), limits)
    except OSError as error:
        yield _unreadable(error, os.fsencode(path).decode("utf-8", "replace"))


def _bytes(data: bytes, name: str, limits: RuleLimits) -> Iterator[RuleFile | Problem]:
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        yield from _archive(data, name, limits)
    else:
        yield RuleFile(name, data)


def _folder(folder: Path, limits: RuleLimits) -> Iterator[RuleFile | Problem]:
    count = 0
    refused: list[OSError] = []
    found = [
        Path(place, name) for place, _, names in os.walk(folder, onerror=refused.append) for name in names
    ]
    for error in refused:
        yield _unreadable(error, _name(Path(error.filename), folder))
    for path in sorted(found):
        name = _name(path, folder)
        if path.suffix.lower() not in SUFFIXES or path.is_symlink() or not path.is_file():
            continue
        count += 1
        if count > limits.files:
            yield Problem("too_many_files", name, params={"limit": limits.files})
            return
        try:
            with path.open("rb") as opened:
                yield RuleFile(name, opened.read(limits.file_bytes + 1))
        except OSError as error:
            yield _unreadable(error, name)


def _name(path: Path, folder: Path) -> str:
    """A name within a folder as text, whatever bytes it is made of."""
    return os.fsencode(path.relative_to(folder)).decode("utf-8", "replace")


def _unreadable(error: OSError, name: str) -> Problem:
    if isinstance(error, FileNotFoundError):
        return Problem("not_there", name)
    return Problem("no_permission" if isinstance(error, PermissionError) else "unreadable", name)


def _archive(data: bytes, name: str, limits: RuleLimits) -> Iterator[RuleFile | Problem]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        yield Problem("not_a_zip", name)
        return
    with archive:
        members = archive.infolist()
        if len(members) > limits.archive_members:
            yield Problem("too_many_members", name, params={"limit": limits.archive_members})
            return
        total = 0
        for member in sorted(members, key=lambda member: member.filename):
            if member.is_dir():
                continue
            stray = _stray(member)
            if stray is not None:
                if stray:
                    yield Problem(stray, member.filename[:500])
                continue
            try:
                content = _read_member(archive, member, limits)
            except Refused as refused:
                yield refused.problem(member.filename[:500])
                continue
            total += len(content)
            if total > limits.archive_bytes:
                yield Problem("archive_too_large", name, params={"limit": limits.archive_bytes})
                return
            yield RuleFile(member.filename[:500], content)


def _stray(member: zipfile.ZipInfo) -> str | None:
    """The code of the problem with a member that is no rule file, ``""`` where none need be told.

    None for a rule file.
    """
    path = PurePosixPath(member.filename)
    if "__MACOSX" in path.parts or path.name.startswith("._"):
        return "stray_macosx"
    if path.suffix.lower() not in SUFFIXES:
        return "" if path.suffix.lower() in EXPECTED or path.name.startswith(".") else "stray_not_yaml"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "stray_link"
    return None


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: RuleLimits) -> bytes:
    """A member's content, never unpacking more than a rule file may have, whatever its header says."""
    if member.flag_bits & 0x1:
        raise Refused("encrypted")
    if member.file_size > limits.file_bytes:
        raise Refused("file_too_large", limit=limits.file_bytes)
    try:
        with archive.open(member) as opened:
            content = b""
            while chunk := opened.read(_CHUNK):
                content += chunk
                if len(content) > limits.file_bytes:
                    raise Refused("file_too_large", limit=limits.file_bytes)
                if len(content) > max(_CHUNK, member.compress_size * limits.archive_ratio):
                    raise Refused("zip_bomb", limit=limits.archive_ratio)
            return content
    except NotImplementedError:
        raise Refused("packed_unknown") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError):
        raise Refused("packed_damaged") from None
