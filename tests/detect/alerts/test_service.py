"""Alerts, rules and sources: what may be done, by whom, and what is told when it may not."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from istmo.detect import rule_import
from istmo.detect.objects import KINDS, CloseReason, Status
from istmo.detect.objects_rule import RuleFilter
from istmo.detect.records.sources import sources as source_table
from istmo.detect.service.sources import SECRET_PREFIX, digest_of
from istmo.detect.service.value_lists import MOST_LISTS
from istmo.detect.wire import INDICATORS
from istmo.errors import Conflict, InvalidInput, IstmoError, NotAllowed, NotFound
from istmo.identity import audit
from istmo.kit.i18n import Catalogue
from istmo.policy import Action, Anonymous, Peer, Scope, TokenHolder
from istmo.policy.principals import Role

from .room import ADMINISTRATOR, ANALYST, OBSERVER, OPERATOR, THERE, Room, hit

RULE = """
title: Regla {number}
id: 0f06a3a5-6a09-413f-8743-{number:012d}
level: high
logsource: {{product: windows, category: process_creation}}
detection:
  selection:
    Image|endswith: '\\\\malo{number}.exe'
  condition: selection
"""


def packed(**members: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return held.getvalue()


def one_alert(room: Room) -> str:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    room.tell(INDICATORS, [hit(watch.id, 1)])
    found: str = room.alerts()[0].id
    return found


# --- working on alerts -----------------------------------------------------------------------


def test_an_alert_is_acknowledged_closed_with_a_reason_and_opened_again(room: Room) -> None:
    alert = one_alert(room)
    seen = room.detect.set_status(ANALYST, alert, Status.ACKNOWLEDGED)
    assert (seen.status, seen.version, seen.worked_by) == (Status.ACKNOWLEDGED, 2, "person:1")
    with pytest.raises(InvalidInput) as refused:
        room.detect.set_status(ANALYST, alert, Status.CLOSED)
    assert refused.value.code == "detect.close_needs_reason"
    closed = room.detect.set_status(
        ANALYST, alert, Status.CLOSED, reason=CloseReason.FALSE_POSITIVE, note="prueba"
    )
    assert (closed.status, closed.reason, closed.note) == (
        Status.CLOSED,
        CloseReason.FALSE_POSITIVE,
        "prueba",
    )
    reopened = room.detect.set_status(ANALYST, alert, Status.OPEN)
    assert (reopened.status, reopened.reason) == (Status.OPEN, None)
    with pytest.raises(InvalidInput):
        room.detect.set_status(ANALYST, alert, Status.OPEN, note="x" * 3000)
    with room.store.read() as connection:
        trail = audit.lines(connection)
    assert [one.subject for one in trail] == [f"{alert} open", f"{alert} closed", f"{alert} acknowledged"]


def test_two_who_work_on_the_same_alert_do_not_overwrite_each_other(room: Room) -> None:
    alert = one_alert(room)
    version = room.detect.read_alert(ANALYST, alert).alert.version
    room.detect.set_status(ANALYST, alert, Status.ACKNOWLEDGED, version=version)
    with pytest.raises(Conflict) as refused:
        room.detect.set_status(OPERATOR, alert, Status.OPEN, version=version)
    assert refused.value.code == "detect.alert_changed"


def test_a_story_that_goes_on_elsewhere_is_not_opened_again(room: Room) -> None:
    watch = room.shelf.publish(("ipv4", "203.0.113.77"))
    room.tell(INDICATORS, [hit(watch.id, 1)])
    first = room.alerts()[0].id
    room.detect.set_status(ANALYST, first, Status.CLOSED, reason=CloseReason.RESOLVED)
    with room.store.write() as tx:
        room.stories.store_hunted(tx, [hit(watch.id, 2, stored=True)])
    with pytest.raises(Conflict) as refused:
        room.detect.set_status(ANALYST, first, Status.OPEN)
    assert refused.value.code == "detect.told_on"


@pytest.mark.parametrize(
    "who", [OBSERVER, ADMINISTRATOR, TokenHolder("9", "t", Role.ANALYST, frozenset({Scope.READ}))]
)
def test_who_only_reads_does_not_work_on_alerts(room: Room, who: object) -> None:
    alert = one_alert(room)
    with pytest.raises(NotAllowed):
        room.detect.set_status(who, alert, Status.ACKNOWLEDGED)  # type: ignore[arg-type]
    with room.store.read() as connection:
        (denied,) = audit.lines(connection, limit=1)
    assert (denied.outcome, denied.action, denied.subject) == (audit.DENIED, "alert.work", alert)


@pytest.mark.parametrize("who", [Anonymous(), Peer(THERE)])
def test_nobody_from_outside_reads_anything(room: Room, who: Anonymous | Peer) -> None:
    alert = one_alert(room)
    detect = room.detect
    for ask in (
        lambda: detect.list_alerts(who),
        lambda: detect.count_alerts(who),
        lambda: detect.list_rules(who),
        lambda: detect.read_rule(who, "x"),
        lambda: detect.import_rules(who, b""),
        lambda: detect.sources(who),
        lambda: detect.create_source(who, "x"),
        lambda: detect.search(who, "x"),
        lambda: detect.worker(who),
    ):
        with pytest.raises(NotAllowed):
            ask()
    with pytest.raises(NotFound):
        detect.read_alert(who, alert)
    assert not detect.may_know(who, alert)


# --- rules -----------------------------------------------------------------------------------


def test_good_rules_are_kept_and_bad_ones_named_by_file_and_line(room: Room) -> None:
    upload = packed(
        **{f"rules/{number}.yml": RULE.format(number=number) for number in range(5)},
        **{"rules/bad.yml": "title: Mala\nlogsource: {product: windows}\ndetection:\n  a: [\n"},
        **{
            "rules/none.yml": "title: Sin condición\nlogsource: {product: windows}\ndetection:\n  a: {b: c}\n"
        },
        **{"__MACOSX/x.yml": "x", "README.md": "x"},
    )
    done = room.detect.import_rules(ANALYST, upload)
    assert (done.accepted, done.added, done.changed, done.unchanged) == (5, 5, 0, 0)
    assert {one.file for one in done.problems} >= {"rules/bad.yml", "rules/none.yml"}
    assert all(one.key.startswith("sigma.problem.") for one in done.problems)
    assert next(one.line for one in done.problems if one.file == "rules/bad.yml") > 0
    page = room.detect.list_rules(OBSERVER, limit=3)
    assert ([one.title for one in page.items], page.total) == (["Regla 0", "Regla 1", "Regla 2"], 5)
    rest = room.detect.list_rules(OBSERVER, limit=3, cursor=page.next)
    assert [one.title for one in rest.items] == ["Regla 3", "Regla 4"]
    assert room.detect.list_rules(OBSERVER, RuleFilter(words=("regla", "3"))).total == 1
    assert room.detect.list_rules(OBSERVER, RuleFilter(words=("process_creation", "000000000003"))).total == 1
    rule = room.detect.read_rule(OBSERVER, page.items[0].id)
    assert (rule.level, rule.logsource, rule.text) == (
        "high",
        "windows, process_creation",
        RULE.format(number=0),
    )


def test_importing_again_changes_only_what_differs_and_leaves_switches_alone(room: Room) -> None:
    room.detect.import_rules(ANALYST, packed(a=RULE.format(number=1), **{"a.yml": RULE.format(number=1)}))
    rule = room.detect.list_rules(ANALYST).items[0].id
    assert not room.detect.enable_rule(ANALYST, rule, False).is_enabled
    again = room.detect.import_rules(ANALYST, RULE.format(number=1).encode())
    assert (again.added, again.changed, again.unchanged) == (0, 0, 1)
    changed = room.detect.import_rules(ANALYST, RULE.format(number=1).replace("high", "low").encode())
    assert (changed.added, changed.changed) == (0, 1)
    found = room.detect.read_rule(ANALYST, rule)
    assert (found.level, found.is_enabled) == ("low", False)
    assert room.detect.count_rules(ANALYST) == (1, 0)
    with pytest.raises(NotFound):
        room.detect.enable_rule(ANALYST, "none", True)
    with pytest.raises(NotAllowed):
        room.detect.enable_rule(OBSERVER, rule, True)


def test_rubbish_is_no_rule(room: Room) -> None:
    for upload in (b"", b"\xff\xfe\x00", b"PK\x03\x04 not really", b"[" * 100_000):
        done = room.detect.import_rules(ANALYST, upload)
        assert done.accepted == 0
    assert room.detect.count_rules(ANALYST) == (0, 0)


def test_reading_that_never_ends_is_ended(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_import, "SECONDS", 0.01)
    with pytest.raises(InvalidInput) as refused:
        room.detect.import_rules(ANALYST, packed(**{"a.yml": RULE.format(number=1)}))
    assert refused.value.code == "detect.rules_unreadable"


def test_reading_apart_and_here_give_the_same() -> None:
    upload = packed(
        **{f"{number}.yml": RULE.format(number=number) for number in range(3)}, **{"b.yml": "a: ["}
    )
    assert rule_import.read_upload(upload) == rule_import.read_here(upload)


BESIDE_RULES = """title: Muchos intentos
correlation: {type: event_count, rules: [r1], timespan: 1h, group-by: [User], condition: {gte: 10}}
---
title: Respaldo nocturno
logsource: {product: windows}
filter: {rules: any, selection: {User: respaldo}, condition: not selection}
---
title: Mal escrita
correlation: {type: event_count, rules: [r1], timespan: un rato, condition: {gte: 10}}
"""


def test_correlations_and_filters_are_kept_and_what_they_miss_is_named(room: Room) -> None:
    upload = packed(**{"a.yml": RULE.format(number=1), "b.yml": BESIDE_RULES})
    done = room.detect.import_rules(ANALYST, upload)
    assert done.accepted == 3
    assert [(one.line, one.key) for one in done.problems] == [
        (9, "sigma.problem.timespan"),
        (1, "detect.rule_import.correlation_missing"),
    ]
    for one in done.problems:
        for language in ("es", "en"):
            assert Catalogue(strict=True).text(language, one.key, **one.params)
    kinds = {kind: room.detect.list_rules(ANALYST, RuleFilter(kind=kind)).items for kind in KINDS}
    assert [len(found) for found in kinds.values()] == [1, 1, 1]
    (many,) = kinds["correlation"]
    assert (many.title, many.refers) == ("Muchos intentos", ("r1",))
    assert many.text.startswith("title: Muchos intentos")
    assert not room.detect.enable_rule(ANALYST, many.id, False).is_enabled
    assert kinds["filter"][0].logsource == "windows"


# --- value lists -----------------------------------------------------------------------------


def test_a_value_list_is_kept_as_it_was_written_and_who_changed_it_stands_on_record(room: Room) -> None:
    kept = room.detect.put_value_list(ANALYST, "Servidores", [" DC-1 ", "", "DC-2", "DC-1"])
    assert kept.values == ("DC-1", "DC-2")
    assert room.detect.value_lists(OBSERVER) == [kept]
    room.detect.put_value_list(ANALYST, "Servidores", ["DC-*"])
    assert room.detect.read_value_list(OBSERVER, "Servidores").values == ("DC-*",)
    room.detect.drop_value_list(ANALYST, "Servidores")
    with pytest.raises(NotFound):
        room.detect.read_value_list(OBSERVER, "Servidores")
    with pytest.raises(NotFound):
        room.detect.drop_value_list(ANALYST, "Servidores")
    with room.store.read() as connection:
        lines = audit.lines(connection)
    told = [one.subject for one in lines if one.action == Action.RULE_WRITE]
    assert sorted(told) == ["%Servidores% -", "%Servidores% = 1", "%Servidores% = 2"]


def test_who_may_not_write_rules_writes_no_lists(room: Room) -> None:
    with pytest.raises(NotAllowed):
        room.detect.put_value_list(OBSERVER, "Servidores", ["DC-1"])
    with pytest.raises(NotAllowed):
        room.detect.drop_value_list(OBSERVER, "Servidores")


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("dos palabras", ["a"], "detect.list_name"),
        ("", ["a"], "detect.list_name"),
        ("x" * 101, ["a"], "detect.list_name"),
        ("vacia", [" ", ""], "detect.list_empty"),
        ("nul", ["a\x00b"], "detect.list_value"),
        ("larga", ["x" * 4097], "detect.list_value"),
        ("muchas", [str(n) for n in range(20_001)], "detect.list_too_long"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_words(
    room: Room, name: str, values: list[str], code: str
) -> None:
    with pytest.raises(IstmoError) as refused:
        room.detect.put_value_list(ANALYST, name, values)
    assert refused.value.code == code
    for language in ("es", "en"):
        for key in (f"error.{code}", f"error.{code}.remedy"):
            assert Catalogue(strict=True).text(language, key, **refused.value.params)
    assert room.detect.value_lists(ANALYST) == []


def test_there_are_not_endlessly_many_lists(room: Room) -> None:
    for number in range(MOST_LISTS):
        room.detect.put_value_list(ANALYST, f"l{number}", ["a"])
    with pytest.raises(Conflict) as refused:
        room.detect.put_value_list(ANALYST, "una_mas", ["a"])
    assert refused.value.code == "detect.too_many_lists"
    room.detect.put_value_list(ANALYST, "l0", ["b"])


@pytest.mark.shared_data
def test_a_whole_release_of_rules_is_kept(room: Room, shared_data: Path) -> None:
    done = room.detect.import_rules(ANALYST, (shared_data / "sigma" / "sigma_rules.zip").read_bytes())
    assert done.accepted > 3700
    assert len(done.problems) < 10
    assert room.detect.count_rules(ANALYST) == (done.accepted, done.accepted)


# --- sources ---------------------------------------------------------------------------------


def test_the_secret_of_a_source_is_told_once_and_kept_nowhere(room: Room) -> None:
    """Invariant 7."""
    source, secret = room.detect.create_source(ADMINISTRATOR, "  Hacienda   central ")
    assert secret.startswith(SECRET_PREFIX)
    assert len(secret) > 50
    assert source.name == "Hacienda central"
    with room.store.read() as connection:
        (row,) = connection.execute(select(source_table)).mappings()
        trail = audit.lines(connection)
    assert bytes(row["digest"]) == digest_of(secret)
    assert secret not in str(dict(row)) + str(trail)
    assert [one.name for one in room.detect.sources(ANALYST)] == ["Hacienda central"]


def test_sources_have_names_of_their_own_until_revoked(room: Room) -> None:
    source, _ = room.detect.create_source(ADMINISTRATOR, "correo")
    with pytest.raises(Conflict):
        room.detect.create_source(ADMINISTRATOR, "CORREO")
    room.detect.revoke_source(ADMINISTRATOR, source.id)
    with pytest.raises(NotFound):
        room.detect.revoke_source(ADMINISTRATOR, source.id)
    room.detect.create_source(ADMINISTRATOR, "correo")
    assert len(room.detect.sources(ANALYST)) == 2
    for bad in ("", "x" * 101, "a\x07b"):
        with pytest.raises(InvalidInput):
            room.detect.create_source(ADMINISTRATOR, bad)
    with pytest.raises(InvalidInput):
        room.detect.create_source(ADMINISTRATOR, "tarde", expires=room.clock.now() - timedelta(seconds=1))
    with pytest.raises(NotAllowed):
        room.detect.create_source(ANALYST, "otra")
    with pytest.raises(NotAllowed):
        room.detect.sources(OBSERVER)
