"""Rules read from what somebody uploaded, in a process of their own.

Reading a release of Sigma rules takes seconds of the interpreter, and what is uploaded may be hostile:
neither may be felt by whoever else is served. ``python -m istmo.detect.rule_import`` reads the upload
from its standard input and answers in msgpack.
"""

from __future__ import annotations

import hashlib
import re
import resource
import subprocess
import sys
from typing import Any, Final

import msgspec
import structlog

from istmo.detect.objects import CORRELATION, FILTER, RULE, RuleProblem
from istmo.detect.sigma import (
    AskedPlaceholders,
    Correlation,
    Filter,
    Logsource,
    Problem,
    ReadRule,
    Rule,
    read_rules,
    rule_files,
)
from istmo.errors import InvalidInput, Unavailable

log = structlog.get_logger(__name__)

SECONDS: Final = 120.0
MEMORY: Final = 2 << 30
"""Bytes of address space that the reading process may have."""
_STAND_IN: Final = "192.0.2.1"
"""A value that does as text, address and expression alike, for lists that a rule asks for."""
ID_UNUSABLE: Final = "detect.rule_import.id_unusable"
_ID: Final = re.compile(r"(?!(?:import|switch)$)[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""Ids that can stand in the address of a rule."""
SMALL: Final = 32 << 10
"""A single file up to this size is read where we are: quicker than a process starts."""


class FoundRule(msgspec.Struct, frozen=True):
    """A rule, correlation or filter that can be used, with the columns that it is kept in."""

    id: str
    title: str
    level: str
    status: str
    description: str
    author: str
    logsource: str
    tags: list[str]
    text: str
    digest: str
    file: str
    line: int
    kind: str = RULE
    name: str = ""
    refers: list[str] = []
    lists: list[str] = []


class FoundProblem(msgspec.Struct, frozen=True):
    key: str
    file: str
    line: int
    params: dict[str, Any]
    rule: str
    is_not_served: bool

    def told(self) -> RuleProblem:
        return RuleProblem(self.key, self.file, self.line, self.params, self.rule, self.is_not_served)


class Found(msgspec.Struct, frozen=True):
    """What an upload holds."""

    rules: list[FoundRule]
    problems: list[FoundProblem]


_decoder = msgspec.msgpack.Decoder(Found)


def read_upload(data: bytes) -> Found:
    """The rules in a zip or a YAML file, and every problem by file and line.

    Raises InvalidInput("detect.rules_unreadable") where reading takes too long or too much,
    Unavailable where it cannot be begun.
    """
    if len(data) <= SMALL and not data.startswith(b"PK"):
        return read_here(data)
    command = [sys.executable, "-m", "istmo.detect.rule_import"]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise InvalidInput("detect.rules_unreadable") from None
    except OSError as error:
        raise Unavailable("detect.rules_not_read", detail=error.strerror or "?") from error
    if done.returncode:
        log.error("rules_unreadable", status=done.returncode, said=done.stderr[-2000:])
        raise InvalidInput("detect.rules_unreadable")
    return _decoder.decode(done.stdout)


def read_here(data: bytes) -> Found:
    """The same in this process."""
    rules: list[FoundRule] = []
    problems: list[FoundProblem] = []
    # What its lists hold is the node's to say, also later: a rule is kept whether they are there or not.
    lists = AskedPlaceholders(stand_in=_STAND_IN)
    for one in read_rules(rule_files(data), lists):
        asked, lists.asked = sorted(lists.asked), set()
        if isinstance(one, Problem):
            params = {name: _plain(value) for name, value in one.params.items()}
            problems.append(FoundProblem(one.key, one.file, one.line, params, one.rule, one.is_not_served))
        elif not _ID.fullmatch(one.rule.id if isinstance(one, ReadRule) else one.part.id):
            told = one.rule if isinstance(one, ReadRule) else one.part
            problems.append(FoundProblem(ID_UNUSABLE, told.file, told.line, {}, told.title, False))
        elif isinstance(one, ReadRule):
            rules.append(_rule(one.rule, one.text, asked))
        elif isinstance(one.part, Correlation):
            rules.append(_correlation(one.part, one.text))
        else:
            rules.append(_filter(one.part, one.text, asked))
    return Found(rules, problems)


def _rule(rule: Rule, text: str, lists: list[str]) -> FoundRule:
    return FoundRule(
        id=rule.id,
        title=rule.title,
        level=rule.level,
        status=rule.status,
        description=rule.description,
        author=rule.author,
        logsource=_where(rule.logsource),
        tags=list(rule.tags),
        text=text,
        digest=_digest(text),
        file=rule.file,
        line=rule.line,
        name=rule.name,
        lists=lists,
    )


def _correlation(one: Correlation, text: str) -> FoundRule:
    return FoundRule(
        id=one.id,
        title=one.title,
        level=one.level,
        status=one.status,
        description=one.description,
        author=one.author,
        logsource="",
        tags=list(one.tags),
        text=text,
        digest=_digest(text),
        file=one.file,
        line=one.line,
        kind=CORRELATION,
        name=one.name,
        refers=list(one.references),
    )


def _filter(one: Filter, text: str, lists: list[str]) -> FoundRule:
    return FoundRule(
        id=one.id,
        title=one.title,
        level="",
        status="",
        description=one.description,
        author="",
        logsource=_where(one.logsource),
        tags=[],
        text=text,
        digest=_digest(text),
        file=one.file,
        line=one.line,
        kind=FILTER,
        refers=list(one.references),
        lists=lists,
    )


def _where(source: Logsource) -> str:
    return ", ".join(part for part in (source.product, source.category, source.service) if part)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def main() -> None:
    """Read the upload from standard input, answer on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    found = read_here(sys.stdin.buffer.read())
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))


if __name__ == "__main__":
    main()
