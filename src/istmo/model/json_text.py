"""JSON as it comes from outside: every error named, and the bytes of each object kept as they came.

Python's own decoder does the reading; around it stand the checks that it leaves out (duplicate keys,
depth, numbers without a value, lone surrogates) and the way to go on after a broken element.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from istmo.errors import InvalidInput

_BLANK = re.compile(r"[ \t\n\r]*")
_SIGN = re.compile(r'["{}\[\],]')
_STRING_END = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Refused(ValueError):
    """Raised from within the decoder's hooks; ``code`` is that of the error made of it."""

    def __init__(self, code: str, **params: Any) -> None:
        self.code, self.params = code, params
        super().__init__(code)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Refused("json.duplicate_key", key=name[:100])
            seen.add(name)
    return made


def _constant(text: str) -> Any:
    raise _Refused("json.number", text=text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _Refused("json.number", text=text[:40])
    return value


def _int(text: str) -> int:
    if len(text) > 40:
        raise _Refused("json.number", text=text[:40])
    return int(text)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float, parse_int=_int
)


def decode(raw: bytes, depth: int) -> Any:
    """The value of a JSON text. Raises InvalidInput with one of the codes of ``Element``."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("json.utf8", offset=error.start) from None
    value, end = _read(text, _skip(text, 0), depth)
    end = _skip(text, end)
    if end != len(text):
        raise InvalidInput("json.syntax", offset=end)
    return value


def _read(text: str, start: int, depth: int) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise InvalidInput("json.syntax", offset=error.pos) from None
    except _Refused as error:
        raise InvalidInput(error.code, **error.params) from None
    except RecursionError:
        raise InvalidInput("json.too_deep", limit=depth) from None
    if not _is_shallow(value, depth):
        raise InvalidInput("json.too_deep", limit=depth)
    _check_strings(value, text[start:end])
    return value, end


def _is_shallow(value: Any, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(part for part in one.values() if isinstance(part, (dict, list)))
            elif isinstance(one, list):
                inner.extend(part for part in one if isinstance(part, (dict, list)))
        if not inner:
            return True
        level = inner
    return False


def _check_strings(value: Any, text: str) -> None:
    """Half a character, written ``\\ud800`` or left by bytes that are no UTF-8, has no place in a text."""
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidInput("json.utf8", offset=-1)
    if "\\ud" not in text and "\\uD" not in text:
        return
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
            waiting.extend(one)
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, str) and _SURROGATE.search(one):
            raise InvalidInput("json.surrogate")


def _skip(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found else place


@dataclass(frozen=True)
class Element:
    """One element of an array: its value and bytes, or what is wrong with it.

    Problem codes: ``json.syntax``, ``json.utf8``, ``json.duplicate_key``, ``json.too_deep``,
    ``json.number``, ``json.surrogate``, ``json.too_large``, ``json.truncated`` (the rest is lost).
    """

    value: Any
    raw: bytes
    problem: InvalidInput | None = None


class ArrayReader:
    """Reads a document ``{"…": …, "<member>": [ … ]}`` one element of that array at a time.

    ``head`` holds the other members once the iteration is over. A top-level array, or an object
    without the member, is read as the elements themselves.
    """

    def __init__(self, raw: bytes, member: str, *, depth: int, element_bytes: int) -> None:
        # Bytes that are no UTF-8 become lone surrogates: they cost the one element that holds them.
        self._text = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        self._member, self._depth, self._element_bytes = member, depth, element_bytes
        self.head: dict[str, Any] = {}
        self.has_member = False

    def __iter__(self) -> Iterator[Element]:
        text = self._text
        place = _skip(text, 0)
        if text.startswith("[", place):
            yield from self._array(place)
            return
        if not text.startswith("{", place):
            raise InvalidInput("json.syntax", offset=place)
        start = place
        place = _skip(text, place + 1)
        while not text.startswith("}", place):
            name, place = self._name(place)
            if name == self._member and text.startswith("[", place) and not self.has_member:
                self.has_member = True
                place = yield from self._array(place)
            else:
                self.head[name], place = _read(text, place, self._depth)
            place = _skip(text, place)
            if text.startswith(",", place):
                place = _skip(text, place + 1)
            elif not text.startswith("}", place):
                raise InvalidInput("json.truncated", offset=place)
        if not self.has_member:
            yield self._element(start)[0]

    def _name(self, place: int) -> tuple[str, int]:
        text = self._text
        if not text.startswith('"', place):
            raise InvalidInput("json.syntax", offset=place)
        try:
            name, place = scanstring(text, place + 1, True)
        except json.JSONDecodeError as error:
            raise InvalidInput("json.syntax", offset=error.pos) from None
        place = _skip(text, place)
        if not text.startswith(":", place):
            raise InvalidInput("json.syntax", offset=place)
        return name, _skip(text, place + 1)

    def _array(self, place: int) -> Generator[Element, None, int]:
        text = self._text
        place = _skip(text, place + 1)
        while not text.startswith("]", place):
            element, end = self._element(place)
            yield element
            place = _skip(text, end)
            if text.startswith(",", place):
                place = _skip(text, place + 1)
            elif not text.startswith("]", place):
                raise InvalidInput("json.truncated", offset=place)
        return place + 1

    def _element(self, place: int) -> tuple[Element, int]:
        try:
            value, end = _read(self._text, place, self._depth)
        except InvalidInput as problem:
            end = _end_of(self._text, place)
            return Element(None, self._text[place:end].encode("utf-8", "surrogateescape"), problem), end
        raw = self._text[place:end].encode("utf-8")
        if len(raw) > self._element_bytes:
            too_large = InvalidInput("json.too_large", size=len(raw), limit=self._element_bytes)
            return Element(value, raw, too_large), end
        return Element(value, raw), end


def _end_of(text: str, place: int) -> int:
    """Where a broken element ends: behind its closing bracket, or at the next comma of a bare word."""
    depth = 0
    while True:
        found = _SIGN.search(text, place)
        if found is None:
            return len(text)
        sign, place = found[0], found.end()
        if sign == '"':
            closing = _STRING_END.match(text, place)
            if closing is None:
                return len(text)
            place = closing.end()
        elif sign == ",":
            if depth == 0:
                return place - 1
        elif sign in "{[":
            depth += 1
        else:
            depth -= 1
            if depth <= 0:
                return place if depth == 0 else place - 1
