"""The tables are a fold over the log: thrown away and folded again, they say the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from istmo.intel.objects import RetractionReason
from istmo.model.ids import new_id
from istmo.model.markings import Tlp

from .conftest import COORDINATOR, Node, indicator, malware, newer, relationship

TABLES = (
    "intel_objects",
    "intel_retractions",
    "intel_sightings",
    "intel_links",
    "intel_values",
    "intel_texts",
)


def view(node: Node) -> list[Any]:
    found = node.intel.search(COORDINATOR, limit=500).items
    shown = [
        (one.id, one.version, one.origin, one.sequence, one.tlp, one.state(node.clock.now()), one.terms)
        for one in found
    ]
    seen = [node.intel.sightings(COORDINATOR, one.id) for one in found]
    return [sorted(shown), seen, node.watched()]


def test_the_tables_can_be_rebuilt_from_the_log(gt: Node, hn: Node) -> None:
    one, other = indicator(), malware()
    gt.publish(one, other, relationship(one, other), tlp=Tlp.AMBER)
    gt.publish(newer(one), gone := indicator("203.0.113.1"), tlp=Tlp.AMBER)
    gt.intel.retract(COORDINATOR, gone["id"], reason=RetractionReason.ERROR)
    gt.deliver(hn)
    hn.see(one["id"], 3)
    hn.deliver(gt)
    for node in (gt, hn):
        before = view(node)
        with node.store.write() as tx:
            for table in TABLES:
                tx.connection.execute(text(f"DELETE FROM {table}"))
        assert view(node) != before
        for _ in range(2):  # and folding twice is folding once
            with node.store.write() as tx:
                node.ledger.replay(tx, ("stix", "sighting", "retraction"))
            assert view(node) == before


def test_house_invariant_8_odd_characters_stop_nothing(gt: Node, hn: Node) -> None:
    odd = malware(description="a\x00b", aliases=["\x00"], name="x\x00\u202ey")
    definition = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": new_id("marking-definition"),
        "created": "2026-03-01T09:00:00Z",
        "definition_type": "statement",
        "definition": {"statement": "\x00"},
    }
    plan = gt.publish(odd, definition, indicator(), tlp=Tlp.GREEN)
    assert [item.refusal for item in plan.items] == ["", "", ""]
    assert {entry.state for entry in gt.deliver(hn)} == {"accepted"}
    assert b"\\u0000" in gt.intel.raw(COORDINATOR, odd["id"])
