"""What the machine interface of detection answers: alerts and rules as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from istmo.detect.explaining import explain, explain_silence, explain_weighed
from istmo.detect.objects import (
    Alert,
    Correlated,
    Evidence,
    Rule,
    RuleCost,
    RuleProblem,
    Silence,
    Story,
    ValueList,
    Weighed,
)
from istmo.detect.shapes import (
    AlertShape,
    CorrelationShape,
    CountProblem,
    CountShape,
    EvidenceShape,
    LeftOut,
    RuleCostShape,
    RuleShape,
    SilenceShape,
    StoryShape,
    UnusableRule,
    ValueListShape,
    WeighedShape,
)
from istmo.detect.stories import from_micros
from istmo.detect.wire import Tally, WireRow
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import instants


def alert_json(alert: Alert) -> AlertShape:
    """An alert without its evidence."""
    return {
        "id": alert.id,
        "detector": alert.detector,
        "subject": alert.subject,
        "title": alert.title,
        "level": str(alert.level),
        "tlp": alert.tlp.label,
        "origin": alert.origin,
        "host": alert.entity,
        "hosts": alert.hosts,
        "first_seen": _time(alert.first_seen),
        "last_seen": _time(alert.last_seen),
        "count": alert.count,
        "stored_count": alert.stored_count,
        "created": _time(alert.created),
        "updated": _time(alert.updated),
        "status": str(alert.status),
        "reason": None if alert.reason is None else str(alert.reason),
        "note": alert.note,
        "former": alert.former,
        "version": alert.version,
        "assignee": alert.assignee,
        "snoozed_until": _time(alert.snoozed_until),
        "worked": _time(alert.worked),
    }


def story_json(story: Story, asker: Asker, catalogue: Catalogue) -> StoryShape:
    """An alert with its timeline and evidence."""
    seen, silence, weighed = story.alert.correlation, story.alert.silence, story.alert.weighed
    return {
        **alert_json(story.alert),
        "correlation": None if seen is None else correlation_json(seen, asker, catalogue),
        "silence": None if silence is None else silence_json(silence, asker, catalogue),
        "weighed": None if weighed is None else weighed_json(weighed, asker, catalogue),
        "evidence": [evidence_json(one) for one in story.evidence],
        "timeline": [{"hour": _time(hour), "count": count} for hour, count in story.hours],
        "by_host": [{"host": host, "count": count} for host, count in story.hosts],
    }


def correlation_json(seen: Correlated, asker: Asker, catalogue: Catalogue) -> CorrelationShape:
    """What a correlation saw."""
    return {
        "type": seen.type,
        "timespan": seen.timespan / 1_000_000,
        "condition": seen.condition,
        "value": seen.value,
        "fields": list(seen.fields),
        "group": dict(seen.group),
        "events": seen.number,
        "matches": seen.matches,
        "text": " ".join(explain(catalogue, asker.language, seen)),
    }


def silence_json(silence: Silence, asker: Asker, catalogue: Catalogue) -> SilenceShape:
    """What was known of a source when it had been silent for too long."""
    return {
        "last": _micros(silence.last),
        "since": _micros(silence.since),
        "limit": silence.limit,
        "hourly": silence.hourly,
        "ended": _micros(silence.ended),
        "text": " ".join(explain_silence(catalogue, asker.language, silence, asker.zone)),
    }


def weighed_json(weighed: Weighed, asker: Asker, catalogue: Catalogue) -> WeighedShape:
    """What the level of an indicator's alert was made of."""
    return {
        "confidence": weighed.confidence,
        "types": list(weighed.types),
        "warning_lists": list(weighed.lists),
        "text": " ".join(explain_weighed(catalogue, asker.language, weighed)),
    }


def evidence_json(one: Evidence) -> EvidenceShape:
    """One event that matched; ``raw`` in place of ``event`` where it was too long to keep whole."""
    try:
        event, raw = orjson.loads(one.raw), None
    except orjson.JSONDecodeError:
        event, raw = None, one.raw.decode("utf-8", "replace")
    told: EvidenceShape = {
        "id": one.event,
        "time": _time(one.time),
        "received": _time(one.received),
        "host": one.host,
        "source": one.source,
        "fields": dict(one.fields),
        "stored": one.is_stored,
        "event": event,
    }
    if raw is not None:
        told["raw"] = raw
    return told


def rule_json(rule: Rule, asker: Asker, catalogue: Catalogue) -> RuleShape:
    """A rule without its text."""
    return {
        "id": rule.id,
        "kind": rule.kind,
        "refers": list(rule.refers),
        "lists": list(rule.lists),
        "title": rule.title,
        "level": rule.level,
        "status": rule.status,
        "description": rule.description,
        "author": rule.author,
        "logsource": rule.logsource,
        "tags": list(rule.tags),
        "enabled": rule.is_enabled,
        "problem": None if rule.problem is None else unusable_json(rule.problem, asker, catalogue),
        "cost": None if rule.cost is None else cost_json(rule.cost),
        "file": rule.file,
        "imported": _time(rule.imported),
        "updated": _time(rule.updated),
    }


def cost_json(cost: RuleCost) -> RuleCostShape:
    """What a rule costs."""
    return {
        "nanoseconds": cost.nanos,
        "asked_per_million": cost.asked,
        "share_per_thousand": cost.share,
        "slow": cost.is_slow,
        "measured": _time(cost.measured),
    }


def unusable_json(problem: tuple[str, Mapping[str, Any]], asker: Asker, catalogue: Catalogue) -> UnusableRule:
    """Why the worker cannot use a rule as it is meant."""
    code, params = problem
    text = unusable_text(problem, asker.language, catalogue)
    return {"code": code, "line": params.get("line"), "text": text}


def unusable_text(problem: tuple[str, Mapping[str, Any]], language: str, catalogue: Catalogue) -> str:
    """The same in words: of a node where it is about what a node has, else in Sigma's own terms."""
    code, params = problem
    reason = params.get("reason", "")
    keys = (f"detect.rule_problem.{reason}", f"sigma.problem.{reason}")
    key = next((one for one in keys if catalogue.has(language, one)), f"error.{code}")
    return catalogue.text(language, key, **params)


def problem_json(problem: RuleProblem, asker: Asker, catalogue: Catalogue) -> LeftOut:
    """A rule of an import that was left out, or kept and not in force, and why."""
    return {
        "file": problem.file,
        "line": problem.line or None,
        "rule": problem.rule,
        "code": problem.key,
        "text": catalogue.text(asker.language, problem.key, **problem.params),
        "not_served": problem.is_not_served,
        "kept": problem.is_kept,
    }


def list_json(one: ValueList) -> ValueListShape:
    """A value list with its values."""
    return {
        "name": one.name,
        "values": list(one.values),
        "changed": _time(one.changed),
        "changed_by": one.changed_by,
        "version": one.version,
    }


def row_line(row: WireRow, names: Mapping[str, str]) -> bytes:
    """A stored event as one line of JSON; the event itself as it came. ``matched``, of a search by a pattern:
    the fields by which it holds."""
    told = {
        "id": row.event_id,
        "time": _time(from_micros(row.time)),
        "received": _time(from_micros(row.received)),
        "source": names.get(row.source, row.source),
        "host": row.host,
    }
    head = orjson.dumps(told | {"matched": row.fields} if row.fields else told)
    # What is stored was checked to be one JSON object in one line, so it can stand where it is.
    return head[:-1] + b',"event":' + row.raw.strip() + b"}\n"


def _micros(micros: int | None) -> str | None:
    return None if micros is None else _time(from_micros(micros))


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else instants.format(instant)


def count_told(tally: Tally, names: Mapping[str, str], problem: CountProblem | None) -> CountShape:
    """What was counted; ``names`` are what sources are called."""
    return {
        "total": tally.total,
        "values": [{"value": names.get(text, text), "count": count} for text, count in tally.values],
        "rest": tally.rest,
        "missing": tally.missing,
        "buckets": [
            {"time": instants.format(from_micros(begin)), "count": count} for begin, count in tally.buckets
        ],
        "problem": problem,
    }
