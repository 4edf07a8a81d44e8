"""The catalogue: every word that a person reads, in each language of the node.

Texts live in ``kit/locale/<language>/<room>.po``; an entry's id is a dotted key. Placeholders are
``{name}``; an entry with a plural is chosen by the parameter ``n`` (one, other).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from istmo.errors import IstmoError
from istmo.kit.po import read_po

LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("es", "en")
"""The languages that istmo itself speaks."""

_PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_ACCEPTED = re.compile(r"^\s*([a-zA-Z]{1,8})(?:-[a-zA-Z0-9-]+)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?))?\s*$")


class MissingTextError(LookupError):
    """A key or a placeholder that the catalogue does not have; raised only in strict mode."""


@dataclass(frozen=True)
class Told:
    """An error in a person's words: what happened, and what to do about it."""

    message: str
    remedy: str


class Catalogue:
    """Texts by language and key. A language is read when it is first asked for.

    ``strict`` (tests) raises MissingTextError where a text is missing; otherwise the key itself is
    shown between ⟦ ⟧, so that a gap is seen and never hides the rest of a page.
    """

    def __init__(self, folder: Path = LOCALE, *, strict: bool = False) -> None:
        self.folder = folder
        self.strict = strict
        self.languages = (
            tuple(language for language in LANGUAGES if (folder / language).is_dir()) or LANGUAGES
        )
        self._lock = threading.Lock()
        self._texts: dict[str, dict[str, tuple[str, ...]]] = {}

    def text(self, language: str, key: str, /, **params: Any) -> str:
        """The text of ``key``, with ``params`` in its placeholders."""
        texts = self._of(language).get(key)
        if not texts:
            if self.strict:
                raise MissingTextError(f"{language}: {key}")
            return f"⟦{key}⟧"
        chosen = texts[0] if len(texts) == 1 or params.get("n") == 1 else texts[1]
        return self._fill(chosen, language, key, params) if "{" in chosen else chosen

    def outline(self, language: str, key: str, /, **params: Any) -> str:
        """The text of a key of which only some parameters are known any more: the others are left open."""
        unknown = {name: "…" for text in self.entry(language, key) for name in placeholders(text)}
        return self.text(language, key, **{**unknown, **params})

    def has(self, language: str, key: str) -> bool:
        """Whether ``key`` has a text."""
        return key in self._of(language)

    def keys(self, language: str) -> frozenset[str]:
        """Every key of one language."""
        return frozenset(self._of(language))

    def entry(self, language: str, key: str) -> tuple[str, ...]:
        """The raw texts of a key: one, or (one, other) where it has a plural; empty when missing."""
        return self._of(language).get(key, ())

    def error(self, language: str, error: IstmoError) -> Told:
        """What happened and what to do, for a person."""
        key = f"error.{error.code}"
        return Told(
            self.text(language, key, **error.params), self.text(language, f"{key}.remedy", **error.params)
        )

    def _of(self, language: str) -> dict[str, tuple[str, ...]]:
        known = self._texts.get(language)
        if known is None:
            with self._lock:
                known = self._texts.get(language)
                if known is None:
                    known = self._read(language if language in self.languages else self.languages[0])
                    self._texts[language] = known
        return known

    def _read(self, language: str) -> dict[str, tuple[str, ...]]:
        texts: dict[str, tuple[str, ...]] = {}
        for path in sorted((self.folder / language).glob("*.po")):
            for message in read_po(path):
                if any(message.texts):
                    texts[message.key] = message.texts
        return texts

    def _fill(self, text: str, language: str, key: str, params: Mapping[str, Any]) -> str:
        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name not in params:
                if self.strict:
                    raise MissingTextError(f"{language}: {key} needs {name}")
                return found[0]
            return plain(params[name])

        return _PLACEHOLDER.sub(value, text)


def placeholders(text: str) -> frozenset[str]:
    """The names that a text wants filled."""
    return frozenset(_PLACEHOLDER.findall(text))


def plain(value: Any) -> str:
    """A parameter as it stands in a sentence: lists joined, instants to the second in UTC."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(
            plain(one) for one in (sorted(value) if isinstance(value, (set, frozenset)) else value)
        )
    return str(value)


def grouped(value: float) -> str:
    """Digits in groups of three by a narrow space, which reads alike in both languages."""
    whole = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.1f}"
    return whole.replace(",", "\u202f")


def negotiate(preferred: str | None, accept: str | None, languages: Iterable[str]) -> str:
    """The language to speak: the asker's own choice, else the browser's, else the node's first.

    ``accept`` is the Accept-Language header (RFC 9110, 12.5.4); regions are ignored, so ``es-SV`` is ``es``.
    """
    spoken = tuple(one for one in languages if one in LANGUAGES) or LANGUAGES
    if preferred in spoken:
        return preferred
    best, weight = spoken[0], 0.0
    for part in (accept or "")[:500].split(","):
        found = _ACCEPTED.match(part)
        if not found:
            continue
        quality = float(found[2] or 1)
        if found[1].lower() in spoken and quality > weight:
            best, weight = found[1].lower(), quality
    return best
