"""Cases through real ledgers: opened, worked on by two nations, shared with a third, and what is refused."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from istmo.clock import ManualClock
from istmo.errors import Conflict, InvalidInput, IstmoError, NotAllowed, NotFound
from istmo.identity import audit
from istmo.identity.service import Identity
from istmo.model.markings import Tlp
from istmo.policy.principals import Anonymous, Operator, Peer, Person, Role
from istmo.respond import entries
from istmo.respond.fold import Folded
from istmo.respond.objects import AlertSnapshot, Author, Note, ObjectSnapshot, Share, Status, StatusChange
from istmo.respond.records import Filter
from respond.conftest import MEMBERS, Nation, carry

GT, HN, SV = (MEMBERS[name] for name in ("gt", "hn", "sv"))
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
INDICATOR = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
ALERT = AlertSnapshot(
    id="alert--1",
    title="Dominio de mando en consultas DNS",
    level="high",
    evidence=("QueryName=cdn.ejemplo.invalid host=PC-07",),
    indicator=INDICATOR,
    tlp=Tlp.AMBER,
    origin=HN,
    audience=frozenset({GT, HN}),
    first=NOW,
    last=NOW,
    count=3,
)
OWN_ALERT = replace(ALERT, id="alert--2", title="Regla local", indicator=None, origin=GT, audience=None)


def told(nation: Nation, case_id: str) -> list[str]:
    """The notes of a case, in order."""
    case = nation.respond.read(nation.analyst, case_id)
    return [one.body.text for one in case.timeline if isinstance(one.body, Note)]


@pytest.fixture
def shared(gt: Nation, hn: Nation) -> str:
    """A case that Guatemala opened and shares with Honduras."""
    case = gt.respond.open_case(gt.analyst, "Intrusión en un banco", note="primera nota")
    gt.respond.share(gt.analyst, case.id, HN)
    carry(gt, hn)
    return case.id


def test_a_case_is_for_its_own_node_until_it_is_shared(gt: Nation, hn: Nation) -> None:
    case = gt.respond.open_case(gt.analyst, "Intrusión", severity="high", note="primera nota")
    assert (case.title, case.severity.value, case.status.value) == ("Intrusión", "high", "open")
    assert case.members == {GT}
    assert hn.take_from(gt) == 0
    with pytest.raises(NotFound):
        hn.respond.read(hn.analyst, case.id)


def test_two_nations_work_on_one_case_each_in_its_own_node(gt: Nation, hn: Nation, shared: str) -> None:
    hn.respond.add_note(hn.analyst, shared, "vista también en el puerto")
    hn.respond.set_status(hn.analyst, shared, "working")
    task = gt.respond.add_task(gt.analyst, shared, "avisar al banco")
    carry(gt, hn)
    hn.respond.finish_task(hn.analyst, shared, task.id)
    gt.respond.set_owner(gt.analyst, shared, HN, "Ana")
    carry(gt, hn)
    ours, theirs = (one.respond.read(one.analyst, shared) for one in (gt, hn))
    assert ours == theirs
    assert ours.status.value == "working"
    assert ours.owner.value == f"{HN}/Ana"
    assert [one.is_done for one in ours.tasks] == [True]
    assert {(one.author.node, one.author.name) for one in ours.timeline} == {
        (GT, "analyst of gt"),
        (HN, "analyst of hn"),
    }
    assert gt.refused == hn.refused == []


def test_an_alert_is_promoted_with_its_title_level_and_evidence(gt: Nation) -> None:
    gt.shelf.alerts = {OWN_ALERT.id: OWN_ALERT}
    case = gt.respond.open_case(gt.analyst, alert=OWN_ALERT.id, note="parece serio")
    assert (case.title, case.severity.value) == ("Regla local", "high")
    assert [one.kind for one in case.timeline] == ["opening", "alert", "note"]
    with pytest.raises(NotFound):
        gt.respond.open_case(gt.analyst, alert="alert--none")


@pytest.mark.parametrize("title", ["", "  ", "\0", "\x1b[2Jcaso", "a\nb", "\u202etxt.exe"])
def test_a_case_has_a_title_that_people_can_read(gt: Nation, title: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        gt.respond.open_case(gt.analyst, title)
    assert refused.value.code == "respond.bad_title"


def test_a_case_is_as_strict_as_what_is_added_to_it(gt: Nation, hn: Nation) -> None:
    gt.shelf.alerts = {"a": replace(OWN_ALERT, id="a", tlp=Tlp.AMBER_STRICT)}
    case = gt.respond.open_case(gt.analyst, "Caso", tlp=Tlp.GREEN)
    gt.respond.add_alert(gt.analyst, case.id, "a", raise_to=Tlp.AMBER_STRICT)
    gt.respond.share(gt.analyst, case.id, HN)
    carry(gt, hn)
    assert hn.respond.read(hn.analyst, case.id).tlp is Tlp.AMBER_STRICT
    with hn.store.read() as connection:
        headers = [one.header for one in hn.ledger.entries(connection, types=["case"])]
    assert {one.seal for one in headers} == {"age"}


def test_sharing_refuses_what_the_new_member_may_not_see_and_says_which_and_why(
    gt: Nation, hn: Nation, sv: Nation
) -> None:
    """An object reaches nobody outside its audience: Honduras's indicator was not for El Salvador."""
    gt.shelf.alerts = {ALERT.id: ALERT}
    case = gt.respond.open_case(gt.analyst, "Caso propio", note="nota")
    quoted = gt.respond.add_alert(gt.analyst, case.id, ALERT.id)
    plan = gt.respond.plan_share(gt.analyst, case.id, SV)
    assert [one.entry for one in plan.refused] == [quoted.id]
    assert [reason.code for reason in plan.refused[0].reasons] == ["not_in_audience"]
    with pytest.raises(NotAllowed) as refused:
        gt.respond.share(gt.analyst, case.id, SV)
    assert refused.value.code == "respond.share_refused"
    assert refused.value.params["refused"][0]["entry"] == quoted.id
    assert sv.take_from(gt) == 0
    gt.respond.share(gt.analyst, case.id, SV, [quoted.id])
    carry(gt, sv)
    seen = sv.respond.read(sv.analyst, case.id)
    assert [one.kind for one in seen.timeline] == ["opening", "note", "share"]
    with sv.store.read() as connection:
        everything = repr([one.payload for one in sv.ledger.entries(connection)])
    assert ALERT.title not in everything
    assert quoted.id not in everything
    gt.respond.share(gt.analyst, case.id, HN)
    carry(gt, hn)
    assert "alert" in [one.kind for one in hn.respond.read(hn.analyst, case.id).timeline]


def test_an_alert_on_something_stricter_than_amber_is_passed_on_by_its_origin_alone(
    gt: Nation, hn: Nation
) -> None:
    strict = replace(ALERT, tlp=Tlp.AMBER_STRICT, audience=frozenset({GT, HN, SV}))
    gt.shelf.alerts = {ALERT.id: strict}
    case = gt.respond.open_case(gt.analyst, alert=ALERT.id)
    plan = gt.respond.plan_share(gt.analyst, case.id, SV)
    assert [reason.code for one in plan.refused for reason in one.reasons] == ["no_relay"]
    gt.respond.share(gt.analyst, case.id, HN)  # back to where it came from
    carry(gt, hn)
    assert hn.refused == []


def test_an_object_is_added_only_for_those_who_may_see_it(gt: Nation, hn: Nation, sv: Nation) -> None:
    """An object reaches nobody outside its audience, and its id neither."""
    gt.shelf.objects = {
        INDICATOR: ObjectSnapshot(INDICATOR, "cdn.ejemplo.invalid", Tlp.AMBER, GT, frozenset({GT, HN}))
    }
    case = gt.respond.open_case(gt.analyst, "Caso")
    for member in (HN, SV):
        gt.respond.share(gt.analyst, case.id, member)
    with pytest.raises(NotAllowed) as refused:
        gt.respond.add_object(gt.analyst, case.id, INDICATOR)
    assert refused.value.params["members"] == [SV]
    gt.respond.add_object(gt.analyst, case.id, INDICATOR, only_to=[HN])
    gt.respond.add_note(gt.analyst, case.id, "después")
    carry(gt, hn, sv)
    assert "object" in [one.kind for one in hn.respond.read(hn.analyst, case.id).timeline]
    seen = sv.respond.read(sv.analyst, case.id)
    assert [one.kind for one in seen.timeline] == ["opening", "share", "share", "note"]
    assert seen.missing == frozenset()


def test_each_nation_decides_about_its_own_words(gt: Nation, hn: Nation, sv: Nation, shared: str) -> None:
    hn.respond.add_note(hn.analyst, shared, "de Honduras")
    carry(gt, hn)
    plan = gt.respond.plan_share(gt.analyst, shared, SV)
    assert plan.others == {HN: 1}
    gt.respond.share(gt.analyst, shared, SV)
    carry(gt, hn, sv)
    assert told(sv, shared) == ["primera nota"]
    hn.respond.add_note(hn.analyst, shared, "otra de Honduras")
    carry(gt, hn, sv)
    assert told(sv, shared) == ["primera nota"]
    hn.respond.share(hn.analyst, shared, SV)
    carry(gt, hn, sv)
    assert sorted(told(sv, shared)) == sorted(["primera nota", "de Honduras", "otra de Honduras"])
    sv.respond.add_note(sv.analyst, shared, "de El Salvador")
    carry(gt, hn, sv)
    for nation in (gt, hn, sv):
        assert "de El Salvador" in told(nation, shared)
    cases = [nation.respond.read(nation.analyst, shared) for nation in (gt, hn, sv)]
    assert [one.status for one in cases] == [cases[0].status] * 3
    assert cases[0].members == cases[1].members == cases[2].members == {GT, HN, SV}


def test_an_invitation_is_shown_and_waits_for_the_opener(
    gt: Nation, hn: Nation, sv: Nation, shared: str
) -> None:
    hn.respond.share(hn.analyst, shared, SV)
    carry(gt, hn, sv)
    invited = sv.respond.read(sv.analyst, shared)
    assert invited.is_invitation
    assert [one.id for one in sv.respond.list_cases(sv.analyst).items] == [shared]
    with pytest.raises(Conflict):
        sv.respond.add_note(sv.analyst, shared, "hola")
    gt.respond.share(gt.analyst, shared, SV)
    carry(gt, hn, sv)
    assert not sv.respond.read(sv.analyst, shared).is_invitation
    sv.respond.add_note(sv.analyst, shared, "hola")
    carry(gt, hn, sv)
    assert "hola" in told(hn, shared)


def test_both_change_the_status_at_once(gt: Nation, hn: Nation, shared: str) -> None:
    gt.respond.set_status(gt.analyst, shared, "closed")
    hn.respond.set_status(hn.analyst, shared, "working")
    carry(gt, hn)
    for nation in (gt, hn):
        case = nation.respond.read(nation.analyst, shared)
        assert case.is_disputed
        assert case.status.value == "working"
        assert nation.respond.list_cases(nation.analyst, Filter(is_disputed=True)).items
    gt.respond.set_status(gt.analyst, shared, "contained")
    carry(gt, hn)
    for nation in (gt, hn):
        assert not nation.respond.read(nation.analyst, shared).is_disputed
        assert nation.respond.list_cases(nation.analyst).items[0].status == "contained"


def forge(nation: Nation, case_id: str, body: object, to: list[str], follows: tuple[str, ...] = ()) -> None:
    """Write into a node's own log what its program would never write."""
    raw = entries.encode_body(body)  # type: ignore[arg-type]
    payload = entries.encode_payload(case_id, raw, follows)
    with nation.store.write() as tx:
        nation.ledger._handlers["case"] = ()
        nation.ledger.append(
            tx, "case", payload, audience=[nation.member, *to], markings=(Tlp.AMBER.marking_id,)
        )


def note_by(node: str, text: str = "falsa") -> Note:
    return Note(author=Author(node, "x"), created=NOW, nonce=secrets.token_hex(16), text=text)


def test_an_entry_under_another_nations_name_is_refused(gt: Nation, hn: Nation, shared: str) -> None:
    forge(hn, shared, note_by(GT), [GT])
    gt.take_from(hn)
    assert [one.refusal for one in gt.refused] == ["respond.not_its_author"]
    assert told(gt, shared) == ["primera nota"]


def test_an_entry_of_a_nation_that_is_not_on_the_case_is_refused(
    gt: Nation, hn: Nation, sv: Nation, shared: str
) -> None:
    forge(sv, shared, note_by(SV), [GT])
    gt.take_from(sv)
    assert [one.refusal for one in gt.refused] == ["respond.not_a_participant"]
    assert told(gt, shared) == ["primera nota"]
    forge(sv, shared, Share(author=Author(SV), created=NOW, nonce="0" * 32, member=SV, members=(SV,)), [GT])
    gt.take_from(sv)
    assert gt.respond.read(gt.analyst, shared).members == {GT, HN}


def test_nobody_else_can_open_a_case_under_a_known_id(gt: Nation, hn: Nation, shared: str) -> None:
    with gt.store.read() as connection:
        opening = next(
            one
            for one in Folded(shared, (found for found in _entries(gt, connection, shared))).order
            if one.kind == "opening"
        )
    forged = opening.raw.replace(b"banco", b"casino").replace(GT.encode(), HN.encode())
    with hn.store.write() as tx:
        hn.ledger._handlers["case"] = ()
        hn.ledger.append(
            tx,
            "case",
            entries.encode_payload(shared, forged, ()),
            audience=[HN, GT],
            markings=(Tlp.AMBER.marking_id,),
        )
    gt.take_from(hn)
    assert [one.refusal for one in gt.refused] == ["respond.wrong_case"]


def _entries(nation: Nation, connection: object, case_id: str) -> list[object]:
    from istmo.respond import records

    return list(records.entries(connection, case_id))  # type: ignore[arg-type]


def test_an_alert_that_was_not_for_us_is_not_taken(gt: Nation, hn: Nation, sv: Nation) -> None:
    """An object reaches nobody outside its audience, also where another node's program lets it out."""
    hn.shelf.alerts = {ALERT.id: replace(ALERT, origin=GT, audience=frozenset({GT, HN}))}
    case = hn.respond.open_case(hn.analyst, "Caso", alert=ALERT.id)
    with hn.store.read() as connection:
        quoted = next(one for one in _entries(hn, connection, case.id) if one.kind == "alert")  # type: ignore[attr-defined]
    hn.respond.share(hn.analyst, case.id, SV, [quoted.id])  # type: ignore[attr-defined]
    forge(hn, case.id, quoted.body, [SV])  # type: ignore[attr-defined]
    carry(hn, sv)
    assert [one.refusal for one in sv.refused] == ["respond.not_for_us"]
    assert "alert" not in [one.kind for one in sv.respond.read(sv.analyst, case.id).timeline]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"v":1,"case":"x","entry":{}}',
        b'{"v":2,"case":"x-istmo-case--5f2c7a5e-6f0b-4f0e-9d3c-0d6f3f0a7c11","entry":{}}',
        b'{"v":1,"case":"x-istmo-case--5f2c7a5e-6f0b-4f0e-9d3c-0d6f3f0a7c11","entry":{"kind":"spell"}}',
        b"[" * 100_000,
    ],
)
def test_an_entry_that_is_not_well_formed_is_refused_and_the_rest_goes_on(
    gt: Nation, hn: Nation, shared: str, payload: bytes
) -> None:
    with hn.store.write() as tx:
        handlers, hn.ledger._handlers["case"] = hn.ledger._handlers["case"], ()
        hn.ledger.append(tx, "case", payload, audience=[HN, GT], markings=(Tlp.AMBER.marking_id,))
        hn.ledger._handlers["case"] = handlers
    hn.respond.add_note(hn.analyst, shared, "sigue")
    carry(gt, hn)
    assert [one.refusal for one in gt.refused] == ["respond.bad_entry"]
    assert told(gt, shared) == ["primera nota", "sigue"]


def test_taking_the_log_again_changes_nothing(gt: Nation, hn: Nation, shared: str) -> None:
    hn.respond.add_note(hn.analyst, shared, "una")
    carry(gt, hn)
    before = gt.respond.read(gt.analyst, shared)
    gt.taken.clear()
    hn.taken.clear()
    carry(gt, hn)
    assert gt.respond.read(gt.analyst, shared) == before


def test_the_tables_can_be_rebuilt_from_the_log(gt: Nation, hn: Nation, shared: str) -> None:
    from istmo.respond import records

    hn.respond.add_note(hn.analyst, shared, "una")
    carry(gt, hn)
    before = gt.respond.read(gt.analyst, shared)
    with gt.store.write() as tx:
        for table in (records.cases, records.case_entries, records.case_envelopes):
            tx.connection.execute(table.delete())
        gt.ledger.replay(tx, ["case"])
    assert gt.respond.read(gt.analyst, shared) == before


def test_an_erased_entry_loses_its_words_and_keeps_its_place(gt: Nation) -> None:
    case = gt.respond.open_case(gt.analyst, "Caso", note="datos personales de alguien")
    gt.respond.add_note(gt.analyst, case.id, "después")
    with gt.store.read() as connection:
        sequence = next(
            one.sequence for one in gt.ledger.entries(connection) if b"personales" in (one.payload or b"")
        )
    with gt.store.write() as tx:
        gt.ledger.erase(tx, GT, sequence, "ley")
    found = gt.respond.read(gt.analyst, case.id)
    assert [one.kind for one in found.timeline] == ["opening", "erased", "note"]
    assert gt.respond.list_cases(gt.analyst, Filter(q="personales")).items == ()


def test_search_finds_words_in_any_order_and_marks_literally(gt: Nation, clock: ManualClock) -> None:
    first = gt.respond.open_case(gt.analyst, "Correo con adjunto", note="Visto en el BANCO central 100%")
    clock.advance(1)
    second = gt.respond.open_case(gt.analyst, "Otro", severity="low")
    search = gt.respond.list_cases
    assert [one.id for one in search(gt.analyst, Filter(q="banco correo")).items] == [first.id]
    assert [one.id for one in search(gt.analyst, Filter(q="CENTRAL banco")).items] == [first.id]
    assert [one.id for one in search(gt.analyst, Filter(q="100%")).items] == [first.id]
    assert search(gt.analyst, Filter(q="1_0")).items == ()
    assert [one.id for one in search(gt.analyst, Filter(severity="low")).items] == [second.id]
    assert [one.id for one in search(gt.analyst).items] == [second.id, first.id]


def test_cases_are_found_by_who_leads_who_is_on_them_and_when_they_were_touched(
    gt: Nation, hn: Nation, shared: str, clock: ManualClock
) -> None:
    clock.advance(60)
    since = clock.now()
    other = gt.respond.open_case(gt.analyst, "Otro").id
    gt.respond.set_owner(gt.analyst, other, GT, "analyst of gt")

    def found(**wanted: object) -> list[str]:
        return [one.id for one in gt.respond.list_cases(gt.analyst, Filter(**wanted)).items]  # type: ignore[arg-type]

    assert gt.respond.owner_name(gt.analyst) == f"{GT}/analyst of gt"
    assert found(owner=f"{GT}/analyst of gt") == found(owner=GT) == found(since=since) == [other]
    assert found(owner=f"{GT}/analyst") == found(owner=GT[:-1]) == found(member=GT[:-1]) == []
    assert found(member=HN) == [shared]


def test_a_state_that_somebody_changed_meanwhile_is_not_overwritten(
    gt: Nation, hn: Nation, shared: str
) -> None:
    seen = gt.respond.read(gt.analyst, shared).version
    hn.respond.set_status(hn.analyst, shared, "working")
    carry(gt, hn)
    wanted = {"status": "closed", "severity": "high", "owner": f"{GT}/Ana"}
    with pytest.raises(Conflict) as refused:
        gt.respond.set_state(gt.analyst, shared, **wanted, version=seen)
    assert refused.value.code == "respond.state_moved"
    assert gt.respond.read(gt.analyst, shared).status.value == "working"
    done = gt.respond.set_state(
        gt.analyst, shared, **wanted, version=gt.respond.read(gt.analyst, shared).version
    )
    assert (done.status.value, done.severity.value, done.owner.value) == ("closed", "high", f"{GT}/Ana")
    entries = len(done.timeline)
    again = gt.respond.set_state(gt.analyst, shared, **wanted, version=done.version)
    assert (len(again.timeline), again.version) == (entries, done.version), "nothing new, nothing written"


def test_a_long_list_is_paged_and_hides_without_counting(gt: Nation, clock: ManualClock) -> None:
    """What may not be seen is not there: no gap, no count, no page that is shorter than it says."""
    boss = Person("account--boss", "boss", Role.COORDINATOR)
    made = []
    for number in range(12):
        clock.advance(1)
        red = number % 3 == 0
        who = boss if red else gt.analyst
        made.append((gt.respond.open_case(who, f"c{number}", tlp=Tlp.RED if red else Tlp.AMBER).id, red))
    wanted = [id for id, red in reversed(made) if not red]
    seen: list[str] = []
    cursor = ""
    while True:
        page = gt.respond.list_cases(gt.analyst, cursor=cursor, limit=3)
        seen += [one.id for one in page.items]
        if page.next is None:
            break
        assert len(page.items) == 3
        cursor = page.next
    assert seen == wanted
    assert len(gt.respond.list_cases(boss, limit=100).items) == 12
    hidden = next(id for id, red in made if red)
    with pytest.raises(NotFound) as secret:
        gt.respond.read(gt.analyst, hidden)
    with pytest.raises(NotFound) as nothing:
        gt.respond.read(gt.analyst, "x-istmo-case--" + "0" * 8 + "-0000-4000-8000-" + "0" * 12)
    assert secret.value.code == nothing.value.code
    with gt.store.read() as connection:
        line = audit.lines(connection)[0]
    assert (line.outcome, line.subject) == ("denied", hidden)


def test_who_may_do_what(gt: Nation, hn: Nation, shared: str) -> None:
    observer = Person("account--o", "o", Role.OBSERVER)
    assert gt.respond.read(observer, shared).id == shared
    attempts: list[Callable[[], object]] = [
        lambda: gt.respond.open_case(observer, "x"),
        lambda: gt.respond.add_note(observer, shared, "x"),
        lambda: gt.respond.set_status(observer, shared, "closed"),
        lambda: gt.respond.share(observer, shared, SV),
        lambda: gt.respond.open_case(Anonymous(), "x"),
        lambda: gt.respond.open_case(Peer(HN), "x"),
        lambda: gt.respond.list_cases(Anonymous()),
    ]
    for attempt in attempts:
        with pytest.raises(NotAllowed):
            attempt()
    for who in (Anonymous(), Peer(SV)):
        with pytest.raises(NotFound):
            gt.respond.read(who, shared)
    assert gt.respond.add_note(Operator(), shared, "desde la orden").author.name == ""


@pytest.mark.parametrize("member", ["", "everyone", GT, "identity--99999999-9999-4999-8999-999999999999"])
def test_sharing_with_nobody_is_refused(gt: Nation, hn: Nation, shared: str, member: str) -> None:
    with pytest.raises(IstmoError) as refused:
        gt.respond.share(gt.analyst, shared, member)
    assert refused.value.code in ("respond.no_such_member", "respond.share_denied")


def test_input_that_cannot_be_used_is_told(gt: Nation) -> None:
    case = gt.respond.open_case(gt.analyst, "Caso")
    attempts: list[Callable[[], object]] = [
        lambda: gt.respond.open_case(gt.analyst, ""),
        lambda: gt.respond.open_case(gt.analyst, "x" * 201),
        lambda: gt.respond.open_case(gt.analyst, "x", severity="awful"),
        lambda: gt.respond.add_note(gt.analyst, case.id, "  "),
        lambda: gt.respond.add_note(gt.analyst, case.id, "x" * 20_001),
        lambda: gt.respond.add_note(gt.analyst, case.id, "nul \0"),
        lambda: gt.respond.add_note(gt.analyst, case.id, "\ud800"),
        lambda: gt.respond.set_status(gt.analyst, case.id, "done"),
        lambda: gt.respond.set_owner(gt.analyst, case.id, HN),
        lambda: gt.respond.list_cases(gt.analyst, cursor="!!"),
        lambda: gt.respond.list_cases(gt.analyst, cursor="AAAA"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidInput):
            attempt()
    assert len(gt.respond.read(gt.analyst, case.id).timeline) == 1


def test_a_change_is_told_after_it_is_on_disk(gt: Nation, hn: Nation, shared: str) -> None:
    heard: list[tuple[str, str]] = []
    gt.store.changes.subscribe(lambda change: heard.append((change.subject, change.data["kind"])), "case")
    hn.respond.add_note(hn.analyst, shared, "x")
    gt.take_from(hn)
    assert heard == [(shared, "note")]


def test_a_member_that_left_the_region_gets_nothing_more(gt: Nation, hn: Nation, shared: str) -> None:
    gt.respond._region = lambda: frozenset({GT})
    gt.respond.add_note(gt.analyst, shared, "solo para nosotros")
    assert hn.take_from(gt) == 0


def test_status_entries_come_from_the_state_that_their_author_saw(
    gt: Nation, hn: Nation, shared: str
) -> None:
    gt.respond.set_status(gt.analyst, shared, Status.CLOSED)
    carry(gt, hn)
    hn.respond.set_status(hn.analyst, shared, Status.OPEN)
    carry(gt, hn)
    case = gt.respond.read(gt.analyst, shared)
    assert (case.status.value, case.is_disputed) == ("open", False)
    assert [type(one.body) for one in case.timeline][-2:] == [StatusChange, StatusChange]


def test_whoever_makes_a_case_stricter_is_told_first_who_will_lose_it(gt: Nation, clock: ManualClock) -> None:
    identity = Identity(gt.store, clock, "real")
    for name, role in (("olga", Role.OBSERVER), ("luis", Role.ANALYST), ("rosa", Role.COORDINATOR)):
        identity.create_account(Operator(), name, role, "cuatro lanchas azules 47")
    red = replace(OWN_ALERT, id="red", tlp=Tlp.RED)
    gt.shelf.alerts = {"red": red, "strict": replace(OWN_ALERT, id="strict", tlp=Tlp.AMBER_STRICT)}
    case = gt.respond.open_case(gt.analyst, "Caso")
    with pytest.raises(Conflict) as met:
        gt.respond.add_alert(gt.analyst, case.id, "red")
    assert met.value.code == "respond.raises_marking"
    told = {name: met.value.params[name] for name in ("was", "tlp", "n", "people")}
    assert told == {"was": "TLP:AMBER", "tlp": "TLP:RED", "n": 2, "people": ["luis", "olga"]}
    with pytest.raises(Conflict) as met:
        gt.respond.add_alert(gt.analyst, case.id, "red", raise_to=Tlp.AMBER_STRICT)
    assert len(gt.respond.read(gt.analyst, case.id).timeline) == 1, "what was not confirmed is not done"
    gt.respond.add_alert(gt.analyst, case.id, "strict", raise_to=Tlp.AMBER_STRICT)
    gt.respond.add_alert(gt.analyst, case.id, "red", raise_to=Tlp.RED)
    assert gt.respond.read(gt.analyst, case.id).tlp is Tlp.RED


def test_alerts_are_put_into_a_case_all_or_none_and_none_of_them_twice(gt: Nation) -> None:
    gt.shelf.alerts = {id: replace(OWN_ALERT, id=id) for id in "abc"}
    case = gt.respond.open_case(gt.analyst, alert="a", others=["b"])
    assert [one.kind for one in case.timeline] == ["opening", "alert", "alert"]
    with pytest.raises(NotFound):
        gt.respond.add_alerts(gt.analyst, case.id, ["c", "none"])
    gt.shelf.alerts["red"] = replace(OWN_ALERT, id="red", tlp=Tlp.RED)
    with pytest.raises(Conflict):
        gt.respond.add_alerts(gt.analyst, case.id, ["c", "red"])
    assert len(gt.respond.read(gt.analyst, case.id).timeline) == 3
    assert len(gt.respond.add_alerts(gt.analyst, case.id, ["a", "b", "c"])) == 1
    with pytest.raises(Conflict) as met:
        gt.respond.add_alerts(gt.analyst, case.id, ["a", "c"])
    assert met.value.code == "respond.already_there"


def test_what_is_in_a_case_is_not_added_and_what_is_done_not_done_again(gt: Nation) -> None:
    found = ObjectSnapshot(INDICATOR, "cdn.ejemplo.invalid", Tlp.AMBER, GT, frozenset({GT, HN}))
    gt.shelf.objects = {INDICATOR: found}
    case = gt.respond.open_case(gt.analyst, "Caso").id
    task = gt.respond.add_task(gt.analyst, case, "avisar").id
    twice: list[tuple[Callable[[], object], str]] = [
        (lambda: gt.respond.add_object(gt.analyst, case, INDICATOR), "respond.already_there"),
        (lambda: gt.respond.finish_task(gt.analyst, case, task), "respond.already_done"),
        (lambda: gt.respond.rename(gt.analyst, case, "Otro título"), "respond.same_title"),
    ]
    for deed, code in twice:
        deed()
        with pytest.raises(Conflict) as met:
            deed()
        assert met.value.code == code
    assert len(gt.respond.read(gt.analyst, case).timeline) == 5


def test_an_object_that_only_some_were_told_of_can_be_added_for_all(gt: Nation) -> None:
    gt.shelf.objects = {INDICATOR: ObjectSnapshot(INDICATOR, "x", Tlp.AMBER, GT, frozenset({GT, HN, SV}))}
    case = gt.respond.open_case(gt.analyst, "Caso").id
    for member in (HN, SV):
        gt.respond.share(gt.analyst, case, member)
    gt.respond.add_object(gt.analyst, case, INDICATOR, only_to=[HN])
    gt.respond.add_object(gt.analyst, case, INDICATOR)
    with pytest.raises(Conflict):
        gt.respond.add_object(gt.analyst, case, INDICATOR, only_to=[SV])


def test_a_case_is_renamed_and_the_others_read_the_new_title(gt: Nation, hn: Nation, shared: str) -> None:
    gt.respond.rename(gt.analyst, shared, "  Intrusión en dos bancos ")
    carry(gt, hn)
    for nation in (gt, hn):
        assert nation.respond.read(nation.analyst, shared).title == "Intrusión en dos bancos"
        assert nation.respond.list_cases(nation.analyst, Filter(q="dos bancos")).items[0].title == (
            "Intrusión en dos bancos"
        )
    hn.respond.rename(hn.analyst, shared, "Uno")
    gt.respond.rename(gt.analyst, shared, "Otro")
    carry(gt, hn)
    titles = {nation.respond.read(nation.analyst, shared).title for nation in (gt, hn)}
    assert len(titles) == 1 and titles < {"Uno", "Otro"}, "renamed at once: both show the same one"
    for title in ("", "a\nb", "x" * 201):
        with pytest.raises(InvalidInput):
            gt.respond.rename(gt.analyst, shared, title)
    with pytest.raises(NotAllowed):
        gt.respond.rename(Person("account--o", "o", Role.OBSERVER), shared, "x")
