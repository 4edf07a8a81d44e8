"""An event as its sender wrote it, with the values that matched marked in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from markupsafe import Markup, escape

from istmo.detect.objects import Evidence

SHOWN_BYTES: Final = 6_000
MOST_MARKS: Final = 200
_SHORTEST_PART: Final = 4
"""Characters from which a value is looked for within a longer one: shorter ones stand everywhere."""
_JSON_LINE: Final = re.compile(r'(\s*(?:"(?:[^"\\]|\\.)*": )?)(.*?)(,?)', re.DOTALL)


def show_event(evidence: Evidence) -> Markup:
    """Indented where it is JSON, cut at a bound; what matched stands in ``<mark>``, all else is escaped."""
    text = evidence.raw[:SHOWN_BYTES].decode("utf-8", "replace")
    values = sorted({one for one in evidence.fields.values() if one.strip()}, key=len, reverse=True)
    if len(evidence.raw) <= SHOWN_BYTES:
        try:
            pretty = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return _marked(text, values, 2)
        return Markup("\n").join(_json_line(line, values) for line in pretty.split("\n"))
    return _marked(text, values, 2)


def _json_line(line: str, values: list[str]) -> Markup:
    found = _JSON_LINE.fullmatch(line)
    if found is None:
        return escape(line)
    head, value, tail = found.groups()
    try:
        plain = json.loads(value)
    except ValueError:
        return escape(line)
    if isinstance(plain, (dict, list)) or plain is None:
        return escape(line)
    if str(plain).casefold() in {one.casefold() for one in values}:
        return Markup("{}<mark>{}</mark>{}").format(head, value, tail)
    written = [json.dumps(one, ensure_ascii=False)[1:-1] for one in values]
    return escape(head) + _marked(value, written, _SHORTEST_PART) + escape(tail)


def _marked(text: str, values: Iterable[str], shortest: int) -> Markup:
    """``text`` with each occurrence of the values marked, the longest first where they overlap."""
    wanted = [re.escape(one) for one in values if len(one) >= shortest]
    if not wanted:
        return escape(text)
    parts, end = [], 0
    for number, found in enumerate(re.finditer("|".join(wanted), text)):
        if number == MOST_MARKS:
            break
        parts += [escape(text[end : found.start()]), Markup("<mark>{}</mark>").format(found[0])]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])
