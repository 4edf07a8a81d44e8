"""Names in the asker's words: «A uses B» for a relation, and never the name of what one may not read."""

from __future__ import annotations

from functools import partial

import pytest

from istmo.intel.naming import RELATIONS, TYPES, name_of, relation_words, type_words
from istmo.intel.objects import Planned
from istmo.kit.i18n import Catalogue
from istmo.model.markings import Tlp
from istmo.policy import Person

from .conftest import ANALYST, COORDINATOR, Node, bundle, dated, indicator, malware, relationship

CATALOGUE = Catalogue(strict=True)
SPANISH, ENGLISH = (partial(CATALOGUE.text, language) for language in ("es", "en"))


def named(node: Node, id: str, who: Person = ANALYST) -> str:
    return name_of(node.intel.read(who, id)[0], SPANISH)


def test_a_relation_is_called_by_what_it_connects(gt: Node) -> None:
    one, other = indicator(name="Dirección"), malware(name="Cargador")
    link = relationship(one, other)
    plan = gt.publish(one, other, link, tlp=Tlp.GREEN)
    assert named(gt, link["id"]) == "Dirección indica Cargador"
    assert name_of(gt.intel.search(ANALYST, type="relationship").items[0], ENGLISH) == (
        "Dirección indicates Cargador"
    )
    [planned] = [item for item in plan.items if item.object.id == link["id"]]
    assert name_of(planned, SPANISH) == "Dirección indica Cargador"
    [near] = [
        near.object
        for about in [dated("note", content="n", object_refs=[link["id"]])]
        if gt.publish(about, tlp=Tlp.GREEN)
        for near in gt.intel.neighbourhood(ANALYST, about["id"]).neighbours
    ]
    assert name_of(near, SPANISH) == "Dirección indica Cargador"


def test_house_invariant_1_a_relation_names_no_end_that_is_kept_from_the_asker(gt: Node) -> None:
    secret, one = malware(name="Secreto"), indicator(name="Dirección")
    link = relationship(one, secret)
    green = [Tlp.GREEN.marking_id]
    gt.intel.import_bundle(COORDINATOR, bundle(secret), tlp=Tlp.RED)
    gt.intel.import_bundle(ANALYST, bundle(one, {**link, "object_marking_refs": green}), tlp=Tlp.GREEN)
    assert named(gt, link["id"], COORDINATOR) == "Dirección indica Secreto"
    assert named(gt, link["id"]) == "Dirección indica otro objeto (Software malicioso)"
    [found] = gt.intel.search(ANALYST, type="relationship").items
    assert "Secreto" not in name_of(found, SPANISH)
    told = gt.intel.preview(ANALYST, bundle(link), audience=["region"], tlp=Tlp.AMBER)
    assert "Secreto" not in "".join(name_of(item, SPANISH) for item in told.items)


def test_two_origins_relations_of_one_id_are_each_called_by_their_own_ends(gt: Node, hn: Node) -> None:
    one, other, third = indicator(name="A"), malware(name="B"), malware(name="C")
    link = relationship(one, other)
    gt.publish(one, other, third, link, tlp=Tlp.GREEN)
    gt.deliver(hn)
    hn.intel.import_bundle(ANALYST, bundle({**link, "target_ref": third["id"]}), tlp=Tlp.GREEN)
    names = {version.origin: name_of(version, SPANISH) for version in hn.intel.read(ANALYST, link["id"])}
    assert names == {gt.member: "A indica B", hn.member: "A indica C"}


def test_what_has_no_name_is_called_by_its_type(gt: Node) -> None:
    plan = gt.publish(
        dated("observed-data", first_observed="2026-03-01T09:00:00Z", last_observed="2026-03-01T09:00:00Z",
              number_observed=1, object_refs=["ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd"]),
        tlp=Tlp.GREEN,
    )  # fmt: skip
    [item] = plan.items
    assert isinstance(item, Planned)
    assert name_of(item, SPANISH) == f"Datos observados …{item.object.id[-8:]}"


@pytest.mark.parametrize("text", [SPANISH, ENGLISH], ids=["es", "en"])
def test_every_type_of_the_standard_and_every_known_relation_has_words(text: partial[str]) -> None:
    assert all("⟦" not in type_words(one, text) for one in TYPES)
    assert all("⟦" not in relation_words(one, text) for one in RELATIONS)
    assert type_words("x-of-mine", text) == "x-of-mine"
    assert relation_words("x-tied-to", text) == "x-tied-to"
