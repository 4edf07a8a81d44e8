"""Values inside free text: command lines, script blocks, registry data, rendered messages.

One pass finds what looks like a host (addresses in dotted form, domain names, the host of a URL,
the domain of a mail address), and further ones only what can be there: URLs where there is ``://``,
mail addresses where there is ``@``, and so on. Work is bounded by the text's length: no pattern
can backtrack over more than a name, and a text beyond LONGEST is read up to there.

What is hidden is not found: an escaped, encoded or split value (``ev^il.example``, base64) is the
business of a rule, not of an indicator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from istmo.detect.indicators import values
from istmo.detect.indicators.tables import BETWEEN_FILES, Match, Tables

LONGEST: Final = 1 << 17
"""Characters of one text that are read; a part of a script block has at most 20,000."""
MOST: Final = 8192
"""Candidates of one sort in one text."""
MOST_FOREIGN: Final = 32
"""Names in other scripts than ASCII in one text: each costs a conversion."""

_HOST = re.compile(r"(?<![\w-])[\w-]{1,63}(?:\.[\w-]{1,63})+")
_URL = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,15}://.{3,4096}", re.IGNORECASE)
_BARE = re.compile(r"(?<![\w./@:-])[\w-]{1,63}(?:\.[\w-]{1,63})+(?::\d{1,5})?/.*")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}:[0-9a-f]{0,4}:[0-9a-f:.]{0,37}", re.IGNORECASE)
_DIGITS = "|".join(f"[0-9a-f]{{{count}}}" for count in sorted(values.HASH_KINDS, reverse=True))
_DIGEST = re.compile(rf"(?<![0-9a-z])(?:{_DIGITS})(?![0-9a-z])", re.IGNORECASE)
_QUOTED = re.compile(r"[\"']([^\"'<>|*?\n]{1,512})[\"']")
_MAILBOX = re.compile(r"[^\s@<>\"(),:;\[\]\\]{1,64}$")
_TRAILING: Final = ".,;:!?)]}&"


def _blanks(marks: str) -> dict[int, int]:
    return dict.fromkeys((*range(32), 127, *map(ord, marks)), ord(" "))


_BETWEEN_WORDS: Final = _blanks("\"'<>|\\^`{}")
"""What stands in no URL unescaped: a word is what is left between these and blanks."""
_BETWEEN_FILES: Final = _blanks(BETWEEN_FILES)

Piece = tuple[Match, str]
"""A table entry, and the part of the text that came to it."""


def scan(tables: Tables, text: str) -> Iterator[Piece]:
    """Every table entry that some part of the text comes to."""
    if len(text) > LONGEST:
        text = text[:LONGEST]
    urls, emails, files = tables.has("url"), tables.has("email"), tables.has("filename")
    ipv6 = tables.has("ipv6") or "::" in text
    digests = any(tables.has(kind) for kind in values.HASH_KINDS.values())
    foreign = MOST_FOREIGN
    for word in dict.fromkeys(text.translate(_BETWEEN_WORDS).split()):
        has_scheme = "://" in word
        if "." in word:
            foreign -= not word.isascii()
            if foreign >= 0 or word.isascii():
                yield from _hosts(tables, word)
            if urls and "/" in word and not has_scheme:
                yield from _bare_urls(tables, word)
            if emails and "@" in word:
                yield from _emails(tables, word)
        if urls and has_scheme:
            yield from _urls(tables, word)
        if digests and len(word) >= 32:
            yield from _digests(tables, word)
        if ipv6 and word.count(":") >= 2:
            yield from _ipv6s(tables, word)
    if files:
        yield from _files(tables, text)


def _hosts(tables: Tables, text: str) -> Iterator[Piece]:
    foreign = MOST_FOREIGN
    for found in islice(_HOST.finditer(text), MOST):
        name = found[0]
        if name[-1].isdecimal():
            address = values.read_ipv4(name)
            if address is not None:
                for match in tables.ipv4(address):
                    yield match, name
            continue
        if not name.isascii():
            foreign -= 1
            if foreign < 0:
                continue
        read = values.read_domain(name)
        if read:
            for match in tables.domain(read):
                yield match, name


def _urls(tables: Tables, text: str) -> Iterator[Piece]:
    for found in islice(_URL.finditer(text), MOST):
        for url in _trimmed(found[0]):
            read = values.read_url(url)
            if read:
                for match in tables.exact("url", read[0]):
                    yield match, url


def _bare_urls(tables: Tables, text: str) -> Iterator[Piece]:
    """URLs that somebody wrote without a scheme (``curl host.example/x``): either of the web's is meant."""
    for found in islice(_BARE.finditer(text), MOST):
        for url in _trimmed(found[0]):
            for scheme in ("http://", "https://"):
                read = values.read_url(scheme + url)
                if read:
                    for match in tables.exact("url", read[0]):
                        yield match, url


def _trimmed(url: str) -> Iterator[str]:
    """A URL as it stands, and without the punctuation of the sentence around it."""
    yield url
    for _ in range(4):
        if url[-1] not in _TRAILING:
            return
        url = url[:-1]
        yield url


def _emails(tables: Tables, text: str) -> Iterator[Piece]:
    place = -1
    for _ in range(MOST):
        place = text.find("@", place + 1)
        if place < 0:
            return
        mailbox = _MAILBOX.search(text, max(0, place - 64), place)
        host = _HOST.match(text, place + 1)
        if mailbox and host:
            for name in {mailbox[0], mailbox[0].lstrip("'`*=/{|")}:
                whole = f"{name}@{host[0]}"
                read = values.read_email(whole)
                if read:
                    for match in tables.exact("email", read):
                        yield match, whole


def _ipv6s(tables: Tables, text: str) -> Iterator[Piece]:
    for found in islice(_IPV6.finditer(text), MOST):
        address = values.read_ipv6(found[0].rstrip("."))
        if address is not None:
            for match in tables.ipv6(address):
                yield match, found[0]


def _digests(tables: Tables, text: str) -> Iterator[Piece]:
    for found in islice(_DIGEST.finditer(text), MOST):
        digest = values.read_hash(found[0])
        if digest:
            for match in tables.exact(*digest):
                yield match, found[0]


def _files(tables: Tables, text: str) -> Iterator[Piece]:
    """Names as words and as the ends of paths; in quotes where a name holds blanks or the like."""
    text = values.read_filename(text)
    for name in tables.known_files(text.translate(_BETWEEN_FILES).split()):
        yield ("filename", name), name
    if tables.has_long_files:
        for quoted in islice(_QUOTED.finditer(text), MOST):
            yield from path(tables, quoted[1])


def path(tables: Tables, text: str) -> Iterator[Piece]:
    """A path: the whole of it, and the name at its end."""
    whole = values.read_filename(text)
    for match in tables.exact("filename", whole):
        yield match, text
    name = whole.replace("/", "\\").rpartition("\\")[2]
    if name and name != whole:
        for match in tables.exact("filename", name):
            yield match, text
