"""STIX 2.1 objects as views over the bytes as they came.

The bytes are what is stored and shared; a view never writes them anew, so a property that nobody
here knows survives. A bad object never costs the others of its bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from istmo.errors import InvalidInput, TooLarge
from istmo.model import instants
from istmo.model.json_text import ArrayReader, Element, decode
from istmo.model.markings import Definitions, Markings, Pap, Tlp, read_markings
from istmo.model.patterns import Pattern
from istmo.model.stix_kinds import Finding, Findings, check_object
from istmo.settings import Limits

_NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StixObject:
    """One valid object. ``raw`` is the truth; ``data`` its parsed form, not to be changed.

    ``created`` and ``modified`` are None where the type has none (observables).
    """

    id: str
    type: str
    created: datetime | None
    modified: datetime | None
    raw: bytes
    data: Mapping[str, Any] = field(repr=False)
    pattern: Pattern | None = None
    """What detection makes of an indicator's pattern; None for every other type."""

    @classmethod
    def parse(cls, raw: bytes, limits: Limits | None = None) -> StixObject:
        """Read one object.

        Raises InvalidInput("stix.invalid", path, problem, count, problems): the first problem's path and
        code, and all of them as Findings; TooLarge("stix.too_large") past ``limits.body_bytes``.
        """
        limits = limits or Limits()
        if len(raw) > limits.body_bytes:
            raise TooLarge("stix.too_large", size=len(raw), limit=limits.body_bytes)
        try:
            data = decode(raw, limits.json_depth)
        except InvalidInput as error:
            raise _invalid("", [Finding("$", error.code, error.params)]) from None
        return cls.of(data, raw)

    @classmethod
    def of(cls, data: Any, raw: bytes) -> StixObject:
        """The view over ``raw``, whose parsed form is ``data``. Raises like ``parse``."""
        findings = Findings()
        pattern = check_object(data, findings)
        if findings.found:
            id = data.get("id") if isinstance(data, dict) else None
            raise _invalid(str(id or "")[:120], findings.found)
        return cls(
            data["id"],
            data["type"],
            _instant(data, "created"),
            _instant(data, "modified"),
            raw,
            data,
            pattern,
        )

    @property
    def version(self) -> datetime:
        """What orders the versions of one id: ``modified``, else ``created``, else 1970 (observables)."""
        return self.modified or self.created or _NO_DATE

    @property
    def name(self) -> str:
        """What a person would call it: its name or value, the first line of its text, at worst its id."""
        for key in ("name", "value", "abstract", "path", "key", "command_line", "subject", "product"):
            if isinstance(value := self.data.get(key), str) and value.strip():
                return value[:500]
        if self.type == "relationship":
            return str(self.data["relationship_type"])
        for key in ("pattern", "content", "explanation", "description"):
            if isinstance(value := self.data.get(key), str) and value.strip():
                return value.strip().splitlines()[0][:500]
        return self.id

    @property
    def is_revoked(self) -> bool:
        return self.data.get("revoked") is True

    @property
    def valid_until(self) -> datetime | None:
        return self.instant("valid_until")

    def instant(self, name: str) -> datetime | None:
        """A property that holds a time; None when it is absent."""
        return _instant(self.data, name)

    @property
    def marking_refs(self) -> tuple[str, ...]:
        """Every marking it refers to, the granular ones too: a part's marking binds the whole."""
        refs = list(self.data.get("object_marking_refs", ()))
        refs += [one["marking_ref"] for one in self.data.get("granular_markings", ()) if "marking_ref" in one]
        return tuple(dict.fromkeys(refs))

    @property
    def references(self) -> tuple[str, ...]:
        """Every object that it points to (markings left out), in order of appearance."""
        return tuple(dict.fromkeys(_references(self.data)))

    def markings(self, definitions: Definitions | None = None) -> Markings:
        """What its markings say. A label such as ``tlp:red`` can tighten them, never loosen."""
        found = read_markings(self.marking_refs, definitions)
        tlps = [found.tlp] if found.tlp is not None else []
        paps = [found.pap] if found.pap is not None else []
        for label in self.data.get("labels", ()):
            bare = label.strip().lower()
            if bare.startswith("tlp:") and tlps and (tlp := Tlp.read(label)) is not None:
                tlps.append(tlp)
            if bare.startswith("pap:") and (pap := Pap.read(label)) is not None:
                paps.append(pap)
        return Markings(max(tlps, default=None), max(paps, default=None), found.statements, found.unknown)


@dataclass(frozen=True)
class Problem:
    """Why something of a bundle was left out. ``code`` is a catalogue key.

    ``index`` is its place in ``objects`` from 0, or -1 for the bundle itself.
    """

    index: int
    id: str
    path: str
    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """The good objects of a bundle in their order, and a problem for each of the others."""

    objects: tuple[StixObject, ...]
    problems: tuple[Problem, ...]

    @property
    def definitions(self) -> dict[str, Mapping[str, Any]]:
        """Its marking definitions by id."""
        return {one.id: one.data for one in self.objects if one.type == "marking-definition"}


def parse_bundle(raw: bytes, limits: Limits | None = None) -> Bundle:
    """Read a bundle, a list of objects, or one object alone.

    Raises TooLarge("bundle.too_large"), and InvalidInput("bundle.invalid", offset) when not even its
    beginning can be read. Anything less is a Problem, and the rest is kept.
    """
    limits = limits or Limits()
    if len(raw) > limits.bundle_bytes:
        raise TooLarge("bundle.too_large", size=len(raw), limit=limits.bundle_bytes)
    objects: dict[tuple[str, datetime], StixObject] = {}
    problems: list[Problem] = []
    index = -1
    try:
        for index, element in enumerate(_elements(raw, limits)):
            if index >= limits.bundle_objects:
                problems.append(Problem(index, "", "$", "bundle.too_many", {"limit": limits.bundle_objects}))
                break
            _keep(index, element, objects, problems)
    except InvalidInput as error:
        if index < 0:
            raise InvalidInput("bundle.invalid", offset=error.params.get("offset", 0)) from None
        problems.append(Problem(-1, "", "$", error.code, error.params))
    return Bundle(tuple(objects.values()), tuple(problems))


def _elements(raw: bytes, limits: Limits) -> Iterator[Element]:
    return iter(ArrayReader(raw, "objects", depth=limits.json_depth, element_bytes=limits.body_bytes))


def _keep(
    index: int,
    element: Element,
    objects: dict[tuple[str, datetime], StixObject],
    problems: list[Problem],
) -> None:
    id = element.value.get("id", "") if isinstance(element.value, dict) else ""
    id = id[:120] if isinstance(id, str) else ""
    if element.problem is not None:
        problems.append(Problem(index, id, "$", element.problem.code, element.problem.params))
        return
    try:
        made = StixObject.of(element.value, element.raw)
    except InvalidInput as error:
        problems += [Problem(index, id, one.path, one.code, one.params) for one in error.params["problems"]]
        return
    known = objects.setdefault((made.id, made.version), made)
    if known is not made and known.data != made.data:
        problems.append(Problem(index, id, "$", "bundle.duplicate", {}))


def _invalid(id: str, findings: list[Finding]) -> InvalidInput:
    first = findings[0]
    return InvalidInput(
        "stix.invalid",
        id=id or "?",
        path=first.path,
        problem=first.code,
        count=len(findings),
        problems=tuple(findings),
    )


def _instant(data: Mapping[str, Any], name: str) -> datetime | None:
    value = data.get(name)
    return instants.parse(value) if isinstance(value, str) else None


_NOT_REFERENCES = ("object_marking_refs", "granular_markings")


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _NOT_REFERENCES:
                continue
            if key.endswith("_ref") and isinstance(inner, str):
                yield inner
            elif key.endswith("_refs") and isinstance(inner, list):
                yield from (one for one in inner if isinstance(one, str))
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
