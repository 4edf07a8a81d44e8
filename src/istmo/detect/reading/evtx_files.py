"""Windows event logs (EVTX), each record as one JSON event in the *nested* shape that normalising knows.

Damaged chunks are told, and the chunks around them are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, Final

from evtx import PyEvtxParser

from istmo.detect.reading.found import EVTX, FileProblem, Found, Line
from istmo.errors import InvalidInput

SIGNATURE: Final = b"ElfFile\0"
SUFFIX: Final = ".evtx"
_HEADER: Final = 4096
_CHUNK: Final = 65536
_MOST_DAMAGE: Final = 1000
"""A log of which so many parts are damaged is left there."""


def read_evtx(file: IO[bytes], place: str) -> Iterator[Found]:
    """Every record of a seekable event log. ``number`` counts the records of the file from 1."""
    try:
        missing = _missing_chunks(file)
        records = PyEvtxParser(file, number_of_threads=1).records_json()
    except Exception:
        yield FileProblem(place, 0, InvalidInput("detect.evtx_unreadable", file=place))
        return
    number = damaged = place_of_damage = 0
    while damaged < _MOST_DAMAGE:
        try:
            record = next(records)
        except StopIteration:
            break
        except BaseException as error:
            # what the parser's own code cannot go on with is no Exception; Ctrl-C is none of its own either
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            damaged += 1
            place_of_damage = place_of_damage or number + 1
            continue
        if record is None:
            break
        number += 1
        yield Line(place, number, record["data"].encode("utf-8", "replace"), EVTX)
    if damaged:
        told = InvalidInput("detect.evtx_damaged", file=place, n=damaged)
        yield FileProblem(place, place_of_damage if number else 0, told)
    if missing and (number or not damaged):
        yield FileProblem(place, 0, InvalidInput("detect.evtx_cut_short", file=place, n=missing))


def _missing_chunks(file: IO[bytes]) -> int:
    """How many of the chunks that the header counts are not there; the parser passes over them in silence."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = file.read(_HEADER)
    file.seek(0)
    counted = int.from_bytes(header[42:44], "little")
    return max(0, counted - max(0, size - _HEADER) // _CHUNK)
