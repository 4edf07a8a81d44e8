"""The tables: for each kind of value, which indicators name it. Typed dicts are the truth.

A domain is looked up with every domain above it; an address in one table for each prefix length
that some indicator uses. There is no automaton: it takes a minute to build for a million values.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from istmo.detect.indicators import values

HASHES: Final = tuple(values.HASH_KINDS.values())
KINDS: Final = ("ipv4", "ipv6", "domain", "url", "email", *HASHES, "filename")
"""What a term may be about. Ranges are addresses with a prefix length."""

Key = int | str | bytes | tuple[int, int]
"""A value in its table: addresses as numbers, ranges as (prefix length, leading bits), digests as bytes."""
Owners = int | tuple[int, ...] | set[int]
"""The rows of the indicators that name a value: nearly always one."""
Table = dict[Any, Owners]
Match = tuple[str, Key]
"""The kind and key of a table entry that a value of an event came to."""

_BITS: Final = {"ipv4": 32, "ipv6": 128}


class Term(NamedTuple):
    """One value that an indicator names, in normal form. An address with a prefix length is a range."""

    kind: str
    value: str


def key_of(term: Term) -> Key | None:
    """The key of a term in its table; None for a term that cannot be served."""
    kind, value = term
    if kind in _BITS:
        return _address_key(kind, value)
    if kind in HASHES:
        found = values.read_hash(value)
        return found[1] if found and found[0] == kind else None
    if kind == "domain":
        name = values.read_domain(value)
        return name if name and "." in name else None
    if kind == "url":
        url = values.read_url(value)
        return url[0] if url else None
    if kind == "email":
        return values.read_email(value)
    if kind == "filename":
        return values.read_filename(value) or None
    return None


def _address_key(kind: str, value: str) -> Key | None:
    if "/" not in value:
        return values.read_ipv4(value) if kind == "ipv4" else values.read_ipv6(value)
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None
    bits = _BITS[kind]
    if network.max_prefixlen != bits:
        return None
    address = int(network.network_address)
    return (
        address if network.prefixlen == bits else (network.prefixlen, address >> (bits - network.prefixlen))
    )


def text_of(kind: str, key: Key) -> str:
    """The normal form of a term from its key."""
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.hex()
    write = values.ipv4_text if kind == "ipv4" else values.ipv6_text
    if isinstance(key, int):
        return write(key)
    length, leading = key
    return f"{write(leading << (_BITS[kind] - length))}/{length}"


class Tables:
    """Which rows name which values. One thread at a time."""

    def __init__(self) -> None:
        self._by_kind: dict[str, Table] = {kind: {} for kind in KINDS}
        self._ranges: dict[str, dict[int, Table]] = {kind: {} for kind in _BITS}
        self._lengths: dict[str, tuple[tuple[int, int, Table], ...]] = dict.fromkeys(_BITS, ())
        self._long_files = 0

    def has(self, kind: str) -> bool:
        """Whether any indicator names a value of this kind."""
        return bool(self._by_kind[kind]) or bool(self._ranges.get(kind))

    @property
    def has_long_files(self) -> bool:
        """Whether some file name holds what ends a word in free text (a blank, a backslash …)."""
        return self._long_files > 0

    def known_files(self, names: Iterable[str]) -> list[str]:
        """Those of the names that some indicator names, in a settled order."""
        return sorted(self._by_kind["filename"].keys() & set(names))

    def owners(self, kind: str, key: Key) -> Owners:
        """The rows that name what ``find`` found."""
        if isinstance(key, tuple):
            return self._ranges[kind][key[0]][key[1]]
        return self._by_kind[kind][key]

    def add(self, kind: str, key: Key, row: int) -> None:
        """One more row that names a value."""
        if isinstance(key, tuple):
            length, leading = key
            if length not in self._ranges[kind]:
                self._ranges[kind][length] = {}
                self._relist(kind)
            _add(self._ranges[kind][length], leading, row)
        else:
            if kind == "filename" and key not in self._by_kind[kind]:
                self._long_files += _ends_a_word(key)
            _add(self._by_kind[kind], key, row)

    def remove(self, kind: str, key: Key, row: int) -> None:
        """A row names a value no longer."""
        if isinstance(key, tuple):
            length, leading = key
            _remove(self._ranges[kind][length], leading, row)
            if not self._ranges[kind][length]:
                del self._ranges[kind][length]
                self._relist(kind)
        else:
            _remove(self._by_kind[kind], key, row)
            if kind == "filename" and key not in self._by_kind[kind]:
                self._long_files -= _ends_a_word(key)

    def _relist(self, kind: str) -> None:
        bits = _BITS[kind]
        self._lengths[kind] = tuple(
            (length, bits - length, table) for length, table in sorted(self._ranges[kind].items())
        )

    # What is asked of a value. Each yields the entries that it came to.

    def ipv4(self, address: int) -> Iterator[Match]:
        """An address itself and the ranges around it."""
        return self._address("ipv4", address)

    def ipv6(self, address: int) -> Iterator[Match]:
        """An address itself, the ranges around it, and the IPv4 address that it may wrap."""
        yield from self._address("ipv6", address)
        inner = values.mapped_ipv4(address)
        if inner is not None:
            yield from self._address("ipv4", inner)

    def _address(self, kind: str, address: int) -> Iterator[Match]:
        if address in self._by_kind[kind]:
            yield kind, address
        for length, shift, table in self._lengths[kind]:
            leading = address >> shift
            if leading in table:
                yield kind, (length, leading)

    def domain(self, name: str) -> Iterator[Match]:
        """A name and every name above it; ``name`` in lower case, at most 253 characters."""
        table = self._by_kind["domain"]
        if not table:
            return
        while True:
            if name in table:
                yield "domain", name
            dot = name.find(".") + 1
            if not dot:
                return
            name = name[dot:]

    def exact(self, kind: str, key: Key) -> Iterator[Match]:
        """The very value."""
        if key in self._by_kind[kind]:
            yield kind, key


_MANY: Final = 8
BETWEEN_FILES: Final = "\"'<>|:*?\\/,;=()[]`"
"""What ends a file name in free text, besides blanks."""


def _ends_a_word(key: object) -> bool:
    return isinstance(key, str) and any(mark in key for mark in (" ", *BETWEEN_FILES))


def _add(table: Table, key: Any, row: int) -> None:
    held = table.get(key)
    if held is None:
        table[key] = row
    elif isinstance(held, int):
        table[key] = (held, row)
    elif isinstance(held, set):
        held.add(row)
    else:
        # Beyond a few a set: else a flood of indicators for one value would cost its square.
        table[key] = (*held, row) if len(held) < _MANY else {*held, row}


def _remove(table: Table, key: Any, row: int) -> None:
    held = table.get(key)
    if isinstance(held, int):
        if held == row:
            del table[key]
    elif isinstance(held, set):
        held.discard(row)
        if len(held) == 1:
            table[key] = held.pop()
    elif held is not None:
        rest = tuple(one for one in held if one != row)
        table[key] = rest[0] if len(rest) == 1 else rest
