"""Joining a region: a code works once, for the right key, for a day; everything else is refused in words."""

from __future__ import annotations

import base64
import threading
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from istmo.clock import ManualClock
from istmo.errors import IstmoError, NotAllowed
from istmo.federation.code import Code, new_code
from istmo.federation.invitations import TRIES
from istmo.federation.service import Federation
from istmo.policy.principals import Person, Role

from .sites import OPERATOR, Site, eventually, is_settled, join


def code_of(call: Any) -> str:
    """The code of an error."""
    with pytest.raises(IstmoError) as caught:
        call()
    return caught.value.code


@pytest.fixture
def founded(make_site) -> tuple[Site, Site]:
    gt, hn = make_site("Guatemala"), make_site("Honduras")
    gt.federation.found(OPERATOR, "Centroamérica")
    return gt, hn


def members(site: Site) -> set[str]:
    return set(site.federation.members())


def test_with_a_known_fingerprint_one_joins_at_once(founded) -> None:
    gt, hn = founded
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN", hn.keys.fingerprint)
    assert hn.federation.accept(OPERATOR, code).state == "joined"
    assert members(gt) == members(hn) == {gt.id, hn.id}
    assert hn.federation.name_of(hn.id) == "CSIRT-HN"


def test_without_it_a_person_has_to_compare_first(founded) -> None:
    gt, hn = founded
    invitation, code = gt.federation.invite(OPERATOR, "CSIRT-HN")
    assert hn.federation.accept(OPERATOR, code).state == "pending"
    waiting = gt.federation.invitations(OPERATOR)[0]
    assert (waiting.id, waiting.state) == (invitation.id, "pending")
    assert waiting.member is not None
    assert waiting.member.fingerprint == hn.keys.fingerprint
    assert members(gt) == {gt.id}
    wrong = gt.keys.fingerprint
    refused = code_of(lambda: gt.federation.confirm(OPERATOR, hn.id, wrong))
    assert refused == "federation.other_fingerprint"
    assert members(gt) == {gt.id}
    gt.federation.confirm(OPERATOR, hn.id, hn.keys.fingerprint.lower())
    eventually(lambda: members(hn) == {gt.id, hn.id}, "joined")
    entry = gt.publish(hn)
    eventually(lambda: (gt.id, entry.sequence) in hn.applied)


def test_a_pending_request_survives_a_restart_of_either_side(founded) -> None:
    gt, hn = founded
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN")
    hn.federation.accept(OPERATOR, code)
    hn.stop()
    gt.stop()
    gt.restart()
    gt.federation.confirm(OPERATOR, hn.id, hn.keys.fingerprint)
    hn.restart()
    eventually(lambda: members(hn) == {gt.id, hn.id}, "joined")


def test_the_wrong_key_is_not_let_in(founded, make_site) -> None:
    gt, hn = founded
    sv = make_site("El Salvador")
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN", hn.keys.fingerprint)
    refused = code_of(lambda: sv.federation.accept(OPERATOR, code))
    assert refused == "federation.not_invited"
    assert members(gt) == {gt.id}
    assert hn.federation.accept(OPERATOR, code).state == "joined", "the right one still can"


def test_a_code_works_once(founded, make_site) -> None:
    gt, hn = founded
    sv = make_site("El Salvador")
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN")
    hn.federation.accept(OPERATOR, code)
    refused = code_of(lambda: sv.federation.accept(OPERATOR, code))
    assert refused == "federation.code_used"


def test_a_code_runs_out_after_a_day(make_site, clock: ManualClock) -> None:
    gt, hn = make_site("Guatemala", clock=clock), make_site("Honduras")
    gt.federation.found(OPERATOR, "Centroamérica")
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN", hn.keys.fingerprint)
    clock.advance(24 * 3600 + 1)
    refused = code_of(lambda: hn.federation.accept(OPERATOR, code))
    assert refused == "federation.code_expired"


@pytest.mark.parametrize("name", ["", " ", "\0", "CSIRT\x1b[2J", "a\nb", "a" * 201])
def test_a_region_and_a_member_have_names_that_people_can_read(founded, name: str) -> None:
    gt, hn = founded
    assert code_of(lambda: hn.federation.found(OPERATOR, name)) == "federation.bad_name"
    assert code_of(lambda: gt.federation.invite(OPERATOR, name)) == "federation.bad_name"


def test_an_institution_has_one_open_invitation(make_site, clock: ManualClock) -> None:
    gt = make_site("Guatemala", clock=clock)
    gt.federation.found(OPERATOR, "Centroamérica")
    first, _ = gt.federation.invite(OPERATOR, "CSIRT Perú")
    again = code_of(lambda: gt.federation.invite(OPERATOR, " csirt PERÚ "))
    assert again == "federation.already_invited"
    assert [one.id for one in gt.federation.invitations(OPERATOR)] == [first.id]
    gt.federation.withdraw(OPERATOR, first.id)
    gt.federation.invite(OPERATOR, "CSIRT Perú")
    clock.advance(24 * 3600 + 1)
    gt.federation.invite(OPERATOR, "CSIRT Perú")


def test_whoever_waits_is_known_to_those_who_may_let_them_in(founded) -> None:
    gt, hn = founded
    told: list[tuple[str, Any]] = []
    hn.store.changes.subscribe(lambda one: told.append((one.subject, one.data.get("state"))), "peer")
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN")
    assert gt.federation.asking(OPERATOR) == []
    hn.federation.accept(OPERATOR, code)
    assert gt.federation.asking(OPERATOR) == ["CSIRT-HN"]
    assert gt.federation.asking(Person("1", "Ana", Role.ANALYST)) == []
    assert code_of(lambda: gt.federation.invite(OPERATOR, "CSIRT-HN")) == "federation.already_invited"
    gt.federation.confirm(OPERATOR, hn.id, hn.keys.fingerprint)
    assert gt.federation.asking(OPERATOR) == []
    eventually(lambda: ("joining", "joined") in told, "the newcomer is told")


def test_a_withdrawn_invitation_is_no_more(founded) -> None:
    gt, hn = founded
    invitation, code = gt.federation.invite(OPERATOR, "CSIRT-HN", hn.keys.fingerprint)
    gt.federation.withdraw(OPERATOR, invitation.id)
    refused = code_of(lambda: hn.federation.accept(OPERATOR, code))
    assert refused == "federation.code_unknown"


def test_a_code_of_ones_own_making_is_refused(founded) -> None:
    gt, hn = founded
    forged = new_code(gt.settings.url, gt.keys.fingerprint).encode()
    refused = code_of(lambda: hn.federation.accept(OPERATOR, forged))
    assert refused == "federation.code_unknown"


def test_another_node_at_the_inviters_address_is_found_out(founded) -> None:
    gt, hn = founded
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN", hn.keys.fingerprint)
    meant = Code.decode(code)
    elsewhere = Code(meant.url, hn.keys.fingerprint, meant.secret).encode()
    assert code_of(lambda: hn.federation.accept(OPERATOR, elsewhere)) == "federation.inviter_mismatch"


def test_the_code_itself_rests_nowhere(founded) -> None:
    """House invariant 7: a secret is never stored in clear; what is stored opens nothing."""
    gt, hn = founded
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN")
    secret = Code.decode(code).secret
    hn.federation.accept(OPERATOR, code)
    for site in (gt, hn):
        with site.store.read() as connection:
            connection.execute(text("SELECT 1"))
        for path in site.folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert secret not in content
                assert code.encode() not in content


def test_a_node_belongs_to_one_region(founded, make_site) -> None:
    gt, hn = founded
    join(gt, hn)
    sv = make_site("El Salvador")
    sv.federation.found(OPERATOR, "Otra")
    _, code = sv.federation.invite(OPERATOR, "X", hn.keys.fingerprint)
    assert code_of(lambda: hn.federation.accept(OPERATOR, code)) == "federation.already_in_region"
    assert code_of(lambda: gt.federation.found(OPERATOR, "Otra")) == "federation.already_in_region"


def test_who_does_not_sign_the_charter_cannot_invite(founded) -> None:
    gt, hn = founded
    join(gt, hn)
    assert code_of(lambda: hn.federation.invite(OPERATOR, "X")) == "federation.not_signer"


@pytest.mark.parametrize("role", [Role.ANALYST, Role.OBSERVER])
def test_only_who_manages_peers_may_change_the_region(founded, role: Role) -> None:
    gt, _ = founded
    person = Person("1", "Ana", role)
    federation: Federation = gt.federation
    for call in (
        lambda: federation.invite(person, "X"),
        lambda: federation.accept(person, "X"),
        lambda: federation.confirm(person, gt.id, "X"),
        lambda: federation.remove(person, gt.id),
        lambda: federation.found(person, "X"),
        lambda: list(federation.export(person, gt.id)),
        lambda: federation.import_file(person, []),
        lambda: federation.invitations(person),
    ):
        with pytest.raises(NotAllowed):
            call()
    assert federation.peers(person) == []


def test_a_removed_member_gets_nothing_further_and_is_told(founded, make_site) -> None:
    gt, hn = founded
    sv = make_site("El Salvador")
    join(gt, hn, sv)
    eventually(lambda: is_settled(gt, hn, sv), "settled")
    gt.federation.remove(OPERATOR, sv.id)
    eventually(lambda: members(hn) == members(sv) == {gt.id, hn.id}, "all know")
    before = len(sv.log_of(gt))
    gt.publish(hn)
    eventually(lambda: is_settled(gt, hn), "settled without it")
    assert len(sv.log_of(gt)) == before


def test_a_retraction_reaches_a_former_member_and_nothing_else_does(founded) -> None:
    """Rule 14: who delivered X owes that recipient its tombstone, former members too. Invariant 1."""
    gt, hn = founded
    join(gt, hn)
    shared = gt.publish(hn)
    eventually(lambda: (gt.id, shared.sequence) in hn.applied)
    gt.federation.remove(OPERATOR, hn.id)
    eventually(lambda: hn.id not in members(hn), "knows it is out")
    with gt.store.write() as tx:
        secret = gt.ledger.append(
            tx, "stix", b"not for a former member", audience=(gt.id, hn.id), markings=shared.header.markings
        )
        tombstone = gt.ledger.append(
            tx, "retraction", b"{}", audience=(gt.id, hn.id), markings=shared.header.markings, lane="fast"
        )
    eventually(lambda: tombstone.sequence in [one[0] for one in hn.log_of(gt)], "tombstone arrived")
    assert secret.sequence not in [one[0] for one in hn.log_of(gt)]
    eventually(lambda: gt.report(hn)["refused_there"] == 1, "the withheld one is told as such")
    assert gt.report(hn)["refusals_there"][0]["code"] == "federation.withheld"
    for path in hn.folder.rglob("*"):
        if path.is_file():
            assert b"not for a former member" not in path.read_bytes()


def test_confirming_while_the_other_side_asks_again_loses_nothing(founded) -> None:
    gt, hn = founded
    _, code = gt.federation.invite(OPERATOR, "CSIRT-HN")
    joining = hn.federation.accept(OPERATOR, code)
    over = threading.Event()
    refused: list[str] = []

    def ask() -> None:
        while not over.is_set():
            try:
                gt.federation.inviting.answer(joining.request)
            except IstmoError as error:
                refused.append(error.code)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for one in asking:
        one.start()
    try:
        gt.federation.confirm(OPERATOR, hn.id, hn.keys.fingerprint)
    finally:
        over.set()
        for one in asking:
            one.join(10)
    assert refused == []
    assert [one.state for one in gt.federation.invitations(OPERATOR)] == ["joined"]
    eventually(lambda: members(hn) == {gt.id, hn.id}, "joined")


def test_wrong_proofs_are_counted_and_end_the_invitation(founded) -> None:
    gt, hn = founded
    invitation, code = gt.federation.invite(OPERATOR, "CSIRT-HN", hn.keys.fingerprint)
    right = Code.decode(code)
    line = hn.federation.joiner._request(right)
    other = new_code(right.url, right.fingerprint)
    wrong = orjson.dumps(
        {"request": line.decode(), "proof": base64.b64encode(other.prove(line)).decode("ascii")}
    )
    codes = [code_of(lambda: gt.federation.inviting.answer(wrong)) for _ in range(TRIES + 1)]
    assert codes == ["federation.code_wrong"] * TRIES + ["federation.code_unknown"]
    assert gt.federation.invitations(OPERATOR)[0].state == "withdrawn"
    assert invitation.state == "open"
