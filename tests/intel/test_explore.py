"""Looking around from one object, and taking out what a search finds: never past what one may read."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.errors import NotFound
from istmo.intel.exporting import csv_values, stix_bundle
from istmo.intel.objects import Nearness, Order, RetractionReason
from istmo.model.markings import Tlp

from .conftest import (
    ANALYST,
    COORDINATOR,
    NAMES,
    OBSERVER,
    Node,
    dated,
    indicator,
    malware,
    newer,
    relationship,
)


def around(node: Node, object: dict[str, Any], who: Any = ANALYST) -> set[tuple[str, str, str, bool]]:
    found = node.intel.neighbourhood(who, object["id"]).neighbours
    return {(one.object.name, str(one.nearness), one.relation, one.is_outward) for one in found}


def test_relationships_and_references_lead_from_both_ends(gt: Node) -> None:
    one, loader = indicator(name="address"), malware(name="loader")
    report = dated(
        "report", name="report", published="2026-03-01T09:00:00Z", object_refs=[one["id"], loader["id"]]
    )
    gt.publish(one, loader, relationship(one, loader), report, tlp=Tlp.AMBER)
    assert around(gt, one) == {
        ("loader", Nearness.RELATIONSHIP, "indicates", True),
        ("report", Nearness.POINTS_HERE, "object_refs", False),
    }
    assert ("address", Nearness.RELATIONSHIP, "indicates", False) in around(gt, loader)
    assert around(gt, report) == {
        ("address", Nearness.POINTED_TO, "object_refs", True),
        ("loader", Nearness.POINTED_TO, "object_refs", True),
    }


def test_house_invariant_1_what_one_may_not_read_is_not_near(gt: Node) -> None:
    one, secret = indicator(name="address"), malware(name="secret")
    gt.publish(one, tlp=Tlp.GREEN)
    gt.publish(secret, relationship(one, secret), to="Honduras", tlp=Tlp.RED, by=COORDINATOR)
    assert around(gt, one) == set()
    assert around(gt, one, OBSERVER) == set()
    assert {name for name, *_ in around(gt, one, COORDINATOR)} == {"secret"}


def test_what_was_taken_back_or_replaced_is_near_nothing(gt: Node) -> None:
    one, loader, other = indicator(name="address"), malware(name="loader"), malware(name="other")
    related = relationship(one, loader)
    gt.publish(one, loader, other, related, tlp=Tlp.AMBER)
    gt.publish(newer(related, target_ref=other["id"]), tlp=Tlp.AMBER)
    assert {name for name, *_ in around(gt, one)} == {"other"}
    gt.intel.retract(COORDINATOR, related["id"], reason=RetractionReason.ERROR)
    assert around(gt, one) == set()


def test_two_versions_are_compared_property_by_property(gt: Node) -> None:
    one = indicator(name="before", labels=["a"])
    gt.publish(one, tlp=Tlp.AMBER)
    gt.publish(newer(one, name="after", labels=["a", "b"], confidence=80), tlp=Tlp.AMBER)
    before, after, changes = gt.intel.compare(ANALYST, one["id"], "1", f"2@{gt.member}")
    assert (before.sequence, after.sequence) == (1, 2)
    told = {change.path: (change.before, change.after) for change in changes}
    assert told.pop("$.modified")[0] == one["modified"]
    assert told == {
        "$.name": ("before", "after"),
        "$.labels[1]": (None, "b"),
        "$.confidence": (None, "80"),
    }
    with pytest.raises(NotFound, match=r"intel\.no_version"):
        gt.intel.compare(ANALYST, one["id"], "1", "99")


def test_a_version_that_is_erased_meanwhile_is_compared_with_nothing(
    gt: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, entry = indicator(name="before"), gt.intel._ledger.entry
    gt.publish(one, tlp=Tlp.AMBER)
    gt.publish(newer(one, name="after"), tlp=Tlp.AMBER)

    def erased(connection: Any, origin: str, sequence: int) -> Any:
        found = entry(connection, origin, sequence)
        return replace(found, payload=None) if sequence == 1 else found

    monkeypatch.setattr(gt.intel._ledger, "entry", erased)
    with pytest.raises(NotFound, match=r"intel\.no_version"):
        gt.intel.compare(ANALYST, one["id"], "1", "2")


def exported(node: Node, who: Any = ANALYST, **sought: Any) -> dict[str, Any]:
    first = node.intel.search(who, limit=2, **sought)
    found: dict[str, Any] = json.loads(b"".join(stix_bundle(first, node.intel.export(who, first, **sought))))
    return found


def test_an_export_holds_what_the_filters_show_with_the_marking_that_it_has_here(gt: Node) -> None:
    objects = [indicator(f"192.0.2.{n}") for n in range(7)]
    gt.publish(*objects, malware(), tlp=Tlp.AMBER)
    gt.intel.retract(ANALYST, objects[0]["id"], reason=RetractionReason.ERROR)
    found = exported(gt, type="indicator")
    assert {one["id"] for one in found["objects"]} == {one["id"] for one in objects[1:]}
    assert {tuple(one["object_marking_refs"]) for one in found["objects"]} == {(Tlp.AMBER.marking_id,)}


def test_house_invariant_1_an_export_holds_what_one_may_read(gt: Node) -> None:
    gt.publish(indicator("192.0.2.1"), to="Honduras", tlp=Tlp.RED, by=COORDINATOR)
    gt.publish(indicator("192.0.2.2"), to="Honduras", tlp=Tlp.GREEN)
    assert len(exported(gt, OBSERVER)["objects"]) == 1
    assert len(exported(gt, COORDINATOR)["objects"]) == 2


def test_values_as_csv_begin_no_formula(gt: Node) -> None:
    gt.publish(indicator("192.0.2.1", name='=HYPERLINK("http://x")\u202e'), malware(), tlp=Tlp.GREEN)
    first = gt.intel.search(ANALYST)
    lines = b"".join(csv_values(gt.intel.export(ANALYST, first), NAMES)).decode()
    [heading, row] = csv.reader(io.StringIO(lines))
    assert "\u202e" not in lines
    assert heading[:3] == ["kind", "value", "name"]
    assert row[:5] == ["ipv4", "192.0.2.1", '\'=HYPERLINK("http://x")\ufffd', "TLP:GREEN", "Guatemala"]


@pytest.fixture
def many(gt: Node) -> Node:
    """Names that repeat, several at one instant, some that not everybody may read."""
    chance = random.Random(7)
    for _ in range(8):
        some = [indicator(name=chance.choice(["Ñandú", "tapir", "Tapir", "quetzal", "1"])) for _ in range(4)]
        level = chance.choice([Tlp.GREEN, Tlp.AMBER, Tlp.AMBER_STRICT, Tlp.RED])
        gt.publish(*some, to="Honduras", tlp=level, by=COORDINATOR)
        gt.clock.advance(chance.choice([0, 1]))
    return gt


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    who=st.sampled_from([OBSERVER, ANALYST, COORDINATOR]),
    order=st.sampled_from(list(Order)),
    limit=st.integers(1, 12),
    query=st.sampled_from(["", "tapir", "ñan"]),
    tlp=st.sampled_from([None, Tlp.AMBER]),
)
def test_for_all_orders_the_pages_together_are_the_list(
    many: Node, who: Any, order: Order, limit: int, query: str, tlp: Tlp | None
) -> None:
    found: list[Any] = []
    cursor = None
    while True:
        page = many.intel.search(who, query=query, tlp=tlp, order=order, limit=limit, cursor=cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    whole = many.intel.search(who, query=query, tlp=tlp, order=order, limit=100).items
    assert [one.row for one in found] == [one.row for one in whole]
    assert page.total == len(found) and not page.has_more
    if order is Order.NEWEST:
        assert [one.received for one in found] == sorted((one.received for one in found), reverse=True)


def test_house_invariant_1_a_cursor_does_not_tell_where_a_hidden_object_stands(gt: Node) -> None:
    for name in ("b", "d"):
        gt.publish(indicator(name=name), tlp=Tlp.GREEN)
    gt.publish(indicator(name="c"), to="Honduras", tlp=Tlp.RED, by=COORDINATOR)
    hidden = gt.intel.search(COORDINATOR, query="c", tlp=Tlp.RED).items[0].row
    beyond = [one.name for one in gt.intel.search(OBSERVER, order=Order.NAME, cursor=hidden).items]
    absent = [one.name for one in gt.intel.search(OBSERVER, order=Order.NAME, cursor=hidden + 1).items]
    assert beyond == absent == []


def test_objects_are_found_by_whether_they_were_seen_here_and_when_they_came(gt: Node, hn: Node) -> None:
    one, other = indicator("192.0.2.1", name="seen"), indicator("192.0.2.2", name="unseen")
    gt.publish(one, tlp=Tlp.AMBER)
    gt.deliver(hn)
    hn.clock.advance(60)
    late = hn.clock.now()
    gt.publish(other, tlp=Tlp.AMBER)
    gt.deliver(hn)
    hn.see(one["id"])
    assert [x.name for x in hn.intel.search(ANALYST, is_seen=True).items] == ["seen"]
    assert [x.name for x in hn.intel.search(ANALYST, is_seen=False).items] == ["unseen"]
    assert [x.name for x in hn.intel.search(ANALYST, since=late).items] == ["unseen"]
    gt.publish(newer(one, name="seen, newer"), tlp=Tlp.AMBER)
    gt.deliver(hn)
    assert [x.name for x in hn.intel.search(ANALYST, is_seen=True).items] == ["seen, newer"]


def test_a_list_is_checked_word_by_word_and_says_what_is_known_already(gt: Node) -> None:
    gt.publish(indicator("198.51.100.7", name="known"), tlp=Tlp.AMBER)
    gt.publish(indicator("198.51.100.8", name="hidden"), to="Honduras", tlp=Tlp.RED, by=COORDINATOR)
    checked = gt.intel.check(ANALYST, "198[.]51.100.7\nnonsense 198.51.100.8 # remark\n198.51.100.7")
    told = [(one.line, one.term and one.term[1], one.is_refanged, one.is_repeated) for one in checked]
    assert told == [
        (1, "198.51.100.7", True, False),
        (2, None, False, False),
        (2, "198.51.100.8", False, False),
        (3, "198.51.100.7", False, True),
    ]
    assert [len(one.known) for one in checked] == [1, 0, 0, 1], "what one may not read is not known"
