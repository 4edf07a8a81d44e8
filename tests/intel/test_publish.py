"""Publishing: who sees what and why, what is refused, and that what was shown is what happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from istmo.errors import InvalidInput, NotAllowed, NotFound
from istmo.intel.objects import Outcome, Plan
from istmo.model.ids import new_id
from istmo.model.markings import Tlp

from .conftest import (
    ADMINISTRATOR,
    ANALYST,
    COORDINATOR,
    OBSERVER,
    OTHER_ANALYST,
    SHORT,
    Node,
    bundle,
    dated,
    indicator,
    malware,
    newer,
    relationship,
)

GT, HN, SV = SHORT["gt"], SHORT["hn"], SHORT["sv"]
AMBER = [Tlp.AMBER.marking_id]


def outcomes(plan: Plan) -> list[tuple[str, str]]:
    return [(str(one.outcome), one.refusal) for one in plan.items]


def refusal(plan: Plan) -> str:
    assert [one.outcome for one in plan.items] == [Outcome.REFUSED]
    return plan.items[0].refusal


def test_an_indicator_published_to_the_region_is_live_everywhere(gt: Node, hn: Node, sv: Node) -> None:
    one = indicator(object_marking_refs=AMBER, x_unknown={"kept": 1.0})
    plan = gt.publish(one)
    assert outcomes(plan) == [("publish", "")]
    assert {entry.state for entry in (*gt.deliver(hn), *gt.deliver(sv))} == {"accepted"}
    for node in (gt, hn, sv):
        assert node.watched() == {one["id"]: ["198.51.100.7"]}
        assert json.loads(node.intel.raw(ANALYST, one["id"])) == one
    (shown,) = hn.intel.read(ANALYST, one["id"])
    assert (shown.origin, shown.tlp, str(shown.state(hn.clock.now()))) == (GT, Tlp.AMBER, "live")


def test_the_preview_names_each_member_with_its_reason_and_writes_nothing(gt: Node) -> None:
    plan = gt.intel.preview(ANALYST, bundle(indicator()), audience=["Honduras"], tlp=Tlp.GREEN)
    (item,) = plan.items
    seen = {one.member: (one.allowed, one.reasons[0].code) for one in item.verdicts}
    assert seen == {GT: (True, "own_node"), HN: (True, "named"), SV: (False, "not_in_audience")}
    assert gt.log_size() == 0


def test_members_are_named_by_id_or_by_name_in_any_case(gt: Node) -> None:
    plan = gt.publish(indicator(), to=f"honduras, {SV}", tlp=Tlp.GREEN)
    assert plan.audience == {GT, HN, SV}


def test_house_invariant_2_an_empty_audience_is_refused(gt: Node) -> None:
    with pytest.raises(InvalidInput) as caught:
        gt.publish(indicator(), to=" , ", tlp=Tlp.GREEN)
    assert caught.value.code == "intel.empty_audience"


def test_a_name_that_is_no_member_stops_the_publication(gt: Node) -> None:
    with pytest.raises(InvalidInput) as caught:
        gt.publish(indicator(), to="Honduras,Atlantis", tlp=Tlp.GREEN)
    assert caught.value.code == "intel.unknown_member"
    assert gt.log_size() == 0


@pytest.mark.parametrize("who", [OBSERVER, ADMINISTRATOR])
def test_who_may_not_publish_is_told_so(gt: Node, who: object) -> None:
    with pytest.raises(NotAllowed):
        gt.intel.publish(who, bundle(indicator()), audience=["region"], tlp=Tlp.GREEN)  # type: ignore[arg-type]
    with pytest.raises(NotAllowed):
        gt.intel.preview(who, bundle(indicator()), audience=["region"], tlp=Tlp.GREEN)  # type: ignore[arg-type]


def test_what_carries_no_marking_needs_one(gt: Node) -> None:
    assert refusal(gt.publish(indicator())) == "intel.no_marking"


def test_the_chosen_marking_tightens_and_never_loosens(gt: Node) -> None:
    one, other = indicator(object_marking_refs=AMBER), indicator(object_marking_refs=AMBER)
    plan = gt.publish(one, tlp=Tlp.CLEAR)
    assert plan.items[0].tlp is Tlp.AMBER
    assert gt.publish(other, to="Honduras", tlp=Tlp.AMBER_STRICT).items[0].tlp is Tlp.AMBER_STRICT


def test_an_unknown_marking_counts_as_red(gt: Node) -> None:
    one = indicator(object_marking_refs=[new_id("marking-definition")])
    assert refusal(gt.publish(one, tlp=Tlp.GREEN)) == "intel.red_needs_names"
    assert gt.publish(one, to="Honduras", tlp=Tlp.GREEN).items[0].tlp is Tlp.RED


def test_red_is_sealed_and_goes_to_those_named_alone(gt: Node, hn: Node, sv: Node) -> None:
    one = indicator(object_marking_refs=[Tlp.RED.marking_id])
    gt.publish(one, to="Honduras", by=COORDINATOR)
    assert gt.deliver(sv) == []
    (entry,) = gt.deliver(hn)
    assert entry.header.seal == "age"
    assert b"198.51.100.7" not in (entry.envelope.body or b"")
    with pytest.raises(NotFound):
        hn.intel.read(ANALYST, one["id"])
    assert hn.intel.read(COORDINATOR, one["id"])


def test_what_one_published_as_red_one_can_read_back(gt: Node) -> None:
    one = indicator(object_marking_refs=[Tlp.RED.marking_id])
    gt.publish(one, to="Honduras", by=ANALYST)
    assert gt.intel.read(ANALYST, one["id"])
    with pytest.raises(NotFound):
        gt.intel.read(OTHER_ANALYST, one["id"])


def test_one_bad_object_of_a_bundle_stays_and_the_others_go(gt: Node) -> None:
    bad = indicator(confidence=400)
    plan = gt.publish(indicator(), bad, indicator("203.0.113.4"), tlp=Tlp.GREEN)
    assert [one.id for one in plan.problems] == [bad["id"]]
    assert plan.count(Outcome.PUBLISH) == 2


def test_the_same_again_is_already_there(gt: Node) -> None:
    one = indicator()
    first = gt.publish(one, tlp=Tlp.GREEN)
    again = gt.publish(one, tlp=Tlp.GREEN)
    assert outcomes(again) == [("already", "")]
    assert again.items[0].sequence == first.items[0].sequence
    assert gt.log_size() == 1


def test_other_content_under_the_same_version_is_refused(gt: Node) -> None:
    one = indicator()
    gt.publish(one, tlp=Tlp.GREEN)
    assert refusal(gt.publish({**one, "name": "changed"}, tlp=Tlp.GREEN)) == "intel.same_version"


def test_a_newer_version_takes_the_place_of_the_older(gt: Node, hn: Node) -> None:
    one = indicator()
    gt.publish(one, tlp=Tlp.GREEN)
    gt.publish(newer(one, pattern="[ipv4-addr:value = '203.0.113.9']"), tlp=Tlp.GREEN)
    gt.deliver(hn)
    assert hn.watched() == {one["id"]: ["203.0.113.9"]}
    assert [one.is_current for one in hn.intel.read(ANALYST, one["id"])] == [True, False]
    assert refusal(gt.publish({**one, "name": "older"}, tlp=Tlp.GREEN)) == "intel.same_version"
    assert refusal(gt.publish(newer(one, days=0.5), tlp=Tlp.GREEN)) == "intel.older_version"


def test_versions_that_arrive_in_the_wrong_order_end_the_same(gt: Node, hn: Node) -> None:
    one = indicator()
    late = newer(one, pattern="[ipv4-addr:value = '203.0.113.9']")
    gt.publish(one, tlp=Tlp.GREEN)
    gt.publish(late, tlp=Tlp.GREEN)
    with gt.store.read() as connection:
        due = gt.ledger.due(connection, HN, 0, 10)
    for delivery in reversed(due):
        with hn.store.write() as tx:
            hn.ledger.receive(tx, delivery.envelope, key=gt.keys.public)
    assert hn.watched() == {one["id"]: ["203.0.113.9"]}


def test_loosening_what_was_shared_is_refused(gt: Node) -> None:
    one = indicator()
    gt.publish(one, tlp=Tlp.AMBER)
    assert refusal(gt.publish(newer(one), tlp=Tlp.GREEN)) == "intel.loosening"
    assert outcomes(gt.publish(newer(one), tlp=Tlp.AMBER)) == [("publish", "")]


def test_a_wider_audience_is_a_new_entry(gt: Node, sv: Node) -> None:
    one = indicator()
    gt.publish(one, to="Honduras", tlp=Tlp.AMBER)
    assert gt.deliver(sv) == []
    assert outcomes(gt.publish(one, to="Honduras,El Salvador", tlp=Tlp.AMBER)) == [("publish", "")]
    gt.deliver(sv)
    assert list(sv.watched()) == [one["id"]]


# --- relations (protocol rule 12) ------------------------------------------------------------------------


def test_a_relation_takes_the_strictest_marking_of_its_ends(gt: Node) -> None:
    one, other = indicator(), malware(object_marking_refs=AMBER)
    plan = gt.publish(one, other, relationship(one, other), tlp=Tlp.GREEN)
    assert [(item.object.type, item.tlp) for item in plan.items] == [
        ("indicator", Tlp.GREEN),
        ("malware", Tlp.AMBER),
        ("relationship", Tlp.AMBER),
    ]


def test_a_relation_that_its_ends_raise_to_red_goes_to_members_that_are_named(gt: Node, hn: Node) -> None:
    secret, one = malware(object_marking_refs=[Tlp.RED.marking_id]), indicator()
    gt.publish(secret, to="Honduras", by=COORDINATOR)
    link = relationship(one, secret)
    about = dated("note", content="see the link", object_refs=[link["id"]])
    to_all = gt.publish(one, link, about, tlp=Tlp.AMBER)
    assert [(item.object.type, item.refusal) for item in to_all.items] == [
        ("indicator", ""),
        ("note", "intel.ends_withheld"),
        ("relationship", "intel.red_needs_names"),
    ]
    gt.deliver(hn)
    assert hn.intel.search(COORDINATOR, type="relationship").items == ()
    named = gt.publish(link, to="Honduras", tlp=Tlp.AMBER, by=COORDINATOR)
    assert [(item.tlp, item.refusal) for item in named.items] == [(Tlp.RED, "")]


def test_a_copy_that_was_kept_for_this_node_alone_raises_no_relation_whose_ends_go_out(gt: Node) -> None:
    one, other = indicator(), malware()
    link = relationship(one, other)
    gt.intel.import_bundle(ANALYST, bundle(one, other, link))  # unmarked, so RED
    plan = gt.publish(one, other, link, tlp=Tlp.AMBER)
    assert [(item.tlp, item.refusal) for item in plan.items] == [(Tlp.AMBER, "")] * 3


def test_a_copy_from_another_member_raises_a_relation_though_its_end_goes_out(gt: Node, hn: Node) -> None:
    value = {
        "type": "ipv4-addr",
        "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
        "value": "198.51.100.3",
    }
    gt.publish(value, to="Honduras", tlp=Tlp.RED, by=COORDINATOR)
    gt.deliver(hn)
    other = malware()
    plan = hn.publish(value, other, relationship(other, value), tlp=Tlp.AMBER)
    assert [(item.object.type, item.tlp, item.refusal) for item in plan.items] == [
        ("ipv4-addr", Tlp.AMBER, ""),
        ("malware", Tlp.AMBER, ""),
        ("relationship", Tlp.RED, "intel.red_needs_names"),
    ]


def test_a_relation_is_withheld_from_who_may_not_see_an_end(gt: Node, hn: Node, sv: Node) -> None:
    secret = malware()
    gt.publish(secret, to="Honduras", tlp=Tlp.AMBER)
    one = indicator()
    link = relationship(one, secret)
    report = dated(
        "report", name="R", published="2026-03-01T09:00:00Z", object_refs=[one["id"], secret["id"]]
    )
    plan = gt.publish(one, link, report, to="Honduras,El Salvador", tlp=Tlp.AMBER)
    by_id = {item.object.id: item for item in plan.items}
    assert by_id[one["id"]].audience == {GT, HN, SV}
    assert by_id[link["id"]].audience == by_id[report["id"]].audience == {GT, HN}
    assert by_id[link["id"]].withheld[SV].params == {"member": SV, "object": secret["id"]}
    gt.deliver(sv)
    gt.deliver(hn)
    assert secret["id"] not in repr([sv.intel.raw(ANALYST, one["id"]), sv.intel.search(ANALYST).items])
    assert len(hn.intel.search(ANALYST).items) == 4
    assert len(sv.intel.search(ANALYST).items) == 1


def test_withholding_follows_references_through_relations(gt: Node) -> None:
    secret, one = malware(), indicator()
    gt.publish(secret, to="Honduras", tlp=Tlp.AMBER)
    link = relationship(one, secret)
    note = dated("note", content="see the link", object_refs=[link["id"]])
    plan = gt.publish(note, link, one, to="Honduras,El Salvador", tlp=Tlp.AMBER)
    assert next(item for item in plan.items if item.object.type == "note").audience == {GT, HN}


def test_a_relation_that_nobody_may_see_is_refused(gt: Node) -> None:
    kept = malware()
    gt.intel.import_bundle(ANALYST, bundle(kept), tlp=Tlp.AMBER)
    one = indicator()
    plan = gt.publish(one, relationship(one, kept), to="Honduras", tlp=Tlp.AMBER)
    assert outcomes(plan) == [("publish", ""), ("refused", "intel.ends_withheld")]


def test_an_author_that_stays_here_does_not_hold_its_work_back(gt: Node) -> None:
    author = dated("identity", name="Unit 7", identity_class="organization")
    gt.intel.import_bundle(ANALYST, bundle(author), tlp=Tlp.AMBER)
    plan = gt.publish(indicator(created_by_ref=author["id"]), tlp=Tlp.GREEN)
    assert outcomes(plan) == [("publish", "")]


# --- what others sent --------------------------------------------------------------------------------------


def test_house_invariant_1_what_another_sent_in_confidence_is_not_handed_on(
    gt: Node, hn: Node, sv: Node
) -> None:
    one = indicator()
    gt.publish(one, to="Honduras", tlp=Tlp.AMBER)
    gt.deliver(hn)
    assert refusal(hn.publish(one, to="El Salvador", tlp=Tlp.GREEN)) == "intel.not_ours"
    assert refusal(hn.publish(newer(one), to="region", tlp=Tlp.GREEN)) == "intel.not_ours"
    back = hn.publish(newer(one), to="Guatemala", tlp=Tlp.GREEN)
    assert outcomes(back) == [("publish", "")]
    assert back.items[0].tlp is Tlp.AMBER


def test_what_is_clear_anyone_may_repeat(gt: Node, hn: Node) -> None:
    one = indicator(object_marking_refs=[Tlp.CLEAR.marking_id])
    gt.publish(one, to="Honduras")
    gt.deliver(hn)
    assert outcomes(hn.publish(one, to="El Salvador")) == [("publish", "")]


def test_house_invariant_3_the_same_id_from_two_origins_keeps_both(gt: Node, hn: Node) -> None:
    one = indicator()
    gt.publish(one, to="Honduras", tlp=Tlp.GREEN)
    gt.deliver(hn)
    before = hn.intel.raw(ANALYST, one["id"])
    usurper = newer(one, pattern="[ipv4-addr:value = '203.0.113.66']", days=9)
    hn.intel.import_bundle(ANALYST, bundle({**usurper, "object_marking_refs": AMBER}))
    versions = hn.intel.read(ANALYST, one["id"])
    assert {version.origin for version in versions} == {GT, HN}
    assert hn.watched() == {one["id"]: ["198.51.100.7"]}, "the first to send an id keeps it"
    passed_over = next(version for version in versions if version.origin == HN)
    assert passed_over.not_detected == "intel.not_detected.other_origin"
    with hn.store.read() as connection:
        kept = hn.ledger.entry(connection, GT, 1).payload
    assert kept == before


# --- import ----------------------------------------------------------------------------------------------


def test_an_import_stays_in_this_node(gt: Node, hn: Node, sv: Node) -> None:
    one = indicator(object_marking_refs=AMBER)
    plan = gt.intel.import_bundle(ANALYST, bundle(one))
    assert plan.audience == {GT}
    assert gt.deliver(hn) == gt.deliver(sv) == []
    assert list(gt.watched()) == [one["id"]]
    assert gt.intel.import_bundle(ANALYST, bundle(one)).count(Outcome.ALREADY) == 1


def test_an_import_without_marking_is_red_unless_one_is_given(gt: Node) -> None:
    one, other = indicator(), indicator("203.0.113.1")
    gt.intel.import_bundle(ANALYST, bundle(one))
    gt.intel.import_bundle(ANALYST, bundle(other), tlp=Tlp.GREEN)
    assert gt.intel.read(ANALYST, one["id"])[0].tlp is Tlp.RED
    assert gt.intel.read(OTHER_ANALYST, other["id"])[0].tlp is Tlp.GREEN
    with pytest.raises(NotFound):
        gt.intel.read(OTHER_ANALYST, one["id"])
    assert outcomes(gt.publish(one, tlp=Tlp.GREEN)) == [("publish", "")], "it was never shared as RED"


def test_an_import_says_what_is_unmarked_and_one_with_a_marking_puts_it_right(gt: Node) -> None:
    one, marked = indicator(), indicator("203.0.113.1", object_marking_refs=AMBER)
    first = gt.intel.import_bundle(ANALYST, bundle(one, marked))
    assert [item.is_unmarked for item in first.items] == [True, False]
    again = gt.intel.import_bundle(ANALYST, bundle(one, marked))
    assert [(str(item.outcome), item.is_unmarked) for item in again.items] == [
        ("already", True),
        ("already", False),
    ]
    right = gt.intel.import_bundle(ANALYST, bundle(one, marked), tlp=Tlp.GREEN)
    assert [(str(item.outcome), item.tlp) for item in right.items] == [
        ("publish", Tlp.GREEN),
        ("already", Tlp.AMBER),
    ]
    assert gt.intel.read(OTHER_ANALYST, one["id"])[0].tlp is Tlp.GREEN
    assert gt.intel.search(COORDINATOR).total == 2
    last = gt.intel.import_bundle(ANALYST, bundle(one), tlp=Tlp.GREEN)
    assert outcomes(last) == [("already", "")]
    assert not gt.intel.import_bundle(ANALYST, bundle(one)).items[0].is_unmarked


def test_an_import_changes_no_marking_of_what_was_shared_or_is_kept_from_the_asker(gt: Node) -> None:
    shared, kept = indicator(), indicator("203.0.113.1")
    gt.publish(shared, tlp=Tlp.AMBER)
    gt.intel.import_bundle(COORDINATOR, bundle(kept))
    plan = gt.intel.import_bundle(ANALYST, bundle(shared, kept), tlp=Tlp.GREEN)
    assert outcomes(plan) == [("already", "")] * 2
    assert gt.intel.read(COORDINATOR, kept["id"])[0].tlp is Tlp.RED


def test_a_statement_is_read_from_the_definition_that_came_along(gt: Node, hn: Node) -> None:
    definition = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": new_id("marking-definition"),
        "created": "2026-03-01T09:00:00Z",
        "definition_type": "statement",
        "definition": {"statement": "(c) CSIRT"},
    }
    one = indicator(object_marking_refs=[definition["id"], Tlp.GREEN.marking_id])
    plan = gt.publish(one, definition, tlp=Tlp.GREEN)
    assert [item.object.type for item in plan.items] == ["marking-definition", "indicator"]
    gt.deliver(hn)
    assert hn.intel.read(OBSERVER, one["id"])[0].tlp is Tlp.GREEN


def test_the_trail_tells_who_published(gt: Node) -> None:
    from istmo.identity import audit

    gt.publish(indicator(), tlp=Tlp.GREEN)
    with gt.store.read() as connection:
        (line,) = audit.lines(connection)
    assert (line.principal, line.action, line.outcome) == ("person:a1", "object.publish", "done")


@pytest.mark.shared_data
def test_real_bundles_are_published_whole_and_arrive_as_they_came(
    gt: Node, hn: Node, shared_data: Path
) -> None:
    for path in sorted((shared_data / "stix").glob("*stix21.json")):
        objects = json.loads(path.read_bytes())["objects"]
        plan = gt.intel.publish(ANALYST, path.read_bytes(), audience=["region"], tlp=Tlp.AMBER)
        refused = [one.refusal for one in plan.items if one.refusal]
        # the same ids come again in these files with other content, which is not a new version
        assert set(refused) <= {"intel.same_version", "intel.older_version"}
        assert len(plan.items) == len(objects)
    assert {entry.state for entry in gt.deliver(hn)} == {"accepted"}
    found = hn.intel.search(ANALYST, limit=500).items
    assert len(found) > 20
    assert any(one.plan is not None for one in found)
    for one in found:
        assert hn.intel.raw(ANALYST, one.id) == gt.intel.raw(ANALYST, one.id)
