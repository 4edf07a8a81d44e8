"""The same question answered the slow way: every indicator against every field, with no table at all."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from istmo.errors import InvalidInput
from istmo.model.values import normalise

Terms = Mapping[str, Iterable[tuple[str, str]]]


def naive_match(
    indicators: Terms, fields: Mapping[str, Any], roles: Mapping[str, str]
) -> set[tuple[str, ...]]:
    """(id, kind, term, field) of every match; ``roles`` says what each field of this event holds."""
    return {
        (id, kind, term, name)
        for name, value in fields.items()
        for id, terms in indicators.items()
        for kind, term in terms
        if (kind == "filename") == (roles[name] == "path") or roles[name] == "text"
        if any(_is_it(kind, term, piece) for piece in _pieces(roles[name], value))
    }


def _pieces(role: str, value: str) -> list[str]:
    if role == "hashes":
        return [part.partition("=")[2] or part for part in value.split(",")]
    if role == "path":
        return [value, re.split(r"[\\/]", value)[-1]]
    if role == "text":
        return value.split(" ")
    return [value]


def _is_it(kind: str, term: str, piece: str) -> bool:
    if kind in ("ipv4", "ipv6"):
        return any(_inside(term, one) for one in (piece, _host(piece)))
    if kind == "domain":
        host = _read("domain", _host(piece)) or _read("domain", piece.rpartition("@")[2])
        return host == term or host.endswith("." + term)
    if kind == "filename":
        return piece.lower() == term or re.split(r"[\\/]", piece)[-1].lower() == term
    return _read(kind, piece) == term


def _inside(network: str, piece: str) -> bool:
    try:
        address = ipaddress.ip_address(piece.strip("[]"))
        inner = getattr(address, "ipv4_mapped", None)
        return any(one in ipaddress.ip_network(network) for one in (address, inner) if one is not None)
    except ValueError:
        return False


def _host(piece: str) -> str:
    url = re.fullmatch(r"[a-z]+://(?:[^/@]*@)?(\[[^\]]*\]|[^/:]*)(?::\d+)?(?:[/?#].*)?", piece, re.IGNORECASE)
    return url[1].strip("[]") if url else piece


def _read(kind: str, piece: str) -> str:
    try:
        return normalise(kind, piece)
    except InvalidInput:
        return ""
