"""What a transformation or a condition was given, read with care."""

from __future__ import annotations

from typing import Any

import re2  # type: ignore[import-untyped]

from istmo.detect.sigma.documents import List, Map, WrittenNumber
from istmo.detect.sigma.expressions import INSTRUCTIONS, MEMORY
from istmo.detect.sigma.problems import Refused


def plain(found: Any) -> Any:
    """YAML as plain values: numbers without their spelling."""
    if isinstance(found, WrittenNumber):
        return int(found.value) if float(found.value).is_integer() else found.value
    if isinstance(found, Map):
        return {key: plain(value) for key, value in found.items()}
    return [plain(one) for one in found] if isinstance(found, List) else found


class Parameters:
    """One mapping of a pipeline, each key asked for once; :meth:`end` refuses what nobody asked for."""

    def __init__(self, content: Any, line: int) -> None:
        if not isinstance(content, Map):
            raise Refused("pipeline_not_a_map", line)
        self.content = content
        self.line = content.line
        self.asked: set[str] = set()

    def refused(self, name: str) -> Refused:
        return Refused("pipeline_parameter", self.content.line_of(name), name=name)

    def raw(self, name: str) -> Any:
        self.asked.add(name)
        return self.content.get(name)

    def any(self, name: str, *, is_needed: bool = False) -> Any:
        if is_needed and name not in self.content:
            raise self.refused(name)
        return plain(self.raw(name))

    def text(self, name: str, default: str | None = None) -> str:
        found = plain(self.raw(name))
        if found is None and default is not None:
            return default
        if isinstance(found, bool) or not isinstance(found, (str, int, float)):
            raise self.refused(name)
        return str(found)

    def choice(self, name: str, among: tuple[str, ...], default: str | None = None) -> str:
        found = self.text(name, default)
        if found not in among:
            raise self.refused(name)
        return found

    def boolean(self, name: str) -> bool:
        found = self.raw(name)
        if found is None:
            return False
        if not isinstance(found, bool):
            raise self.refused(name)
        return found

    def texts(self, name: str, default: list[str] | None = None) -> list[str]:
        """One text or a list of them."""
        found = plain(self.raw(name))
        if found is None and default is not None:
            return default
        found = found if isinstance(found, list) else [found]
        if not all(isinstance(one, (str, int, float)) for one in found):
            raise self.refused(name)
        return [str(one) for one in found]

    def mapping(self, name: str) -> dict[str, list[str]]:
        """Text to one text or several."""
        found = plain(self.raw(name))
        if not isinstance(found, dict):
            raise self.refused(name)
        made: dict[str, list[str]] = {}
        for key, value in found.items():
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(one, (str, int, float)) for one in values):
                raise self.refused(name)
            made[key] = [str(one) for one in values]
        return made

    def expression(self, name: str) -> Any:
        return self.compiled(name, self.text(name))

    def compiled(self, name: str, pattern: str) -> Any:
        """An expression of RE2: what it has no automaton for is refused."""
        options = re2.Options()
        options.log_errors, options.max_mem = False, MEMORY
        try:
            made = re2.compile(pattern, options)
        except (re2.error, UnicodeEncodeError):
            made = None
        if made is None or made.programsize > INSTRUCTIONS:
            line = self.content.line_of(name)
            raise Refused("pipeline_expression", line, name=name, pattern=ascii(pattern)[1:201])
        return made

    def end(self) -> None:
        for name in self.content:
            if name not in self.asked:
                raise Refused("pipeline_unknown_key", self.content.line_of(name), name=name)
