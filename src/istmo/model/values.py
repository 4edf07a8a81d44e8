"""Observable values in one normal form each, so that equal things compare equal.

Nothing is guessed: a defanged value (``hxxp://evil[.]example``) is refused unless the caller undoes
it with ``refang``; a single label (``com``) is no domain, since a match on it would cover the world.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import idna

from istmo.errors import InvalidInput

HASH_DIGITS: Mapping[str, int] = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_HASHES = {digits: kind for kind, digits in HASH_DIGITS.items()}
KINDS = ("ipv4", "ipv6", "domain", "url", "email", *HASH_DIGITS, "filename")
"""What a term of an indicator may be about."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_MAILBOX = re.compile(r"[^\s@\x00-\x1f\x7f<>\"(),:;\[\]\\]{1,64}")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")
_DEFANGED = re.compile(
    r"\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)|\[:\]|\[:?//?\]|\[@\]|\[at\]|\(at\)|^(?:hxxps?|fxp|meow)\b",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21, "ws": 80, "wss": 443}
_REFANG = (
    (re.compile(r"\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)", re.IGNORECASE), "."),
    (re.compile(r"\[:\]"), ":"),
    (re.compile(r"\[://\]"), "://"),
    (re.compile(r"\[@\]|\[at\]|\(at\)", re.IGNORECASE), "@"),
    (re.compile(r"^(?:hxxp|meow)(s?)(?=:)", re.IGNORECASE), r"http\1"),
    (re.compile(r"^fxp(?=:)", re.IGNORECASE), "ftp"),
)


def is_defanged(text: str) -> bool:
    """Whether ``text`` was made unclickable (``[.]``, ``hxxp``, ``[at]``)."""
    return _DEFANGED.search(text) is not None


def refang(text: str) -> str:
    """Undo the usual ways of defanging. Only where somebody asked for it."""
    for pattern, plain in _REFANG:
        text = pattern.sub(plain, text)
    return text


def defang(text: str) -> str:
    """``text`` so that no program makes a link of it; ``refang`` gives it back. Hashes stay as they are."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        text = f"hxxp{scheme[4:]}://{rest}"
    elif separator and scheme.lower() == "ftp":
        text = f"fxp://{rest}"
    return text.replace(".", "[.]").replace("@", "[@]")


def normalise(kind: str, text: str) -> str:
    """The normal form of ``text`` as a value of ``kind`` (one of KINDS).

    Addresses may carry a prefix length: a range comes back as its network, a full-length prefix as
    the bare address. Raises InvalidInput: ``value.defanged``, ``value.invalid``, ``value.unknown_kind``.
    """
    maker = _MAKERS.get(kind)
    if maker is None:
        raise InvalidInput("value.unknown_kind", kind=kind)
    if kind != "filename" and is_defanged(text):
        raise InvalidInput("value.defanged", kind=kind, value=text[:200])
    made = maker(text)
    if made is None:
        raise InvalidInput("value.invalid", kind=kind, value=text[:200])
    return made


def recognise(word: str) -> tuple[str, str] | None:
    """The kind and normal form of a value as people paste it, defanging undone; None when we know none."""
    plain = refang(word.strip("\"'<>"))
    if _HEX.fullmatch(plain) and len(plain) in _HASHES:
        kind = _HASHES[len(plain)]
    elif "://" in plain:
        kind = "url"
    elif "@" in plain:
        kind = "email"
    else:
        kind = host_kind(plain)
    try:
        return kind, normalise(kind, plain)
    except InvalidInput:
        return None


def host_kind(text: str) -> str:
    """``ipv4``, ``ipv6`` or ``domain``: what the end of a connection looks like."""
    if ":" in text:
        return "ipv6"
    return "ipv4" if re.fullmatch(r"[0-9.]+(/[0-9]+)?", text, re.ASCII) else "domain"


def _ipv4(text: str) -> str | None:
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None
    if "/" in text and not text.partition("/")[2].isdecimal():
        return None  # a netmask is no prefix length
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def _ipv6(text: str) -> str | None:
    if "%" in text:
        return None  # a zone means something on one machine only
    try:
        network = ipaddress.IPv6Network(text, strict=False)
    except ValueError:
        return None
    return str(network.network_address) if network.prefixlen == 128 else str(network)


def _domain(text: str) -> str | None:
    name = text[:-1] if text.endswith(".") else text
    if not name.isascii():
        try:
            name = idna.encode(unicodedata.normalize("NFC", name), uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    labels = name.lower().split(".")
    if len(labels) < 2 or len(name) > 253 or labels[-1].isdecimal():
        return None
    return ".".join(labels) if all(_LABEL.fullmatch(label) for label in labels) else None


def _url(text: str) -> str | None:
    if _UNPRINTABLE.search(text) or len(text) > 8192:
        return None
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        return None
    if not parts.scheme or not host or "://" not in text:
        return None
    name = {"ipv4": _ipv4, "ipv6": _ipv6, "domain": _domain}[host_kind(host)](host)
    if name is None and _LABEL.fullmatch(host.lower()):
        name = host.lower()  # within a URL a bare machine name is exact enough
    if name is None or "/" in name:
        return None
    scheme = parts.scheme.lower()
    place = f"[{name}]" if ":" in name else name
    if port is not None and port != _DEFAULT_PORTS.get(scheme):
        place += f":{port}"
    user, at, _ = parts.netloc.rpartition("@")
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{user}{at}{place}{parts.path or '/'}{query}"


def _email(text: str) -> str | None:
    mailbox, _, host = text.rpartition("@")
    name = _domain(host)
    if name is None or not _MAILBOX.fullmatch(mailbox):
        return None
    return f"{unicodedata.normalize('NFC', mailbox).lower()}@{name}"


def _hash(digits: int) -> Callable[[str], str | None]:
    def make(text: str) -> str | None:
        return text.lower() if len(text) == digits and _HEX.fullmatch(text) else None

    return make


def _filename(text: str) -> str | None:
    name = unicodedata.normalize("NFC", text).lower()
    if not name.strip(" .") or len(name) > 1024 or "\x00" in name or "\n" in name:
        return None
    return name


_MAKERS: Mapping[str, Callable[[str], str | None]] = {
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "domain": _domain,
    "url": _url,
    "email": _email,
    "filename": _filename,
    **{kind: _hash(digits) for kind, digits in HASH_DIGITS.items()},
}
