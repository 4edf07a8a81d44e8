"""Value lists for ``%placeholders%`` (modifiers appendix, ``expand``): an institution's own names.

A YAML map from a placeholder's name to its values::

    Domain_Controllers:
        - DC01
        - DC02
    Admin_Workstations: [ADM-1, ADM-2]
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from istmo.detect.sigma.documents import List, Map, read_documents
from istmo.detect.sigma.files import RuleFile
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.modifiers import Placeholders, spelling
from istmo.detect.sigma.problems import Problem, Refused

_NAME = re.compile(r"\w{1,100}")


class AskedPlaceholders(Mapping[str, Sequence[str]]):
    """Value lists that remember which of them a rule asks for, known or not."""

    def __init__(self, known: Placeholders | None = None, stand_in: str | None = None) -> None:
        """``stand_in`` is the value of every unknown list: to read a rule whose lists are still to come."""
        self._known: Placeholders = {} if known is None else known
        self._stand_in = stand_in
        self.asked: set[str] = set()
        """May be emptied at any time."""

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return name in self._known or self._stand_in is not None

    def __getitem__(self, name: str) -> Sequence[str]:
        if self._stand_in is not None and name not in self._known:
            return (self._stand_in,)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __bool__(self) -> bool:
        return True  # it listens also where it knows none

    def digest_of(self, text: str) -> str:
        """A digest of a rule's digest and of the values that it asked for."""
        digest = hashlib.sha256(text.encode())
        for name in sorted(self.asked):
            for part in (name, *self[name]):
                digest.update(b"\0" + part.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def is_name(name: str) -> bool:
    """Whether a value list can be called so."""
    return _NAME.fullmatch(name) is not None


def read_placeholders(
    files: Iterable[RuleFile], limits: RuleLimits = STANDARD
) -> tuple[dict[str, tuple[str, ...]], tuple[Problem, ...]]:
    """Values by placeholder, and what could not be used, by file and line.

    One bad list costs no other. A name that comes twice keeps its first values.
    """
    placeholders: dict[str, tuple[str, ...]] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            for document in read_documents(file.data, limits):
                if document.refused is not None:
                    problems.append(document.refused.problem(file.name))
                    continue
                if not isinstance(document.content, Map):
                    raise Refused("not_value_lists", document.line)
                for name in document.content:
                    try:
                        _read_list(document.content, name, placeholders, limits)
                    except Refused as refused:
                        problems.append(refused.problem(file.name))
        except Refused as refused:
            problems.append(refused.problem(file.name))
    return placeholders, tuple(problems[: limits.problems])


def _read_list(content: Map, name: str, placeholders: dict[str, tuple[str, ...]], limits: RuleLimits) -> None:
    line = content.line_of(name)
    if not is_name(name):
        raise Refused("placeholder_name", line, name=name[:100])
    if name in placeholders:
        raise Refused("placeholder_twice", line, name=name)
    if len(placeholders) >= limits.placeholders:
        raise Refused("too_many_placeholders", line, limit=limits.placeholders)
    written: Any = content[name]
    elements = written if isinstance(written, List) else [written]
    if not elements or any(one is None or isinstance(one, (Map, List)) for one in elements):
        raise Refused("placeholder_values", line, name=name)
    if len(elements) > limits.values:
        raise Refused("placeholder_too_long", line, name=name, limit=limits.values)
    values = tuple(dict.fromkeys(map(spelling, elements)))
    if any(len(one) > limits.placeholder_characters for one in values):
        raise Refused("placeholder_value_long", line, name=name, limit=limits.placeholder_characters)
    placeholders[name] = values
