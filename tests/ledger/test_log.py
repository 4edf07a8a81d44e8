"""Appending, delivering, receiving, refusing, erasing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from istmo.errors import Conflict, InvalidInput, NotFound, TooLarge, Unavailable
from istmo.ledger.envelope import Envelope, Header, pae
from istmo.ledger.records import Chain
from istmo.model.markings import Tlp
from machine import DATABASES, on_sqlite

from .conftest import AMBER, MEMBERS, RED

folded = Table("test_folded", MetaData(), Column("id", Integer, primary_key=True))


def deliveries(side, to, after=0, **more):
    with side.store.read() as connection:
        return side.ledger.due(connection, to.member, after, 100, **more)


def entry(side, origin, sequence):
    with side.store.read() as connection:
        return side.ledger.entry(connection, origin.member, sequence)


@pytest.fixture(params=DATABASES)
def database_kind(request) -> str:
    """Both sides on SQLite, and both on PostgreSQL."""
    return request.param


def sign(side, header: Header, body: bytes) -> Envelope:
    raw = header.encode()
    return Envelope(raw, side.keys.keyid, side.keys.sign(pae(raw)), body)


def test_an_entry_travels_and_is_read_as_it_was_written(gt, hn):
    sent = gt.append(b'{"a": 1}', hn, purpose="try", expires=gt.ledger.clock.now() + timedelta(days=1))
    (due,) = deliveries(gt, hn)
    got = hn.receive(due.envelope, gt)
    assert (got.payload, got.commitment, got.state) == (b'{"a": 1}', sent.commitment, "accepted")
    with hn.store.read() as connection:
        assert hn.ledger.received_chain(connection, gt.member) == due.chain
    kept = entry(hn, gt, 1)
    assert kept == got
    assert (kept.header.purpose, kept.header.expires) == ("try", due.expires)
    assert kept.envelope.encode() == due.envelope.encode() == entry(gt, gt, 1).envelope.encode()


def test_numbers_have_no_gaps_even_after_a_failure(gt, hn):
    gt.append(b"1", hn)
    with pytest.raises(RuntimeError), gt.store.write() as tx:
        gt.ledger.append(tx, "stix", b"lost", audience=(hn.member,), markings=AMBER)
        raise RuntimeError
    assert gt.append(b"2", hn).sequence == 2
    assert [one.chain.count for one in deliveries(gt, hn)] == [1, 2]


def test_a_red_body_opens_for_its_audience_alone(gt, hn, sv):
    """Invariant 1: neither the bytes nor their size for others, and no way to open them."""
    gt.append(b"secret", hn, markings=RED)
    (due,) = deliveries(gt, hn)
    assert deliveries(gt, sv) == []
    assert entry(gt, gt, 1).payload == b"secret"
    assert b"secret" not in due.envelope.body
    assert hn.receive(due.envelope, gt).payload == b"secret"
    with pytest.raises(InvalidInput, match=r"ledger\.not_for_us"):
        sv.receive(due.envelope, gt)
    with pytest.raises(InvalidInput, match=r"ledger\.sealed_to_others"):
        sv.keys.open(due.envelope.body)


def test_nobody_is_left_out_of_a_sealed_entry_in_silence(gt, hn):
    gt.ledger.find_age_keys(lambda connection, member: None)
    with pytest.raises(InvalidInput, match=r"ledger\.no_recipient_key"):
        gt.append(b"secret", hn, markings=RED)


def test_an_empty_audience_is_nobody(gt):
    """Invariant 2: an empty audience is never everyone; there is nothing to write then."""
    with pytest.raises(InvalidInput, match=r"ledger\.empty_audience"), gt.store.write() as tx:
        gt.ledger.append(tx, "stix", b"x", audience=(), markings=())


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"markings": ("TLP:RED",)}, InvalidInput),
        ({"lane": "slow"}, InvalidInput),
        ({"type": "Not A Type"}, InvalidInput),
        ({"purpose": "x" * 300}, InvalidInput),
    ],
)
def test_what_we_would_refuse_we_do_not_write(gt, hn, more, error):
    with pytest.raises(error):
        gt.append(b"x", hn, **more)
    assert gt.append(b"x", hn).sequence == 1


def test_a_payload_past_the_limit_is_refused(gt, hn):
    with pytest.raises(TooLarge, match=r"ledger\.body_too_large"):
        gt.append(bytes((1 << 20) + 1), hn)
    assert gt.append(bytes(1 << 20), hn).sequence == 1


def test_a_chain_counts_only_what_is_meant_for_the_recipient(gt, hn, sv):
    gt.append(b"1", hn, sv)
    gt.append(b"2", sv)
    third = gt.append(b"3", hn)
    with gt.store.read() as connection:
        assert gt.ledger.chains(connection, [hn.member])[hn.member].count == 2
        assert gt.ledger.chains(connection, [MEMBERS["sv"]])[MEMBERS["sv"]].count == 2
        first = gt.ledger.entry(connection, gt.member, 1)
        assert gt.ledger.chains(connection, [hn.member])[hn.member] == Chain().add(first.commitment).add(
            third.commitment
        )
        assert gt.ledger.chains(connection, [gt.member])[gt.member] == Chain()
        assert gt.ledger.recipients(connection, 1) == [hn.member, sv.member]
    assert [one.sequence for one in deliveries(gt, hn, after=1)] == [3]


def test_the_fast_lane_can_be_asked_for_alone(gt, hn):
    gt.append(b"1", hn)
    gt.append(b"2", hn, lane="fast")
    assert [(one.sequence, one.chain.count) for one in deliveries(gt, hn, lane="fast")] == [(2, 2)]


@on_sqlite
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(order=st.permutations(range(6)))
def test_the_order_of_arrival_does_not_change_the_chain(make_side, tmp_path_factory, order):
    gt = make_side("gt", f"sqlite:///{tmp_path_factory.mktemp('o') / 'gt.db'}")
    hn = make_side("hn", f"sqlite:///{tmp_path_factory.mktemp('o') / 'hn.db'}")
    sent = []
    for at in range(6):
        gt.append(b"%d" % at, hn)
        gt.append(b"own")
    sent = deliveries(gt, hn)
    for at in order:
        hn.receive(sent[at].envelope, gt)
    with hn.store.read() as connection:
        for one in sent:
            assert hn.ledger.received_chain(connection, gt.member, one.sequence) == one.chain
        assert hn.ledger.received_chain(connection, gt.member) == sent[-1].chain
    gt.store.close()
    hn.store.close()


# --- what cannot be verified changes nothing -------------------------------------------------


def test_each_forgery_is_refused_and_leaves_no_trace(gt, hn, sv):
    """Verify, then apply: a failed check changes nothing."""
    gt.append(b"x" * 40, hn)
    (due,) = deliveries(gt, hn)
    good, body = due.envelope, due.envelope.body
    header = Header.decode(good.header)
    forgeries = {
        "ledger.bad_signature": [
            sign(sv, header, body),
            replace(good, signature=bytes(64)),
            replace(good, header=good.header.replace(b"stix", b"case")),
        ],
        "ledger.body_mismatch": [
            replace(good, body=body[:-1] + b"y"),
            replace(good, body=body[:20]),
            replace(good, body=b""),
            sign(gt, Header.of_body(b"short", **_fields(header)), b"short"),
        ],
        "ledger.not_for_us": [sign(gt, replace(header, audience=(gt.member, sv.member)), body)],
        "ledger.own_origin": [sign(gt, replace(header, origin=hn.member), body)],
        "ledger.not_sealed": [sign(gt, replace(header, markings=RED), body)],
        "ledger.sealed_to_others": [sign(gt, replace(header, seal="age"), body)],
        "ledger.no_commitment": [replace(good, body=None)],
        "ledger.unknown_version": [replace(good, header=good.header.replace(b'"v":1', b'"v":2'))],
    }
    for code, envelopes in forgeries.items():
        for envelope in envelopes:
            with pytest.raises(InvalidInput) as refused:
                hn.receive(envelope, gt)
            assert refused.value.code == code
    with hn.store.read() as connection:
        assert hn.ledger.entries(connection) == []
        assert hn.ledger.received_chain(connection, gt.member) == Chain()
    assert hn.receive(good, gt).state == "accepted"


def _fields(header: Header) -> dict:
    names = ("origin", "sequence", "type", "audience", "markings", "lane", "expires", "purpose", "created")
    return {name: getattr(header, name) for name in names} | {"seal": header.seal}


def test_the_same_again_changes_nothing(gt, hn):
    gt.append(b"1", hn)
    (due,) = deliveries(gt, hn)
    runs = []
    hn.ledger.on("stix", lambda tx, entry: runs.append(entry.sequence))
    first = hn.receive(due.envelope, gt)
    assert hn.receive(due.envelope, gt) == first
    assert runs == [1]
    with hn.store.read() as connection:
        assert hn.ledger.received_chain(connection, gt.member).count == 1


def test_two_histories_are_kept_as_evidence_and_the_first_one_stays(gt, hn, make_side, tmp_path):
    heard = []
    hn.store.changes.subscribe(heard.append, "evidence")
    gt.append(b"first", hn)
    other = make_side("gt", f"sqlite:///{tmp_path / 'other.db'}")
    other.append(b"second", hn)
    (one,), (two,) = deliveries(gt, hn), deliveries(other, hn)
    hn.receive(one.envelope, gt)
    for _ in range(2):
        refused = hn.receive(two.envelope, gt)
        assert (refused.state, refused.refusal, refused.payload) == ("refused", "ledger.equivocation", None)
    assert entry(hn, gt, 1).payload == b"first"
    with hn.store.read() as connection:
        (found,) = hn.ledger.evidence(connection)
        assert hn.ledger.received_chain(connection, gt.member) == one.chain
    assert (found.kind, found.origin, found.sequence) == ("entry", gt.member, 1)
    for raw in (found.known, found.other):
        assert Envelope.decode(raw, body_limit=1000).is_signed_by(gt.keys.public)
    assert [change.subject for change in heard] == [f"{gt.member}/1"]


# --- handlers --------------------------------------------------------------------------------


def test_handlers_run_for_mine_and_theirs_alike(gt, hn):
    seen = []
    for side in (gt, hn):
        side.ledger.on("stix", lambda tx, entry: seen.append((entry.origin, entry.payload)))
        side.ledger.on("case", lambda tx, entry: seen.append("case"))
    gt.append(b"x", hn)
    hn.receive(deliveries(gt, hn)[0].envelope, gt)
    assert seen == [(gt.member, b"x")] * 2


def test_a_refused_entry_is_kept_without_effect(gt, hn):
    def refuse(tx, entry):
        tx.connection.execute(insert(folded).values(id=entry.sequence))
        tx.notify("object", "never told")
        if entry.payload == b"bad":
            raise InvalidInput("stix.invalid", path="$.id")

    folded.create(hn.store.engine)
    heard = []
    hn.store.changes.subscribe(heard.append)
    hn.ledger.on("stix", refuse)
    gt.append(b"bad", hn)
    gt.append(b"good", hn)
    states = [hn.receive(one.envelope, gt) for one in deliveries(gt, hn)]
    assert [one.state for one in states] == ["refused", "accepted"]
    assert (states[0].refusal, states[0].refusal_params) == ("stix.invalid", {"path": "$.id"})
    assert states[0].payload == b"bad"
    with hn.store.read() as connection:
        assert list(connection.execute(select(folded.c.id)).scalars()) == [2]
        assert hn.ledger.received_chain(connection, gt.member).count == 2
        assert [one.sequence for one in hn.ledger.entries(connection, state="refused")] == [1]
    assert [(one.topic, one.data.get("state")) for one in heard] == [
        ("ledger", "refused"),
        ("object", None),
        ("ledger", "accepted"),
    ]


def test_one_entry_that_trips_a_defect_does_not_stop_the_next(gt, hn):
    """Invariant 8: one bad object never stops the others."""

    def trip(tx, entry):
        if entry.sequence == 1:
            raise ZeroDivisionError
        if entry.sequence == 2:
            tx.connection.execute(insert(folded).values(id=None, no_such_column=1))

    folded.create(hn.store.engine)
    hn.ledger.on("stix", trip)
    for text in (b"1", b"2", b"3"):
        gt.append(text, hn)
    states = [hn.receive(one.envelope, gt) for one in deliveries(gt, hn)]
    assert [(one.state, one.refusal) for one in states] == [
        ("refused", "ledger.handler_failed"),
        ("refused", "ledger.handler_failed"),
        ("accepted", None),
    ]


def test_the_machine_s_trouble_is_not_the_entry_s(gt, hn):
    troubles = [Unavailable("store.disk_full"), OSError("disk")]

    def fail(tx, entry):
        if troubles:
            raise troubles.pop()

    hn.ledger.on("stix", fail)
    gt.append(b"1", hn)
    (due,) = deliveries(gt, hn)
    for kind in (OSError, Unavailable):
        with pytest.raises(kind):
            hn.receive(due.envelope, gt)
    assert hn.receive(due.envelope, gt).state == "accepted"


def test_a_handler_that_refuses_one_s_own_entry_undoes_it(gt, hn):
    def refuse(tx, entry):
        raise InvalidInput("stix.invalid", path="$")

    gt.ledger.on("stix", refuse)
    with gt.store.write() as tx:
        with pytest.raises(InvalidInput, match=r"stix\.invalid"):
            gt.ledger.append(tx, "stix", b"x", audience=(gt.member, hn.member), markings=AMBER)
        assert gt.ledger.append(tx, "case", b"y", audience=(gt.member,), markings=AMBER).sequence == 1
    assert deliveries(gt, hn) == []


def test_replay_gives_refused_entries_another_chance(gt, hn):
    mood = {"is_strict": True}

    def handle(tx, entry):
        if mood["is_strict"]:
            raise InvalidInput("stix.invalid", path="$")

    hn.ledger.on("stix", handle)
    gt.append(b"1", hn)
    hn.receive(deliveries(gt, hn)[0].envelope, gt)
    mood["is_strict"] = False
    with hn.store.write() as tx:
        assert hn.ledger.replay(tx, ["stix"]) == 1
        assert hn.ledger.replay(tx, ["case"]) == 0
    kept = entry(hn, gt, 1)
    assert (kept.state, kept.refusal) == ("accepted", None)


def test_listeners_hear_who_is_due_an_entry(gt, hn, sv):
    heard = []
    gt.store.changes.subscribe(heard.append, "ledger")
    gt.append(b"1", hn, sv, lane="fast")
    (change,) = heard
    assert change.subject == f"{gt.member}/1"
    assert change.data["recipients"] == [hn.member, sv.member]
    assert (change.data["type"], change.data["lane"], change.data["sequence"]) == ("stix", "fast", 1)


# --- erasure ---------------------------------------------------------------------------------


def test_erasing_leaves_the_commitment_and_a_signed_record(gt, hn):
    sent = gt.append(b"a person's name", hn)
    forgotten = []
    gt.ledger.on("erasure", lambda tx, entry: forgotten.append(entry.header.extra["erases"]))
    with gt.store.write() as tx:
        record = gt.ledger.erase(tx, gt.member, 1, "court order 12")
    kept = entry(gt, gt, 1)
    assert (kept.state, kept.payload, kept.envelope.body) == ("erased", None, None)
    assert kept.commitment == sent.commitment
    assert (record.type, record.sequence, record.payload) == ("erasure", 2, b"court order 12")
    assert record.header.audience == (gt.member,)
    assert forgotten == [{"origin": gt.member, "sequence": 1}]


def test_what_was_erased_before_delivery_is_told_as_erased(gt, hn):
    gt.append(b"a name", hn)
    gt.append(b"other", hn)
    with gt.store.write() as tx:
        gt.ledger.erase(tx, gt.member, 1, "asked")
    first, second = deliveries(gt, hn)
    assert first.envelope.body is None
    got = hn.receive(first.envelope, gt, commitment=first.commitment)
    assert (got.state, got.payload) == ("erased", None)
    hn.receive(second.envelope, gt)
    with hn.store.read() as connection:
        assert hn.ledger.received_chain(connection, gt.member) == second.chain


def test_a_duplicate_does_not_bring_an_erased_body_back(gt, hn):
    gt.append(b"a name", hn)
    (due,) = deliveries(gt, hn)
    hn.receive(due.envelope, gt)
    with hn.store.write() as tx:
        hn.ledger.erase(tx, gt.member, 1, "our own law")
    assert hn.receive(due.envelope, gt).state == "erased"
    assert entry(hn, gt, 1).payload is None
    with hn.store.read() as connection:
        assert hn.ledger.received_chain(connection, gt.member) == due.chain


@on_sqlite
def test_the_bytes_of_an_erased_body_leave_the_sqlite_file(make_side, tmp_path):
    gt = make_side("gt")
    gt.append(b"UNMISTAKABLE" * 1000)
    with gt.store.write() as tx:
        gt.ledger.erase(tx, gt.member, 1, "asked")
    gt.store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("gt.db*"))
    assert b"UNMISTAKABLE" not in kept


def test_what_cannot_be_erased_is_said(gt, hn):
    gt.append(b"x", hn)
    with gt.store.write() as tx:
        gt.ledger.erase(tx, gt.member, 1, "asked")
    for sequence, error in ((1, Conflict), (2, InvalidInput), (3, NotFound)):
        with pytest.raises(error), gt.store.write() as tx:
            gt.ledger.erase(tx, gt.member, sequence, "again")


def test_erasure_records_are_marked_for_the_node_alone(gt):
    gt.append(b"x")
    with gt.store.write() as tx:
        record = gt.ledger.erase(tx, gt.member, 1, "asked")
    assert record.header.markings == (Tlp.AMBER.marking_id,)
    assert record.header.audience == (gt.member,)
