"""What the log shows, and that it shows the same nothing for what is not there and what is not yours."""

from __future__ import annotations

import pytest

from istmo.errors import NotAllowed, NotFound
from istmo.ledger.checkpoint import Proof, read_verifier_key
from istmo.ledger.showing import show_checkpoint, show_entry
from istmo.policy.decisions import Context
from istmo.policy.principals import Anonymous, Operator, Person, Role
from machine import both_databases

from .conftest import MEMBERS, RED

pytestmark = both_databases


@pytest.fixture
def context(clock):
    return Context(MEMBERS["gt"], frozenset(MEMBERS.values()), "real", clock.now())


def person(role: Role) -> Person:
    return Person(id="1", name="Ana", role=role)


def test_the_checkpoint_is_shown_to_those_of_the_node(gt, context):
    gt.append(b"x")
    told = show_checkpoint(gt.ledger, person(Role.OBSERVER), context)
    assert (told["size"], told["fingerprint"]) == (1, gt.keys.fingerprint)
    with pytest.raises(NotAllowed, match=r"ledger\.not_readable"):
        show_checkpoint(gt.ledger, Anonymous(), context)


def test_an_entry_comes_with_a_proof_that_holds(gt, context, hn):
    entry = gt.append(b"x", hn)
    told = show_entry(gt.ledger, person(Role.ANALYST), context, gt.member, 1)
    name, public = read_verifier_key(show_checkpoint(gt.ledger, Operator(), context)["verifier_key"])
    proof = Proof.decode(told["proof"].encode())
    assert proof.verify(entry.commitment, name, public).size == 1
    assert proof.extra.endswith(told["header"].encode())


def test_an_entry_of_another_comes_with_its_chain(gt, hn, context):
    gt.append(b"x", hn)
    with gt.store.read() as connection:
        (due,) = gt.ledger.due(connection, hn.member, 0, 1)
    hn.receive(due.envelope, gt)
    here = Context(hn.member, context.members, "real", context.now)
    told = show_entry(hn.ledger, person(Role.ANALYST), here, gt.member, 1)
    assert told["proof"] is None
    assert told["chain"] == {"count": 1, "head": due.chain.head.hex()}


def test_what_one_may_not_see_is_told_as_what_is_not_there(gt, hn, context):
    """Invariant 1: an error tells nothing of an entry that is not for the asker."""
    gt.append(b"secret", hn, markings=RED)
    asked = []
    for who, sequence in ((person(Role.OBSERVER), 1), (Anonymous(), 1), (person(Role.COORDINATOR), 7)):
        with pytest.raises(NotFound) as refused:
            show_entry(gt.ledger, who, context, gt.member, sequence)
        asked.append((refused.value.code, sorted(refused.value.params)))
    assert len(set(map(str, asked))) == 1
    assert show_entry(gt.ledger, person(Role.COORDINATOR), context, gt.member, 1)["sequence"] == 1
