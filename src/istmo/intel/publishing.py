"""What a publication would do, object by object: marking, audience, refusals. Nothing is written here.

Preview and publication make the same plan, so that what was shown is what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from istmo.intel import records
from istmo.intel.objects import Outcome, Plan, Planned, StoredObject
from istmo.model.ids import ID_CONTRIBUTING
from istmo.model.markings import Tlp, is_tlp_definition, strictest
from istmo.model.stix import Bundle, StixObject
from istmo.model.stix_types import META, OBSERVABLE, RELATIONSHIP
from istmo.policy import Context, Reason, Resource, who_will_see

_NOT_ENDS = ("created_by_ref",)
"""References that tell nothing of the thing they point to."""


def plan_publication(
    connection: Connection,
    bundle: Bundle,
    *,
    audience: frozenset[str],
    tlp: Tlp | None,
    context: Context,
    by_name: bool,
) -> Plan:
    """Plan the publication of a bundle to ``audience`` (this node itself included).

    ``tlp`` marks what carries no marking and can tighten what does, never loosen it. ``by_name`` says
    that the members were named one by one, which RED asks for.
    """
    items = [Planned(one) for one in _in_order(bundle.objects)]
    known = records.versions(connection, [one.object.id for one in items])
    definitions = _definitions(connection, bundle)
    for item in items:
        _mark(item, tlp, definitions)
        item.audience = audience
        _compare_with_own(item, known.get(item.object.id, ()), context.member)
        _compare_with_others(item, known.get(item.object.id, ()), context.member)
        _ask_for_names(item, by_name)
    for item in items:
        if item.object.type not in RELATIONSHIP:
            _keep_tight(item, known.get(item.object.id, ()), context.member)
    _withhold_with_ends(connection, items, known, context.member)
    for item in items:
        if item.object.type in RELATIONSHIP:  # their level is known only now
            _keep_tight(item, known.get(item.object.id, ()), context.member)
            _ask_for_names(item, by_name)
    if any(item.refusal in ("intel.loosening", "intel.red_needs_names") for item in items):
        _withhold_with_ends(connection, items, known, context.member)
    for item in items:
        _skip_repeated(item, known.get(item.object.id, ()), context.member)
        item.verdicts = who_will_see(
            Resource("object", context.member, item.audience, item.tlp, context.space), context
        )
    return Plan(tuple(items), bundle.problems, audience)


def plan_import(
    connection: Connection,
    bundle: Bundle,
    *,
    tlp: Tlp | None,
    context: Context,
    may_read: Callable[[StoredObject], bool],
) -> Plan:
    """Plan to keep a bundle for this node alone. What nobody has marked counts as RED.

    What is here already stays as it is, but for its marking where ``tlp`` says another: of what was never
    shared, and that the asker may read, so that nobody marks what is kept from them.
    """
    items = [Planned(one) for one in _in_order(bundle.objects)]
    known = records.versions(connection, [one.object.id for one in items])
    definitions = _definitions(connection, bundle)
    alone = frozenset({context.member})
    for item in items:
        unmarked = _unmarked(item.object, definitions)
        _mark(item, tlp or unmarked, definitions)
        item.audience = alone
        item.is_unmarked = tlp is None and unmarked is not None
        digest = content_of(item.object)
        held = [
            one for one in known.get(item.object.id, ()) if one.content == digest and one.retraction is None
        ]
        if held:
            newest = max(held, key=lambda one: one.row)
            is_ours_alone = all(one.origin == context.member and set(one.audience) <= alone for one in held)
            is_marked_anew = tlp is not None and is_ours_alone and may_read(newest) and item.tlp != newest.tlp
            if not is_marked_anew:
                item.outcome = Outcome.ALREADY
                item.is_unmarked = item.is_unmarked and newest.tlp is Tlp.RED
        item.verdicts = who_will_see(
            Resource("object", context.member, alone, item.tlp, context.space), context
        )
    return Plan(tuple(items), bundle.problems, alone)


def content_of(object: StixObject) -> str:
    """SHA-256 of an object's bytes, hexadecimal: whether two versions are the same to the letter."""
    return records.digest(object.raw)


def _in_order(objects: Iterable[StixObject]) -> list[StixObject]:
    """Markings first, relations last: nothing is sent before what it needs. TLP's own ids never are."""

    def place(one: StixObject) -> int:
        return 0 if one.type in META else 2 if one.type in RELATIONSHIP else 1

    return sorted((one for one in objects if not is_tlp_definition(one.id)), key=place)


def _definitions(connection: Connection, bundle: Bundle) -> Mapping[str, Mapping[str, Any]]:
    here = bundle.definitions
    wanted = {ref for one in bundle.objects for ref in one.marking_refs if not is_tlp_definition(ref)}
    return {**records.definitions(connection, wanted - here.keys()), **here}


def _unmarked(object: StixObject, definitions: Mapping[str, Mapping[str, Any]]) -> Tlp | None:
    markings = object.markings(definitions)
    return Tlp.RED if markings.tlp is None and not markings.unknown else None


def _mark(item: Planned, chosen: Tlp | None, definitions: Mapping[str, Mapping[str, Any]]) -> None:
    markings = item.object.markings(definitions)
    declared = Tlp.RED if markings.unknown else markings.tlp
    levels = [one for one in (declared, chosen) if one is not None]
    item.pap = markings.pap
    if not levels:
        item.refuse("intel.no_marking")
    item.tlp = strictest(*levels)


def _compare_with_own(item: Planned, known: Iterable[StoredObject], member: str) -> None:
    """Against what this node has said under the same id before."""
    own = [one for one in known if one.origin == member]
    digest = content_of(item.object)
    for one in own:
        if one.version == item.object.version and one.retraction is not None:
            item.refuse("intel.retracted_before")
            return
        if (
            one.version == item.object.version
            and one.content != digest
            and item.object.type not in OBSERVABLE
            and one.retraction is None
        ):
            item.refuse("intel.same_version")
            return
    newest = max((one.version for one in own if one.retraction is None), default=None)
    if newest is not None and item.object.version < newest:
        item.refuse("intel.older_version")


def _compare_with_others(item: Planned, known: Iterable[StoredObject], member: str) -> None:
    """What another member sent in confidence is not ours to hand on.

    Observables have the same id for everyone, and what is CLEAR anyone may repeat.
    """
    if item.outcome is not Outcome.PUBLISH or item.object.type in ID_CONTRIBUTING:
        return
    for one in known:
        if one.origin == member or one.tlp is Tlp.CLEAR:
            continue
        entitled = {*one.audience, one.origin}
        if not item.audience - {member} <= entitled:
            item.refuse("intel.not_ours", origin=one.origin)
            return
        item.tlp = strictest(item.tlp, one.tlp)


def _skip_repeated(item: Planned, known: Iterable[StoredObject], member: str) -> None:
    """The same again, to the same readers, is no publication."""
    if item.outcome is not Outcome.PUBLISH:
        return
    digest = content_of(item.object)
    for one in known:
        is_own = one.origin == member and one.retraction is None
        same_readers = set(one.audience) == item.audience
        if is_own and one.content == digest and same_readers and one.tlp == item.tlp:
            item.outcome, item.sequence = Outcome.ALREADY, one.sequence
            return


def _ask_for_names(item: Planned, by_name: bool) -> None:
    """What is RED goes to members that were named one by one."""
    if item.outcome is Outcome.PUBLISH and item.tlp is Tlp.RED and not by_name:
        item.refuse("intel.red_needs_names")


def _keep_tight(item: Planned, known: Iterable[StoredObject], member: str) -> None:
    """Loosening what was shared takes a second person; what never left the node was not shared."""
    own = [one for one in known if one.origin == member and one.retraction is None]
    shared = [one.tlp for one in own if set(one.audience) - {member}]
    if item.outcome is Outcome.PUBLISH and shared and item.tlp < max(shared):
        item.refuse("intel.loosening", before=max(shared).label, now=item.tlp.label)


def _ends(object: StixObject) -> list[str]:
    left_out = {object.data.get(name) for name in _NOT_ENDS}
    return [ref for ref in object.references if ref not in left_out]


def _withhold_with_ends(
    connection: Connection,
    items: list[Planned],
    known: Mapping[str, list[StoredObject]],
    member: str,
) -> None:
    """A reference to what a member may not see is withheld from it, and a relation takes the strictest
    marking of its ends (docs/protocol.md). Repeated until nothing changes: ends refer to others in turn.

    A copy of an end that this node kept for itself raises nothing while the end itself goes out: whoever
    gets the relation gets the end by the same decision, so nothing reaches anybody that they were not
    given, and what never left the node was not shared (as in ``_keep_tight``). An end that stays here
    withholds the relation whole, and what another member sent counts as it was marked.
    """
    ends = {id(item): _ends(item.object) for item in items}
    wanted = {ref for refs in ends.values() for ref in refs}
    stored = {**records.versions(connection, wanted - known.keys()), **known}
    planned: dict[str, list[Planned]] = {}
    for item in items:
        planned.setdefault(item.object.id, []).append(item)
    changed = True
    while changed:
        changed = False
        for item in items:
            for ref in ends[id(item)]:
                changed |= _narrow(item, ref, planned.get(ref, ()), stored.get(ref, ()), member)
    for item in items:
        lost = item.withheld and not item.audience - {member}
        if lost and item.outcome is Outcome.PUBLISH:
            item.refuse("intel.ends_withheld", object=next(iter(item.withheld.values())).params["object"])


def _narrow(
    item: Planned, ref: str, planned: Iterable[Planned], stored: Iterable[StoredObject], member: str
) -> bool:
    going = [one for one in planned if one.outcome is not Outcome.REFUSED]
    kept = [one for one in stored if one.retraction is None and one.is_current]
    if not going and not kept and not list(planned):
        return False  # nobody here knows it: its id tells nothing that we hold
    seeing = {member}
    for out in going:
        seeing |= out.audience
    for one in kept:
        seeing |= {*one.audience, one.origin}
    changed = False
    for name in item.audience - seeing:
        item.audience -= {name}
        item.withheld[name] = Reason("end_withheld", {"member": name, "object": ref})
        changed = True
    if item.object.type in RELATIONSHIP and (going or kept):
        counting = [one for one in kept if not going or one.origin != member or set(one.audience) - {member}]
        level = strictest(item.tlp, *(out.tlp for out in going), *(one.tlp for one in counting))
        changed |= level != item.tlp
        item.tlp = level
    return changed
