"""Lines that are no JSON, as events to be stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from istmo.detect.intake.arrivals import ENCODING, decoded
from istmo.detect.normalise import ORIGINAL


def text_event(data: Mapping[str, Any], line: bytes) -> dict[str, Any]:
    """The event that a reader made of a line, with the line itself beside it where it says more."""
    text, encoding = decoded(line)
    event = dict(data)
    if event.get("message") != text:
        event[ORIGINAL] = text
    if encoding:
        event[ENCODING] = encoding
    return event
