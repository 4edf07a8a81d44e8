"""A worker hunts by rules in what it has stored, one hunt at a time, and stops when told."""

from __future__ import annotations

from istmo.detect import wire

from .conftest import Rig

RULE = r"""
title: x
id: 11111111-1111-4111-8111-111111111111
logsource: {product: windows}
detection: {s: {Image|endswith: a.exe}, condition: s}
"""
SYSMON = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 1}


def asked(request: int, rules: str = RULE) -> wire.HuntRules:
    return wire.HuntRules(request, [wire.WireRule("rules.yml", rules)], {})


def end_of(rig: Rig, request: int) -> tuple[list[wire.RuleHits], wire.RuleHits]:
    some = []
    while True:
        part = rig.hear(wire.RuleHits, lambda one: one.request == request)
        some.append(part)
        if part.done:
            return some, part


def test_stored_events_are_hunted_by_a_rule(rig: Rig) -> None:
    rig.send(*(SYSMON | {"n": n, "Image": r"C:\a.exe" if n % 2 else "b"} for n in range(10)))
    rig.say(asked(901))
    parts, last = end_of(rig, 901)
    assert last.problem is None
    assert sum(len(one.matches) for one in parts) == 5
    ((found,),) = [one.found for one in parts if one.found]
    assert (found.title, found.count) == ("x", 5)


def test_one_hunt_at_a_time_and_one_that_is_called_off_makes_room(rig: Rig) -> None:
    rig.send(*(SYSMON | {"n": n, "Image": r"C:\a.exe"} for n in range(10)))
    for message in (asked(901), asked(902), wire.Cancel(901)):  # it takes a while until rules are read
        rig.say(message)
    ends = [rig.hear(wire.RuleHits, lambda one: one.done) for _ in range(2)]
    told = {one.request: one.problem.code for one in ends if one.problem is not None}
    assert told == {901: "detect.search_cancelled", 902: "detect.search_busy"}
    rig.say(asked(903))
    assert end_of(rig, 903)[1].problem is None


def test_what_runs_by_itself_takes_nobodys_place_and_runs_one_at_a_time(rig: Rig) -> None:
    rig.send(*(SYSMON | {"n": n, "Image": r"C:\a.exe"} for n in range(10)))
    stretch = wire.Stretch(wire.Position(), wire.Position(1 << 40))
    by_itself = [wire.HuntRules(n, asked(n).rules, {}, stretch=stretch, scheduled=True) for n in (901, 902)]
    search = wire.Search(904, "n:>=5", stretch=stretch, scheduled=True)
    for message in (by_itself[0], asked(903), by_itself[1], search):
        rig.say(message)
    ends = {one.request: one for one in (rig.hear(wire.RuleHits, lambda one: one.done) for _ in range(3))}
    assert {id: one.problem.code if one.problem else None for id, one in ends.items()} == {
        901: None,
        902: "detect.search_busy",
        903: None,
    }
    problem = rig.hear(wire.Rows).problem
    assert problem is not None and problem.code == "detect.search_busy"
    rig.say(search)
    assert len(rig.hear(wire.Rows, lambda one: bool(one.rows)).rows) == 5
