"""A Sigma rule (rules specification, "Components")."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from istmo.detect.sigma.conditions import Condition, Or, parse_conditions
from istmo.detect.sigma.detections import Search, parse_search
from istmo.detect.sigma.documents import Document, List, Map, WrittenNumber
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.modifiers import Placeholders
from istmo.detect.sigma.problems import Refused

LEVELS = ("informational", "low", "medium", "high", "critical")
OTHER_KINDS = ("correlation", "filter")
"""Documents that are no rules by the key that tells them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, checked in full: whatever stands here can be evaluated."""

    id: str
    """The rule's own id; for a rule without one, ``unnamed-`` and a digest of its text."""
    title: str
    logsource: Logsource
    searches: dict[str, Search] = field(repr=False)
    condition: Condition = field(repr=False)
    level: str = ""
    """One of LEVELS, or empty where the rule does not say."""
    status: str = ""
    description: str = ""
    author: str = ""
    """Who wrote the rule: to be named wherever its alerts are shown."""
    license: str = ""
    date: str = ""
    modified: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    falsepositives: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    digest: str = ""
    """SHA-256 of the document's text, in hexadecimal."""


def parse_rule(
    document: Document,
    file: str = "",
    *,
    placeholders: Placeholders | None = None,
    limits: RuleLimits = STANDARD,
) -> Rule:
    """The rule that a document holds.

    Raises Refused with the reason and line: what is missing or wrong, or not served.
    """
    content = content_of(document)
    title = checked_title(content, limits)
    searches, condition = parse_detection(content, placeholders, limits)
    digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).hexdigest()
    level = text(content, "level").lower()
    return Rule(
        id=text(content, "id").lower() or f"unnamed-{digest[:32]}",
        title=title,
        logsource=parse_logsource(content),
        searches=searches,
        condition=condition,
        level=level if level in LEVELS else "",
        status=text(content, "status"),
        description=text(content, "description"),
        author=text(content, "author"),
        license=text(content, "license"),
        date=text(content, "date"),
        modified=text(content, "modified"),
        name=text(content, "name"),
        tags=texts(content, "tags"),
        references=texts(content, "references"),
        falsepositives=texts(content, "falsepositives"),
        fields=texts(content, "fields"),
        file=file,
        line=document.line,
        digest=digest,
    )


def content_of(document: Document) -> Map:
    """The map that a document holds. Raises Refused where it holds none, or is of Sigma 1."""
    if document.refused is not None:
        raise document.refused
    content = document.content
    if not isinstance(content, Map):
        raise Refused("not_a_rule", document.line)
    if "action" in content and not any(kind in content for kind in OTHER_KINDS):
        raise Refused("collection_not_served", content.line_of("action"), is_not_served=True)
    return content


def checked_title(content: Map, limits: RuleLimits) -> str:
    """The title of a document of any kind. Raises Refused also for what makes the whole document unusable:
    a taxonomy that is not Sigma's, or the status ``unsupported``.
    """
    title = text(content, "title")
    if not title:
        raise Refused("no_title", content.line)
    if len(title) > limits.title_characters:
        raise Refused("title_too_long", content.line_of("title"), limit=limits.title_characters)
    taxonomy = content.get("taxonomy", "sigma")
    if taxonomy != "sigma":
        raise Refused("taxonomy", content.line_of("taxonomy"), is_not_served=True, taxonomy=str(taxonomy))
    if content.get("status") == "unsupported":
        raise Refused("status_unsupported", content.line_of("status"), is_not_served=True)
    return title


def parse_logsource(content: Map) -> Logsource:
    """Category, product and service of a rule. Raises Refused when it names none of them."""
    found = content.get("logsource")
    if not isinstance(found, Map):
        raise Refused("no_logsource", content.line_of("logsource"))
    parts: list[str] = []
    for name in Logsource._fields:
        value = found.get(name)
        if value is not None and not isinstance(value, str):
            raise Refused("logsource_not_text", found.line_of(name), attribute=name)
        parts.append((value or "").strip().lower())
    if not any(parts):
        raise Refused("logsource_empty", found.line)
    return Logsource(*parts)


def parse_detection(
    content: Map, placeholders: Placeholders | None, limits: RuleLimits
) -> tuple[dict[str, Search], Condition]:
    """The search identifiers and the condition over them."""
    detection = content.get("detection")
    if not isinstance(detection, Map):
        raise Refused("no_detection", content.line_of("detection"))
    return parse_searches(detection, frozenset({"timeframe"}), placeholders, limits)


def parse_searches(
    detection: Map, others: frozenset[str], placeholders: Placeholders | None, limits: RuleLimits
) -> tuple[dict[str, Search], Condition]:
    """Search identifiers and condition of a section in which ``others`` are keys with another meaning."""
    if "condition" not in detection:
        raise Refused("no_condition", detection.line)
    names = [name for name in detection if name != "condition" and name not in others]
    written = detection["condition"]
    line = detection.line_of("condition")
    conditions = written if isinstance(written, List) else [written]
    if not conditions or not all(isinstance(one, str) for one in conditions):
        raise Refused("condition_not_text", line)
    try:
        parsed = parse_conditions(conditions, names, limits)
    except Refused as refused:
        raise refused.at(line) from None
    searches = {
        name: parse_search(detection[name], detection.line_of(name), placeholders, limits) for name in names
    }
    return searches, parsed[0] if len(parsed) == 1 else Or(parsed)


def title_of(document: Document) -> str:
    """What to call a document in a message, as far as it can be read."""
    content = document.content
    if isinstance(content, Map):
        for name in ("title", "id", "name"):
            if isinstance(content.get(name), str):
                return str(content[name])[: STANDARD.title_characters]
        return ""
    found = next((line for line in document.text.splitlines() if line.startswith("title:")), "")
    return found[len("title:") :].strip().strip("'\"")[: STANDARD.title_characters]


def text(content: Map, name: str) -> str:
    """An attribute that is for people; anything but a scalar is left out."""
    return scalar(content.get(name))


def texts(content: Map, name: str) -> tuple[str, ...]:
    found: Any = content.get(name)
    elements = found if isinstance(found, List) else [found]
    return tuple(one for one in map(scalar, elements) if one)


def scalar(found: Any) -> str:
    if isinstance(found, WrittenNumber):
        return found.text
    if found is None or isinstance(found, (Map, List)):
        return ""
    return str(found).strip()
