"""The fast engine and the oracle on the same real recordings: every event, or some of each.

``python -m tests.detect.sigma.same_answers ../shared/data`` asks both about all of the Windows event logs and
all of the larger recordings, and tells where they differ; ``--most N`` takes N events of each archive.
About a thousand events a second: all of them take some minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from istmo.detect.eventstore.lines import read_event
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.reading import Line, open_events
from istmo.detect.sigma import Evaluator, RuleSet, load_rules
from istmo.detect.sigma.engine import Engine
from istmo.errors import IstmoError
from istmo.settings import Limits

from .recordings import RULES

BATCH = 500
ROOMS = ("evtx", "events-large")


class Difference(NamedTuple):
    """Rules that one of the two finds alone, and where."""

    place: str
    number: int
    engine_alone: frozenset[str]
    oracle_alone: frozenset[str]


def events_of(archive: Path, step: int = 1) -> Iterator[tuple[Line, NormalEvent]]:
    """Every ``step``-th event of an archive."""
    for number, one in enumerate(open_events(archive, Limits())):
        if isinstance(one, Line) and not number % step:
            try:
                yield one, normalise(read_event(one.raw, Limits())[1])
            except IstmoError:
                continue


def differences(
    ruleset: RuleSet, events: Iterable[tuple[Line, NormalEvent]], counts: dict[str, int]
) -> Iterator[Difference]:
    """What the two do not agree on; ``counts`` of events and matches grow."""
    engine, oracle = Engine(ruleset), Evaluator(ruleset)
    coming = iter(events)
    while batch := list(islice(coming, BATCH)):
        found: list[set[str]] = [set() for _ in batch]
        for at, rule in engine.find([event for _, event in batch]):
            found[at].add(rule.id)
        for (line, event), ours in zip(batch, found, strict=True):
            right = {one.rule_id for one in oracle.match(event.fields, event.logsources)}
            counts["events"] = counts.get("events", 0) + 1
            counts["matches"] = counts.get("matches", 0) + len(right)
            if ours != right:
                yield Difference(line.place, line.number, frozenset(ours - right), frozenset(right - ours))


def main() -> None:
    """Ask both, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--most", type=int, default=None, help="events of each archive")
    asked = parser.parse_args()
    ruleset = load_rules(asked.data / RULES)
    counts: dict[str, int] = {}
    differ = 0
    for archive in sorted(path for room in ROOMS for path in (asked.data / room).glob("*.zip")):
        for one in differences(ruleset, islice(events_of(archive), asked.most), counts):
            differ += 1
            print(one)
        print(f"{archive.name}: {counts} so far, {differ} differ", file=sys.stderr, flush=True)
    print(f"{counts.get('events', 0)} events, {counts.get('matches', 0)} matches, {differ} differ")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
