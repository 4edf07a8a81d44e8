"""Saved hunts: whose they are, who sees, changes and runs them, and what cannot be kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.objects_hunt import HuntKind, HuntPlan
from istmo.detect.records import saved_hunts as records
from istmo.detect.service import saved_hunts as service
from istmo.detect.service.hunt_runs import AskedRules, rules_asked, run_of
from istmo.detect.wire import Position
from istmo.errors import Conflict, InvalidInput, IstmoError, NotAllowed, NotFound, TooLarge
from istmo.identity import records as audit
from istmo.policy import Person, Role, Scope, TokenHolder

from .room import ADMINISTRATOR, ANALYST, COORDINATOR, OBSERVER, OPERATOR, Room
from .test_scheduled_hunts import RULE

OTHER = Person("5", "Beto", Role.ANALYST)
PLAN = HuntPlan("Quién soy", HuntKind.QUERY, "Image:*whoami.exe")
RULE_ID = "11111111-1111-4111-8111-111111111111"


def names(room: Room, who: Any, **wanted: Any) -> list[str]:
    return [one.plan.name for one in room.detect.list_hunts(who, **wanted)]


def test_a_hunt_is_its_owners_alone_until_it_is_shared(room: Room) -> None:
    hunt = room.detect.save_hunt(ANALYST, PLAN)
    assert (hunt.owner, hunt.owner_name, hunt.version) == ("person:1", "Ana", 1)
    assert names(room, OTHER) == [] and names(room, ANALYST) == ["Quién soy"]
    for ask in (room.detect.read_hunt, room.detect.hunt_runs, room.detect.delete_hunt):
        with pytest.raises(NotFound):
            ask(OTHER, hunt.id)
    with pytest.raises(NotAllowed):
        next(room.detect.run_query(OTHER, hunt))
    room.detect.change_hunt(ANALYST, hunt.id, replace(PLAN, is_shared=True), 1)
    assert names(room, OTHER) == names(room, COORDINATOR) == ["Quién soy"]
    shared = room.detect.read_hunt(OTHER, hunt.id)
    assert room.detect.may_run_hunt(OTHER, shared) and not room.detect.may_change_hunt(OTHER, shared)
    copy = room.detect.save_hunt(OTHER, replace(shared.plan, is_shared=False))
    assert copy.owner == "person:5" and copy.id != hunt.id


def test_nobody_changes_what_another_has_saved(room: Room) -> None:
    hunt = room.detect.save_hunt(ANALYST, replace(PLAN, is_shared=True, every=900))
    for who in (OTHER, COORDINATOR, ADMINISTRATOR, OPERATOR):
        with pytest.raises(NotAllowed):
            room.detect.change_hunt(who, hunt.id, PLAN, 1)
        with pytest.raises(NotAllowed):
            room.detect.switch_hunt(who, hunt.id, True)
    for who in (OTHER, COORDINATOR):
        with pytest.raises(NotAllowed):
            room.detect.switch_hunt(who, hunt.id, False)
        with pytest.raises(NotAllowed):
            room.detect.delete_hunt(who, hunt.id)
    assert room.detect.read_hunt(ANALYST, hunt.id) == hunt


@pytest.mark.parametrize("who", [ADMINISTRATOR, OPERATOR])
def test_an_administrator_sees_every_hunt_and_switches_off_any(room: Room, who: Any) -> None:
    hunt = room.detect.save_hunt(ANALYST, replace(PLAN, every=900))
    assert names(room, who) == ["Quién soy"]
    off = room.detect.switch_hunt(who, hunt.id, False)
    assert (off.is_scheduled, off.due, off.version) == (False, None, 2)
    assert not room.detect.may_run_hunt(who, off), "whoever may stop it may not read events by it"
    on = room.detect.switch_hunt(ANALYST, hunt.id, True)
    assert on.due is not None
    room.detect.delete_hunt(who, hunt.id)
    assert names(room, ANALYST) == []


def test_whoever_may_not_search_events_knows_of_no_hunt(room: Room) -> None:
    hunt = room.detect.save_hunt(ANALYST, replace(PLAN, is_shared=True))
    reader = TokenHolder("9", "tablero", Role.OBSERVER, frozenset({Scope.READ, Scope.WORK}))
    for who in (OBSERVER, reader):
        assert not room.detect.may_save_hunts(who)
        for act in (
            lambda who: room.detect.list_hunts(who),
            lambda who: room.detect.read_hunt(who, hunt.id),
            lambda who: room.detect.save_hunt(who, PLAN),
        ):
            with pytest.raises(NotAllowed):
                act(who)
    assert names(room, TokenHolder("8", "t", Role.ANALYST, frozenset({Scope.READ}))) == ["Quién soy"]


def test_of_two_who_change_it_at_once_the_second_is_told(room: Room) -> None:
    hunt = room.detect.save_hunt(ANALYST, PLAN)
    first = room.detect.change_hunt(ANALYST, hunt.id, replace(PLAN, text="a"), hunt.version)
    with pytest.raises(Conflict) as refused:
        room.detect.change_hunt(ANALYST, hunt.id, replace(PLAN, text="b"), hunt.version)
    assert refused.value.code == "detect.hunt_changed"
    assert room.detect.read_hunt(ANALYST, hunt.id) == first


def test_every_change_is_on_the_audit_trail(room: Room) -> None:
    hunt = room.detect.save_hunt(ANALYST, replace(PLAN, every=900))
    room.detect.change_hunt(ANALYST, hunt.id, replace(PLAN, is_shared=True, every=900), 1)
    room.detect.switch_hunt(ADMINISTRATOR, hunt.id, False)
    room.detect.delete_hunt(ADMINISTRATOR, hunt.id)
    with pytest.raises(NotAllowed):
        room.detect.save_hunt(OBSERVER, PLAN)
    with room.store.read() as connection:
        lines = [one for one, _ in audit.whole_audit(connection) if one.action.startswith("hunt.")]
    told = [(one.action, one.principal, one.outcome, one.subject.removeprefix(hunt.id)) for one in lines]
    assert sorted(told) == sorted(
        [
            ("hunt.write", "person:1", "done", ' create "Quién soy"'),
            ("hunt.write", "person:1", "done", ' change "Quién soy"'),
            ("hunt.stop", "person:4", "done", " off"),
            ("hunt.stop", "person:4", "done", ' delete "Quién soy"'),
            ("hunt.write", "person:2", "denied", "hunt"),
        ]
    )


UNUSABLE: tuple[tuple[dict[str, Any], type[IstmoError], str], ...] = (
    ({"name": " "}, InvalidInput, "detect.hunt_name"),
    ({"name": "a\u202eb"}, InvalidInput, "detect.hunt_name"),
    ({"name": "n" * 101}, InvalidInput, "detect.hunt_name"),
    ({"text": " \n"}, InvalidInput, "detect.hunt_empty"),
    ({"text": "a\x00"}, InvalidInput, "detect.hunt_empty"),
    ({"text": "x" * (service.LONGEST_TEXT + 1)}, TooLarge, "detect.hunt_too_long"),
    ({"text": "Image:("}, InvalidInput, "detect.query_wrong"),
    ({"window": 59}, InvalidInput, "detect.hunt_window"),
    ({"window": 3661 * 86_400}, InvalidInput, "detect.hunt_window"),
    ({"every": 59}, InvalidInput, "detect.hunt_every"),
    ({"every": 32 * 86_400}, InvalidInput, "detect.hunt_every"),
    ({"description": "d" * 2001}, InvalidInput, "detect.hunt_description"),
    ({"kind": HuntKind.PATTERN, "text": "[ipv4-addr:value ="}, InvalidInput, "pattern.unfinished"),
    ({"kind": HuntKind.PATTERN, "text": "[x-a:b = 'c']"}, InvalidInput, "detect.pattern_not_served"),
    ({"kind": HuntKind.SQL, "text": "SELECT '" + "x" * 16_384 + "'"}, TooLarge, "detect.sql_too_long"),
    ({"kind": HuntKind.RULES, "text": "title: x"}, InvalidInput, "detect.hunt_no_usable_rule"),
    ({"kind": HuntKind.RULES, "text": "a: [" + "[" * 5000}, InvalidInput, "detect.hunt_no_usable_rule"),
    ({"kind": HuntKind.RULES, "text": RULE_ID}, NotFound, "detect.no_rule"),
    (
        {"kind": HuntKind.RULES, "text": "\n".join(f"r{n}" for n in range(201))},
        TooLarge,
        "detect.hunt_too_many_rules",
    ),
)


def test_what_cannot_be_asked_is_not_kept(room: Room) -> None:
    for changes, kind, code in UNUSABLE:
        with pytest.raises(kind) as refused:
            room.detect.save_hunt(ANALYST, replace(PLAN, **changes))
        assert refused.value.code == code, changes
    assert names(room, ANALYST) == []


def test_a_hunt_by_rules_is_yaml_ids_or_all(room: Room) -> None:
    room.detect.import_rules(ANALYST, RULE.encode())
    for number, text in enumerate((RULE, RULE_ID, "all", "ALL\n")):
        hunt = room.detect.save_hunt(ANALYST, replace(PLAN, name=str(number), kind=HuntKind.RULES, text=text))
        assert hunt.plan.text == text.strip()
    assert rules_asked(" All ") == AskedRules() and rules_asked(RULE).yaml == RULE.strip()
    assert rules_asked(f"{RULE_ID}\n b\n{RULE_ID}") == AskedRules(ids=(RULE_ID, "b"))


@given(st.text(max_size=60))
def test_whatever_holds_a_colon_is_read_as_yaml_and_never_as_all(text: str) -> None:
    assert rules_asked(f"title: {text}").yaml


def test_there_are_bounds_to_how_many(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_OF_ONE", 2)
    monkeypatch.setattr(service, "MOST_HUNTS", 3)
    for name in ("a", "b"):
        room.detect.save_hunt(ANALYST, replace(PLAN, name=name))
    with pytest.raises(Conflict, match=r"detect\.too_many_hunts"):
        room.detect.save_hunt(ANALYST, PLAN)
    room.detect.save_hunt(OTHER, PLAN)
    with pytest.raises(Conflict, match=r"detect\.too_many_hunts"):
        room.detect.save_hunt(COORDINATOR, PLAN)


def test_an_owner_has_no_two_hunts_of_one_name(room: Room) -> None:
    hunt = room.detect.save_hunt(ANALYST, PLAN)
    other = room.detect.save_hunt(ANALYST, replace(PLAN, name="otra"))
    for act in (
        lambda: room.detect.save_hunt(ANALYST, replace(PLAN, name="  Quién   soy ")),
        lambda: room.detect.change_hunt(ANALYST, other.id, PLAN, 1),
    ):
        with pytest.raises(Conflict, match=r"detect\.hunt_exists"):
            act()
    room.detect.change_hunt(ANALYST, hunt.id, replace(PLAN, text="x"), 1)
    assert sorted(names(room, ANALYST, query="QUI")) == ["Quién soy"] and len(names(room, ANALYST)) == 2


def test_of_two_that_come_in_at_one_instant_the_second_is_told_in_words(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where each was told that there is none of that name yet."""
    room.detect.save_hunt(ANALYST, PLAN)
    other = room.detect.save_hunt(ANALYST, replace(PLAN, name="otra"))
    monkeypatch.setattr(records, "is_named", lambda *_: False)
    for act in (
        lambda: room.detect.save_hunt(ANALYST, PLAN),
        lambda: room.detect.change_hunt(ANALYST, other.id, PLAN, 1),
    ):
        with pytest.raises(Conflict, match=r"detect\.hunt_exists"):
            act()
    room.detect.save_hunt(OTHER, PLAN)
    assert sorted(names(room, ANALYST)) == ["Quién soy", "otra"]


def test_without_a_worker_a_statement_is_kept_and_its_first_run_tells_what_is_wrong(room: Room) -> None:
    hunt = room.detect.save_hunt(ANALYST, replace(PLAN, kind=HuntKind.SQL, text="SELEC"))
    assert hunt.plan.kind is HuntKind.SQL


def test_that_a_hunt_was_forgotten_is_told_like_any_change_of_it(room: Room) -> None:
    hunt, heard = room.detect.save_hunt(ANALYST, PLAN), []
    room.store.changes.subscribe(lambda change: heard.append(change.subject), "hunt")
    room.detect.delete_hunt(ANALYST, hunt.id)
    assert heard == [hunt.id]


def test_the_rows_of_the_last_run_take_the_place_of_those_before(room: Room) -> None:
    hunt, other = (room.detect.save_hunt(ANALYST, replace(PLAN, name=name)) for name in ("a", "b"))
    many = {bytes([n // 256, n % 256]) * 8 for n in range(1_200)}
    with room.store.write() as tx:
        records.keep_rows(tx.connection, hunt.row, many)
        assert records.rows_before(tx.connection, hunt.row) == many
        assert records.rows_before(tx.connection, other.row) == set()
        records.keep_rows(tx.connection, hunt.row, {b"x" * 16})
        assert records.rows_before(tx.connection, hunt.row) == {b"x" * 16}
    room.detect.delete_hunt(ANALYST, hunt.id)
    with room.store.read() as connection:
        assert records.rows_before(connection, hunt.row) == set()


def test_the_newest_runs_are_kept_and_the_last_one_is_told(room: Room) -> None:
    hunt, other = (room.detect.save_hunt(ANALYST, replace(PLAN, name=name)) for name in ("a", "b"))
    now = room.clock.now()
    with room.store.write() as tx:
        for number in range(records.MOST_RUNS + 5):
            for one in (hunt, other):
                records.add_run(tx.connection, one.row, run_of(ANALYST, now, now, number, None))
    runs = room.detect.hunt_runs(ANALYST, hunt.id)
    assert [one.found for one in runs] == list(range(records.MOST_RUNS + 4, 4, -1))
    assert [one.last.found if one.last else None for one in room.detect.list_hunts(ANALYST)] == [54, 54]
    room.detect.delete_hunt(ANALYST, hunt.id)
    assert len(room.detect.hunt_runs(ANALYST, other.id)) == records.MOST_RUNS


def test_a_new_schedule_begins_now_and_a_kept_one_keeps_its_beat(room: Room) -> None:
    hunt = room.detect.save_hunt(ANALYST, replace(PLAN, every=900))
    assert hunt.due == room.clock.now()
    room.clock.advance(60)  # type: ignore[attr-defined]
    same = room.detect.change_hunt(ANALYST, hunt.id, replace(PLAN, text="x", every=900), 1)
    assert same.due == hunt.due
    other = room.detect.change_hunt(ANALYST, hunt.id, replace(PLAN, every=3600), 2)
    assert other.due == room.clock.now()
    assert room.detect.change_hunt(ANALYST, hunt.id, PLAN, 3).due is None


def test_what_an_unfinished_run_has_told_is_remembered_until_one_gets_through(room: Room) -> None:
    hunt, other = (room.detect.save_hunt(ANALYST, replace(PLAN, name=name)) for name in ("a", "b"))
    events = {Position(1, line) for line in range(1_200)}
    with room.store.write() as tx:
        records.remember_told(tx.connection, hunt.row, events)
        asked = {Position(1, 7), Position(1, 5_000)}
        assert records.told_among(tx.connection, hunt.row, asked) == {Position(1, 7)}
        assert records.told_among(tx.connection, other.row, asked) == set()
        records.forget_told(tx.connection, hunt.row)
        assert records.told_among(tx.connection, hunt.row, asked) == set()
