"""Who is in: indicator ids to row numbers and back, in about 32 bytes each.

A million ids as text and a dict of them take 140 MB; nearly all of them are ``indicator--`` and a
UUID, which is 16 bytes. Rows are found by open addressing over an array of row numbers; Python's
own keyed hash decides the place, so a sender who chooses the ids cannot make them collide.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

_USUAL: Final = "indicator--"
_WIDTH: Final = 16
_FREE, _GONE, _FIRST = 0, 1, 2  # what a place holds: nothing, a removed row, or row + _FIRST
_FEWEST: Final = 1 << 10


class Roster:
    """Ids by row and rows by id. Rows of removed ids are used again."""

    def __init__(self) -> None:
        self._packed = bytearray()
        self._odd: dict[str, int] = {}
        self._odd_by_row: dict[int, str] = {}
        self._places = array("I", bytes(4 * _FEWEST))
        self._used = 0  # places that are not free: rows and gaps
        self._usual = 0
        self._vacant: list[int] = []

    def __len__(self) -> int:
        return self._usual + len(self._odd)

    def __iter__(self) -> Iterator[str]:
        yield from self._odd
        for place in self._places:
            if place >= _FIRST:
                yield self.id(place - _FIRST)

    @property
    def rows(self) -> int:
        """One more than the highest row ever given."""
        return len(self._packed) // _WIDTH

    def row(self, id: str) -> int | None:
        """The row of an id; None when it is not in."""
        packed = _pack(id)
        if packed is None:
            return self._odd.get(id)
        place = self._find(packed)
        return None if place is None else self._places[place] - _FIRST

    def id(self, row: int) -> str:
        """The id of a row that is in use."""
        odd = self._odd_by_row.get(row)
        if odd is not None:
            return odd
        return _unpack(bytes(self._packed[row * _WIDTH : (row + 1) * _WIDTH]))

    def add(self, id: str) -> int:
        """A row for an id that is not in yet."""
        packed = _pack(id)
        row = self._vacant.pop() if self._vacant else self.rows
        if row == self.rows:
            self._packed += packed or bytes(_WIDTH)
        elif packed:
            self._packed[row * _WIDTH : (row + 1) * _WIDTH] = packed
        if packed is None:
            self._odd[id] = row
            self._odd_by_row[row] = id
            return row
        self._usual += 1
        if self._used * 3 >= len(self._places) * 2:
            self._spread()
        self._settle(packed, row)
        return row

    def remove(self, id: str) -> int | None:
        """Forget an id; the row that it had, None when it was not in."""
        packed = _pack(id)
        if packed is None:
            row = self._odd.pop(id, None)
            if row is not None:
                del self._odd_by_row[row]
                self._vacant.append(row)
            return row
        place = self._find(packed)
        if place is None:
            return None
        row = self._places[place] - _FIRST
        self._places[place] = _GONE
        self._usual -= 1
        self._vacant.append(row)
        return row

    def _find(self, packed: bytes) -> int | None:
        places, all_packed = self._places, self._packed
        mask = len(places) - 1
        place = hash(packed) & mask
        while held := places[place]:
            if held >= _FIRST:
                start = (held - _FIRST) * _WIDTH
                if all_packed[start : start + _WIDTH] == packed:
                    return place
            place = (place + 1) & mask
        return None

    def _settle(self, packed: bytes, row: int) -> None:
        places = self._places
        mask = len(places) - 1
        place = hash(packed) & mask
        while places[place] != _FREE:
            place = (place + 1) & mask
        places[place] = row + _FIRST
        self._used += 1

    def _spread(self) -> None:
        """A table of the right size for what is in, without the gaps that removals left."""
        held = [place - _FIRST for place in self._places if place >= _FIRST]
        size = _FEWEST
        while size < len(held) * 2 + 2:
            size *= 2
        self._places = array("I", bytes(4 * size))
        self._used = 0
        for row in held:
            self._settle(bytes(self._packed[row * _WIDTH : (row + 1) * _WIDTH]), row)


def _pack(id: str) -> bytes | None:
    """The 16 bytes of a usual id; None for any other, which is kept as text."""
    if len(id) != 47 or not id.startswith(_USUAL):
        return None
    if not (id[19] == id[24] == id[29] == id[34] == "-"):
        return None
    digits = id[11:19] + id[20:24] + id[25:29] + id[30:34] + id[35:]
    try:
        packed = bytes.fromhex(digits)
    except ValueError:
        return None
    # Only what comes back exactly as it went in: upper case makes another id.
    return packed if packed.hex() == digits else None


def _unpack(packed: bytes) -> str:
    digits = packed.hex()
    return f"{_USUAL}{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
