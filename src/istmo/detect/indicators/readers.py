"""What each role makes of a field's text: the table entries that it comes to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from istmo.detect.indicators import values
from istmo.detect.indicators.fields import Role
from istmo.detect.indicators.scan import Piece, path, scan
from istmo.detect.indicators.tables import Tables

Reader = Callable[[Tables, str], Iterator[Piece]]

LONGEST_WHOLE: Final = 8192
"""Characters of a field that is read as one value."""
_NAME = re.compile(r"[\w-]{1,63}(?:\.[\w-]{1,63})*\.?")
_SEPARATORS = re.compile(r"[,;\s]+")
_IMPLIED: Final = ("http://", "https://")


def read_host(tables: Tables, text: str) -> Iterator[Piece]:
    """An address or a name; anything around it (a port, backslashes, a list) is left to the scan."""
    if ":" in text:
        address = values.read_ipv6(text)
        if address is not None:
            yield from ((match, text) for match in tables.ipv6(address))
            return
    elif _NAME.fullmatch(text):
        yield from _name_or_ipv4(tables, text)
        return
    yield from scan(tables, text)


def _name_or_ipv4(tables: Tables, text: str) -> Iterator[Piece]:
    ipv4 = values.read_ipv4(text)
    if ipv4 is not None:
        yield from ((match, text) for match in tables.ipv4(ipv4))
        return
    name = values.read_domain(text)
    if name:
        yield from ((match, text) for match in tables.domain(name))


def read_answers(tables: Tables, text: str) -> Iterator[Piece]:
    """``type:  5 github.map.fastly.example;::ffff:192.0.2.133;``"""
    for part in _SEPARATORS.split(text[:LONGEST_WHOLE]):
        if len(part) > 2:
            yield from read_host(tables, part)


def read_url(tables: Tables, text: str) -> Iterator[Piece]:
    """A URL, perhaps without its scheme, and its host."""
    read = values.read_url(text)
    if read is not None:
        yield from ((match, text) for match in tables.exact("url", read[0]))
        yield from read_host(tables, read[1])
        return
    if "://" not in text and not text.startswith("/") and " " not in text:
        for scheme in _IMPLIED:
            implied = values.read_url(scheme + text)
            if implied is not None:
                yield from ((match, text) for match in tables.exact("url", implied[0]))
    yield from scan(tables, text)


def read_hashes(tables: Tables, text: str) -> Iterator[Piece]:
    """Digests with their names before them; a name that is no digest of the file (IMPHASH) is left out."""
    for part in text[:LONGEST_WHOLE].split(","):
        name, equals, digits = part.partition("=")
        found = values.read_hash((digits if equals else name).strip().removeprefix("0x"))
        if found and (not equals or found[0] == name.strip().lower().replace("-", "")):
            yield from ((match, part.strip()) for match in tables.exact(*found))


def read_path(tables: Tables, text: str) -> Iterator[Piece]:
    """A file; where a share or a web address stands in front, its host too."""
    yield from path(tables, text)
    if text.startswith(("\\\\", "//")) or "://" in text:
        yield from scan(tables, text)


def read_person(tables: Tables, text: str) -> Iterator[Piece]:
    """An account name says nothing; a mail address does."""
    if "@" in text:
        yield from scan(tables, text)


def read_any(tables: Tables, text: str) -> Iterator[Piece]:
    """A value of an unknown field, read as what it looks like as a whole."""
    length = len(text)
    if length > LONGEST_WHOLE or length < 3:
        return
    if "://" in text:
        yield from read_url(tables, text)
    elif " " in text:
        return
    elif "@" in text:
        yield from scan(tables, text)
    elif "." in text or ":" in text:
        yield from read_host(tables, text)
    elif length in values.HASH_KINDS:
        yield from read_hashes(tables, text)


READERS: Final[Mapping[Role, Reader]] = {
    Role.HOST: read_host,
    Role.ANSWERS: read_answers,
    Role.URL: read_url,
    Role.HASHES: read_hashes,
    Role.PATH: read_path,
    Role.TEXT: scan,
    Role.PERSON: read_person,
    Role.ANY: read_any,
}
"""How the text of each role is read; a role without a reader is not."""
