"""Rules as they were read before, each under its file's own bytes: reading a release takes seconds."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from istmo.detect.sigma.correlations import Correlation
from istmo.detect.sigma.files import RuleFile
from istmo.detect.sigma.filters import Filter
from istmo.detect.sigma.kept import KeptFiles, code
from istmo.detect.sigma.problems import Problem
from istmo.detect.sigma.rules import Rule
from istmo.detect.sigma.ruleset import Read, ReadPart, ReadRule

_NAME: Final = "rules"
_MOST: Final = 20_000
"""Files that are remembered; past it, those that were not asked for this time are let go."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """One of the documents of a file, as what it was read."""

    text: str
    rule: Rule | None = None
    correlation: Correlation | None = None
    filter: Filter | None = None
    problem: Problem | None = None


class KeptRules:
    """What the files of earlier runs came to. ``keep`` writes it down for the next."""

    def __init__(self, files: KeptFiles) -> None:
        self._files = files
        self._name = f"{_NAME}.{code()}"
        self._known: dict[str, msgspec.Raw] = {}
        self._asked: dict[str, msgspec.Raw] = {}
        data = files.get(self._name)
        if data is not None:
            try:
                self._known = _pack.decode(data)
            except msgspec.MsgspecError:
                self._known = {}

    def get(self, file: RuleFile) -> list[Read] | None:
        """What a file of this name and content came to; None where it is not known."""
        digest = _digest(file)
        found = self._known.get(digest)
        if found is None:
            return None
        try:
            read = [_read(one) for one in _entries.decode(found)]
        except (msgspec.MsgspecError, ValueError):
            return None
        self._asked[digest] = found
        return read

    def put(self, file: RuleFile, read: list[Read]) -> None:
        """Remember what a file came to."""
        entries = [_kept(one) for one in read]
        self._asked[_digest(file)] = msgspec.Raw(msgspec.msgpack.encode(entries))

    def keep(self) -> None:
        """Write down what is new."""
        if self._asked.keys() <= self._known.keys():
            return
        known = self._known | self._asked
        self._files.put(self._name, msgspec.msgpack.encode(known if len(known) <= _MOST else self._asked))


def _digest(file: RuleFile) -> str:
    digest = hashlib.blake2b(file.name.encode("utf-8", "surrogatepass"), digest_size=20)
    digest.update(b"\0" + file.data)
    return digest.hexdigest()


def _kept(one: Read) -> _Kept:
    if isinstance(one, Problem):
        return _Kept("", problem=one)
    if isinstance(one, ReadRule):
        return _Kept(one.text, rule=one.rule)
    if isinstance(one.part, Correlation):
        return _Kept(one.text, correlation=one.part)
    return _Kept(one.text, filter=one.part)


def _read(one: _Kept) -> Read:
    if one.rule is not None:
        return ReadRule(one.rule, one.text)
    part = one.correlation or one.filter
    if part is not None:
        return ReadPart(part, one.text)
    if one.problem is None:
        raise ValueError("an entry of nothing")
    return one.problem


_pack: Any = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_entries: Any = msgspec.msgpack.Decoder(list[_Kept])
