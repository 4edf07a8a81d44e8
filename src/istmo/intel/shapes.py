"""The shapes of what the machine interface of sharing answers, as the OpenAPI document tells them.

Times are RFC 3339 with ``Z``, markings their labels (``TLP:AMBER``), words in the asker's language.
"""

from __future__ import annotations

from typing import Any, TypedDict


class MemberName(TypedDict):
    """A member with its name."""

    id: str
    name: str


class Told(TypedDict):
    """A code for programs and its words for people."""

    code: str
    text: str


class Verdict(TypedDict):
    """Whether a member sees an object, and why."""

    member: MemberName
    allowed: bool
    reasons: list[Told]


class PlannedObject(TypedDict):
    """One object of a publication. ``outcome``: publish, already, refused; ``sequence``: once signed.

    ``warning_lists``: its values that stand on some, with the lists' names.
    """

    id: str
    type: str
    name: str
    tlp: str
    pap: str | None
    outcome: str
    sequence: int | None
    problem: Told | None
    sees: list[Verdict]
    not_detected: Told | None
    warning_lists: dict[str, list[str]]


class BundleProblem(TypedDict):
    """Something of a bundle that could not be read: the object's place in it, the path in the object."""

    index: int
    id: str | None
    path: str
    code: str
    text: str


class PublicationPlan(TypedDict):
    """A publication, planned or done. ``counts`` by outcome; ``unmarked``: objects of an import that carry
    no marking and were given none, so that they count as RED.
    """

    counts: dict[str, int]
    unmarked: int
    audience: list[MemberName]
    items: list[PlannedObject]
    problems: list[BundleProblem]


class Tally(TypedDict):
    """Several sightings in one: how often, by how many members, since when, until when."""

    count: int
    members: int
    first_seen: str | None
    last_seen: str | None


class WatchedTerm(TypedDict):
    """A value that the worker looks for."""

    kind: str
    value: str


class ObjectRetraction(TypedDict):
    """That the origin took the object back, by which entry of its log."""

    reason: str
    note: str
    sequence: int
    received: str | None


class ObjectVersion(TypedDict):
    """One version of an object, not its bytes. ``state``: live, expired, revoked, retracted, superseded;
    ``name`` of a relation: what it connects and how, in the asker's words.
    """

    id: str
    type: str
    name: str
    tlp: str
    pap: str | None
    state: str
    origin: MemberName
    sequence: int
    audience: list[MemberName]
    created: str | None
    modified: str | None
    received: str | None
    valid_until: str | None
    terms: list[WatchedTerm]
    not_detected: Told | None
    sightings: Tally
    retraction: ObjectRetraction | None


class ObjectProvenance(TypedDict):
    """Where a version comes from; ``commitment`` and ``envelope`` are hexadecimal."""

    origin: MemberName
    sequence: int
    commitment: str
    envelope: str
    created: str | None
    received: str | None
    audience: list[MemberName]


class ObjectRead(ObjectVersion):
    """One object: its current version, the STIX object itself, where it comes from, its other versions."""

    stix: dict[str, Any]
    provenance: list[ObjectProvenance]
    versions: list[ObjectVersion]


class ObjectList(TypedDict):
    """A page of a search; ``next`` is the cursor of the following one. With ``more`` there are more than
    ``total``, which is not counted further.
    """

    items: list[ObjectVersion]
    next: str | None
    total: int
    more: bool


class CheckedWord(TypedDict):
    """One word of a pasted list. ``kind`` and ``value`` (in normal form) are null where it is no value.

    ``refanged``: it was made unclickable, and that was undone; ``known``: indicators about it already.
    """

    line: int
    text: str
    kind: str | None
    value: str | None
    refanged: bool
    repeated: bool
    warning_lists: list[str]
    known: list[str]


class CheckedList(TypedDict):
    """A pasted list, word by word."""

    items: list[CheckedWord]
    next: None
    total: int


class PastEvent(TypedDict):
    """One stored event; ``fields`` are those that matched."""

    id: str
    time: str
    host: str
    fields: dict[str, str]


class PastMatch(TypedDict):
    """What one indicator would have matched."""

    id: str
    count: int
    hosts: int
    first: str
    last: str
    examples: list[PastEvent]


class PastMatches(TypedDict):
    """What indicators would have matched in so many days; those that matched nothing are left out.

    ``left_out``: indicators that were not looked for; ``problem``: why not everything was seen.
    """

    days: int
    asked: int
    left_out: int
    items: list[PastMatch]
    problem: Told | None


class NearObject(TypedDict):
    """An object near another. ``nearness``: relationship, points_here, pointed_to; ``relation``: the
    relationship's type or the property that refers; ``outward``: from the object asked about to this one.
    """

    id: str
    type: str
    name: str
    tlp: str
    origin: MemberName
    nearness: str
    relation: str
    outward: bool


class NeighbourList(TypedDict):
    """What is near an object. With ``more`` not all of it was looked at."""

    items: list[NearObject]
    next: None
    total: int
    more: bool


class EntryName(TypedDict):
    """An entry of a member's log."""

    origin: str
    sequence: int


class ChangedProperty(TypedDict):
    """A property that differs; null where a version has none."""

    path: str
    before: str | None
    after: str | None


class VersionChanges(TypedDict):
    """In what two versions of an object differ."""

    before: EntryName
    after: EntryName
    items: list[ChangedProperty]
    next: None
    total: int


class MemberSighting(TypedDict):
    """What one member says that it saw."""

    id: str
    member: MemberName
    first_seen: str | None
    last_seen: str | None
    count: int
    received: str | None


class SightingList(Tally):
    """Who saw the object; the sum of it beside."""

    items: list[MemberSighting]
    next: None
    total: int


class RetractionReceipt(TypedDict):
    """A retraction on its way to a member; ``acknowledged`` once the member holds it."""

    sequence: int
    acknowledged: str | None


class ObjectRecipient(TypedDict):
    """A member that the object went to; ``acknowledged`` once the member holds it."""

    member: MemberName
    sequence: int
    acknowledged: str | None
    retraction: RetractionReceipt | None


class RecipientList(TypedDict):
    """To whom the object was sent."""

    items: list[ObjectRecipient]
    next: None
    total: int


class RetractedEntry(TypedDict):
    """Which entry of the log was taken back, and by which."""

    sequence: int
    retracts: int


class RetractionDone(TypedDict):
    """What a retraction took back, and whom it goes to."""

    id: str
    retractions: list[RetractedEntry]
    recipients: list[ObjectRecipient]
