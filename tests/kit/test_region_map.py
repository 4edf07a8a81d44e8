"""The region drawn: every state, no style, nothing unescaped, nobody lost."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.kit.region_map import GRADES, TILES, Place, draw, tiles, worst

SVG = "{http://www.w3.org/2000/svg}"
PLACES = st.builds(
    Place,
    country=st.sampled_from([*TILES, "MX", "ES"]),
    name=st.text(max_size=20),
    grade=st.sampled_from(GRADES[1:]),
    told=st.text(max_size=20),
)


def test_every_state_of_the_region_is_drawn_and_has_a_square() -> None:
    tree = ElementTree.fromstring(str(draw([], title="Región")))
    assert len([one for one in tree.iter(f"{SVG}path") if "place" in one.attrib["class"]]) == len(TILES) == 8
    assert not list(tree.iter(f"{SVG}text")), "a state without a member has no mark"


def test_a_member_is_marked_by_shape_and_named_escaped() -> None:
    svg = str(draw([Place("GT", "<b>CSIRT</b>", "bad", "sin contacto")], title="Región"))
    assert "style" not in svg and "<b>" not in svg
    tree = ElementTree.fromstring(svg)
    assert [one.text for one in tree.iter(f"{SVG}text")] == ["■"]
    assert "<b>CSIRT</b>: sin contacto" in [one.text for one in tree.iter(f"{SVG}title")]


@pytest.mark.parametrize(
    ("grades", "told"),
    [([], "none"), (["good"], "good"), (["good", "bad", "warn"], "bad"), (["good", "warn"], "warn")],
)
def test_a_state_is_as_well_as_the_worst_of_its_members(grades: list[str], told: str) -> None:
    assert worst(grades) == told


@given(st.lists(PLACES, max_size=12))
def test_every_member_stands_in_exactly_one_square(places: list[Place]) -> None:
    found = tiles(places)
    assert sorted(map(id, (one for tile in found for one in tile.places))) == sorted(map(id, places))
    assert len({tile.country for tile in found}) == len(found)
