"""What can be done, and the tables that say which role, scope, peer or part may."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from istmo.model.markings import Tlp
from istmo.policy.principals import Role, Scope


class Action(StrEnum):
    """A verb on a kind of thing. Everything that a service does names one."""

    OBJECT_READ = "object.read"
    OBJECT_PUBLISH = "object.publish"
    OBJECT_IMPORT = "object.import"
    OBJECT_RETRACT = "object.retract"
    SIGHTING_RECORD = "sighting.record"
    ALERT_READ = "alert.read"
    ALERT_WORK = "alert.work"
    CASE_READ = "case.read"
    CASE_WORK = "case.work"
    CASE_SHARE = "case.share"
    EVENT_SEARCH = "event.search"
    EVENT_SUBMIT = "event.submit"
    EVENT_LET_GO = "event.let_go"
    HUNT_READ = "hunt.read"
    HUNT_WRITE = "hunt.write"
    HUNT_STOP = "hunt.stop"
    RULE_READ = "rule.read"
    RULE_WRITE = "rule.write"
    SOURCE_READ = "source.read"
    SOURCE_MANAGE = "source.manage"
    PEER_READ = "peer.read"
    PEER_MANAGE = "peer.manage"
    NODE_READ = "node.read"
    NODE_MANAGE = "node.manage"
    JOB_MANAGE = "job.manage"
    LEDGER_READ = "ledger.read"
    LEDGER_ERASE = "ledger.erase"
    ACCOUNT_MANAGE = "account.manage"
    TOKEN_MANAGE = "token.manage"  # noqa: S105  an action, no secret
    AUDIT_READ = "audit.read"
    FEED_READ = "feed.read"
    NOTICE_READ = "notice.read"
    NOTICE_MANAGE = "notice.manage"


MARKED: frozenset[Action] = frozenset(
    {
        Action.OBJECT_READ,
        Action.OBJECT_PUBLISH,
        Action.OBJECT_RETRACT,
        Action.ALERT_READ,
        Action.ALERT_WORK,
        Action.CASE_READ,
        Action.CASE_WORK,
        Action.CASE_SHARE,
        Action.FEED_READ,
    }
)
"""Actions on things that carry a marking, an origin and an audience: all three are weighed."""

ORIGIN_ONLY: frozenset[Action] = frozenset({Action.OBJECT_PUBLISH, Action.OBJECT_RETRACT})
"""Only the node that an object comes from may do these: nobody edits or takes back another's word."""

NEEDS_AUDIENCE: frozenset[Action] = frozenset({Action.OBJECT_PUBLISH, Action.CASE_SHARE})
"""Sharing with nobody is a mistake, never a way to say everybody."""

OWNERS_ALONE: frozenset[Action] = frozenset({Action.HUNT_WRITE})
"""What somebody has made is changed by nobody else; what nobody owns, by nobody."""

OWNERS_UNTIL_SHARED: frozenset[Action] = frozenset({Action.HUNT_READ})
"""Only its owner's, until its audience names this node."""

PEER_MAY: frozenset[Action] = frozenset({Action.OBJECT_READ, Action.FEED_READ, Action.CASE_READ})

_READ = frozenset(
    {
        Action.OBJECT_READ,
        Action.ALERT_READ,
        Action.CASE_READ,
        Action.RULE_READ,
        Action.PEER_READ,
        Action.NODE_READ,
        Action.LEDGER_READ,
        Action.TOKEN_MANAGE,
        Action.NOTICE_READ,
    }
)
_WORK = frozenset(
    {
        Action.OBJECT_PUBLISH,
        Action.OBJECT_IMPORT,
        Action.OBJECT_RETRACT,
        Action.SIGHTING_RECORD,
        Action.ALERT_WORK,
        Action.CASE_WORK,
        Action.CASE_SHARE,
        Action.EVENT_SEARCH,
        Action.EVENT_SUBMIT,
        Action.HUNT_READ,
        Action.HUNT_WRITE,
        Action.RULE_WRITE,
        Action.SOURCE_READ,
    }
)
_MANAGE = frozenset(
    {
        Action.SOURCE_READ,
        Action.SOURCE_MANAGE,
        Action.HUNT_READ,
        Action.HUNT_STOP,
        Action.RULE_WRITE,
        Action.PEER_MANAGE,
        Action.NODE_MANAGE,
        Action.JOB_MANAGE,
        Action.LEDGER_ERASE,
        Action.ACCOUNT_MANAGE,
        Action.AUDIT_READ,
        Action.NOTICE_MANAGE,
    }
)

ROLE_MAY: Mapping[Role, frozenset[Action]] = {
    Role.ADMINISTRATOR: _READ | _MANAGE,
    Role.ANALYST: _READ | _WORK,
    Role.COORDINATOR: _READ | _WORK | {Action.PEER_MANAGE, Action.AUDIT_READ},
    Role.OBSERVER: _READ,
}

ROLE_READS: Mapping[Role, Tlp] = {
    Role.ADMINISTRATOR: Tlp.AMBER_STRICT,
    Role.ANALYST: Tlp.AMBER_STRICT,
    Role.COORDINATOR: Tlp.RED,
    Role.OBSERVER: Tlp.AMBER,
}
"""The strictest marking that each role reads. What one has published oneself stays readable."""

OPERATOR_MAY: frozenset[Action] = ROLE_MAY[Role.ADMINISTRATOR] | ROLE_MAY[Role.ANALYST]
OPERATOR_READS = max(ROLE_READS[Role.ADMINISTRATOR], ROLE_READS[Role.ANALYST])

SYSTEM_MAY: Mapping[str, frozenset[Action]] = {
    "detect": frozenset(
        {
            Action.OBJECT_READ,
            Action.SIGHTING_RECORD,
            Action.ALERT_READ,
            Action.ALERT_WORK,
            Action.EVENT_LET_GO,
            Action.EVENT_SEARCH,
        }
    ),
    "jobs": frozenset({Action.OBJECT_READ, Action.SIGHTING_RECORD, Action.JOB_MANAGE}),
}
"""Parts of the node that act by themselves. A part that is not listed may do nothing."""

SCOPE_GRANTS: Mapping[Scope, frozenset[Action]] = {
    Scope.READ: (_READ - {Action.TOKEN_MANAGE}) | {Action.EVENT_SEARCH, Action.HUNT_READ, Action.SOURCE_READ},
    Scope.PUBLISH: frozenset(
        {Action.OBJECT_PUBLISH, Action.OBJECT_IMPORT, Action.OBJECT_RETRACT, Action.CASE_SHARE}
    ),
    Scope.WORK: frozenset(
        {
            Action.ALERT_WORK,
            Action.CASE_WORK,
            Action.HUNT_WRITE,
            Action.RULE_WRITE,
            Action.SIGHTING_RECORD,
        }
    ),
    Scope.SUBMIT: frozenset({Action.EVENT_SUBMIT}),
    Scope.ADMIN: _MANAGE - {Action.RULE_WRITE},
}
"""What each scope of an API token opens. No scope lets a token make or revoke tokens."""
