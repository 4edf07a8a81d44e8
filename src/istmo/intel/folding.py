"""Handlers of the ledger: each entry of this room's types, written here or received, into its tables.

They run inside the transaction that appends the entry. An IstmoError refuses the entry: it is kept in
the log, marked and reported, and has no effect here.
"""

from __future__ import annotations

from istmo.errors import InvalidInput
from istmo.intel import records
from istmo.intel.objects import Retraction, RetractionReason, Sighting
from istmo.ledger.entry import Entry
from istmo.model.ids import is_id
from istmo.model.json_text import decode
from istmo.model.markings import Tlp, is_tlp_definition, strictest, tlp_of
from istmo.model.stix import StixObject
from istmo.settings import Limits
from istmo.store.engine import Transaction

STIX, SIGHTING, RETRACTION, ERASURE = "stix", "sighting", "retraction", "erasure"
NOTE_LENGTH = 2000
_SEARCHED = ("name", "value", "description", "pattern", "abstract", "content", "path", "key", "subject")
_SEARCH_LENGTH = 8000


class Folding:
    """The handlers of one node."""

    def __init__(self, member: str, limits: Limits) -> None:
        self._member, self._limits = member, limits

    def fold_object(self, tx: Transaction, entry: Entry) -> None:
        """A ``stix`` entry: one more version of an object. Nothing that is here is overwritten.

        Its level is the strictest of what its origin signed in the header and what it says itself.
        """
        if entry.payload is None:
            return
        found = StixObject.parse(entry.payload, self._limits)
        wanted = [ref for ref in found.marking_refs if not is_tlp_definition(ref)]
        markings = found.markings(records.definitions(tx.connection, wanted) if wanted else {})
        declared = [Tlp.RED] if markings.unknown else [markings.tlp] if markings.tlp is not None else []
        pattern = found.pattern
        name = _storable(found.name)
        retracted = None
        if entry.origin != self._member:  # one's own retraction never comes before its object
            retracted = records.find_retraction(tx.connection, entry.origin, entry.sequence)
        is_new = records.insert_object(
            tx.connection,
            {
                "object": found.id,
                "type": found.type,
                "name": name,
                "sorting": name.strip().lower()[:80],
                "seen": records.is_seen(tx.connection, found.id),
                "version": found.version,
                "created": found.created,
                "modified": found.modified,
                "origin": entry.origin,
                "sequence": entry.sequence,
                "tlp": int(strictest(tlp_of(entry.header.markings), *declared)),
                "pap": None if markings.pap is None else int(markings.pap),
                "audience": list(entry.header.audience),
                "owner": "",
                "received": entry.received,
                "valid_until": found.valid_until,
                "revoked": found.is_revoked,
                "retracted": retracted == found.id,
                "detectable": pattern is not None and pattern.is_detected,
                "terms": [[term.kind, term.value] for term in pattern.terms] if pattern else [],
                "plan": pattern.plan if pattern else None,
                "not_detected": pattern.not_detected if pattern else None,
                "confidence": _confidence(found),
                "types": _types(found),
                "definition": dict(found.data) if found.type == "marking-definition" else None,
                "size": len(found.raw),
                "content": records.digest(found.raw),
            },
            _search_text(found),
        )
        if is_new:
            records.insert_links(tx.connection, entry.origin, entry.sequence, links_of(found))
            terms = pattern.terms if pattern else ()
            records.insert_values(tx.connection, entry.origin, entry.sequence, terms)
        action = "drop" if retracted == found.id else "put"
        tx.notify("object", found.id, action=action, type=found.type, origin=entry.origin)

    def fold_sighting(self, tx: Transaction, entry: Entry) -> None:
        """A ``sighting`` entry: counted when it is about something that this node sent to its author.

        Refuses ``intel.sighting_unentitled``, alike for what does not exist here and for what was meant
        for others: ids can be public knowledge, and the refusal must not tell who holds them.
        """
        if entry.payload is None:
            return
        found = StixObject.parse(entry.payload, self._limits)
        if found.type != "sighting":
            raise InvalidInput("intel.not_a_sighting", type=found.type)
        about = str(found.data["sighting_of_ref"])
        if entry.origin != self._member:
            versions = records.versions(tx.connection, [about]).get(about, [])
            if not any(one.origin == self._member and entry.origin in one.audience for one in versions):
                raise InvalidInput("intel.sighting_unentitled", object=about, origin=entry.origin)
        sighting = Sighting(
            found.id,
            about,
            entry.origin,
            entry.sequence,
            found.version,
            found.instant("first_seen"),
            found.instant("last_seen"),
            int(found.data.get("count", 1)),
            entry.received,
        )
        if records.put_sighting(tx.connection, sighting):
            tx.notify("object", about, action="sighting", origin=entry.origin)

    def fold_retraction(self, tx: Transaction, entry: Entry) -> None:
        """A ``retraction`` entry: only the origin takes its own word back. One that comes before its
        object is kept for when that arrives.
        """
        if entry.payload is None:
            return
        retraction = read_retraction(entry, self._limits)
        if retraction.origin != entry.origin:
            raise InvalidInput("intel.retraction_not_origin", origin=retraction.origin, by=entry.origin)
        held = records.entry_object(tx.connection, retraction.origin, retraction.sequence)
        if held is not None and held.id != retraction.object:
            raise InvalidInput("intel.retraction_mismatch", object=retraction.object)
        if records.insert_retraction(tx.connection, retraction):
            tx.notify("object", retraction.object, action="drop", origin=entry.origin)

    def fold_erasure(self, tx: Transaction, entry: Entry) -> None:
        """An ``erasure`` record of this node's own: forget what was folded out of the erased entry."""
        erased = entry.header.extra.get("erases")
        if entry.origin != self._member or not isinstance(erased, dict):
            return
        origin, sequence = str(erased.get("origin")), int(erased.get("sequence", 0))
        # The retraction stands, or the object would be watched for again; its words go.
        records.forget_note(tx.connection, origin, sequence)
        object = records.delete_object(tx.connection, origin, sequence)
        records.delete_links(tx.connection, origin, sequence)
        if object is not None:
            tx.notify("object", object, action="drop", origin=entry.origin)


def read_retraction(entry: Entry, limits: Limits) -> Retraction:
    """The retraction in an entry. Raises InvalidInput("intel.bad_retraction", field)."""
    try:
        data = decode(entry.payload or b"", limits.json_depth)
    except InvalidInput:
        raise InvalidInput("intel.bad_retraction", field="payload") from None
    target = data.get("retracts") if isinstance(data, dict) else None
    if not isinstance(target, dict):
        raise InvalidInput("intel.bad_retraction", field="retracts")
    sequence = target.get("sequence")
    if not is_id(target.get("origin"), "identity"):
        raise InvalidInput("intel.bad_retraction", field="origin")
    if type(sequence) is not int or not 0 < sequence < 1 << 53:
        raise InvalidInput("intel.bad_retraction", field="sequence")
    if not is_id(target.get("object")):
        raise InvalidInput("intel.bad_retraction", field="object")
    reason, note = data.get("reason"), data.get("note", "")
    if reason not in [str(one) for one in RetractionReason]:
        raise InvalidInput("intel.bad_retraction", field="reason")
    if not isinstance(note, str) or len(note) > NOTE_LENGTH:
        raise InvalidInput("intel.bad_retraction", field="note")
    return Retraction(
        target["origin"],
        sequence,
        target["object"],
        RetractionReason(reason),
        _storable(note),
        entry.sequence,
        entry.received,
    )


def links_of(found: StixObject) -> list[records.Link]:
    """To what an object points by a property of its own. Who created it is left out: that is said of all."""
    links = []
    for name, value in found.data.items():
        if name in ("created_by_ref", "object_marking_refs"):
            continue
        if name.endswith("_ref") and isinstance(value, str):
            links.append(records.Link(found.id, _storable(name)[:80], _storable(value)[:300]))
        elif name.endswith("_refs") and isinstance(value, list):
            links += [
                records.Link(found.id, _storable(name)[:80], _storable(one)[:300])
                for one in value
                if isinstance(one, str)
            ]
    return links


def _confidence(found: StixObject) -> int | None:
    value = found.data.get("confidence")
    return value if type(value) is int and 0 <= value <= 100 else None


def _types(found: StixObject) -> list[str] | None:
    """What kind of indicator it is. A few: more would only be noise."""
    values = found.data.get("indicator_types")
    if not isinstance(values, list):
        return None
    return [_storable(one)[:60] for one in values[:10] if isinstance(one, str)] or None


def _storable(text: str) -> str:
    """PostgreSQL has no place for NUL in a text; the bytes as they came keep it."""
    return text.replace("\x00", "")


def _search_text(found: StixObject) -> str:
    parts = [found.id, found.type]
    for key in _SEARCHED:
        if isinstance(value := found.data.get(key), str):
            parts.append(value)
    for key in ("labels", "aliases", "indicator_types", "malware_types", "threat_actor_types"):
        values = found.data.get(key)
        parts += [one for one in values if isinstance(one, str)] if isinstance(values, list) else []
    hashes = found.data.get("hashes")
    parts += [one for one in hashes.values() if isinstance(one, str)] if isinstance(hashes, dict) else []
    for one in found.data.get("external_references", ()):
        parts += [str(one[name]) for name in ("external_id",) if name in one]
    if found.pattern is not None:
        parts += [term.value for term in found.pattern.terms[:100]]
    return _storable("\n".join(parts).lower()[:_SEARCH_LENGTH])
