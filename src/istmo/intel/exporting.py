"""What leaves as a file: a STIX bundle, or the values of indicators as CSV. Written while it is read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from istmo.intel.objects import ObjectPage, StoredObject
from istmo.kit.visible import guarded
from istmo.model import instants
from istmo.model.markings import is_tlp_definition

HEADINGS: Final = ("kind", "value", "name", "tlp", "origin", "valid_until", "id")


def stix_bundle(first: ObjectPage, found: Iterable[tuple[StoredObject, bytes]]) -> Iterator[bytes]:
    """One STIX 2.1 bundle. Each object carries the marking that it has here: out of the node nothing else
    would tell it. The bundle's id goes by its first page: the same again is the same.
    """
    page = "".join(f"{one.origin} {one.sequence}\n" for one in first.items)
    yield f'{{"type":"bundle","id":"bundle--{uuid5(NAMESPACE_URL, page)}","objects":['.encode()
    for number, (object, raw) in enumerate(found):
        yield (b",\n" if number else b"\n") + _marked(object, raw)
    yield b"\n]}\n"


def csv_values(found: Iterable[tuple[StoredObject, bytes]], names: Mapping[str, str]) -> Iterator[bytes]:
    """A line for each value of each indicator, below headings; ``names`` are what members are called."""
    yield _line(HEADINGS)
    for object, _ in found:
        until = "" if object.valid_until is None else instants.format(object.valid_until)
        origin = names.get(object.origin, object.origin)
        lines = (
            _line((term.kind, term.value, object.name, object.tlp.label, origin, until, object.id))
            for term in object.terms
        )
        if text := b"".join(lines):
            yield text


def _marked(object: StoredObject, raw: bytes) -> bytes:
    data: dict[str, Any] = json.loads(raw)
    refs = data.get("object_marking_refs", [])
    if [one for one in refs if is_tlp_definition(one)] == [object.tlp.marking_id]:
        return raw
    others = [one for one in refs if not is_tlp_definition(one)]
    data["object_marking_refs"] = [*others, object.tlp.marking_id]
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _line(cells: Iterable[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([guarded(one) for one in cells])
    return written.getvalue().encode("utf-8", "replace")
