"""Checks an object against the table of types: every problem, each with its path."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from istmo.errors import InvalidInput
from istmo.model import ids, instants, stix_types
from istmo.model.patterns import Pattern, read_pattern

MAX_FINDINGS = 50
"""Past this many, one more says nothing new about an object."""

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Finding:
    """One thing wrong in an object: where (``$.external_references[0].url``), what, and with which values."""

    path: str
    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


class Findings:
    """Collects findings; the code is a catalogue key."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def add(self, path: Path, code: str, **params: Any) -> None:
        if len(self.found) < MAX_FINDINGS:
            self.found.append(Finding(told(path), code, params))


def told(path: Path) -> str:
    """A path as JSONPath writes it."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


Check = Callable[[Any, Path, Findings], None]


def check_object(data: Any, findings: Findings) -> Pattern | None:
    """Check one object by its type; gives the pattern of an indicator, read on the way."""
    if not isinstance(data, dict):
        findings.add((), "stix.not_object")
        return None
    type = data.get("type")
    if not isinstance(type, str) or not ids.TYPE.fullmatch(type) or type == "bundle":
        findings.add(("type",), "stix.missing" if type is None else "stix.type_name", property="type")
        return None
    _check_properties(_properties(type, "created" in data or "modified" in data), data, (), findings)
    _check_rules(type, data, (), findings)
    id = data.get("id")
    if ids.is_id(id) and not ids.is_id(id, type):
        findings.add(("id",), "stix.id_type", type=type)
    modified, created = _time(data.get("modified")), _time(data.get("created"))
    if modified and created and modified < created:
        findings.add(("modified",), "stix.order", first="created", second="modified")
    if type == "malware" and data.get("is_family") is True and "name" not in data:
        findings.add(("name",), "stix.missing", property="name")
    if type == "network-traffic" and "end" in data and data.get("is_active") is True:
        findings.add(("is_active",), "stix.active_ended")
    return _check_pattern(data, findings) if type == "indicator" else None


def _check_pattern(data: Mapping[str, Any], findings: Findings) -> Pattern | None:
    text, language = data.get("pattern"), data.get("pattern_type")
    if not isinstance(text, str) or not isinstance(language, str):
        return None
    try:
        return read_pattern(text, language)
    except InvalidInput as error:
        is_cut = error.code == "pattern.unfinished"
        findings.add(("pattern",), "stix.pattern_unfinished" if is_cut else "stix.pattern", **error.params)
        return None


@dataclass(frozen=True)
class _Property:
    name: str
    is_required: bool
    check: Check


@cache
def _properties(type: str, is_dated: bool) -> tuple[_Property, ...]:
    for table, common in (
        (stix_types.DOMAIN, stix_types.COMMON),
        (stix_types.RELATIONSHIP, stix_types.COMMON),
        (stix_types.OBSERVABLE, stix_types.COMMON_OBSERVABLE),
        (stix_types.PARTS, ""),
    ):
        if type in table:
            return _table(common + " " + table[type])
    if type in stix_types.META:
        common = stix_types.COMMON_MARKING if type == "marking-definition" else stix_types.COMMON
        required = " created_by_ref!:id(identity)" if type == "extension-definition" else ""
        return _table(common + required + " " + stix_types.META[type])
    # A type that we do not know: what has a date is a domain object, the rest observables.
    return _table(stix_types.COMMON if is_dated else stix_types.COMMON_OBSERVABLE)


def _table(text: str) -> tuple[_Property, ...]:
    found: dict[str, _Property] = {}
    for entry in text.split():
        name, _, kind = entry.partition(":")
        found[name.rstrip("!")] = _Property(name.rstrip("!"), name.endswith("!"), _kind(kind))
    return tuple(found.values())


def _check_properties(
    properties: tuple[_Property, ...], data: Mapping[str, Any], path: Path, findings: Findings
) -> None:
    for one in properties:
        value = data.get(one.name, _ABSENT)
        if value is not _ABSENT:
            one.check(value, (*path, one.name), findings)
        elif one.is_required:
            findings.add((*path, one.name), "stix.missing", property=one.name)


_ABSENT = object()


def _check_rules(type: str, data: Mapping[str, Any], path: Path, findings: Findings) -> None:
    if (any_of := stix_types.AT_LEAST_ONE.get(type)) and not any(name in data for name in any_of):
        findings.add(path, "stix.at_least_one", properties=", ".join(any_of[:6]))
    if (only := stix_types.ONLY_ONE.get(type)) and sum(name in data for name in only) > 1:
        findings.add(path, "stix.only_one", properties=", ".join(only))
    for name, needed in stix_types.NEEDS.get(type, ()):
        if name in data and needed not in data:
            findings.add((*path, needed), "stix.needs", property=needed, other=name)
    for first, second, strictly in stix_types.ORDERED.get(type, ()):
        before, after = _time(data.get(first)), _time(data.get(second))
        if before and after and (after < before or (strictly and after == before)):
            findings.add((*path, second), "stix.order", first=first, second=second)


def _time(value: Any) -> Any:
    try:
        return instants.parse(value) if isinstance(value, str) else None
    except InvalidInput:
        return None


@cache
def _kind(text: str) -> Check:
    name, _, rest = text.partition("(")
    inside = rest.removesuffix(")")
    if name == "list":
        return _list_of(_kind(inside))
    if name == "id":
        return _id_of(tuple(inside.split("|")) if inside else ())
    if name == "enum":
        return _one_of(tuple(inside.split("|")))
    if name in ("int", "number"):
        low, _, high = inside.partition("..")
        return _number(name == "int", float(low) if low else None, float(high) if high else None)
    if name in stix_types.PARTS:
        return _part(name)
    return _SIMPLE[name]


def _of_type(expected: type, word: str) -> Check:
    def check(value: Any, path: Path, findings: Findings) -> None:
        if not isinstance(value, expected):
            findings.add(path, "stix.kind", expected=word)

    return check


def _list_of(inner: Check) -> Check:
    def check(value: Any, path: Path, findings: Findings) -> None:
        if not isinstance(value, list):
            findings.add(path, "stix.kind", expected="list")
        elif not value:
            findings.add(path, "stix.empty")
        else:
            for place, one in enumerate(value):
                inner(one, (*path, place), findings)

    return check


def _id_of(types: tuple[str, ...]) -> Check:
    def check(value: Any, path: Path, findings: Findings) -> None:
        if not ids.is_id(value):
            findings.add(path, "stix.id")
        elif types and ids.type_of(value) not in types:
            findings.add(path, "stix.reference", expected=", ".join(types))

    return check


def _one_of(values: tuple[str, ...]) -> Check:
    def check(value: Any, path: Path, findings: Findings) -> None:
        if value not in values:
            findings.add(path, "stix.enum", expected=", ".join(values))

    return check


def _number(whole: bool, low: float | None, high: float | None) -> Check:
    word = "integer" if whole else "number"

    def check(value: Any, path: Path, findings: Findings) -> None:
        is_number = isinstance(value, int) or (not whole and isinstance(value, float))
        if isinstance(value, bool) or not is_number:
            findings.add(path, "stix.kind", expected=word)
        elif (low is not None and value < low) or (high is not None and value > high):
            findings.add(path, "stix.range", low=_bound(low), high=_bound(high))

    return check


def _bound(value: float | None) -> str:
    return "…" if value is None else f"{value:.0f}"


def _part(name: str) -> Check:
    def check(value: Any, path: Path, findings: Findings) -> None:
        if not isinstance(value, dict):
            findings.add(path, "stix.kind", expected="object")
            return
        _check_properties(_properties(name, False), value, path, findings)
        _check_rules(name, value, path, findings)

    return check


def _check_time(value: Any, path: Path, findings: Findings) -> None:
    if _time(value) is None:
        findings.add(path, "stix.time")


def _check_hashes(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, dict) or not value:
        findings.add(path, "stix.empty" if value == {} else "stix.kind", expected="object")
        return
    for algorithm, digest in value.items():
        digits = _DIGITS.get(algorithm)
        if not isinstance(digest, str):
            findings.add((*path, algorithm), "stix.kind", expected="string")
        elif digits and not (len(digest) == digits and _HEX.fullmatch(digest)):
            findings.add((*path, algorithm), "stix.hash", algorithm=algorithm, digits=digits)


def _check_dict(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, dict):
        findings.add(path, "stix.kind", expected="object")
    elif not value:
        findings.add(path, "stix.empty")


def _check_hex(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, str) or len(value) % 2 or not _HEX.fullmatch(value):
        findings.add(path, "stix.hex")


def _check_base64(value: Any, path: Path, findings: Findings) -> None:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        findings.add(path, "stix.base64")


def _check_word(value: Any, path: Path, findings: Findings) -> None:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        findings.add(path, "stix.word")


def _check_any(value: Any, path: Path, findings: Findings) -> None:
    if value is None:
        findings.add(path, "stix.kind", expected="value")


_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_WORD = re.compile(r"[a-z0-9-]+", re.ASCII)
_DIGITS = {"MD5": 32, "SHA-1": 40, "SHA-256": 64, "SHA-512": 128, "SHA3-256": 64, "SHA3-512": 128}
_SIMPLE: Mapping[str, Check] = {
    "any": _check_any,
    "base64": _check_base64,
    "bool": _of_type(bool, "boolean"),
    "dict": _check_dict,
    "hashes": _check_hashes,
    "hex": _check_hex,
    "str": _of_type(str, "string"),
    "time": _check_time,
    "word": _check_word,
}
