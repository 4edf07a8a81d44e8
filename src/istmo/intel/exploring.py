"""Looking around: what is near an object, how its versions differ, and taking out what a search finds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection

from istmo.errors import NotFound
from istmo.intel import records
from istmo.intel.objects import (
    Change,
    Nearness,
    Neighbour,
    Neighbourhood,
    ObjectPage,
    StoredObject,
)
from istmo.intel.reading import LONGEST_PAGE, Reading
from istmo.policy import Principal

MOST_NEAR: Final = 300
"""Links of an object that are followed."""
MOST_EXPORTED: Final = records.MOST_COUNTED
MOST_CHANGES: Final = 200
LONGEST_CHANGE: Final = 500
"""Characters of a value that a difference repeats."""
_DEEPEST: Final = 12


class Exploring(Reading):
    """What leads from one object to others."""

    def neighbourhood(self, principal: Principal, object: str) -> Neighbourhood:
        """The objects near one, among those that the asker may read. Raises NotFound as ``read`` does."""
        created_by = _data(self.raw(principal, object)).get("created_by_ref")
        with self._store.read() as connection:
            towards = records.links_to(connection, object, MOST_NEAR)
            related = [one.object for one in towards if _is_relation(one)]
            ends = records.links_from(connection, related, 4 * MOST_NEAR)
            own = records.links_from(connection, [object], MOST_NEAR)
            if isinstance(created_by, str):
                own.append(records.Link(object, "created_by_ref", created_by[:300]))
            ids = {link.object for link in towards} | {link.target for link in (*ends, *own)}
            visible = self._visible(connection, principal, ids - {object})
            known = {one.id: one for one in self._with_ends(connection, principal, visible.values())}
        pointing = [one for one in towards if not _is_relation(one)]
        found = [
            *_by_relationship(object, ends, known),
            *((one.object, Nearness.POINTS_HERE, one.property, False) for one in pointing),
            *((one.target, Nearness.POINTED_TO, one.property, True) for one in own),
        ]
        near = {one: Neighbour(known[one[0]], *one[1:]) for one in found if one[0] in known}
        return Neighbourhood(tuple(near.values()), max(len(towards), len(own)) >= MOST_NEAR)

    def compare(
        self, principal: Principal, object: str, before: str, after: str
    ) -> tuple[StoredObject, StoredObject, tuple[Change, ...]]:
        """In what two versions of an object differ, each named by its entry: ``sequence@origin``, or the
        sequence alone in the log of the origin of the version that is shown first.

        Raises NotFound as ``read`` does, and NotFound("intel.no_version"), also of one that was erased.
        """
        versions = self.read(principal, object)
        one, other = _version(versions, before), _version(versions, after)
        with self._store.read() as connection:
            left, right = (self._written(connection, version) for version in (one, other))
        return one, other, tuple(_differences(left, right))

    def _written(self, connection: Connection, version: StoredObject) -> Mapping[str, Any]:
        payload = self._ledger.entry(connection, version.origin, version.sequence).payload
        if payload is None:  # erased since its versions were read
            raise NotFound("intel.no_version", version=f"{version.sequence}@{version.origin}")
        return _data(payload)

    def export(
        self, principal: Principal, first: ObjectPage, **sought: Any
    ) -> Iterator[tuple[StoredObject, bytes]]:
        """What a search finds with the bytes of each, page by page after ``first``, up to MOST_EXPORTED.

        ``sought`` are the filters of ``search``. What is taken back is left out; an id comes once.
        """
        page, left, told = first, MOST_EXPORTED, set()
        while page.items and left > 0:
            wanted = [one for one in page.items[:left] if one.retraction is None]
            with self._store.read() as connection:
                found = self._ledger.entries_named(connection, [(one.origin, one.sequence) for one in wanted])
            left -= len(page.items)
            for one in wanted:
                entry = found.get((one.origin, one.sequence))
                payload = entry.payload if entry else None
                if payload is not None and (one.id, one.version) not in told:
                    told.add((one.id, one.version))
                    yield one, payload
            if page.next is None:
                return
            page = self.search(principal, cursor=page.next, limit=LONGEST_PAGE, **sought)


def _is_relation(link: records.Link) -> bool:
    return link.object.startswith("relationship--") and link.property in records.ENDS


def _by_relationship(
    object: str, ends: Iterable[records.Link], known: Mapping[str, StoredObject]
) -> Iterator[tuple[str, Nearness, str, bool]]:
    """The other ends of relationships that the asker may read."""
    for link in ends:
        relation = known.get(link.object)
        if relation is not None and link.property in records.ENDS and link.target != object:
            yield link.target, Nearness.RELATIONSHIP, relation.name, link.property == "target_ref"


def _version(versions: tuple[StoredObject, ...], named: str) -> StoredObject:
    sequence, _, origin = named.partition("@")
    for one in versions:
        if str(one.sequence) == sequence and one.origin == (origin or versions[0].origin):
            return one
    raise NotFound("intel.no_version", version=named[:120])


def _data(raw: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(raw)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _differences(left: Any, right: Any) -> Iterator[Change]:
    for path, before, after in islice(_differing("$", left, right, 0), MOST_CHANGES):
        yield Change(path[:300], _short(before), _short(after))


def _differing(path: str, left: Any, right: Any, depth: int) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(left, dict) and isinstance(right, dict) and depth < _DEEPEST:
        for name in dict.fromkeys((*left, *right)):
            yield from _differing(f"{path}.{name}", left.get(name), right.get(name), depth + 1)
    elif isinstance(left, list) and isinstance(right, list) and depth < _DEEPEST:
        for at in range(max(len(left), len(right))):
            yield from _differing(
                f"{path}[{at}]",
                left[at] if at < len(left) else None,
                right[at] if at < len(right) else None,
                depth + 1,
            )
    elif left != right or type(left) is not type(right):
        yield path, left, right


def _short(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_CHANGE else f"{text[:LONGEST_CHANGE]}…"
