"""Rule files as YAML 1.2 documents (rules specification, "Yaml File"), read without trust.

PyYAML gives the events of libyaml's parser; the tree is built here, because its own loaders read
YAML 1.1 (where ``no`` is false and ``012`` is ten), keep the last of two equal keys in silence,
forget the line of a key, and follow aliases without bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.problems import Refused

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MARKER = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)
_TAG = "tag:yaml.org,2002:"
_CORE_TAGS = frozenset({_TAG + name for name in ("null", "bool", "int", "float", "str", "map", "seq")})
_INTEGER = re.compile(r"[-+]?[0-9]{1,100}", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]{1,100}", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,100}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})


_CAUSES = (
    ("tab character", "yaml_tab"),
    ("cannot start any token", "yaml_reserved"),
    ("alphabetic or numeric character", "yaml_asterisk"),
    ("mapping values are not allowed", "yaml_colon"),
    ("could not find expected ':'", "yaml_no_colon"),
    ("did not find expected ',' or", "yaml_open"),
    ("unexpected end of stream", "yaml_open"),
    ("unexpected document indicator", "yaml_open"),
    ("escape character", "yaml_backslash"),
    ("hexdecimal number", "yaml_backslash"),
    ("did not find expected key", "yaml_layout"),
    ("'-' indicator", "yaml_layout"),
    ("entries are not allowed", "yaml_layout"),
    ("keys are not allowed", "yaml_layout"),
    ("control characters", "yaml_control"),
)
"""What libyaml's words mean for whoever wrote the file. Its words are English, and stay with us."""


class WrittenNumber(NamedTuple):
    """A number whose text in the file is not how it would be printed (``1.10``, ``0x40``)."""

    value: float
    text: str


class Map(dict[str, Any]):
    """A YAML mapping that knows where each key stands. Keys are text as written."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def line_of(self, key: str) -> int:
        return self.lines.get(key, self.line)


class List(list[Any]):
    """A YAML sequence that knows where it begins."""

    __slots__ = ("line",)

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: its tree, or why it could not be read."""

    line: int
    text: str
    content: Any
    refused: Refused | None = None


def read_documents(data: bytes, limits: RuleLimits = STANDARD) -> Iterator[Document]:
    """Every document of a rule file, in order; one that cannot be read does not cost the next.

    Raises Refused when the file as a whole cannot be used (too large, not UTF-8).
    """
    if len(data) > limits.file_bytes:
        raise Refused("file_too_large", limit=limits.file_bytes)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", data[: error.start].count(b"\n") + 1) from None
    # A line that begins with --- always starts a document, even inside a block scalar.
    starts = [0, *(found.start() for found in _MARKER.finditer(text) if found.start())]
    if len(starts) > limits.documents:
        raise Refused("too_many_documents", limit=limits.documents)
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        chunk = text[start:end]
        yield from _read_chunk(chunk, line, limits)
        line += chunk.count("\n")


def _read_chunk(chunk: str, line: int, limits: RuleLimits) -> Iterator[Document]:
    parser = _LOADER(chunk)
    try:
        builder = _Builder(parser, line - 1, limits)
        while (found := builder.document()) is not None:
            first, content = found
            if content is not None:
                yield Document(first, chunk, content)
    except Refused as refused:
        yield Document(line, chunk, None, refused.at(line))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = mark.line if mark else 0
        lines = chunk.split("\n")
        here, *below = lines[at:] or [""]
        rest = "".join([here[mark.column :], *below] if mark else below)
        code = _cause(error.problem or "", here, is_end=not rest.strip())
        yield Document(line, chunk, None, Refused(code, line + at))
    except yaml.YAMLError as error:
        at = chunk.count("\n", 0, getattr(error, "position", 0) or 0)
        yield Document(line, chunk, None, Refused(_cause(str(error)), line + at))
    finally:
        parser.dispose()


def _cause(words: str, here: str = "", *, is_end: bool = False) -> str:
    """The code for libyaml's ``words`` about the line ``here``; ``is_end``: nothing comes after the place."""
    if is_end and "node content" in words:
        return "yaml_open"
    code = next((code for part, code in _CAUSES if part in words), "not_yaml")
    # To libyaml a tab where a value may begin is a character like any other.
    return "yaml_tab" if code == "yaml_reserved" and here.lstrip(" ").startswith("\t") else code


class _Builder:
    """Builds trees from parser events, iteratively: depth is bounded by a count, not by the stack."""

    def __init__(self, parser: Any, offset: int, limits: RuleLimits) -> None:
        self.parser, self.offset, self.limits = parser, offset, limits

    def line(self, event: Any) -> int:
        return int(event.start_mark.line) + 1 + self.offset

    def document(self) -> tuple[int, Any] | None:
        """The next document's first line and tree; None at the end."""
        while True:
            event = self.parser.get_event()
            if event is None or isinstance(event, yaml.StreamEndEvent):
                return None
            if isinstance(event, yaml.DocumentStartEvent):
                first = self.line(event)
                return first, self.tree()

    def tree(self) -> Any:
        anchors: dict[str, tuple[Any, int]] = {}
        stack: list[tuple[Map | List, str | None, int, str | None]] = []
        """Open containers: the container, a key waiting for its value, nodes so far before it, anchor."""
        nodes = aliases = 0
        key: str | None = None
        while True:
            event = self.parser.get_event()
            line = self.line(event)
            nodes += 1
            if isinstance(event, yaml.ScalarEvent):
                if event.tag is not None and event.tag not in _CORE_TAGS and event.tag != "!":
                    raise Refused("tag", line, tag=event.tag)
                value: Any = event.value
                if stack and key is None and isinstance(stack[-1][0], Map):
                    key = self.key(stack[-1][0], event, line)
                    if event.anchor:
                        anchors[event.anchor] = (value, 1)
                    continue
                if (event.implicit[0] and event.tag != "!") or (
                    event.tag in _CORE_TAGS and event.tag != _TAG + "str"
                ):
                    value = resolve(value)
                if event.anchor:
                    anchors[event.anchor] = (value, 1)
            elif isinstance(event, yaml.AliasEvent):
                aliases += 1
                if aliases > self.limits.aliases:
                    raise Refused("too_many_aliases", line, limit=self.limits.aliases)
                if event.anchor not in anchors:
                    raise Refused("unknown_alias", line, name=event.anchor)
                value, size = anchors[event.anchor]
                nodes += size
                if stack and key is None and isinstance(stack[-1][0], Map):
                    raise Refused("key_not_text", line)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                if event.tag is not None and event.tag not in _CORE_TAGS:
                    raise Refused("tag", line, tag=event.tag)
                if stack and key is None and isinstance(stack[-1][0], Map):
                    raise Refused("key_not_text", line)
                if len(stack) >= self.limits.depth:
                    raise Refused("too_deep", line, limit=self.limits.depth)
                container: Map | List = Map(line) if isinstance(event, yaml.MappingStartEvent) else List(line)
                stack.append((container, key, nodes, event.anchor))
                key = None
                continue
            else:  # the end of a container
                value, key, before, anchor = stack.pop()
                if anchor:
                    anchors[anchor] = (value, nodes - before)
            if nodes > self.limits.nodes:
                raise Refused("too_many_nodes", line, limit=self.limits.nodes)
            if not stack:
                return value
            parent = stack[-1][0]
            if isinstance(parent, Map):
                parent[str(key)] = value
                key = None
            else:
                parent.append(value)

    def key(self, into: Map, event: Any, line: int) -> str:
        name: str = event.value
        if name in into.lines:
            raise Refused("duplicate_key", line, key=name, first=into.lines[name])
        if name == "<<" and event.implicit[0]:
            raise Refused("merge_key", line)
        into.lines[name] = line
        return name


def is_resolved(event: Any) -> bool:
    """Whether a scalar may be other than text: written plain, or tagged as a number, null or boolean."""
    if event.tag in _CORE_TAGS:
        return bool(event.tag != _TAG + "str")
    return bool(event.implicit[0] and event.tag != "!")


def resolve(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2 (10.3.2)."""
    if text in _NULLS:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        number = int(text)
        return number if str(number) == text else WrittenNumber(number, text)
    if _HEXADECIMAL.fullmatch(text):
        return WrittenNumber(int(text[2:], 16), text)
    if _OCTAL.fullmatch(text):
        return WrittenNumber(int(text[2:], 8), text)
    if _FLOAT.fullmatch(text) and len(text) <= 100:
        return WrittenNumber(float(text), text)
    return text
