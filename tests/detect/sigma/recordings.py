"""The real recordings and rules kept beside the repository, and what the engine says of them.

``python -m tests.detect.sigma.recordings DATA matches > tests/golden/sigma_matches.json`` and
``python -m tests.detect.sigma.recordings DATA alerts > tests/golden/sigma_alerts.json``
write the golden figures anew; a change in them must be explained in the commit that makes it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from istmo.clock import ManualClock
from istmo.detect.eventstore.lines import StoredEvent
from istmo.detect.hits import rule_hit
from istmo.detect.normalise import normalise
from istmo.detect.objects import Alert
from istmo.detect.sigma import Evaluator, RuleSet, load_rules
from istmo.detect.stories import from_micros
from istmo.detect.wire import SIGMA, Position, WireHit
from istmo.model import instants

from ..alerts.room import COORDINATOR, T0, Room, open_room  # noqa: TID252 - works with and without tests as a package

Counts = Counter[tuple[str, str]]
"""(rule id, recording) to the number of matching events."""
Hits = list[tuple[str, WireHit]]
"""Recording and match."""

BATCH = 20
RULES = Path("sigma") / "sigma_rules.zip"


def recorded_events(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every event of ``events/*.zip`` with the name of its recording."""
    for path in sorted((data / "events").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.startswith("__MACOSX"):
                    continue
                for line in archive.read(member).splitlines():
                    if line.strip():
                        yield path.stem, json.loads(line)


def find_hits(ruleset: RuleSet, data: Path) -> Hits:
    """Every match in every recording, as the worker tells of it; a recording is a segment of the log."""
    evaluator = Evaluator(ruleset)
    found: Hits = []
    segment, line, before = 0, 0, ""
    for recording, raw in recorded_events(data):
        segment, line = (segment, line + 1) if recording == before else (segment + 1, 0)
        before = recording
        normal = normalise(raw)
        for match in evaluator.match(normal.fields, normal.logsources):
            event = StoredEvent(f"{segment}-{line}", T0, "recording", orjson.dumps(raw), raw)
            fields = {name: str(value) for name, value in match.matched.items()}
            found.append((recording, rule_hit(match.rule_id, event, normal, fields)))
    return found


def count_matches(hits: Hits) -> Counts:
    """How many events of each recording match each rule."""
    return Counter((hit.subject, recording) for recording, hit in hits)


def golden_figures(ruleset: RuleSet, counts: Counts) -> list[dict[str, Any]]:
    """The figures as they are checked in."""
    return [
        {"rule": rule, "title": ruleset.by_id[rule].title, "recording": recording, "count": count}
        for (rule, recording), count in sorted(counts.items())
    ]


def fold(room: Room, hits: Hits) -> list[Alert]:
    """Tell a room every hit, a few events at a time as a worker would; the alerts that they became."""
    events = [list(same) for _, same in groupby((hit for _, hit in hits), key=lambda hit: hit.event_id)]
    for at in range(0, len(events), BATCH):
        some = [hit for event in events[at : at + BATCH] for hit in event]
        segment, line = map(int, some[-1].event_id.split("-"))
        room.tell(SIGMA, some, Position(segment, line + 1))
    alerts: list[Alert] = []
    cursor: str | None = None
    while True:
        page = room.detect.list_alerts(COORDINATOR, limit=200, cursor=cursor)
        alerts += page.items
        cursor = page.next
        if cursor is None:
            return alerts


def golden_alerts(ruleset: RuleSet, alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """By rule: how many alerts from how many events; each story's host, first and last event, and count."""
    by_rule: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_rule.setdefault(alert.subject, []).append(alert)
    return [
        {
            "rule": rule,
            "title": ruleset.by_id[rule].title,
            "alerts": len(found),
            "hits": sum(one.count for one in found),
            "stories": sorted(
                [one.entity, instants.format(one.first_seen), instants.format(one.last_seen), one.count]
                for one in found
            ),
        }
        for rule, found in sorted(by_rule.items())
    ]


def main(data: Path, what: str) -> None:
    """Print the golden figures."""
    rules = load_rules(data / RULES)
    hits = find_hits(rules, data)
    if what == "matches":
        figures = golden_figures(rules, count_matches(hits))
    else:
        with tempfile.TemporaryDirectory() as folder:
            room = open_room(Path(folder), f"sqlite:///{folder}/node.db", ManualClock(from_micros(T0)))
            figures = golden_alerts(rules, fold(room, hits))
            room.store.close()
    print(json.dumps(figures, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
