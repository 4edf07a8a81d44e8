"""Counts over time: nothing lost, nothing inline, nothing unescaped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from istmo.kit.timeline import Bar, bars, draw

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=80))
def test_every_instant_is_counted_once_in_at_most_sixty_steps(seconds: list[int]) -> None:
    found = bars([START + timedelta(seconds=one) for one in seconds])
    assert sum(bar.count for bar in found) == len(seconds)
    assert len(found) <= 61
    assert found[0].count > 0 and found[-1].count > 0


def test_nothing_gives_no_bars() -> None:
    assert bars([]) == []


def test_the_drawing_has_a_title_no_style_and_escapes() -> None:
    svg = str(draw(bars([START, START + timedelta(hours=3)]), title='<b>"x"&', zone="UTC"))
    tree = ElementTree.fromstring(svg)
    assert tree.find("{http://www.w3.org/2000/svg}title").text == '<b>"x"&'  # type: ignore[union-attr]
    assert "style" not in svg
    assert len(tree.findall(".//{http://www.w3.org/2000/svg}rect")) == 2


def test_a_bar_of_several_parts_is_as_high_as_all_of_them_and_says_each() -> None:
    whole, parted = (
        ElementTree.fromstring(str(draw([Bar(START, 8, parts)], title="t", zone="UTC")))
        for parts in ((), (("level-low", "baja", 6), ("level-high", "alta", 2)))
    )
    heights = [
        sum(float(one.attrib["height"]) for one in tree.iter("{http://www.w3.org/2000/svg}rect"))
        for tree in (whole, parted)
    ]
    assert abs(heights[0] - heights[1]) < 0.2
    told = parted.find(".//{http://www.w3.org/2000/svg}g/{http://www.w3.org/2000/svg}title")
    assert told is not None and told.text == "2026-03-02 09:00:00 UTC: 8; alta 2; baja 6"


@given(st.integers(1, 200))
def test_bars_reach_from_one_end_to_the_other_and_few_of_them_are_no_blocks(number: int) -> None:
    found = [Bar(START + timedelta(hours=at), 1) for at in range(number)]
    tree = ElementTree.fromstring(str(draw(found, title="t", zone="UTC")))
    drawn = [
        (float(one.attrib["x"]), float(one.attrib["width"]))
        for one in tree.iter("{http://www.w3.org/2000/svg}rect")
    ]
    slot = 720 / number
    assert all(width <= 36 for _, width in drawn)
    assert all(
        at * slot <= x + 0.1 and x + width <= (at + 1) * slot + 0.1 for at, (x, width) in enumerate(drawn)
    )
