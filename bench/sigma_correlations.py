"""Correlations over the recorded events: all Windows rules of SigmaHQ with and without four correlations.

The correlations are of four types (``event_count``, ``value_count``, ``temporal``, ``temporal_ordered``).
*usual*: over files written, processes started, connections and pipes, as correlations are written. *flood*:
over registry writes, loaded images and opened processes, which are most of what was recorded. Both runs match
the same rules; the second hands what concerns a correlation to it, as the worker does, in the order of time.
They take turns, in this process on one core. Ratio: time with correlations to time without, *usual*.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
from measure import finish
from mixes import recorded
from sigma_engine import SHARED, load, unpack_rules

from istmo.detect.normalise import normalise
from istmo.detect.sigma import RuleSet
from istmo.detect.sigma.correlating import Correlator
from istmo.detect.sigma.engine import Engine, PlanFolder
from istmo.detect.stories import to_micros

BATCH = 300
BASE = """title: {name}
id: bench-{name}
name: {name}
logsource: {{product: windows, category: {category}}}
detection: {{any: {{{field}|contains: '\\'}}, condition: any}}
"""
CORRELATION = """title: {type}
id: bench-{type}
correlation:
  type: {type}
  rules: [{rules}]
  group-by: [{by}]
  timespan: {span}
  {condition}
"""
MIXES = {
    "usual": {
        "files": ("file_event", "TargetFilename"),
        "starts": ("process_creation", "Image"),
        "connections": ("network_connection", "Image"),
        "pipes": ("pipe_created", "PipeName"),
    },
    "flood": {
        "writes": ("registry_event", "TargetObject"),
        "loads": ("image_load", "ImageLoaded"),
        "opens": ("process_access", "TargetImage"),
    },
}


def write_rules(folder: Path, kinds: dict[str, tuple[str, str]]) -> None:
    for name, (category, field) in kinds.items():
        text = BASE.format(name=name, category=category, field=field)
        (folder / f"base-{name}.yml").write_text(text)
    first, second = list(kinds)[:2]
    every, field = ", ".join(kinds), kinds[second][1]
    for type_, rules, by, span, condition in (
        ("event_count", first, "Image", "1m", "condition: {gte: 500}"),
        ("value_count", second, "Hostname", "5m", f"condition: {{field: {field}, gte: 100}}"),
        ("temporal", every, "Hostname", "10s", ""),
        ("temporal_ordered", every, "Hostname", "1m", ""),
    ):
        text = CORRELATION.format(type=type_, rules=rules, by=by, span=span, condition=condition)
        (folder / f"correlation-{type_}.yml").write_text(text)


def run(lines: list[bytes], engine: Engine, correlator: Correlator | None) -> tuple[float, int, int]:
    """Seconds, matches of correlations, and events that they remembered at most."""
    found = most = 0
    began = time.process_time()
    for start in range(0, len(lines), BATCH):
        some = lines[start : start + BATCH]
        events = [normalise(orjson.loads(line), line) for line in some]
        for at, rule in engine.find(events):
            if correlator is None or not correlator.is_concerned(rule.id):
                continue
            when = events[at].time
            if when is not None:
                found += len(correlator.feed(rule.id, events[at].fields, to_micros(when), start + at))
        if correlator is not None:
            most = max(most, correlator.remembered)
    return time.process_time() - began, found, most


def measure(name: str, lines: list[bytes], rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        rules, kept = Path(folder, "rules"), Path(folder, "kept")
        rules.mkdir()
        kept.mkdir(mode=0o700)
        unpack_rules(rules)
        write_rules(rules, MIXES[name])
        ruleset: RuleSet = load(rules, kept)
        engine = Engine(ruleset, plans=PlanFolder(kept))
        run(lines, engine, None)
        gc.collect()
        gc.freeze()
        without: list[float] = []
        within: list[float] = []
        for _ in range(rounds):
            without.append(run(lines, engine, None)[0])
            correlator = Correlator(ruleset, lateness=0)
            seconds, found, most = run(lines, engine, correlator)
            within.append(seconds)
    return {
        "without_events_s": round(len(lines) / min(without)),
        "with_events_s": round(len(lines) / min(within)),
        "matches": found,
        "remembered_at_most": most,
        "groups": correlator.groups,
        "late": correlator.counts.late,
        "ratio": round(min(within) / min(without), 3),
    }


def by_time(events: Iterable[dict[str, Any]]) -> list[bytes]:
    timed = []
    for event in events:
        when = normalise(event).time
        timed.append((to_micros(when) if when is not None else 0, orjson.dumps(event)))
    return [line for _, line in sorted(timed, key=itemgetter(0))]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a portion of the recordings, one round")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lines = by_time(recorded(SHARED / "events-large", 10_000 if chosen.quick else 100_000))
    result: dict[str, Any] = {"events": len(lines)}
    for name in MIXES:
        result[name] = measure(name, lines, 1 if chosen.quick else 3)
    ratio = result["usual"]["ratio"]
    finish(result, chosen.json, f"ratio {ratio}: time with four correlations, to time without")


if __name__ == "__main__":
    main()
