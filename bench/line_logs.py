"""Logs of lines as hunts read them: a table of files with form, events, unreadable lines and mapped fields.

Without files, those of network and unix among the shared data. Ratio: events of a known log source to all.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import finish
from sigma_engine import SHARED

from istmo.detect.eventstore.lines import read_event
from istmo.detect.normalise import normalise
from istmo.detect.reading import FileProblem, LineLogs, open_events
from istmo.errors import IstmoError
from istmo.settings import Limits

LIMITS = Limits()
NAMED = 8
"""Fields and log sources that a row names."""


def look(path: Path, logs: LineLogs) -> dict[str, Any]:
    """A row of the table."""
    forms: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    added: Counter[str] = Counter()
    events = unreadable = known = timed = 0
    began = time.perf_counter()
    for one in open_events(path, LIMITS, None, logs):
        if isinstance(one, FileProblem):
            unreadable += 1
            continue
        try:
            data = one.data if one.data is not None else read_event(one.raw, LIMITS)[1]
        except IstmoError:
            unreadable += 1
            continue
        event = normalise(data)
        forms[one.form] += 1
        events += 1
        known += bool(event.logsources)
        timed += event.time is not None
        sources.update("/".join(source) for source in event.logsources)
        added.update(event.fields.keys() - data.keys())
    seconds = time.perf_counter() - began
    return {
        "form": " ".join(forms) or "-",
        "events": events,
        "unreadable": unreadable,
        "known": known,
        "timed": timed,
        "log_sources": [name for name, _ in sources.most_common(NAMED)],
        "mapped_fields": [name for name, _ in added.most_common(NAMED)],
        "events_s": round(events / seconds),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("files", nargs="*", type=Path)
    options.add_argument("--json", action="store_true")
    options.add_argument("--quick", action="store_true", help="the smallest ten files")
    chosen = options.parse_args()
    files = chosen.files or sorted(
        path
        for room in ("network", "unix")
        for path in (SHARED / room).rglob("*")
        if path.is_file() and "LICENSE" not in path.name
    )
    if chosen.quick:
        files = sorted(files, key=lambda path: path.stat().st_size)[:10]
    logs = LineLogs(datetime.now(UTC))
    rows = {
        path.relative_to(SHARED).as_posix() if path.is_relative_to(SHARED) else str(path): look(path, logs)
        for path in files
    }
    if not chosen.json:
        print("| file | form | events | unreadable | log sources | mapped fields | events/s |")
        print("|---|---|---|---|---|---|---|")
        for name, row in rows.items():
            sources, fields = (", ".join(row[kind]) for kind in ("log_sources", "mapped_fields"))
            print(
                f"| {name} | {row['form']} | {row['events']} | {row['unreadable']} | {sources} | {fields} "
                f"| {row['events_s']} |"
            )
    known, events = (sum(row[kind] for row in rows.values()) for kind in ("known", "events"))
    result = {"files": len(rows), "events": events, "known": known} | (rows if chosen.json else {})
    ratio = known / max(events, 1)
    finish(result, chosen.json, f"ratio {ratio:.4f}: events of a known log source to all")


if __name__ == "__main__":
    main()
