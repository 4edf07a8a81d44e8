"""One event as one line: what may come in, how it rests, and how it is read back.

A stored line is ``{"id":"7-42","at":<received µs>,"from":"<source>","event":<the event as it came>}``.
The id is the event's place in the log (segment, line), so it never repeats and needs no index. The
event's own bytes are kept, not re-encoded: a number keeps its digits, a doubled key its double. Where
its sender named the event, ``"key":"<name>"`` stands before it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from istmo.detect.normalise import ORIGINAL, NormalEvent, normalise
from istmo.detect.wire import Position
from istmo.errors import InvalidInput, TooLarge
from istmo.settings import Limits

_MARK = b',"event":'
_BOM = b"\xef\xbb\xbf"
_PLACE = re.compile(rb'\{"id":"(\d{1,18})-(\d{1,18})",')
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LONGEST_NUMBER = 18
_BRACKET = re.compile(rb"[\[\]{}]")


def read_event(raw: bytes, limits: Limits) -> tuple[bytes, dict[str, Any]]:
    """Validate one event: (its bytes without the space around it, what they hold).

    Raises InvalidInput or TooLarge: ``detect.line_too_long``, ``detect.line_not_utf8``,
    ``detect.line_not_json``, ``detect.line_too_deep``, ``detect.line_not_object``.
    """
    raw = raw.removeprefix(_BOM).strip(b" \t\r\n")
    if len(raw) > limits.line_bytes:
        raise TooLarge("detect.line_too_long", limit=limits.line_bytes)
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError:
        problem = _unreadable(raw, limits)
        if problem.code != "detect.line_not_json":
            raise problem from None
        data = _read_oddly(raw)
        if not isinstance(data, dict):
            raise problem from None
        return snug_json(data), data
    if not isinstance(data, dict):
        raise InvalidInput("detect.line_not_object")
    # As many brackets as levels at most: the walk is for the few lines that have many.
    if raw.count(b"{") + raw.count(b"[") > limits.json_depth and _depth(data) > limits.json_depth:
        raise TooLarge("detect.line_too_deep", limit=limits.json_depth)
    if b"\n" in raw or b"\r" in raw:
        raw = snug_json(data)  # laid out over several lines: a stored event has one
    return raw, data


def _unreadable(raw: bytes, limits: Limits) -> InvalidInput | TooLarge:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return InvalidInput("detect.line_not_utf8")
    if _nesting(raw) > limits.json_depth:
        return TooLarge("detect.line_too_deep", limit=limits.json_depth)
    return InvalidInput("detect.line_not_json")


def _read_oddly(raw: bytes) -> Any:
    """What a line says that is JSON but for halves of characters and for numbers that nothing holds.

    Windows lets command lines hold half of a character (``\\ud800``), and one of them must not hide an event.
    The half is read as U+FFFD, the number as its text; the line itself stands beside. None for no JSON.
    """
    text = raw.decode("utf-8")
    try:
        data = json.loads(text, parse_int=_number, parse_float=_fraction, parse_constant=_refuse)
        if not isinstance(data, dict):
            return None
        whole = orjson.loads(plain_json(data))
    except (ValueError, RecursionError):
        return None
    whole.setdefault(ORIGINAL, text)
    return whole


def snug_json(data: Any) -> bytes:
    """JSON in as much memory as it has bytes. Raises TypeError as orjson does.

    What orjson gives keeps the 4 KB and more in which it was written: many small ones held together are
    hundreds of times what they say.
    """
    return bytes(memoryview(orjson.dumps(data)))


def plain_json(data: Any) -> bytes:
    """JSON of what holds halves of characters (U+FFFD each) or too long numbers. Raises ValueError."""
    spelled = json.dumps(data, ensure_ascii=False, allow_nan=False)
    return spelled.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _refuse(text: str) -> None:
    raise ValueError(text)  # NaN and Infinity are no JSON


def _number(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_NUMBER else text


def _fraction(text: str) -> float | str:
    read = float(text)
    return text if math.isinf(read) else read


def _nesting(raw: bytes) -> int:
    """How deep brackets go in text that could not be parsed."""
    deepest = level = 0
    for found in _BRACKET.finditer(_STRING.sub(b"", raw)):
        level += 1 if found[0] in b"{[" else -1
        deepest = max(deepest, level)
    return deepest


def _depth(data: Any) -> int:
    level, here = 0, [data]
    while here:
        level += 1
        below: list[Any] = []
        for one in here:
            children = one.values() if isinstance(one, dict) else one
            below.extend(child for child in children if isinstance(child, (dict, list)))
        here = below
    return level


def compose(segment: int, line: int, received: int, source: bytes, raw: bytes, key: bytes = b"") -> bytes:
    """The stored line; ``source`` and ``key`` are JSON strings already, ``raw`` a validated event."""
    if key:
        source = b'%b,"key":%b' % (source, key)
    return b'{"id":"%d-%d","at":%d,"from":%b,"event":%b}\n' % (segment, line, received, source, raw)


class StoredEvent:
    """One event of the log. What it holds is parsed when first asked for."""

    __slots__ = ("_data", "_normal", "id", "raw", "received", "source")

    def __init__(
        self, id_: str, received: int, source: str, raw: bytes, data: dict[str, Any] | None = None
    ) -> None:
        self.id = id_
        self.received = received
        self.source = source
        self.raw = raw
        self._data = data
        self._normal: NormalEvent | None = None

    @property
    def normal(self) -> NormalEvent:
        """The event by Sigma's names, worked out once for all that look at it."""
        if self._normal is None:
            self._normal = normalise(self.data, self.raw)
        return self._normal

    @property
    def data(self) -> dict[str, Any]:
        """The event as it came, decoded. Nobody may change it."""
        if self._data is None:
            self._data = orjson.loads(self.raw)
        return self._data


def parse(line: bytes) -> StoredEvent:
    """Read a stored line back; raises ValueError on anything that ``compose`` did not write."""
    head, mark, rest = line.partition(_MARK)
    if not mark or not rest.endswith(b"}\n"):
        raise ValueError("not a stored event")
    about = orjson.loads(head + b"}")
    try:
        return StoredEvent(about["id"], about["at"], about["from"], rest[:-2])
    except (KeyError, TypeError):
        raise ValueError("not a stored event") from None


def place_of(line: bytes) -> Position | None:
    """Where in the log a stored line stands, by its id; None where its beginning cannot be read."""
    found = _PLACE.match(line)
    return None if found is None else Position(int(found[1]), int(found[2]))


def place_of_id(id_: str) -> Position:
    """Where in the log the event with this id stands. Raises ValueError where it is no id."""
    segment, _, line = id_.partition("-")
    return Position(int(segment), int(line))


def is_whole(line: bytes) -> bool:
    """Whether a line of the write-ahead file can be read to its very end."""
    if not line.endswith(b"\n"):
        return False
    try:
        about = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(about, dict) and isinstance(about.get("event"), dict) and "id" in about
