"""The XML of one Windows event (Sysmon for Linux writes it into syslog), as the maps know it."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as Tree

DEPTH = 8


def read_event_xml(text: str) -> dict[str, Any] | None:
    """``{"Event": {"System": …, "EventData": …}}``; None where the text holds no such event.

    Declarations are refused before the parser sees them: without them no entity can grow.
    """
    start, end = text.find("<Event"), text.rfind("</Event>")
    if start < 0 or end < 0 or "<!" in text:
        return None
    try:
        root = Tree.fromstring(text[start : end + len("</Event>")])  # noqa: S314
    except (Tree.ParseError, ValueError):
        return None
    return {"Event": _members(root, 0)}


def _members(element: Tree.Element, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for child in element if depth < DEPTH else ():
        name = child.tag.rpartition("}")[2]
        value: Any = {f"@{key.rpartition('}')[2]}": one for key, one in child.attrib.items()}
        value |= _members(child, depth + 1)
        if not value:
            value = child.text or ""
        elif child.text and child.text.strip():
            value["#text"] = child.text
        if name in made:
            made[name] = [*(made[name] if isinstance(made[name], list) else [made[name]]), value]
        else:
            made[name] = value
    return made
