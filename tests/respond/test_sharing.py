"""Sharing a case: what was seen is what goes."""

from __future__ import annotations

import pytest

from istmo.errors import Conflict
from respond.conftest import Nation, carry
from respond.test_service import HN, told


def test_what_was_written_after_the_preview_goes_nowhere_before_it_is_seen(gt: Nation, hn: Nation) -> None:
    case = gt.respond.open_case(gt.analyst, "Caso", note="vista").id
    plan = gt.respond.plan_share(gt.analyst, case, HN)
    assert plan.new == frozenset()
    unseen = gt.respond.add_note(gt.analyst, case, "no vista")
    with pytest.raises(Conflict) as met:
        gt.respond.share(gt.analyst, case, HN, seen=plan.seen)
    assert (met.value.code, met.value.params["n"]) == ("respond.share_moved", 1)
    assert hn.take_from(gt) == 0
    again = gt.respond.plan_share(gt.analyst, case, HN, seen=plan.seen)
    assert again.new == {unseen.id}
    gt.respond.share(gt.analyst, case, HN, seen=again.seen)
    carry(gt, hn)
    assert told(hn, case) == ["vista", "no vista"]


def test_what_is_left_out_or_goes_already_is_nothing_new(gt: Nation, hn: Nation, sv: Nation) -> None:
    case = gt.respond.open_case(gt.analyst, "Caso", note="vista").id
    plan = gt.respond.plan_share(gt.analyst, case, HN)
    unseen = gt.respond.add_note(gt.analyst, case, "no vista")
    gt.respond.share(gt.analyst, case, HN, [unseen.id], seen=plan.seen)
    plan = gt.respond.plan_share(gt.analyst, case, sv.member)
    carry(gt, hn)
    hn.respond.add_note(hn.analyst, case, "de Honduras")
    carry(gt, hn)
    gt.respond.share(gt.analyst, case, sv.member, seen=plan.seen)


@pytest.mark.parametrize("seen", ["", "nonsense", "0" * 64])
def test_who_names_nothing_that_is_there_has_seen_nothing(gt: Nation, seen: str) -> None:
    case = gt.respond.open_case(gt.analyst, "Caso").id
    with pytest.raises(Conflict):
        gt.respond.share(gt.analyst, case, HN, seen=seen)
    assert gt.respond.share(gt.analyst, case, HN).members >= {HN}, "a program may share what it has not seen"
