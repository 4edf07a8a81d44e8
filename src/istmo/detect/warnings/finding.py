"""On which warning lists does a value stand? Millions of entries in eight bytes each.

Exact entries are kept as numbers that Python's own keyed hash makes of them, sorted: whoever writes a list
or an indicator cannot choose what falls together.
"""

from __future__ import annotations

import ipaddress
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from istmo.detect.sigma.expressions import check_expression, search
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Expression
from istmo.detect.warnings.reading import WarningList

MOST_REMEMBERED: Final = 20_000
_BITS: Final = {4: 32, 6: 128}


class Value(NamedTuple):
    """A value in normal form and what kind it is, as indicators name them."""

    kind: str
    value: str


Test = Callable[[Value], bool]


class Compiled(NamedTuple):
    """A list made ready."""

    name: str
    kinds: frozenset[str]
    is_on: Test
    entries: int
    unusable: int
    """Entries that are not of the list's type, or cannot be served."""


class Warnings:
    """All lists that are in force. Safe to share between threads: nothing is changed but a memory."""

    def __init__(self, lists: Iterable[Compiled] = ()) -> None:
        self._lists = tuple(sorted(lists, key=lambda one: one.name))
        self._known: dict[Value, tuple[str, ...]] = {}

    def find(self, kind: str, value: str) -> tuple[str, ...]:
        """The names of the lists on which a value stands. A range stands on those that hold all of it."""
        asked = Value(kind, value)
        found = self._known.get(asked)
        if found is None:
            found = tuple(one.name for one in self._lists if kind in one.kinds and one.is_on(asked))
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[asked] = found
        return found


def compile_list(one: WarningList) -> Compiled:
    """Make a list ready; what of it cannot be used is counted."""
    make = {
        "cidr": _ranges,
        "hostname": _hostnames,
        "string": _strings,
        "substring": _substrings,
        "regex": _expressions,
    }[one.type]
    test, used = make(one.entries)
    unusable = len(one.entries) - used + one.problems
    return Compiled(one.name, one.kinds, test, used, unusable)


# --- exact -------------------------------------------------------------------------------------------


class _Texts:
    """A set of texts that takes eight bytes for each."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._hashes = array("q", sorted(set(map(hash, texts))))

    def __contains__(self, text: str) -> bool:
        wanted = hash(text)
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted

    def __len__(self) -> int:
        return len(self._hashes)


def _plain(text: str) -> str:
    """One form for an entry and a value: no blanks around it, whatever the case."""
    text = text.strip().casefold()
    if ":" in text and "/" not in text:
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return text
    return text


def _strings(entries: Sequence[str]) -> tuple[Test, int]:
    texts = _Texts(text for one in entries if (text := _plain(one)))

    def is_on(value: Value) -> bool:
        text = _plain(value.value)
        if text in texts:
            return True
        return value.kind == "filename" and "\\" in text and text.rpartition("\\")[2] in texts

    return is_on, len(texts)


def _hostnames(entries: Sequence[str]) -> tuple[Test, int]:
    """Names, each with all below it."""
    names = _Texts(name for one in entries if (name := one.strip().casefold().strip(".")))

    def is_on(value: Value) -> bool:
        name = _host(value)
        while name:
            if name in names:
                return True
            name = name.partition(".")[2]
        return False

    return is_on, len(names)


def _host(value: Value) -> str:
    """The name in a value: of a URL its host, of a mail address its domain."""
    match value.kind:
        case "url":
            try:
                return (urlsplit(value.value).hostname or "").casefold().rstrip(".")
            except ValueError:
                return ""
        case "email":
            return value.value.rpartition("@")[2].casefold()
    return value.value.casefold().rstrip(".")


# --- ranges ------------------------------------------------------------------------------------------

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _ranges(entries: Sequence[str]) -> tuple[Test, int]:
    held: dict[tuple[int, int], set[int]] = {}
    used = 0
    for one in entries:
        network = _network(one)
        if network is not None:
            used += 1
            held.setdefault((network.version, network.prefixlen), set()).add(_leading(network))
    by_length = sorted(held)

    def is_on(value: Value) -> bool:
        network = _network(_host(value) if value.kind == "url" else value.value)
        if network is None:
            return False
        own, bits = int(network.network_address), _BITS[network.version]
        return any(
            own >> (bits - length) in held[version, length]
            for version, length in by_length
            if version == network.version and length <= network.prefixlen
        )

    return is_on, used


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def _leading(network: _Network) -> int:
    return int(network.network_address) >> (_BITS[network.version] - network.prefixlen)


# --- one after the other -----------------------------------------------------------------------------


def _substrings(entries: Sequence[str]) -> tuple[Test, int]:
    parts = tuple(dict.fromkeys(one.casefold() for one in entries if one.strip()))
    return lambda value: any(part in value.value.casefold() for part in parts), len(parts)


def _expressions(entries: Sequence[str]) -> tuple[Test, int]:
    """Perl's way of writing them: ``/…/i``; without strokes as they are."""
    good = list(_good(entries))
    if not good:
        return lambda _: False, 0
    found = search(good)
    return lambda value: found(value.value), len(good)


def _good(entries: Sequence[str]) -> Iterator[Expression]:
    for one in entries:
        pattern, flags = one, ""
        if one.startswith("/") and (end := one.rfind("/")) > 0:
            pattern, flags = one[1:end], one[end + 1 :]
        if not set(flags) <= set("ims"):
            continue
        expression = Expression(pattern, "".join(sorted(set(flags))))
        try:
            check_expression(expression)
        except Refused:
            continue
        yield expression
