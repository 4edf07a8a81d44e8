"""Tables whose columns header lines name: Zeek's tab-separated logs, and W3C extended logs."""

from __future__ import annotations

import re
from typing import Any

COLUMNS = 500
"""The most that a header may name."""
_BYTE = re.compile(r"\\x([0-9a-fA-F]{2})", re.ASCII)


def is_zeek(text: str) -> bool:
    return text.startswith("#separator ")


def is_w3c(text: str) -> bool:
    return text.startswith(("#Fields:", "#Software:", "#Version:"))


class ZeekReader:
    """Rows as Zeek's JSON would have them: numbers and truth values by ``#types``, sets as lists."""

    def __init__(self) -> None:
        self._separator, self._inner, self._empty, self._unset = "\t", ",", "(empty)", "-"
        self._path = ""
        self._names: list[str] = []
        self._types: list[str] = []

    def read(self, text: str) -> dict[str, Any] | None:
        if text.startswith("#"):
            self._header(text)
            return None
        values = text.split(self._separator)
        if not self._names or len(values) < len(self._names):
            return {"message": text}
        event: dict[str, Any] = {"_path": self._path} if self._path else {}
        for name, kind, value in zip(self._names, self._types, values, strict=False):
            if value != self._unset:
                event[name] = self._value(kind, value)
        return event

    def finish(self) -> dict[str, Any] | None:
        return None

    def _header(self, text: str) -> None:
        if text.startswith("#separator "):
            self._separator = unescape(text[len("#separator ") :]).replace("\\t", "\t") or "\t"
            return
        name, *values = text.split(self._separator)
        if name == "#path" and values:
            self._path = values[0][:100]
        elif name == "#fields":
            self._names = values[:COLUMNS]
            self._types = [""] * len(self._names)
        elif name == "#types":
            self._types = [*values, *self._types][: len(self._names)]
        elif name == "#set_separator" and values:
            self._inner = unescape(values[0]) or ","
        elif name == "#empty_field" and values:
            self._empty = values[0]
        elif name == "#unset_field" and values:
            self._unset = values[0]

    def _value(self, kind: str, value: str) -> Any:
        if kind.startswith(("set[", "vector[", "table[")):
            inner = kind[kind.index("[") + 1 : -1]
            return (
                [] if value == self._empty else [self._value(inner, one) for one in value.split(self._inner)]
            )
        if kind == "bool":
            return value == "T"
        try:
            if kind in ("count", "int", "port"):
                return int(value) if len(value) <= 20 else value
            if kind in ("time", "interval", "double"):
                return float(value)
        except ValueError:
            return value
        return "" if value == self._empty else unescape(value)


class W3cReader:
    """Rows by the last ``#Fields`` line; a plus stands for a space in IIS's user agents."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def read(self, text: str) -> dict[str, Any] | None:
        if text.startswith("#"):
            if text.startswith("#Fields:"):
                self._names = text[len("#Fields:") :].split()[:COLUMNS]
            return None
        values = split_quoted(text)
        if not self._names or len(values) != len(self._names):
            return {"message": text}
        event: dict[str, Any] = {
            name: value for name, value in zip(self._names, values, strict=True) if value not in ("-", "")
        }
        agent = event.get("cs(User-Agent)", "")
        if "+" in agent and " " not in agent:
            event["cs(User-Agent)"] = agent.replace("+", " ")
        return event

    def finish(self) -> dict[str, Any] | None:
        return None


def unescape(text: str) -> str:
    r"""Text with Zeek's ``\x09`` read; a doubled backslash is one."""
    if "\\" not in text:
        return text
    return _BYTE.sub(lambda found: chr(int(found[1], 16)), text).replace("\\\\", "\\")


def split_quoted(text: str) -> list[str]:
    """Fields between blanks; those in double quotes may hold blanks, and a doubled quote is one."""
    if '"' not in text:
        return text.split("\t") if "\t" in text else text.split(" ")
    fields: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
        elif text[at] == '"':
            end = text.find('"', at + 1)
            while end >= 0 and text[end + 1 : end + 2] == '"':
                end = text.find('"', end + 2)
            end = len(text) if end < 0 else end
            fields.append(text[at + 1 : end].replace('""', '"'))
            at = end + 1
        else:
            end = min(
                (one for one in (text.find(" ", at), text.find("\t", at)) if one >= 0), default=len(text)
            )
            fields.append(text[at:end])
            at = end
    return fields
