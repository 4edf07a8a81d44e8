"""The charter: each version signed by enough of the one before and of itself, and never back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.errors import IstmoError
from istmo.federation import charter as charters
from istmo.federation.charter import Charter
from istmo.federation.objects import MEMBER, PARTNER, Member
from istmo.ledger.keys import NodeKeys
from istmo.model.ids import new_id

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def member(keys: NodeKeys, name: str = "CSIRT", kind: str = MEMBER) -> Member:
    return Member(
        new_id("identity"),
        name,
        "GT",
        kind,
        "https://csirt.example",
        keys.public,
        keys.age_recipient,
        "",
        NOW,
    )


@pytest.fixture(scope="module")
def keys(key_store) -> list[NodeKeys]:
    return list(key_store.values())


@pytest.fixture(scope="module")
def people(keys) -> list[Member]:
    return [member(one, f"CSIRT {place}") for place, one in enumerate(keys)]


@pytest.fixture(scope="module")
def first(keys, people) -> Charter:
    return charters.found("Centroamérica", people[0], NOW).sign(keys[0])


def code_of(call) -> str:
    with pytest.raises(IstmoError) as caught:
        call()
    return caught.value.code


def shared(first: Charter, people: list[Member], threshold: int, keys: list[NodeKeys]) -> Charter:
    """Version 2: everybody signs, ``threshold`` of them are enough."""
    made = charters.amend(first, people, NOW)
    made = replace(made, signers=tuple(one.id for one in people), threshold=threshold)
    for one in keys:
        made = made.sign(one)
    return made


def test_a_charter_reads_back_as_it_was_signed(first: Charter) -> None:
    again = Charter.decode(first.encode())
    assert again == first
    charters.check_anchor(again)


def test_the_next_version_may_follow(first, keys, people) -> None:
    second = charters.amend(first, people[:2], NOW).sign(keys[0])
    charters.check_next(first, Charter.decode(second.encode()))


def test_a_version_without_the_signers_signature_may_not_follow(first, keys, people) -> None:
    for signed in (charters.amend(first, people[:2], NOW).sign(keys[1]),):
        assert code_of(lambda one=signed: charters.check_next(first, one)) == "federation.charter_signatures"


def test_a_version_may_not_be_skipped_or_taken_back(first, keys, people) -> None:
    second = charters.amend(first, people[:2], NOW).sign(keys[0])
    third = charters.amend(second, people, NOW).sign(keys[0])
    assert code_of(lambda: charters.check_next(first, third)) == "federation.charter_version"
    assert code_of(lambda: charters.check_next(third, second)) == "federation.charter_version"
    assert code_of(lambda: charters.check_next(second, second)) == "federation.charter_version"


def test_a_version_must_name_the_text_it_follows(first, keys, people) -> None:
    one = charters.amend(first, people[:2], NOW).sign(keys[0])
    other = charters.amend(first, people[:1], NOW + timedelta(days=1)).sign(keys[0])
    third = charters.amend(other, people, NOW).sign(keys[0])
    assert code_of(lambda: charters.check_next(one, third)) == "federation.charter_fork"


def test_a_member_keeps_its_key(first, keys, people) -> None:
    second = charters.amend(first, people[:2], NOW).sign(keys[0])
    changed = [people[0], replace(people[1], signing_key=keys[2].public)]
    third = charters.amend(second, changed, NOW).sign(keys[0])
    assert code_of(lambda: charters.check_next(second, third)) == "federation.charter_key_changed"


def test_another_regions_charter_may_not_follow(first, keys, people) -> None:
    other = charters.found("Otra", people[0], NOW).sign(keys[0])
    second = replace(charters.amend(other, people, NOW), previous=first.digest).sign(keys[0])
    assert code_of(lambda: charters.check_next(first, second)) == "federation.charter_other_region"


@settings(max_examples=30, deadline=None)
@given(before=st.integers(1, 3), after=st.integers(1, 3), signed=st.sets(st.integers(0, 2)), data=st.data())
def test_for_all_thresholds_both_versions_must_be_satisfied(
    first, keys, people, before: int, after: int, signed: set[int], data
) -> None:
    """A version is good exactly when enough of the old signers and enough of its own have signed."""
    current = shared(first, people, before, keys)
    own = data.draw(st.sets(st.integers(0, 2), min_size=1))
    made = charters.amend(current, people, NOW)
    made = replace(
        made, signers=tuple(people[place].id for place in sorted(own)), threshold=min(after, len(own))
    )
    for place in signed:
        made = made.sign(keys[place])
    made = made if made.payload else replace(made, payload=made.sign(keys[0]).payload)
    is_good = len(signed) >= before and len(signed & own) >= made.threshold
    if is_good:
        charters.check_next(current, made)
    else:
        assert code_of(lambda: charters.check_next(current, made)) == "federation.charter_signatures"


def test_one_signature_counts_once_however_often_it_stands_there(first, keys, people) -> None:
    current = shared(first, people, 2, keys)
    made = charters.amend(current, people, NOW).sign(keys[0])
    doubled = replace(made, signatures=made.signatures * 3)
    assert code_of(lambda: charters.check_next(current, doubled)) == "federation.charter_signatures"


def test_a_partner_signs_no_charter(keys, people) -> None:
    partner = member(keys[0], kind=PARTNER)
    assert code_of(lambda: charters.found("Región", partner, NOW)) == "federation.bad_charter"


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 0},
        {"threshold": 2},
        {"signers": []},
        {"signers": ["identity--00000000-0000-4000-8000-000000000000"]},
        {"members": []},
        {"region": "here"},
        {"v": 2},
        {"version": True},
        {"previous": "0" * 64},
        {"name": ""},
    ],
)
def test_a_charter_that_makes_no_sense_is_refused(first, keys, change) -> None:
    found = orjson.loads(first.payload) | change
    bad = replace(first, payload=orjson.dumps(found), signatures=()).sign(keys[0])
    with pytest.raises(IstmoError):
        Charter.decode(bad.encode())


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_for_all_bytes_reading_a_charter_ends_in_an_istmo_error(raw: bytes) -> None:
    with pytest.raises(IstmoError):
        Charter.decode(raw)
