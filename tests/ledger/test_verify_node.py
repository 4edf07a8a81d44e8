"""A node's own check of itself: each table and file, and what somebody with the disk could change in it."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from istmo.ledger.log_files import LogFiles
from istmo.ledger.verify_node import verify_node
from machine import both_databases

from .conftest import RED

pytestmark = both_databases


def check(side):
    with side.store.read() as connection:
        return verify_node(connection, side.keys, side.member, side.ledger.files)


def change(side, statement: str, **params) -> None:
    with side.store.write() as tx:
        assert tx.connection.execute(text(statement), params).rowcount == 1


@pytest.fixture
def pair(gt, hn):
    """Guatemala with four entries and files; Honduras with the two that were meant for it."""
    gt.append(b"one", hn)
    gt.append(b"two", hn, markings=RED)
    gt.append(b"three")
    with gt.store.write() as tx:
        gt.ledger.erase(tx, gt.member, 3, "asked")
    LogFiles(gt.ledger).publish()
    with gt.store.read() as connection:
        for one in gt.ledger.due(connection, hn.member, 0, 10):
            hn.receive(one.envelope, gt)
    return gt, hn


def test_an_untouched_node_is_found_good(pair):
    gt, hn = pair
    report = check(gt)
    assert report.problems == []
    assert (report.size, report.received, report.erased, report.sealed, report.chains) == (4, 0, 1, 0, 1)
    report = check(hn)
    assert report.problems == []
    assert (report.size, report.received, report.chains) == (0, 2, 1)


def test_files_may_lag_behind_the_database(pair):
    gt, _ = pair
    gt.append(b"not yet in the files")
    assert check(gt).problems == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE log_entries SET header = :junk WHERE sequence = 1", "bad_header"),
        ("UPDATE log_entries SET body = :junk WHERE sequence = 1", "body_mismatch"),
        ("UPDATE log_entries SET signature = :junk WHERE sequence = 1", "bad_signature"),
        ("UPDATE log_entries SET keyid = 'x' WHERE sequence = 1", "bad_signature"),
        ("UPDATE log_entries SET commitment = :junk WHERE sequence = 1", "wrong_commitment"),
        ("UPDATE log_entries SET commitment = :junk WHERE sequence = 3", "wrong_root"),
        ("UPDATE log_entries SET type = 'case' WHERE sequence = 1", "wrong_column"),
        ("UPDATE log_entries SET lane = 'fast' WHERE sequence = 1", "wrong_column"),
        ("UPDATE log_entries SET created = 5 WHERE sequence = 1", "wrong_column"),
        ("UPDATE log_entries SET expires = 5 WHERE sequence = 1", "wrong_column"),
        ("UPDATE log_entries SET signer = :junk WHERE sequence = 1", "wrong_column"),
        ("UPDATE log_entries SET state = 'erased' WHERE sequence = 1", "wrong_column"),
        ("UPDATE log_entries SET body = NULL, state = 'erased' WHERE sequence = 1", "missing_body"),
        ("UPDATE log_entries SET sequence = 9 WHERE sequence = 4", "gap"),
        ("DELETE FROM log_entries WHERE sequence = 2", "gap"),
        ("DELETE FROM log_entries WHERE sequence = 4", "checkpoint_too_long"),
        ("UPDATE deliveries SET head = :junk WHERE number = 1", "broken_chain"),
        ("UPDATE deliveries SET recipient = 'x' WHERE number = 2", "wrong_chain"),
        ("DELETE FROM deliveries WHERE number = 2", "wrong_chain"),
        ("UPDATE checkpoints SET root = :junk", "wrong_root"),
        ("UPDATE checkpoints SET note = :junk", "bad_checkpoint"),
        ("UPDATE checkpoints SET size = 3", "wrong_root"),
        ("UPDATE checkpoints SET size = 9", "checkpoint_too_long"),
    ],
)
def test_each_change_to_the_database_is_found(pair, statement, code):
    gt, _ = pair
    change(gt, statement, **({"junk": b"\x00junk"} if ":junk" in statement else {}))
    found = {one.code for one in check(gt).problems}
    assert code in found


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE log_entries SET body = :junk WHERE sequence = 2", "body_mismatch"),
        ("UPDATE log_entries SET signer = :junk WHERE sequence = 2", "bad_signature"),
        ("UPDATE log_entries SET commitment = :junk WHERE sequence = 2", "wrong_commitment"),
        ("DELETE FROM log_entries WHERE sequence = 1", "broken_chain"),
        ("DELETE FROM deliveries WHERE number = 2", "wrong_chain"),
    ],
)
def test_each_change_to_what_was_received_is_found_and_named_by_origin(pair, statement, code):
    gt, hn = pair
    change(hn, statement, **({"junk": b"\x00junk"} if ":junk" in statement else {}))
    problems = {one.code: one.params for one in check(hn).problems}
    assert code in problems
    assert gt.member in str(problems[code])


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000.p/4", "tile/entries/000.p/4"])
@pytest.mark.parametrize("is_removed", [True, False])
def test_each_change_to_the_files_is_found(pair, path, is_removed):
    gt, _ = pair
    file = gt.ledger.files / path
    if is_removed:
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        content[40] ^= 1
        file.write_bytes(content)
    assert path in [one.params.get("file") for one in check(gt).problems]


def test_before_the_first_publication_no_file_is_missed(gt):
    gt.append(b"just written")
    assert check(gt).problems == []
    gt.ledger.checkpoint()
    assert [one.params["file"] for one in check(gt).problems] == ["checkpoint"]
