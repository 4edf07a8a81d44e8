"""On which warning lists does a value stand? Millions of entries in eight bytes each.

Exact entries are kept as numbers, sorted: what BLAKE2 makes of them with a key of the list's own, so that
whoever writes an indicator cannot choose what falls together with an entry. So they rest, too, and are in
force at once when a node starts.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from istmo.detect.sigma.expressions import check_expression, search
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Expression
from istmo.detect.warnings.reading import WarningList

MOST_REMEMBERED: Final = 20_000
_BITS: Final = {4: 32, 6: 128}
_EXACT: Final = ("string", "hostname")


class Value(NamedTuple):
    """A value in normal form and what kind it is, as indicators name them."""

    kind: str
    value: str


Test = Callable[[Value], bool]


class Prepared(NamedTuple):
    """A list as it rests."""

    name: str
    type: str
    kinds: frozenset[str]
    entries: int
    unusable: int
    """Entries that are not of the list's type, or cannot be served."""
    key: bytes
    data: bytes
    """Of exact entries the numbers; of others a JSON array."""


class Compiled(NamedTuple):
    """A list made ready."""

    name: str
    kinds: frozenset[str]
    is_on: Test


class Warnings:
    """All lists that are in force. Safe to share between threads: nothing is changed but a memory."""

    def __init__(self, lists: Iterable[Compiled] = ()) -> None:
        self._lists = tuple(sorted(lists, key=lambda one: one.name))
        self._known: dict[Value, tuple[str, ...]] = {}

    @property
    def is_any(self) -> bool:
        """Whether there is a list at all."""
        return bool(self._lists)

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


def prepare(one: WarningList) -> Prepared:
    """A list as it is to be kept; what of it cannot be used is counted."""
    key = b""
    if one.type in _EXACT:
        key = secrets.token_bytes(16)
        plain = _plain if one.type == "string" else _name
        numbers = sorted({_number(key, text) for entry in one.entries if (text := plain(entry))})
        used, data = len(numbers), array("Q", numbers).tobytes()
    else:
        good = _good_ranges if one.type == "cidr" else _good_parts if one.type == "substring" else _good
        kept = list(good(one.entries))
        used, data = len(kept), orjson.dumps(kept)
    unusable = max(0, len(one.entries) - used) + one.problems
    return Prepared(one.name, one.type, one.kinds, used, unusable, key, data)


def open_list(one: Prepared) -> Compiled:
    """A list that was kept, made ready."""
    if one.type in _EXACT:
        numbers = array("Q")
        numbers.frombytes(one.data)
        held = _Texts(one.key, numbers)
        return Compiled(one.name, one.kinds, (_strings if one.type == "string" else _hostnames)(held))
    entries: list[str] = orjson.loads(one.data)
    make = {"cidr": _ranges, "substring": _substrings, "regex": _expressions}[one.type]
    return Compiled(one.name, one.kinds, make(entries))


def compile_list(one: WarningList) -> Compiled:
    """A list as it came, made ready."""
    return open_list(prepare(one))


# --- exact -------------------------------------------------------------------------------------------


class _Texts:
    """A set of texts."""

    def __init__(self, key: bytes, numbers: array[int]) -> None:
        self._key, self._numbers = key, numbers

    def __contains__(self, text: str) -> bool:
        wanted = _number(self._key, text)
        place = bisect_left(self._numbers, wanted)
        return place < len(self._numbers) and self._numbers[place] == wanted


def _number(key: bytes, text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key)
    return int.from_bytes(digest.digest(), "big")


def _plain(text: str) -> str:
    """One form for an entry and a value: no blanks around it, whatever the case."""
    text = text.strip().casefold()
    if ":" in text and "/" not in text:
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            return text
    return text


def _name(text: str) -> str:
    return text.strip().casefold().strip(".")


def _strings(texts: _Texts) -> Test:
    def is_on(value: Value) -> bool:
        text = _plain(value.value)
        if text in texts:
            return True
        return value.kind == "filename" and "\\" in text and text.rpartition("\\")[2] in texts

    return is_on


def _hostnames(names: _Texts) -> Test:
    """Names, each with all below it."""

    def is_on(value: Value) -> bool:
        name = _host(value)
        while name:
            if name in names:
                return True
            name = name.partition(".")[2]
        return False

    return is_on


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


def _good_ranges(entries: Sequence[str]) -> Iterator[str]:
    return (str(network) for one in entries if (network := _network(one)) is not None)


def _ranges(entries: Sequence[str]) -> Test:
    held: dict[tuple[int, int], set[int]] = {}
    for one in entries:
        network = _network(one)
        if network is not None:
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

    return is_on


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None


def _leading(network: _Network) -> int:
    return int(network.network_address) >> (_BITS[network.version] - network.prefixlen)


# --- one after the other -----------------------------------------------------------------------------


def _good_parts(entries: Sequence[str]) -> Iterator[str]:
    return iter(dict.fromkeys(one.casefold() for one in entries if one.strip()))


def _substrings(parts: Sequence[str]) -> Test:
    return lambda value: any(part in value.value.casefold() for part in parts)


def _expressions(entries: Sequence[str]) -> Test:
    """Perl's way of writing them: ``/…/i``; without strokes as they are."""
    found = search([expression for one in entries if (expression := _expression(one))])
    return lambda value: found(value.value)


def _good(entries: Sequence[str]) -> Iterator[str]:
    return (one for one in entries if _expression(one))


def _expression(text: str) -> Expression | None:
    pattern, flags = text, ""
    if text.startswith("/") and (end := text.rfind("/")) > 0:
        pattern, flags = text[1:end], text[end + 1 :]
    if not set(flags) <= set("ims"):
        return None
    expression = Expression(pattern, "".join(sorted(set(flags))))
    try:
        check_expression(expression)
    except Refused:
        return None
    return expression
