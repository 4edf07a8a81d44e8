"""Who is told of what in the console: what they may know of and asked for, once, and nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from web_site import neighbour

from istmo.detect.objects import Level
from istmo.detect.objects_triage import Deed
from istmo.detect.service.alert_work import Work
from istmo.errors import InvalidInput, NotAllowed
from istmo.federation import records as federation_records
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


def test_what_one_rule_raises_is_one_notice_while_nobody_has_read_it(telling: Telling) -> None:
    notices, ana = telling.node.notices, telling.person("ana")
    for number in range(3):
        telling.alert("Balizas", rule="r1", host=f"PC-{number}")
    telling.run()
    telling.alert("Otra cosa", rule="r2")
    telling.alert("Balizas", rule="r1", host="PC-9")
    telling.alert("Balizas secretas", rule="r1", tlp=Tlp.RED)
    telling.run()
    newest, other = notices.list_notices(ana, unread=True)
    assert (newest.notice.number, other.notice.number) == (4, 1), "of the one that is RED she knows nothing"
    assert newest.family and (newest.family.title, newest.family.path) == ("Balizas", "/alerts?subject=r1")
    assert other.family is None and other.heading and other.heading.path.startswith("/alerts/x-istmo-alert--")
    assert notices.unread(ana) == 2
    told = {one.family.title for one in notices.list_notices(telling.person("rosa")) if one.family}
    assert told == {"Balizas secretas"}, "a coordinator reads RED"


def test_what_was_read_is_told_anew_and_nothing_is_marked_that_was_not_seen(telling: Telling) -> None:
    notices, ana = telling.node.notices, telling.person("ana")
    telling.alert("Balizas", rule="r1")
    telling.run()
    seen = notices.list_notices(ana)[0].notice.id
    telling.alert("Balizas", rule="r1")
    telling.run()
    assert notices.mark_read(ana, upto=seen) == 0, "two is another thing than the one that was seen"
    assert notices.mark_read(ana, upto=notices.list_notices(ana)[0].notice.id) == 1
    telling.alert("Balizas", rule="r1")
    telling.run()
    assert [one.notice.number for one in notices.list_notices(ana)] == [1, 2]
    assert (notices.count_notices(ana, unread=True), notices.count_notices(ana, unread=False)) == (1, 2)


def test_who_may_invite_is_told_that_somebody_asks_to_enter(telling: Telling) -> None:
    federation = telling.node.federation
    invitation, _ = federation.invite(Operator(), "CSIRT Panamá")
    newcomer = neighbour(telling.node.settings.data / "panama", telling.clock)
    with telling.node.store.write() as tx:
        federation_records.set_invitation(
            tx.connection, invitation.id, "pending", replace(newcomer, name="CSIRT Panamá")
        )
        tx.notify("peer", newcomer.id, state="pending")
    telling.run()
    assert telling.unread("raiz") == telling.unread("rosa") == ["notices.title.asks"]
    assert telling.unread("ana") == [], "an analyst lets nobody in"
    shown = telling.node.notices.list_notices(telling.person("rosa"))[0].heading
    assert shown and shown.params == {"name": "CSIRT Panamá"} and shown.path == "/peers"
    federation.confirm(Operator(), newcomer.id, newcomer.fingerprint)
    assert telling.unread("rosa") == ["notices.title.entered"], "it says how it stands by now"


def test_the_newcomer_is_told_that_it_was_let_in(telling: Telling) -> None:
    with telling.node.store.write() as tx:
        tx.notify("peer", "joining", state="joined")
        tx.notify("peer", "joining", state="pending")
        tx.notify("peer", "x", state="connected")
    telling.run()
    assert telling.unread("rosa") == ["notices.title.let_in"] and telling.unread("ana") == []


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
