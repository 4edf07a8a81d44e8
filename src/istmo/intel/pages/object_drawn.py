"""What of an object is drawn: what is near it, and when which member saw it. The same stands in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

from istmo.intel.naming import name_of, relation_words, type_words
from istmo.intel.objects import Nearness, Neighbour, Neighbourhood, Sighting, StoredObject
from istmo.intel.pages.neighbourhood_drawn import MOST_DRAWN, Node, draw
from istmo.kit import spans
from istmo.kit.pages import Speaker
from istmo.kit.visible import visible

PROPERTIES: Final = (
    "created_by_ref",
    "object_refs",
    "observed_data_refs",
    "sighting_of_ref",
    "source_ref",
    "target_ref",
    "where_sighted_refs",
)
_MOST_SPANS: Final = 30


def draw_near(
    shown: StoredObject,
    near: Neighbourhood,
    sightings: Sequence[Sighting],
    say: Speaker,
    members: Mapping[str, str],
) -> Markup | None:
    """The neighbourhood: relationships nearest, then who saw it, then references; None where nothing is near.

    Sightings alone are no neighbourhood: they have a drawing and a table of their own.
    """
    if not near.neighbours:
        return None
    related = [one for one in near.neighbours if one.nearness is Nearness.RELATIONSHIP]
    others = [one for one in near.neighbours if one.nearness is not Nearness.RELATIONSHIP]
    nodes = [
        *(_node(one, say) for one in related),
        *(_member(one, say, members) for one in sightings),
        *(_node(one, say) for one in others),
    ]
    name = visible(name_of(shown, say.text))
    return draw(name, nodes[:MOST_DRAWN], title=say.text("object.near.drawn", n=len(nodes), name=name))


def draw_seen(sightings: Sequence[Sighting], say: Speaker, members: Mapping[str, str]) -> Markup | None:
    """When which member saw it, a line each; None where nobody says when."""
    found = []
    for one in sightings[:_MOST_SPANS]:
        first, last = one.first_seen or one.last_seen, one.last_seen or one.first_seen
        if first is None or last is None:
            continue
        name = visible(members.get(one.origin, one.origin))
        title = say.text(
            "object.seen.span", n=one.count, member=name, first=say.when(first), last=say.when(last)
        )
        found.append(
            spans.Span(name, min(first, last), max(first, last), f"{say.number(one.count)} ×", title)
        )
    return spans.draw(found, title=say.text("object.seen.drawn", n=len(found))) if found else None


def relation_in_words(one: Neighbour, say: Speaker) -> str:
    """How something is related, with words of our own where the standard's are known."""
    if one.nearness is Nearness.RELATIONSHIP:
        return relation_words(one.relation, say.text)
    side = "of" if one.nearness is Nearness.POINTED_TO else "in"
    if one.relation in PROPERTIES:
        return say.text(f"object.property.{one.relation}.{side}")
    return str(visible(one.relation))


def _node(one: Neighbour, say: Speaker) -> Node:
    name = visible(name_of(one.object, say.text))
    relation = relation_in_words(one, say)
    arrow = "" if one.nearness is not Nearness.RELATIONSHIP else "→ " if one.is_outward else "← "
    title = f"{name} · {type_words(one.object.type, say.text)} · {arrow}{relation}"
    return Node(name, f"{arrow}{relation}", title, f"/objects/{quote(one.object.id, safe='')}")


def _member(one: Sighting, say: Speaker, members: Mapping[str, str]) -> Node:
    name = visible(members.get(one.origin, one.origin))
    told = say.text("object.near.saw", n=one.count)
    return Node(name, told, f"{name} · {told}", is_member=True)
