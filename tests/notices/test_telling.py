"""Who is told of what in the console: what they may know of and asked for, once, and nobody else."""

from __future__ import annotations

import pytest

from istmo.detect.objects import Level
from istmo.detect.objects_triage import Deed
from istmo.detect.service.alert_work import Work
from istmo.errors import InvalidInput, NotAllowed
from istmo.model.markings import Tlp
from istmo.notices import records
from istmo.notices.objects import Kind
from istmo.policy.principals import Operator

from .conftest import Telling


def test_a_grave_alert_is_told_once_to_those_who_may_read_it(telling: Telling) -> None:
    telling.alert("Balizas", tlp=Tlp.AMBER_STRICT)
    telling.run()
    telling.run()
    assert telling.unread("ana") == telling.unread("rosa") == ["Balizas · SRV-1"]
    assert telling.unread("olga") == [], "an observer reads no AMBER+STRICT"
    telling.alert("Poca cosa", Level.MEDIUM)
    telling.run()
    assert telling.unread("ana") == ["Balizas · SRV-1"]


def test_what_one_may_know_of_no_longer_is_not_told_either(telling: Telling) -> None:
    telling.alert("Balizas", tlp=Tlp.RED)
    telling.run()
    assert telling.unread("rosa") == ["Balizas · SRV-1"]
    telling.node.identity.change_role(Operator(), "rosa", "observer")
    assert telling.unread("rosa") == ["?"]


def test_one_chooses_what_one_is_told_of(telling: Telling) -> None:
    ana = telling.person("ana")
    telling.node.notices.set_console_plan(ana, ["alert"], "low")
    telling.alert("Poca cosa", Level.LOW)
    telling.node.respond.open_case(Operator(), "Un caso", severity="high")
    telling.run()
    assert telling.unread("ana") == ["Poca cosa · SRV-1"]
    assert telling.unread("rosa") == ["Un caso"]
    telling.node.notices.set_console_plan(ana, [], "low")
    telling.alert("Otra")
    telling.run()
    assert len(telling.unread("ana")) == 1
    for none in ("", "test", "*"):
        with pytest.raises(InvalidInput, match="bad_kind"):
            telling.node.notices.set_console_plan(ana, [none], "low")


def test_an_alert_that_is_given_to_somebody_is_told_to_them_alone(telling: Telling) -> None:
    ana, rosa, work = telling.person("ana"), telling.person("rosa"), telling.node.detect.work
    alert = telling.alert("Poca cosa", Level.LOW)
    work(rosa, alert, Work(Deed.ASSIGN, assignee="ana"))
    telling.run()
    assert telling.unread("ana") == ["Poca cosa · SRV-1"] and telling.unread("rosa") == []
    work(ana, alert, Work(Deed.ASSIGN, assignee="rosa"))
    work(rosa, alert, Work(Deed.ASSIGN, assignee=""))
    work(rosa, alert, Work(Deed.ASSIGN, assignee="me"))
    telling.run()
    assert len(telling.unread("rosa")) == 1, "of what one takes oneself one knows"


def test_what_one_has_not_read_changes_for_its_reader_alone_and_is_said_at_once(telling: Telling) -> None:
    heard: list[str] = []
    telling.node.store.changes.subscribe(lambda change: heard.append(change.subject), "notice")
    ana, rosa = telling.person("ana"), telling.person("rosa")
    telling.node.notices.set_console_plan(rosa, [], "low")
    telling.alert("Balizas")
    telling.run()
    assert ana.id in heard and rosa.id not in heard
    heard.clear()
    newest = telling.node.notices.list_notices(ana)[0].notice.id
    telling.node.notices.mark_read(ana, id=newest)
    telling.node.notices.mark_read(ana, id=newest)
    assert heard == [ana.id], "the second changed nothing"


def test_reading_counts_down_and_touches_nobody_else_s(telling: Telling) -> None:
    for number in range(3):
        telling.alert(f"n{number}")
    telling.run()
    notices, ana, rosa = telling.node.notices, telling.person("ana"), telling.person("rosa")
    newest = notices.list_notices(ana)[0].notice.id
    theirs = notices.list_notices(rosa)[0].notice.id
    assert notices.mark_read(ana, id=theirs) == 0
    assert notices.mark_read(ana, id=newest) == 1 and notices.unread(ana) == 2
    assert notices.mark_read(ana, upto=newest) == 2 and notices.unread(ana) == 0
    assert notices.unread(rosa) == 3
    with pytest.raises(NotAllowed):
        notices.list_notices(Operator())


def test_a_trouble_that_lasts_is_told_once_and_again_when_it_comes_back(telling: Telling) -> None:
    found: list[tuple[Kind, str]] = [(Kind.DISK, "disk")]
    watching = telling.node.notices.watching
    watching._troubles = lambda now: list(found)
    for _ in range(3):
        watching.look()
    telling.run()
    assert telling.unread("raiz") == ["cli.doctor.disk"] and telling.unread("ana") == []
    found.clear()
    watching.look()
    found.append((Kind.DISK, "disk"))
    watching.look()
    telling.run()
    assert len(telling.unread("raiz")) == 2


def test_a_peer_out_of_contact_is_told_after_its_time(telling: Telling) -> None:
    look = telling.node.notices.watching.look
    look()
    telling.run()
    assert telling.unread("rosa") == []
    telling.clock.advance(16 * 60)
    look()
    telling.run()
    assert telling.unread("rosa") == ["CSIRT Guatemala"]


def test_a_write_that_is_undone_tells_nothing(telling: Telling) -> None:
    with pytest.raises(RuntimeError), telling.node.store.write() as tx:
        tx.notify("alert", "x", action="new", detector="sigma")
        raise RuntimeError
    with telling.node.store.read() as connection:
        assert records.first_causes(connection, 10) == []


def test_what_follows_from_a_change_never_undoes_it(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(telling.node.notices.telling, "keep", broken)
    alert = telling.alert()
    assert telling.node.detect.read_alert(telling.person("ana"), alert).alert.id == alert


def test_only_an_administrator_decides_what_leaves(telling: Telling) -> None:
    from istmo.notices.objects import Plan

    for name in ("ana", "rosa", "olga"):
        with pytest.raises(NotAllowed):
            telling.node.notices.add_way(
                telling.person(name), name, Plan(frozenset({Kind.ALERT}), address="https://x.example")
            )
    with pytest.raises(InvalidInput, match="no_notifier"):
        telling.way(notifier="paloma", address="x")
