"""What the machine interface answers about the queue of alerts, as plain JSON."""

from __future__ import annotations

from istmo.detect.objects_triage import AlertGroup, Done, Past
from istmo.detect.shapes_triage import AlertLine, DoneShape, PastShape
from istmo.model import instants


def line_json(line: AlertGroup) -> AlertLine:
    """A line of the queue."""
    return {
        "detector": line.detector,
        "subject": line.subject,
        "host": line.host,
        "title": line.title,
        "newest": line.newest,
        "alerts": line.alerts,
        "hosts": line.hosts,
        "subjects": line.subjects,
        "events": line.events,
        "level": str(line.level),
        "tlp": line.tlp.label,
        "last_seen": instants.format(line.last_seen),
        "taken": line.taken,
        "assignee": line.assignee,
    }


def past_json(past: Past) -> PastShape:
    """One change of an alert."""
    return {
        "change": past.change,
        "at": instants.format(past.at),
        "by": past.by,
        "deed": str(past.deed),
        "before": dict(past.before),
        "after": dict(past.after),
        "undone": past.is_undone,
    }


def done_json(done: Done) -> DoneShape:
    """What a change came to."""
    return {
        "deed": str(done.deed),
        "change": done.change,
        "number": done.number,
        "left": done.left,
        "was": None if done.was is None else str(done.was),
    }
