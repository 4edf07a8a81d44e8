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
