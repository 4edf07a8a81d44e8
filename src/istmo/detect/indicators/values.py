"""Values as they stand in events, brought to the form that the tables hold.

More forgiving than what publishes indicators: an event is what some sensor wrote. What is no such
value gives None, never an exception. Where both read a value, both come to the same form.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final
from urllib.parse import urlsplit

import idna

HASH_KINDS: Final = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
"""By number of hexadecimal digits."""
LONGEST_NAME: Final = 253
LONGEST_URL: Final = 8192
_PLAIN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9.-]*[a-z0-9])(/[!-\"$->@-~]*(?:\?[!-\"$-~]+)?)?")
"""A URL in normal form already, but for the final stroke: as most are."""
_PORTS: Final = {"http": 80, "https": 443, "ftp": 21, "ws": 80, "wss": 443}


def read_ipv4(text: str) -> int | None:
    """An IPv4 address in dotted form as a number."""
    try:
        return int.from_bytes(inet_pton(AF_INET, text), "big")
    except (OSError, ValueError):
        return None


def read_ipv6(text: str) -> int | None:
    """An IPv6 address as a number; a zone (``%12``) says only on which wire, and is cut off."""
    try:
        return int.from_bytes(inet_pton(AF_INET6, text.partition("%")[0]), "big")
    except (OSError, ValueError):
        return None


def mapped_ipv4(address: int) -> int | None:
    """The IPv4 address that an IPv6 number only wraps (``::ffff:192.0.2.1``)."""
    return address & 0xFFFFFFFF if address >> 32 == 0xFFFF else None


def ipv4_text(address: int) -> str:
    return str(IPv4Address(address))


def ipv6_text(address: int) -> str:
    return str(IPv6Address(address))


def read_domain(text: str) -> str | None:
    """A host name in lower case without a final dot, other scripts as IDNA 2008 (UTS 46) writes them."""
    name = text[:-1] if text.endswith(".") else text
    if not 3 <= len(name) <= LONGEST_NAME:
        return None
    if name.isascii():
        return name.lower()
    try:
        return idna.encode(unicodedata.normalize("NFC", name), uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return None


def read_email(text: str) -> str | None:
    """A mail address, mailbox in lower case (as every provider that matters treats it)."""
    mailbox, at, host = text.rpartition("@")
    name = read_domain(host) if at else None
    if name is None or not 1 <= len(mailbox) <= 64:
        return None
    return f"{unicodedata.normalize('NFC', mailbox).lower()}@{name}"


def read_url(text: str) -> tuple[str, str] | None:
    """A URL and its host: scheme and host in lower case, no default port, no fragment, at least ``/``."""
    if len(text) > LONGEST_URL or "://" not in text:
        return None
    if plain := _PLAIN_URL.fullmatch(text):
        return text if plain[2] else f"{text}/", plain[1]
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        return None
    if not parts.scheme or not host:
        return None
    name = _url_host(host)
    if name is None:
        return None
    scheme = parts.scheme.lower()
    place = f"[{name}]" if ":" in name else name
    if port is not None and port != _PORTS.get(scheme):
        place += f":{port}"
    user, at, _ = parts.netloc.rpartition("@")
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{user}{at}{place}{parts.path or '/'}{query}", name


def _url_host(host: str) -> str | None:
    if ":" in host:
        address = read_ipv6(host)
        return None if address is None else ipv6_text(address)
    if len(host) < 3:
        return host.lower() if host.isascii() else None
    return read_domain(host)


def read_filename(text: str) -> str:
    """A file name or path for comparing: NFC, lower case."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).lower()


def read_hash(text: str) -> tuple[str, bytes] | None:
    """The kind and the bytes of a digest in hexadecimal."""
    kind = HASH_KINDS.get(len(text))
    if kind is None or not text.isalnum():
        return None
    try:
        return kind, bytes.fromhex(text)
    except ValueError:
        return None
