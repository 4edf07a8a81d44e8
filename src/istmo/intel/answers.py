"""What the machine interface answers: objects, plans and their kin as plain JSON, in the asker's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from istmo.intel.naming import name_of
from istmo.intel.objects import (
    Change,
    Neighbourhood,
    ObjectPage,
    Outcome,
    Plan,
    Planned,
    Provenance,
    Recipient,
    Sighting,
    StoredObject,
)
from istmo.intel.past import Past
from istmo.intel.pasting import CheckedValue
from istmo.intel.shapes import (
    BundleProblem,
    CheckedList,
    CheckedWord,
    MemberName,
    MemberSighting,
    NeighbourList,
    ObjectList,
    ObjectProvenance,
    ObjectRecipient,
    ObjectVersion,
    PastMatches,
    PlannedObject,
    PublicationPlan,
    Tally,
    Told,
    VersionChanges,
)
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import instants
from istmo.model.stix import Problem
from istmo.policy import Reason


class Words:
    """Says things of this room in the asker's language."""

    def __init__(self, asker: Asker, catalogue: Catalogue, names: Mapping[str, str]) -> None:
        self._language, self._catalogue, self._names = asker.language, catalogue, names

    def member(self, id: str) -> MemberName:
        """A member with its name, which is its id once it has left."""
        return {"id": id, "name": self._names.get(id, id)}

    def reason(self, reason: Reason) -> Told:
        params = dict(reason.params)
        for key in ("member", "origin"):
            if key in params:
                params[key] = self._names.get(params[key], params[key])
        return {"code": reason.code, "text": self.text(reason.key, **params)}

    def problem(self, code: str, params: Mapping[str, Any]) -> str:
        shown = dict(params)
        if "origin" in shown:
            shown["origin"] = self._names.get(str(shown["origin"]), shown["origin"])
        return self.text(code, **shown)

    def key(self, key: str | None) -> Told | None:
        return None if key is None else {"code": key, "text": self.text(key)}

    def text(self, key: str, /, **params: Any) -> str:
        """A text of the catalogue."""
        return self._catalogue.text(self._language, key, **params)


def plan_json(plan: Plan, words: Words) -> PublicationPlan:
    """A publication, planned or done."""
    items = [planned_json(one, words) for one in plan.items]
    problems = [problem_json(one, words) for one in plan.problems]
    counts = {str(outcome): plan.count(outcome) for outcome in Outcome}
    counts["refused"] += len({one.index for one in plan.problems})
    return {
        "counts": counts,
        "unmarked": sum(one.is_unmarked for one in plan.items),
        "audience": [words.member(one) for one in sorted(plan.audience)],
        "items": items,
        "problems": problems,
    }


def planned_json(item: Planned, words: Words) -> PlannedObject:
    """One object of a publication: its verdict for each member, with reasons."""
    pattern = item.object.pattern
    return {
        "id": item.object.id,
        "type": item.object.type,
        "name": name_of(item, words.text),
        "tlp": item.tlp.label,
        "pap": item.pap.label if item.pap is not None else None,
        "outcome": str(item.outcome),
        "sequence": item.sequence or None,
        "problem": {"code": item.refusal, "text": words.problem(item.refusal, item.params)}
        if item.refusal
        else None,
        "sees": [
            {
                "member": words.member(one.member),
                "allowed": one.allowed,
                "reasons": [
                    words.reason(why)
                    for why in ([item.withheld[one.member]] if one.member in item.withheld else one.reasons)
                ],
            }
            for one in item.verdicts
        ],
        "not_detected": words.key(pattern.not_detected) if pattern else None,
        "warning_lists": {value: list(names) for value, names in item.warned.items()},
    }


def problem_json(problem: Problem, words: Words) -> BundleProblem:
    """Something of a bundle that could not be read."""
    return {
        "index": problem.index,
        "id": problem.id,
        "path": problem.path,
        "code": problem.code,
        "text": words.problem(problem.code, problem.params),
    }


def checked_json(checked: Sequence[CheckedValue]) -> CheckedList:
    """A pasted list, word by word."""
    items: list[CheckedWord] = [
        {
            "line": one.line,
            "text": one.text,
            "kind": one.term[0] if one.term else None,
            "value": one.term[1] if one.term else None,
            "refanged": one.is_refanged,
            "repeated": one.is_repeated,
            "warning_lists": list(one.warned),
            "known": list(one.known),
        }
        for one in checked
    ]
    return {"items": items, "next": None, "total": len(items)}


def past_json(past: Past, words: Words) -> PastMatches:
    """What a bundle's indicators would have matched."""
    return {
        "days": past.days,
        "asked": past.asked,
        "left_out": past.left_out,
        "items": [
            {
                "id": id,
                "count": one.count,
                "hosts": one.hosts,
                "first": instants.format(one.first),
                "last": instants.format(one.last),
                "examples": [
                    {
                        "id": event.id,
                        "time": instants.format(event.time),
                        "host": event.host,
                        "fields": dict(event.fields),
                    }
                    for event in one.examples
                ],
            }
            for id, one in past.found.items()
        ],
        "problem": None
        if past.problem is None
        else {"code": past.problem, "text": words.problem(f"error.{past.problem}", past.params)},
    }


def neighbourhood_json(found: Neighbourhood, words: Words) -> NeighbourList:
    """What is near an object."""
    return {
        "items": [
            {
                "id": one.object.id,
                "type": one.object.type,
                "name": name_of(one.object, words.text),
                "tlp": one.object.tlp.label,
                "origin": words.member(one.object.origin),
                "nearness": str(one.nearness),
                "relation": one.relation,
                "outward": one.is_outward,
            }
            for one in found.neighbours
        ],
        "next": None,
        "total": len(found.neighbours),
        "more": found.has_more,
    }


def changes_json(before: StoredObject, after: StoredObject, changes: Sequence[Change]) -> VersionChanges:
    """In what two versions differ."""
    return {
        "before": {"origin": before.origin, "sequence": before.sequence},
        "after": {"origin": after.origin, "sequence": after.sequence},
        "items": [{"path": one.path, "before": one.before, "after": one.after} for one in changes],
        "next": None,
        "total": len(changes),
    }


def page_json(
    found: ObjectPage, seen: Mapping[str, Sequence[Sighting]], words: Words, now: datetime
) -> ObjectList:
    """A page of a search."""
    return {
        "items": [object_json(one, seen.get(one.id, ()), words, now) for one in found.items],
        "next": None if found.next is None else str(found.next),
        "total": found.total,
        "more": found.has_more,
    }


def object_json(one: StoredObject, seen: Sequence[Sighting], words: Words, now: datetime) -> ObjectVersion:
    """One version of an object without its bytes."""
    taken = one.retraction
    return {
        "id": one.id,
        "type": one.type,
        "name": name_of(one, words.text),
        "tlp": one.tlp.label,
        "pap": one.pap.label if one.pap is not None else None,
        "state": str(one.state(now)),
        "origin": words.member(one.origin),
        "sequence": one.sequence,
        "audience": [words.member(member) for member in one.audience],
        "created": _time(one.created),
        "modified": _time(one.modified),
        "received": _time(one.received),
        "valid_until": _time(one.valid_until),
        "terms": [{"kind": term.kind, "value": term.value} for term in one.terms],
        "not_detected": words.key(one.not_detected),
        "sightings": summary_json(seen),
        "retraction": None
        if taken is None
        else {
            "reason": str(taken.reason),
            "note": taken.note,
            "sequence": taken.by_sequence,
            "received": _time(taken.received),
        },
    }


def provenance_json(one: Provenance, words: Words) -> ObjectProvenance:
    """Where a version comes from; ``commitment`` and ``envelope`` are hexadecimal."""
    return {
        "origin": words.member(one.origin),
        "sequence": one.sequence,
        "commitment": one.commitment,
        "envelope": one.envelope,
        "created": _time(one.created),
        "received": _time(one.received),
        "audience": [words.member(member) for member in one.audience],
    }


def sighting_json(one: Sighting, words: Words) -> MemberSighting:
    """What one member says that it saw."""
    return {
        "id": one.id,
        "member": words.member(one.origin),
        "first_seen": _time(one.first_seen),
        "last_seen": _time(one.last_seen),
        "count": one.count,
        "received": _time(one.received),
    }


def recipient_json(one: Recipient, words: Words) -> ObjectRecipient:
    """A member that the object went to."""
    return {
        "member": words.member(one.member),
        "sequence": one.sequence,
        "acknowledged": _time(one.acknowledged),
        "retraction": None
        if one.retraction is None
        else {"sequence": one.retraction, "acknowledged": _time(one.acknowledged_retraction)},
    }


def summary_json(seen: Sequence[Sighting]) -> Tally:
    """Several sightings in one: how often, by how many members, since when, until when."""
    firsts = [one.first_seen for one in seen if one.first_seen]
    lasts = [one.last_seen for one in seen if one.last_seen]
    return {
        "count": sum(one.count for one in seen),
        "members": len({one.origin for one in seen}),
        "first_seen": _time(min(firsts, default=None)),
        "last_seen": _time(max(lasts, default=None)),
    }


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else instants.format(instant)
