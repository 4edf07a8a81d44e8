"""What published rules find in the event logs of real techniques, and why not more.

For each log without a match of level medium or above: its channels and event ids, the rules of lower levels
that match, how many rules of medium and above are asked, and those of them that hold but for their own
exclusions. The reason beside these figures is judgement (``evtx_samples.yml``).
``--write docs/evtx-samples.md`` writes the page.
Ratio: logs with such a match to all.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from measure import finish
from sigma_engine import SHARED

from istmo.detect.eventstore.lines import read_event
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.reading import Line, LineLogs, open_events
from istmo.detect.sigma import LEVELS, Rule, RuleSet, load_rules
from istmo.detect.sigma.conditions import Condition, Name, Not, Or
from istmo.detect.sigma.engine import Engine
from istmo.settings import Limits

ARCHIVE = SHARED / "evtx" / "evtx_attack_samples.zip"
JUDGED = Path(__file__).with_name("evtx_samples.yml")
MEDIUM = LEVELS.index("medium")
KINDS = {
    "behaviour": "rules are made for this log, none of medium or above for what happened",
    "lower": "only rules of lower levels match",
    "excluded": "a rule would match but for its own exclusions",
    "recorded": "what the rule needs was not recorded",
    "log": "no rule is made for this log",
    "trace": "only a trace that ordinary use leaves as well",
}
NAMED = 4
"""Kinds of events, and rules, that a cell names."""
LIMITS = Limits()

HEAD = """# Event logs of real techniques: what is found, and why not more

The 277 Windows event logs of EVTX-ATTACK-SAMPLES, looked through with SigmaHQ's rules (`rules`,
`rules-emerging-threats` and `rules-threat-hunting`). Written by
`python bench/evtx_samples.py --write docs/evtx-samples.md`: the figures are derived, the last column is
judgement after reading the events (`bench/evtx_samples.yml`).

Held against another reading: pySigma's parse of the 2,856 rules for Windows with its pipelines for Sysmon and
the Windows logs, evaluated plainly, finds 1,560 matches on the same events. All of them are among these; the
others are rules without `product: windows` (antivirus), empty values that rules ask for, and access lists of
which rules name the access and events hold the code.

"""


def rank(rule: Rule) -> int:
    return LEVELS.index(rule.level) if rule.level in LEVELS else 0


def read_logs(most: int) -> dict[str, list[NormalEvent]]:
    """The events of each log by its name; of at most so many logs, 0 for all."""
    logs: dict[str, list[NormalEvent]] = {}
    for one in open_events(ARCHIVE, LIMITS, None, LineLogs(datetime.now(UTC))):
        if isinstance(one, Line) and one.form == "evtx":
            name = one.place.partition("!")[2]
            if most and name not in logs and len(logs) >= most:
                break
            logs.setdefault(name, []).append(normalise(read_event(one.raw, LIMITS)[1]))
    return logs


def without_exclusions(condition: Condition) -> Condition | None:
    """What a condition asks to be there; None where nothing is left."""
    if isinstance(condition, Not):
        return None
    if isinstance(condition, Name):
        return condition
    parts = [part for part in map(without_exclusions, condition.of) if part is not None]
    if not parts or (isinstance(condition, Or) and len(parts) < len(condition.of)):
        return None
    return type(condition)(tuple(parts)) if len(parts) > 1 else parts[0]


def only_positive(ruleset: RuleSet) -> RuleSet:
    """The rules of medium and above that exclude something, without what they exclude."""
    rules = []
    for rule in ruleset.rules:
        left = without_exclusions(rule.condition)
        if rank(rule) >= MEDIUM and left is not None and left != rule.condition:
            rules.append(replace(rule, condition=left))
    return replace(ruleset, rules=tuple(rules), correlations=(), by_id={})


def asked(ruleset: RuleSet, events: Iterable[NormalEvent]) -> int:
    """How many rules of medium and above are made for a log source of these events and name one."""
    sources = {source for event in events for source in event.logsources}
    return sum(
        rank(rule) >= MEDIUM
        and bool(rule.logsource.category or rule.logsource.service)
        and rule.logsource.covers_any(tuple(sources))
        for rule in ruleset.rules
    )


def kinds_of(events: Iterable[NormalEvent]) -> str:
    counts = Counter(
        (str(e.fields.get("Channel") or "no channel"), str(e.fields.get("EventID"))) for e in events
    )
    named = [f"{_short(channel)} {id_}" for (channel, id_), _ in counts.most_common(NAMED)]
    return ", ".join(named) + (" …" if len(counts) > NAMED else "")


def _short(channel: str) -> str:
    return channel.removeprefix("Microsoft-Windows-").removesuffix("/Operational")


def look(most: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Figures of all logs, and a row for each without a match of medium or above."""
    ruleset = load_rules(SHARED / "sigma" / "sigma_rules.zip")
    engine, positive = Engine(ruleset), Engine(only_positive(ruleset))
    judged: dict[str, list[str]] = yaml.safe_load(JUDGED.read_text("utf-8"))
    levels: Counter[str] = Counter()
    rules: set[str] = set()
    misses: list[dict[str, Any]] = []
    logs = read_logs(most)
    for name, events in sorted(logs.items()):
        found = [rule for _, rule in engine.find(events)]
        levels.update(rule.level or LEVELS[0] for rule in found)
        rules.update(rule.id for rule in found)
        if any(rank(rule) >= MEDIUM for rule in found):
            continue
        stem = name.rpartition("/")[2].removesuffix(".evtx")
        kind, reason = judged.get(stem, ["", "not judged yet"])
        misses.append(
            {
                "log": name,
                "events": len(events),
                "kinds": kinds_of(events),
                "lower": [f"{one} ({level})" for one, level in sorted({(r.title, r.level) for r in found})],
                "asked": asked(ruleset, events),
                "excluded": sorted({rule.title for _, rule in positive.find(events)})[:NAMED],
                "kind": kind,
                "reason": reason,
            }
        )
    figures = {
        "logs": len(logs),
        "events": sum(map(len, logs.values())),
        "matches": levels.total(),
        "rules": len(rules),
        "logs_found": len(logs) - len(misses),
    } | {f"matches_{level}": levels[level] for level in LEVELS}
    return figures, misses


def page(figures: dict[str, Any], misses: list[dict[str, Any]]) -> str:
    """The page in Markdown."""
    kinds = Counter(row["kind"] for row in misses)
    lines = [
        HEAD
        + f"{figures['events']:,} events, {figures['matches']:,} matches of {figures['rules']} rules: "
        + ", ".join(f"{figures[f'matches_{level}']} {level}" for level in reversed(LEVELS))
        + f". In **{figures['logs_found']} of {figures['logs']}** logs a rule of level medium or above "
        "matches. The others:",
        "",
        "| kind | logs | meaning |",
        "|---|---|---|",
        *(f"| {kind} | {kinds[kind]} | {meaning} |" for kind, meaning in KINDS.items()),
        "",
        "*asked*: rules of medium and above whose log source is an event's. *excluded*: those of them that "
        "hold but for their own exclusions.",
        "",
        "| log | events | channels and ids | lower matches | asked | excluded | kind | reason |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in misses:
        cells = [
            row["log"],
            row["events"],
            row["kinds"],
            "; ".join(row["lower"]),
            row["asked"],
            "; ".join(row["excluded"]),
            row["kind"],
            row["reason"],
        ]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="some of the logs")
    options.add_argument("--json", action="store_true")
    options.add_argument("--write", type=Path, help="write the page to this file")
    chosen = options.parse_args()
    began = time.perf_counter()
    figures, misses = look(40 if chosen.quick else 0)
    if chosen.write:
        chosen.write.write_text(page(figures, misses), "utf-8")
    figures["seconds"] = round(time.perf_counter() - began, 1)
    if chosen.json:
        figures["misses"] = misses
    ratio = figures["logs_found"] / figures["logs"]
    finish(figures, chosen.json, f"ratio {ratio:.3f}: logs with a match of medium or above to all")


if __name__ == "__main__":
    main()
