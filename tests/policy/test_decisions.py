"""Every combination of asker, role, action, marking and audience, and what must hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.model.markings import Tlp
from istmo.policy import (
    MARKED,
    Action,
    Anonymous,
    Context,
    Decision,
    Operator,
    Peer,
    Person,
    Principal,
    Resource,
    Role,
    Scope,
    System,
    TokenHolder,
    decide,
    reading_limit,
    told,
    who_will_see,
)
from istmo.policy.actions import ROLE_MAY, SCOPE_GRANTS

GT, HN, SV, PA = (f"identity--{n}" for n in ("gt", "hn", "sv", "pa"))
HERE = HN
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CONTEXT = Context(HERE, frozenset({GT, HN, SV}), "real", NOW)
STRANGER = "identity--stranger"

A = Action
READS = {A.OBJECT_READ, A.ALERT_READ, A.CASE_READ, A.RULE_READ, A.PEER_READ, A.NODE_READ, A.LEDGER_READ}
READS |= {A.NOTICE_READ}
WORKS = {
    A.OBJECT_PUBLISH,
    A.OBJECT_IMPORT,
    A.OBJECT_RETRACT,
    A.SIGHTING_RECORD,
    A.ALERT_WORK,
    A.CASE_WORK,
    A.CASE_SHARE,
    A.EVENT_SEARCH,
    A.EVENT_SUBMIT,
    A.HUNT_READ,
    A.HUNT_WRITE,
    A.RULE_WRITE,
    A.SOURCE_READ,
}
MANAGES = {
    A.SOURCE_READ,
    A.SOURCE_MANAGE,
    A.HUNT_READ,
    A.HUNT_STOP,
    A.RULE_WRITE,
    A.PEER_MANAGE,
    A.NODE_MANAGE,
    A.JOB_MANAGE,
    A.LEDGER_ERASE,
    A.ACCOUNT_MANAGE,
    A.AUDIT_READ,
    A.TOKEN_MANAGE,
    A.NOTICE_MANAGE,
}
# Written a second time, by hand, so that a slip in the program's own tables is noticed.
GRANTED = {
    Role.ADMINISTRATOR: READS | MANAGES,
    Role.ANALYST: READS | WORKS,
    Role.COORDINATOR: READS | WORKS | {A.PEER_MANAGE, A.AUDIT_READ},
    Role.OBSERVER: READS,
}
READABLE = {
    Role.ADMINISTRATOR: Tlp.AMBER_STRICT,
    Role.ANALYST: Tlp.AMBER_STRICT,
    Role.COORDINATOR: Tlp.RED,
    Role.OBSERVER: Tlp.AMBER,
}
RELATIONS = {
    "ours, for us": (HERE, {HERE}),
    "ours, for the region": (HERE, {GT, HN, SV}),
    "ours, for nobody": (HERE, set()),
    "ours, for a stranger": (HERE, {HERE, STRANGER}),
    "theirs, for us": (GT, {GT, HN}),
    "theirs, not for us": (GT, {GT, SV}),
    "theirs, for nobody": (GT, set()),
    "of unknown origin": ("", {HERE}),
}


def person(role: Role, id: str = "p1") -> Person:
    return Person(id, "Ana", role)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("role", Role)
def test_a_person_may_do_exactly_what_the_table_says(role: Role, relation: str) -> None:
    origin, audience = RELATIONS[relation]
    for action, tlp in product(Action, Tlp):
        resource = Resource("object", origin, frozenset(audience), tlp)
        if action is A.TOKEN_MANAGE and role is not Role.ADMINISTRATOR:
            expected = False  # nobody's token is not one's own
        elif action not in GRANTED[role] or action is A.HUNT_WRITE:
            expected = False  # nor is nobody's hunt
        elif action is A.HUNT_READ:
            expected = HERE in audience
        elif action not in MARKED:
            expected = True
        else:
            expected = origin == HERE or HERE in audience
            if action is not A.OBJECT_PUBLISH:
                expected &= tlp <= READABLE[role]
            if action in (A.OBJECT_PUBLISH, A.OBJECT_RETRACT):
                expected &= origin == HERE
            if action in (A.OBJECT_PUBLISH, A.CASE_SHARE):
                expected &= bool(audience) and STRANGER not in audience
        answer = decide(person(role), action, resource, CONTEXT)
        assert answer.allowed == expected, (action, tlp, answer.reasons)
        assert answer.reasons


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_peer_reads_exactly_what_names_it(relation: str) -> None:
    origin, audience = RELATIONS[relation]
    for action, tlp, member in product(Action, Tlp, (GT, SV, PA, STRANGER, "")):
        resource = Resource("object", origin, frozenset(audience), tlp)
        expected = action in (A.OBJECT_READ, A.FEED_READ, A.CASE_READ) and member in CONTEXT.members
        named = member in audience and (origin == HERE or tlp <= Tlp.AMBER)
        expected = expected and (member == origin or named)
        assert decide(Peer(member), action, resource, CONTEXT).allowed == expected, (action, tlp, member)


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("role", Role)
def test_a_token_never_does_more_than_its_owner_nor_than_its_scope(role: Role, scope: Scope) -> None:
    holder = TokenHolder("p1", "Ana", role, frozenset({scope}))
    for action, tlp in product(Action, Tlp):
        resource = Resource("object", HERE, frozenset({HERE, GT}), tlp)
        allowed = decide(holder, action, resource, CONTEXT).allowed
        owner = decide(person(role), action, resource, CONTEXT).allowed
        assert allowed == (owner and action in SCOPE_GRANTS[scope])


@pytest.mark.parametrize("action", Action)
def test_nobody_known_may_do_nothing(action: Action) -> None:
    for tlp in Tlp:
        everyone = Resource("object", HERE, frozenset({HERE, GT, SV}), tlp)
        assert not decide(Anonymous(), action, everyone, CONTEXT)
        assert not decide(System("unheard of"), action, everyone, CONTEXT)
        assert not decide(TokenHolder("t", "n", Role.COORDINATOR, frozenset()), action, everyone, CONTEXT)


def test_the_operator_is_an_administrator_and_an_analyst_in_one() -> None:
    for action, tlp in product(Action, Tlp):
        if action is A.TOKEN_MANAGE:
            continue
        resource = Resource("object", HERE, frozenset({HERE, GT}), tlp)
        both = [
            decide(person(r), action, resource, CONTEXT).allowed for r in (Role.ADMINISTRATOR, Role.ANALYST)
        ]
        assert decide(Operator(), action, resource, CONTEXT).allowed == any(both)


def test_one_reads_back_what_one_has_published_oneself() -> None:
    red = Resource("object", HERE, frozenset({HERE, GT}), Tlp.RED, owner="person:p1")
    assert decide(person(Role.ANALYST), A.OBJECT_READ, red, CONTEXT)
    assert not decide(person(Role.ANALYST, "p2"), A.OBJECT_READ, red, CONTEXT)


def test_own_tokens_are_managed_by_oneself_and_by_administrators() -> None:
    own = Resource("token", owner="p1")
    assert decide(person(Role.OBSERVER), A.TOKEN_MANAGE, own, CONTEXT)
    assert not decide(person(Role.OBSERVER, "p2"), A.TOKEN_MANAGE, own, CONTEXT)
    assert decide(person(Role.ADMINISTRATOR, "p3"), A.TOKEN_MANAGE, own, CONTEXT)
    holder = TokenHolder("p1", "n", Role.ADMINISTRATOR, frozenset(Scope))
    assert not decide(holder, A.TOKEN_MANAGE, own, CONTEXT)


def test_a_hunt_is_its_owners_until_shared_and_changed_by_nobody_else() -> None:
    own = Resource("hunt", HERE, frozenset(), Tlp.CLEAR, owner="person:p1")
    shared = Resource("hunt", HERE, frozenset({HERE}), Tlp.CLEAR, owner="person:p1")
    owner, other = person(Role.ANALYST), person(Role.COORDINATOR, "p2")
    assert decide(owner, A.HUNT_READ, own, CONTEXT) and decide(owner, A.HUNT_WRITE, own, CONTEXT)
    assert not decide(other, A.HUNT_READ, own, CONTEXT) and decide(other, A.HUNT_READ, shared, CONTEXT)
    for one in (other, person(Role.ADMINISTRATOR, "p3"), Operator()):
        assert not decide(one, A.HUNT_WRITE, shared, CONTEXT)
    assert decide(person(Role.ADMINISTRATOR, "p3"), A.HUNT_STOP, own, CONTEXT)
    assert not decide(other, A.HUNT_STOP, shared, CONTEXT)
    assert not decide(person(Role.OBSERVER, "p4"), A.HUNT_READ, shared, CONTEXT)


def test_house_invariant_2_an_empty_audience_or_an_unknown_marking_is_never_everyone() -> None:
    nobody = Resource("object", HERE, frozenset(), Tlp.CLEAR)
    assert not any(decide(Peer(member), A.OBJECT_READ, nobody, CONTEXT) for member in (GT, SV))
    unmarked = Resource("object", GT, frozenset({GT, HN, SV}))
    assert unmarked.tlp is Tlp.RED
    assert not decide(Peer(SV), A.OBJECT_READ, unmarked, CONTEXT), "RED is not ours to relay"
    assert not decide(person(Role.ANALYST), A.OBJECT_READ, unmarked, CONTEXT)
    odd = Resource("object", HERE, frozenset({HERE}), tlp=0)  # type: ignore[arg-type]
    assert not decide(person(Role.OBSERVER), A.OBJECT_READ, odd, CONTEXT), "not a Tlp: counts as RED"


def test_who_will_see_names_each_member_and_every_stranger() -> None:
    resource = Resource("object", HERE, frozenset({HERE, GT, PA}), Tlp.AMBER)
    verdicts = {one.member: (one.allowed, one.reasons[0].code) for one in who_will_see(resource, CONTEXT)}
    assert verdicts == {
        HN: (True, "own_node"),
        GT: (True, "named"),
        SV: (False, "not_in_audience"),
        PA: (False, "not_member"),
    }


def test_a_principal_is_told_by_kind_and_id() -> None:
    assert told(person(Role.ANALYST)) == "person:p1"
    assert told(Peer(GT)) == f"peer:{GT}"
    assert (told(Operator()), told(System("detect")), told(Anonymous())) == (
        "operator",
        "system:detect",
        "anonymous",
    )


# --- for all -------------------------------------------------------------------------------------

members = st.sampled_from([GT, HN, SV, PA, STRANGER, ""])
roles = st.sampled_from(Role)
principals: st.SearchStrategy[Principal] = st.one_of(
    st.builds(Person, st.sampled_from(["p1", "p2"]), st.just("n"), roles),
    st.builds(TokenHolder, st.just("p1"), st.just("n"), roles, st.frozensets(st.sampled_from(Scope))),
    st.builds(Peer, members),
    st.just(Operator()),
    st.builds(System, st.sampled_from(["detect", "jobs", "?"])),
    st.just(Anonymous()),
)
resources = st.builds(
    Resource,
    st.just("object"),
    members,
    st.frozensets(members),
    st.sampled_from(Tlp),
    st.sampled_from(["real", "exercise-1"]),
    st.sampled_from(["", "p1", "person:p1", "operator"]),
)
contexts = st.builds(
    Context, st.sampled_from([GT, HN, ""]), st.frozensets(members), st.sampled_from(["real"]), st.just(NOW)
)
actions = st.sampled_from(Action)


@given(principals, actions, resources, contexts)
def test_tightening_a_marking_never_opens_anything(
    principal: Principal, action: Action, resource: Resource, context: Context
) -> None:
    def at(tlp: Tlp) -> Decision:
        changed = Resource(
            resource.kind, resource.origin, resource.audience, tlp, resource.space, resource.owner
        )
        return decide(principal, action, changed, context)

    answers = [at(tlp).allowed for tlp in Tlp]
    assert answers == sorted(answers, reverse=True)


@given(principals, actions, resources, contexts, members)
def test_narrowing_an_audience_never_opens_reading(
    principal: Principal, action: Action, resource: Resource, context: Context, gone: str
) -> None:
    narrowed = Resource(
        resource.kind,
        resource.origin,
        resource.audience - {gone},
        resource.tlp,
        resource.space,
        resource.owner,
    )
    if action not in (Action.OBJECT_PUBLISH, Action.CASE_SHARE):  # there a stranger in it stands against
        before = decide(principal, action, resource, context).allowed
        assert decide(principal, action, narrowed, context).allowed <= before


@given(members, actions, resources, contexts)
def test_who_is_no_member_is_never_allowed(
    member: str, action: Action, resource: Resource, context: Context
) -> None:
    if member not in context.members:
        assert not decide(Peer(member), action, resource, context)


@given(principals, actions, resources, contexts)
def test_another_space_is_never_reached(
    principal: Principal, action: Action, resource: Resource, context: Context
) -> None:
    if resource.space != context.space:
        assert not decide(principal, action, resource, context)


@given(principals, actions, resources, contexts)
def test_a_denial_says_why_and_names_no_more_than_it_was_given(
    principal: Principal, action: Action, resource: Resource, context: Context
) -> None:
    answer = decide(principal, action, resource, context)
    assert answer.reasons
    assert answer == decide(principal, action, resource, context)


@given(principals, actions, resources, contexts)
def test_the_limit_for_queries_never_hides_what_may_be_read(
    principal: Principal, action: Action, resource: Resource, context: Context
) -> None:
    if isinstance(principal, Peer) or action not in MARKED:
        return
    if decide(principal, action, resource, context):
        limit = reading_limit(principal, action)
        assert limit is not None
        owned = resource.owner in (told(principal), getattr(principal, "id", "?"))
        assert resource.tlp <= limit or owned or action is Action.OBJECT_PUBLISH


def test_every_role_and_scope_has_its_row() -> None:
    assert set(ROLE_MAY) == set(Role)
    assert set(SCOPE_GRANTS) == set(Scope)
