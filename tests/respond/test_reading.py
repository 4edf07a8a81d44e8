"""What of a case somebody may read of whom it is known that they may know of the case."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from istmo.errors import NotAllowed, NotFound
from istmo.model.markings import Tlp
from istmo.policy.principals import Operator, Person, Role, Scope, TokenHolder
from istmo.respond.answers import told_case, told_entry, told_plan, told_summary
from istmo.respond.objects import ObjectSnapshot, Opening
from istmo.respond.records import Filter
from respond.conftest import Nation
from respond.test_service import HN, INDICATOR, OWN_ALERT

BOSS = Person("account--boss", "analyst of gt", Role.COORDINATOR)
"""Called as the analyst is: a name is anybody's to take, what counts is who was signed in."""
SECRET = "zarzaparrilla"
RED = ObjectSnapshot(INDICATOR, f"{SECRET}.example", Tlp.RED, "", frozenset())


@pytest.fixture
def strict(gt: Nation) -> str:
    """An analyst's case, in which a coordinator has put what an analyst does not read."""
    gt.shelf.objects = {INDICATOR: replace(RED, origin=gt.member, audience=frozenset({gt.member}))}
    alert = replace(OWN_ALERT, title=f"{SECRET} en PC-07", evidence=(f"IpAddress={SECRET}",), tlp=Tlp.RED)
    gt.shelf.alerts = {alert.id: alert}
    case = gt.respond.open_case(gt.analyst, "Caso de la analista", note="palabras propias").id
    gt.respond.add_object(BOSS, case, INDICATOR, raise_to=Tlp.RED)
    gt.respond.add_alert(BOSS, case, alert.id)
    gt.respond.add_note(BOSS, case, f"nota con {SECRET}")
    gt.respond.add_task(BOSS, case, f"bloquear {SECRET}")
    gt.respond.rename(BOSS, case, f"Caso {SECRET}")
    gt.respond.set_status(BOSS, case, "working")
    return case


def test_house_invariant_1_an_entry_above_a_readers_limit_is_read_by_nobody_by_way_of_its_case(
    gt: Nation, strict: str
) -> None:
    """The opener goes on knowing of the case: of what others put in it, that it is there and no more."""
    case = gt.respond.read(gt.analyst, strict)
    assert [one.kind for one in case.timeline] == ["opening", "note", *["withheld"] * 6]
    found = case.timeline[2]
    assert (found.tlp, found.author.name, found.body, found.raw) == (Tlp.RED, BOSS.name, None, b"")
    assert (case.title, case.tlp, case.tasks) == ("Caso de la analista", Tlp.RED, ())
    assert case.status.value == "working", "where it stands is told, or it would be written over unseen"
    (listed,) = gt.respond.list_cases(gt.analyst).items
    told_to = {who: told for told, some in gt.respond.cases_for([gt.analyst, BOSS], [strict]) for who in some}
    plan = gt.respond.plan_share(gt.analyst, strict, HN)
    assert not plan.allowed, "an analyst shares nothing that an analyst does not read"
    state = gt.respond.set_state(gt.analyst, strict, status="contained", severity="low", owner="")
    told = [told_case(case), told_summary(listed), told_plan(plan), told_case(state)]
    assert SECRET not in msgspec.json.encode(told).decode()
    assert SECRET not in repr((case, listed, plan, state, told_to[gt.analyst]))
    assert (told_to[BOSS].title, gt.respond.read(BOSS, strict).title) == (f"Caso {SECRET}",) * 2
    assert SECRET in repr(gt.respond.read(BOSS, strict).timeline[2].body)


def test_words_of_what_is_withheld_are_not_found_and_ones_own_are(gt: Nation, strict: str) -> None:
    def found(who: Person, words: str) -> int:
        return len(gt.respond.list_cases(who, Filter(q=words)).items)

    assert (found(gt.analyst, SECRET), found(gt.analyst, "PC-07"), found(gt.analyst, INDICATOR)) == (0, 0, 0)
    assert found(gt.analyst, "palabras propias") == found(BOSS, SECRET) == 1
    gt.respond.add_note(gt.analyst, strict, "escrita cuando ya era RED")
    assert found(gt.analyst, "escrita") == 1
    assert gt.respond.read(gt.analyst, strict).timeline[-1].kind == "note", "one's own words stay readable"


def test_what_is_withheld_is_not_told_by_refusing_to_add_it_again(gt: Nation, strict: str) -> None:
    before = len(gt.respond.read(gt.analyst, strict).timeline)
    added = gt.respond.add_alert(gt.analyst, strict, OWN_ALERT.id)
    assert "alert" in told_entry(added)
    assert len(gt.respond.read(gt.analyst, strict).timeline) == before + 1


def test_who_did_not_open_the_case_knows_nothing_of_it(gt: Nation, strict: str) -> None:
    for who in (
        Person("account--other", gt.analyst.name, Role.ANALYST),
        TokenHolder("token--1", gt.analyst.name, Role.ANALYST, frozenset(Scope)),
        Operator(),
    ):
        with pytest.raises(NotFound):
            gt.respond.read(who, strict)
        assert gt.respond.list_cases(who, Filter(q=SECRET)).items == ()


def test_a_case_that_was_opened_above_ones_own_limit_is_ones_own(gt: Nation) -> None:
    case = gt.respond.open_case(gt.analyst, "Solo mío", tlp=Tlp.RED, note="y mi nota")
    read = gt.respond.read(gt.analyst, case.id)
    assert [one.kind for one in read.timeline] == ["opening", "note"] and isinstance(
        read.timeline[0].body, Opening
    )
    assert gt.respond.list_cases(gt.analyst).items[0].title == "Solo mío"
    with pytest.raises(NotAllowed):
        gt.respond.share(gt.analyst, case.id, HN)
