"""Compiled classes kept from one run to the next, each under what it was made of.

A class depends on its rules, on nothing else: a changed rule makes another name for the classes that it
belongs to, and the others are found as they were. Compiled databases are read by Hyperscan as they are,
so they are taken only from a folder that nobody else can write to.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from istmo.detect.sigma.engine.scanners import SCANNER
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.rules import Rule

FORM: Final = 1
"""Of what is written here, and of how witnesses are chosen: another number makes everything anew."""
_LARGEST: Final = 64 << 20
_MOST: Final = 4096
_DIGEST: Final = 32


class WatchedPlan(msgspec.Struct, frozen=True, array_like=True):
    """One field's literals, the slots that each makes a candidate, and their compiled form."""

    field: str
    literals: list[str]
    slots: list[tuple[int, ...]]
    compiled: bytes


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """An event class ready to be asked."""

    rules: list[str]
    """Ids by slot."""
    certain: list[int]
    always: list[int]
    watched: list[WatchedPlan]
    is_trained: bool


def plan_name(sources: Iterable[Logsource], number: int | None, rules: Iterable[Rule]) -> str:
    """What a class is kept under: its log sources, its event id, its rules with all that they say."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for part in (str(FORM), SCANNER, repr(tuple(map(tuple, sources))), repr(number)):
        digest.update(part.encode() + b"\0")
    for rule in rules:
        digest.update(f"{rule.id}\0{rule.digest}\0".encode())
    return digest.hexdigest()


class PlanFolder:
    """Plans in files. What cannot be read, or is not as it was written, is as if it were not there."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, made where it is missing. Raises OSError where others may write to it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
            raise PermissionError(f"{folder} can be written by others")
        self._folder = folder

    def get(self, name: str) -> Plan | None:
        """The plan of this name, where there is one."""
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(_LARGEST + 1)
        except OSError:
            return None
        if hashlib.blake2b(data[_DIGEST:], digest_size=_DIGEST).digest() != data[:_DIGEST]:
            return None
        try:
            return _decoder.decode(data[_DIGEST:])
        except msgspec.MsgspecError:
            return None

    def put(self, name: str, plan: Plan) -> None:
        """Keep a plan, whole or not at all; a folder that is full keeps none."""
        data = msgspec.msgpack.encode(plan)
        if len(data) > _LARGEST:
            return
        self._make_room()
        with suppress(OSError):
            descriptor, written = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.blake2b(data, digest_size=_DIGEST).digest() + data)
                Path(written).replace(self._folder / name)
            except OSError:
                Path(written).unlink()
                raise

    def _make_room(self) -> None:
        """Let go of what was written longest ago."""
        with suppress(OSError):
            kept = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for path in kept[: max(0, len(kept) - _MOST)]:
                path.unlink()


_decoder = msgspec.msgpack.Decoder(Plan)
