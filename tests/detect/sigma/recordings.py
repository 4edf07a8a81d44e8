"""The real recordings and rules kept beside the repository, and what the engine says of them.

``python -m tests.detect.sigma.recordings DATA > tests/golden/sigma_matches.json``
writes the golden figures anew; a change in them must be explained in the commit that makes it.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from istmo.detect.normalise import normalise
from istmo.detect.sigma import Evaluator, RuleSet, load_rules

Counts = Counter[tuple[str, str]]
"""(rule id, recording) to the number of matching events."""

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


def count_matches(ruleset: RuleSet, data: Path) -> Counts:
    """How many events of each recording match each rule."""
    evaluator = Evaluator(ruleset)
    counts: Counts = Counter()
    for recording, raw in recorded_events(data):
        event = normalise(raw)
        for match in evaluator.match(event.fields, event.logsources):
            counts[match.rule_id, recording] += 1
    return counts


def golden_figures(ruleset: RuleSet, counts: Counts) -> list[dict[str, Any]]:
    """The figures as they are checked in."""
    return [
        {"rule": rule, "title": ruleset.by_id[rule].title, "recording": recording, "count": count}
        for (rule, recording), count in sorted(counts.items())
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    rules = load_rules(folder / RULES)
    figures = golden_figures(rules, count_matches(rules, folder))
    print(json.dumps(figures, indent=1, ensure_ascii=False))
