"""What must stand in a stored line, byte for byte, for an indicator to be found in it.

A line is passed over only when nothing in it could come to the indicator by any reading: letters
outside ASCII and JSON escapes may hide what they mean, so such lines are always read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import orjson
import re2  # type: ignore[import-untyped]

MOST: Final = 48
"""Past this many it is quicker to read every line than to look for each needle."""

ANYTHING: Final = ("", "")
"""A term of no kind: nothing certain can be said, and every line must be read."""
HIDING: Final = rb"\\u[0-9a-fA-F]{4}|\\/"
"""How JSON may write a letter, or a slash, so that it is not seen."""
_HASHES: Final = frozenset({"md5", "sha1", "sha256", "sha512"})
_MAPPED: Final = b"ffff:"  # an IPv4 address may stand inside an IPv6 one, in hexadecimal


class Needles:
    """Byte strings in lower case of which one is in every plain line that carries one of the terms."""

    def __init__(self, terms: Iterable[tuple[str, str]]) -> None:
        found: set[bytes] = set()
        self._reads_all = False
        for kind, value in terms:
            needles = _needles(kind, value)
            if needles is None:
                self._reads_all = True
            else:
                found.update(needles)
        self._reads_all = self._reads_all or len(found) > MOST
        # One pass: looking for each by itself takes twice as long.
        may_be = [b"(?i:" + re2.escape(needle) + b")" for needle in sorted(found)] + [HIDING]
        self._may_be = None if self._reads_all else re2.compile(b"|".join(may_be))

    def may_hold(self, text: bytes) -> bool:
        """Whether a line, or a block of lines, must be read."""
        if self._may_be is None or not text.isascii() or self._may_be.search(text):
            return True
        # A URL is read without the line breaks in it.
        return b"://" in text and (b"\\n" in text or b"\\r" in text or b"\\t" in text)


def _needles(kind: str, value: str) -> list[bytes] | None:
    """None where nothing certain can be said."""
    if kind in ("ipv4", "ipv6"):
        return _address_needles(value)
    if kind == "url":
        return _url_needles(value)
    if kind == "email":
        return _text_needles("@" + value.rpartition("@")[2])
    if kind == "domain" or kind in _HASHES or kind == "filename":
        return _text_needles(value)
    return None


def _text_needles(text: str) -> list[bytes]:
    """Text as JSON writes it; text with other letters stands only in lines that are read anyhow."""
    return [orjson.dumps(text)[1:-1].lower()] if text.isascii() else []


def _address_needles(value: str) -> list[bytes] | None:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network):
        group = int(network.network_address) >> 112
        return [b"%x:" % group] if group and network.prefixlen >= 16 else None
    octets = network.prefixlen // 8
    if not octets:
        return None
    parts = str(network.network_address).split(".")
    leading = ".".join(parts[:octets]) + ("." if octets < 4 else "")
    return [leading.encode(), _MAPPED]


def _url_needles(value: str) -> list[bytes] | None:
    host = urlsplit(value).hostname or ""
    if not host or ":" in host:
        return None
    return _text_needles(host)
