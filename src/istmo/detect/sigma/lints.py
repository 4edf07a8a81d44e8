"""What is legal in a rule and probably not meant, read differently by other engines, or slow.

Rules specification 2.1; each remark has a code, whose text is ``sigma.lint.<code>``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from istmo.detect.sigma.conditions import And, Condition, Name, Not, Or, is_selected
from istmo.detect.sigma.documents import Document, List, Map, WrittenNumber, read_documents
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.rules import LEVELS, Rule
from istmo.detect.sigma.ruleset import ReadRule

SHORTEST_LITERAL: Final = 3
_NOT_LITERAL = re.compile(r"\\[a-zA-Z]|\[(?:\\.|[^\]\\])*\]|\{[0-9,]*\}|\(\?[a-zA-Z:<>=!]*")
_ESCAPED_STAR = re.compile(r"(?<!\\)\\\*")
_OF = re.compile(r"\b(1|any|all)\s+of\s+([^\s()]+)", re.IGNORECASE)
_RUN = re.compile(r"[A-Za-z0-9_ :/-]{3}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TECHNIQUE = re.compile(r"t\d{4}(\.\d{3})?|ta\d{4}|[gscm]\d{4}|ds\d{4}", re.ASCII)
TACTICS: Final = (
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "stealth",
    "defense-impairment",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
)
"""Of MITRE ATT&CK, as rules tag them, in the order of an attack."""
_STATUSES: Final = frozenset({"stable", "test", "experimental", "deprecated", "unsupported"})


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at in a rule that was loaded. ``line`` counts from 1; 0 where none is to blame."""

    code: str
    file: str
    line: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    rule: str = ""

    @property
    def key(self) -> str:
        """Its entry in a catalogue of texts."""
        return f"sigma.lint.{self.code}"


class Linter:
    """Looks at rules one after another; titles are compared across all of them.

    ``has_events`` says whether an event may have a log source at all, where that is known.
    """

    def __init__(self, has_events: Callable[[Logsource], bool] | None = None) -> None:
        self._has_events = has_events
        self._titles: dict[str, Rule] = {}

    def look(self, read: ReadRule) -> Iterator[Remark]:
        """Every remark on a rule, in no promised order."""
        rule = read.rule
        document = _document(read)
        if document is None:
            return
        offset = rule.line - document.line
        content: Map = document.content
        found: list[Remark] = []
        for remark in (
            *_about(content, rule),
            *_tags(content, rule),
            *_condition(content, rule),
            *_values(content),
            *self._alone(content, rule),
        ):
            line = remark.line + offset if remark.line else rule.line
            found.append(replace(remark, file=rule.file, line=line, rule=rule.title))
        yield from found

    def _alone(self, content: Map, rule: Rule) -> Iterator[Remark]:
        first = self._titles.setdefault(rule.title.casefold(), rule)
        if first is not rule:
            told = {"file": first.file, "first": first.line}
            yield Remark("duplicate_title", "", content.line_of("title"), told)
        if self._has_events is not None and not self._has_events(rule.logsource):
            named = ", ".join(f"{name}: {value}" for name, value in rule.logsource._asdict().items() if value)
            yield Remark("logsource_unknown", "", content.line_of("logsource"), {"logsource": named})


def _document(read: ReadRule) -> Document | None:
    """The rule's document with its lines; a chunk of a file may hold more than one."""
    for document in read_documents(read.text.encode("utf-8", "surrogatepass")):
        if isinstance(document.content, Map):
            return document
    return None


def _about(content: Map, rule: Rule) -> Iterator[Remark]:
    if "id" not in content:
        yield Remark("no_id", "")
    elif not _UUID.fullmatch(rule.id):
        yield Remark("id_not_uuid", "", content.line_of("id"), {"id": rule.id[:80]})
    if "level" not in content:
        yield Remark("no_level", "")
    elif not rule.level:
        yield Remark("level_unknown", "", content.line_of("level"), {"levels": ", ".join(LEVELS)})
    if "date" not in content:
        yield Remark("no_date", "")
    elif not _DATE.fullmatch(rule.date):
        yield Remark("date_form", "", content.line_of("date"), {"date": rule.date[:40]})
    if rule.status == "deprecated":
        yield Remark("deprecated", "", content.line_of("status"))
    elif rule.status and rule.status not in _STATUSES:
        yield Remark("status_unknown", "", content.line_of("status"), {"status": rule.status[:40]})


def _tags(content: Map, rule: Rule) -> Iterator[Remark]:
    for tag in rule.tags:
        space, dot, name = tag.partition(".")
        if space == "attack" and dot:
            is_known = bool(_TECHNIQUE.fullmatch(name)) or name.replace("_", "-") in TACTICS
        else:
            is_known = bool(dot) and tag == tag.lower()
        if not is_known:
            yield Remark("tag_form", "", content.line_of("tags"), {"tag": tag[:80]})


def _condition(content: Map, rule: Rule) -> Iterator[Remark]:
    detection = content["detection"]
    line = detection.line_of("condition")
    if not is_positive(rule.condition):
        yield Remark("only_negative", "", line)
    for name in rule.searches:
        if name.lower().startswith("not"):
            yield Remark("name_begins_with_not", "", detection.line_of(name), {"name": name})
    searches = [detection[name] for name in rule.searches]
    if not any(map(_has_handle, searches)):
        yield Remark("short_literals", "", detection.line)
    written = detection["condition"]
    for text in written if isinstance(written, List) else [written]:
        for quantity, pattern in _OF.findall(text):
            selected = sum(is_selected(name, pattern) for name in rule.searches)
            if selected == 1 and pattern == "them":
                yield Remark("of_one", "", line, {"of": f"{quantity} of {pattern}"})
    used = set(names_of(rule.condition))
    for name in rule.searches:
        if name not in used:
            yield Remark("search_unused", "", detection.line_of(name), {"name": name})


def is_positive(condition: Condition) -> bool:
    """Whether an event must have something for the condition to hold."""
    if isinstance(condition, Name):
        return True
    if isinstance(condition, Not):
        return isinstance(condition.of, Not) and is_positive(condition.of.of)
    if isinstance(condition, And):
        return any(map(is_positive, condition.of))
    return all(map(is_positive, condition.of))


def names_of(condition: Condition) -> Iterator[str]:
    """The search identifiers that a condition speaks of."""
    if isinstance(condition, Name):
        yield condition.name
    elif isinstance(condition, Not):
        yield from names_of(condition.of)
    elif isinstance(condition, (And, Or)):
        for one in condition.of:
            yield from names_of(one)


def _values(content: Map) -> Iterator[Remark]:
    detection = content["detection"]
    for name, search in detection.items():
        if name in ("condition", "timeframe"):
            continue
        for element in search if isinstance(search, List) else [search]:
            if isinstance(element, Map):
                for key, value in element.items():
                    written = value if isinstance(value, List) else [value]
                    yield from _field(key, written, element.line_of(key))


def _field(key: str, written: Iterable[Any], line: int) -> Iterator[Remark]:
    field_, *modifiers = key.split("|")
    values = list(written)
    texts = [one for one in values if isinstance(one, str)]
    others = [one for one in values if not isinstance(one, str)]
    if texts and others:
        told = {"field": field_, "value": _written(others[0])}
        yield Remark("mixed_list", "", line, told)
    for text in texts:
        told = {"field": field_, "value": text[:120]}
        if "re" in modifiers:
            if not has_literal(text):
                yield Remark("expression_without_literal", "", line, told)
        elif text.strip("*") == "" and text and "fieldref" not in modifiers:
            yield Remark("wildcard_alone", "", line, told)
        else:
            if _ESCAPED_STAR.search(text) and text.count("\\") > 1:
                yield Remark("escaped_wildcard", "", line, told)


def _has_handle(content: Any) -> bool:
    """Whether some value is a number, or has a fixed part that is long enough to be looked for."""
    if isinstance(content, Map):
        return any(
            has_literal(value) if key.endswith("|re") and isinstance(value, str) else _has_handle(value)
            for key, value in content.items()
        )
    if isinstance(content, List):
        return any(map(_has_handle, content))
    if isinstance(content, str):
        return any(len(piece) >= SHORTEST_LITERAL for piece in re.split(r"[*?]", content))
    return content is not None


def has_literal(pattern: str) -> bool:
    """Whether an expression has a run of letters or digits by which events can be sorted out quickly."""
    plain = _NOT_LITERAL.sub("\n", pattern)
    return _RUN.search(plain) is not None


def _written(value: Any) -> str:
    if isinstance(value, WrittenNumber):
        return value.text
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
