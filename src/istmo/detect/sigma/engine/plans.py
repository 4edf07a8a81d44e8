"""Compiled classes kept from one run to the next, each under what it was made of.

A class depends on its rules, on nothing else: a changed rule makes another name for the classes that it
belongs to, and the others are found as they were. Compiled databases are read by Hyperscan as they are,
so they are taken only from a folder that nobody else can write to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from istmo.detect.sigma.engine.choosing import Guard
from istmo.detect.sigma.engine.scanners import SCANNER
from istmo.detect.sigma.kept import KeptFiles, code
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.rules import Rule

_DIGEST: Final = 32


class WatchedPlan(msgspec.Struct, frozen=True, array_like=True):
    """One field's literals, what each says, and their compiled form."""

    field: str
    literals: list[str]
    says: list[tuple[int, ...]]
    """Of each literal: slots of rules, and numbers of guards."""
    vetoes: list[tuple[int, ...]]
    compiled: bytes
    in_lines: bytes
    """The compiled form for an event's JSON; empty where the values themselves are asked."""


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """An event class ready to be asked."""

    rules: list[str]
    """Ids by slot."""
    certain: list[int]
    always: list[int]
    guards: dict[int, Guard]
    watched: list[WatchedPlan]
    is_trained: bool


class RawPlan(msgspec.Struct, frozen=True, array_like=True):
    """How the lines of a class are scanned before they are parsed."""

    rules: list[str]
    """Ids by slot."""
    literals: list[str]
    says: list[tuple[int, ...]]
    vetoes: list[tuple[str, str]]
    """Names with how their values begin: by these a rule may be ruled out."""
    vetoes_say: list[tuple[int, ...]]
    guards: dict[int, Guard]
    asks_numbers: bool
    compiled: bytes
    share: float
    """Of the lines that it was made by, those that had to be parsed."""
    is_trained: bool
    """Chosen by lines of the class."""
    can_scan: bool
    """No rule can match a line in which none of the literals stands."""


Kept = TypeVar("Kept", Plan, RawPlan)


def plan_name(
    kind: type[Plan | RawPlan], sources: Iterable[Logsource], number: int | None, rules: Iterable[Rule]
) -> str:
    """What a class is kept under: its log sources, its event id, its rules with all that they say."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for part in (kind.__name__, code(), SCANNER, repr(tuple(map(tuple, sources))), repr(number)):
        digest.update(part.encode() + b"\0")
    for rule in rules:
        digest.update(f"{rule.id}\0{rule.digest}\0".encode())
    return digest.hexdigest()


class PlanFolder:
    """Plans in a folder of files."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, made where it is missing. Raises OSError where others may write to it."""
        self._files = KeptFiles(folder)

    def get(self, kind: type[Kept], name: str) -> Kept | None:
        """The plan of this name, where there is one."""
        data = self._files.get(name)
        try:
            return None if data is None else msgspec.msgpack.decode(data, type=kind)
        except msgspec.MsgspecError:
            return None

    def put(self, name: str, plan: Plan | RawPlan) -> None:
        """Keep a plan."""
        self._files.put(name, msgspec.msgpack.encode(plan))
