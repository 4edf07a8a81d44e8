"""Appending, delivering, receiving, refusing, erasing."""

from __future__ import annotations

import pytest

from istmo.errors import InvalidInput
from istmo.ledger.records import Chain

from .conftest import MEMBERS, RED


def test_an_entry_travels_and_is_read_as_it_was_written(gt, hn):
    sent = gt.append(b'{"a": 1}', hn)
    with gt.store.read() as connection:
        (due,) = gt.ledger.due(connection, hn.member, 0, 10)
    got = hn.receive(due.envelope, gt)
    assert (got.payload, got.commitment, got.state) == (b'{"a": 1}', sent.commitment, "accepted")
    with hn.store.read() as connection:
        assert hn.ledger.received_chain(connection, gt.member) == due.chain
        assert hn.ledger.entry(connection, gt.member, 1).payload == b'{"a": 1}'


def test_a_red_body_opens_for_its_audience_alone(gt, hn, sv):
    gt.append(b"secret", hn, markings=RED)
    with gt.store.read() as connection:
        (due,) = gt.ledger.due(connection, hn.member, 0, 10)
        assert gt.ledger.due(connection, sv.member, 0, 10) == []
        assert gt.ledger.entry(connection, gt.member, 1).payload == b"secret"
    assert b"secret" not in due.envelope.body
    assert hn.receive(due.envelope, gt).payload == b"secret"
    with pytest.raises(InvalidInput, match=r"ledger\.not_for_us"):
        sv.receive(due.envelope, gt)


def test_an_empty_audience_is_nobody(gt):
    with pytest.raises(InvalidInput, match=r"ledger\.empty_audience"), gt.store.write() as tx:
        gt.ledger.append(tx, "stix", b"x", audience=(), markings=())


def test_chain_counts_only_what_is_meant_for_the_recipient(gt, hn, sv):
    gt.append(b"1", hn, sv)
    gt.append(b"2", sv)
    third = gt.append(b"3", hn)
    with gt.store.read() as connection:
        assert gt.ledger.chain(connection, hn.member).count == 2
        assert gt.ledger.chain(connection, MEMBERS["sv"]).count == 2
        first = gt.ledger.entry(connection, gt.member, 1)
        assert gt.ledger.chain(connection, hn.member) == Chain().add(first.commitment).add(third.commitment)
        assert gt.ledger.recipients(connection, 1) == [hn.member, sv.member]
