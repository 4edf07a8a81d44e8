"""Lines that are not JSON, each to an event that a map knows.

A reader is fed the lines of one file or stream in order; it keeps what header lines said. Lines
longer than LONGEST are cut, expressions are RE2's: no line costs more than its length.
"""

from istmo.detect.normalise.lines.readers import (
    FORMATS,
    HEADED,
    JOINED,
    LONGEST,
    SPREAD,
    BytesReader,
    LineReader,
    guess_format,
    is_of_other_form,
    line_reader,
)

__all__ = [
    "FORMATS",
    "HEADED",
    "JOINED",
    "LONGEST",
    "SPREAD",
    "BytesReader",
    "LineReader",
    "guess_format",
    "is_of_other_form",
    "line_reader",
]
