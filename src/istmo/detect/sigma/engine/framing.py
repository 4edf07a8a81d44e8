"""A field's values of many events as one text to scan, and back from offsets to events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from istmo.detect.sigma.engine.patterns import ABSENT, BEGIN, END
from istmo.detect.sigma.engine.scanners import SEPARATOR
from istmo.detect.sigma.fields import EventView, leaves, text_of
from istmo.detect.sigma.modifiers import canonical

FRAME: Final = 2
"""Bytes around what stands in each frame."""

_TO_ASCII: Final = {"\u212a": "k", "\u017f": "s"}
"""The only characters that fold to an ASCII one (a test goes through all of them)."""
_DASHES: Final = "\u2013\u2014\u2015"
_HOLDERS: Final = frozenset({list, dict, tuple})
_ODD: Final = (*_TO_ASCII, *_DASHES)


class Framed(NamedTuple):
    """What is scanned, and how many bytes of it are each event's, between the frame's."""

    data: bytes
    lengths: list[int]


def is_sound(framed: Framed) -> bool:
    """Whether each event has one value in its frame, and none holds a frame's characters itself."""
    data, lengths = framed
    return data.count(b"\x02") == data.count(b"\x03") == len(lengths)


def frame_lines(lines: Sequence[bytes]) -> Framed:
    """Lines between breaks, as many as frame a value."""
    return Framed(b"\n" + b"\n\n".join(lines) + b"\n", list(map(len, lines)))


def frame(field: str, events: Sequence[Mapping[str, Any]]) -> Framed | None:
    """The values of one field (of all for KEYWORDS), each framed, an event's own side by side.

    None where no event has the field: nothing can be found in it.
    """
    if not field:
        texts = list(map(_all_texts, events))
    elif "." in field:
        texts = [_joined(one.raw for one in EventView(event).values[field]) for event in events]
    else:
        values = [event.get(field) for event in events]
        if not any(value is not None for value in values):
            return None
        texts = [
            value if value.__class__ is str else ABSENT if value is None else _text_of_any(value)
            for value in values
        ]
    joined = SEPARATOR.join(texts)
    if joined.isascii():
        return Framed(f"{BEGIN}{joined}{END}".encode("ascii"), list(map(len, texts)))
    if any(character in joined for character in _ODD):
        texts = [text if text.isascii() else _plain(text) for text in texts]
    pieces = [text.encode("utf-8", "surrogatepass") for text in texts]
    return Framed(b"\x02" + b"\x03\x02".join(pieces) + b"\x03", list(map(len, pieces)))


def _all_texts(event: Mapping[str, Any]) -> str:
    values = event.values()
    texts = SEPARATOR.join(map(str, values))
    if _HOLDERS.isdisjoint(map(type, values)):
        return texts
    # Python's own text of these quotes and escapes.
    held = [_joined(leaves(value)) for value in values if value.__class__ in _HOLDERS]
    return SEPARATOR.join((texts, *held))


def _text_of_any(value: Any) -> str:
    return str(value) if value.__class__ is int else _joined(leaves(value))


def _joined(values: Iterable[Any]) -> str:
    texts: list[str] = []
    for value in values:
        texts.append(text_of(value))
        if isinstance(value, float) and value.is_integer():
            texts.append(canonical(value))
    return SEPARATOR.join(texts) if texts else ABSENT


def _plain(text: str) -> str:
    """The text with its odd characters as the plain ones that rules write them as.

    Where it holds dashes that ``windash`` takes for one, it also stands there with them.
    """
    for character, plain in _TO_ASCII.items():
        text = text.replace(character, plain)
    dashed = text
    for character in _DASHES:
        dashed = dashed.replace(character, "-")
    return text if dashed == text else text + SEPARATOR + dashed
