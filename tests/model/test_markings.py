"""TLP and PAP: what is said, what is unreadable, and that unreadable means strictest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.model.markings import (
    Pap,
    Tlp,
    is_tlp_definition,
    pap_of,
    read_definition,
    read_markings,
    strictest,
    tlp_of,
)

TLP1 = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER,
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
}
OTHER = "marking-definition--00000000-0000-4000-8000-000000000001"
EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"


def test_the_official_ids_are_those_of_the_standard() -> None:
    assert {tlp.label: tlp.marking_id for tlp in Tlp} == {
        "TLP:CLEAR": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
        "TLP:GREEN": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
        "TLP:AMBER": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
        "TLP:AMBER+STRICT": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        "TLP:RED": "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
    }
    assert list(Tlp) == sorted(Tlp)


@pytest.mark.parametrize("tlp", Tlp)
def test_each_level_is_read_from_its_id_and_its_label(tlp: Tlp) -> None:
    assert tlp_of([tlp.marking_id]) is tlp
    assert is_tlp_definition(tlp.marking_id)
    for text in (tlp.label, tlp.label.lower(), tlp.label.removeprefix("TLP:"), tlp.name):
        assert Tlp.read(text) is tlp


def test_version_1_is_read() -> None:
    assert {ref: tlp_of([ref]) for ref in TLP1} == TLP1
    assert Tlp.read("TLP:WHITE") is Tlp.CLEAR


def test_house_invariant_2_an_unknown_marking_or_none_is_red() -> None:
    assert tlp_of([]) is Tlp.RED
    assert tlp_of([OTHER]) is Tlp.RED
    assert tlp_of([Tlp.CLEAR.marking_id, OTHER]) is Tlp.RED
    assert tlp_of([OTHER], {OTHER: {"definition_type": "secret-scheme", "definition": {}}}) is Tlp.RED
    assert tlp_of([OTHER], {OTHER: {"definition_type": "tlp", "definition": {"tlp": "purple"}}}) is Tlp.RED
    assert strictest() is Tlp.RED


@pytest.mark.parametrize(
    ("definition", "meaning"),
    [
        ({"definition_type": "tlp", "definition": {"tlp": "amber"}}, Tlp.AMBER),
        ({"extensions": {EXTENSION: {"tlp_2_0": "amber+strict"}}}, Tlp.AMBER_STRICT),
        ({"extensions": {EXTENSION: {"tlp_2_0": "clear"}, "other": {}}}, None),
        ({"definition_type": "statement", "definition": {"statement": "(c) CSIRT"}}, "(c) CSIRT"),
        ({"definition_type": "statement", "definition": {"statement": "PAP:RED"}}, Pap.RED),
        ({"definition_type": "PAP", "definition": {"pap": "PAP:GREEN"}}, Pap.GREEN),
        ({"definition_type": "statement", "definition": {"statement": "TLP:RED"}}, Tlp.RED),
        ({"definition_type": "statement", "definition": {"statement": 7}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_definitions_are_read_for_what_they_say(definition: object, meaning: object) -> None:
    assert read_definition(definition) == meaning  # type: ignore[arg-type]


def test_a_statement_alone_does_not_say_how_far_something_may_travel() -> None:
    definitions = {OTHER: {"definition_type": "statement", "definition": {"statement": "(c)"}}}
    found = read_markings([OTHER], definitions)
    assert (found.tlp, found.statements, found.unknown) == (None, ("(c)",), ())
    assert found.effective is Tlp.RED
    assert tlp_of([OTHER, Tlp.GREEN.marking_id], definitions) is Tlp.GREEN


def test_a_definition_of_ones_own_cannot_redefine_an_official_id() -> None:
    lie = {Tlp.RED.marking_id: {"definition_type": "tlp", "definition": {"tlp": "white"}}}
    assert tlp_of([Tlp.RED.marking_id], lie) is Tlp.RED


def test_pap_is_the_strictest_named_and_red_where_unreadable() -> None:
    assert pap_of([]) is None
    assert pap_of([OTHER]) is Pap.RED
    assert Pap.read("PAP:WHITE") is Pap.CLEAR
    assert Pap.read("mauve") is None
    assert Pap.AMBER.label == "PAP:AMBER"


@given(st.lists(st.sampled_from([*(tlp.marking_id for tlp in Tlp), *TLP1, OTHER])), st.data())
def test_another_marking_never_loosens(refs: list[str], data: st.DataObject) -> None:
    more = data.draw(st.sampled_from([*(tlp.marking_id for tlp in Tlp), OTHER]))
    if refs:
        assert tlp_of([*refs, more]) >= tlp_of(refs)
