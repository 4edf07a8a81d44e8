"""Who may see, do and share what: one pure ``decide``.

Deny by default. An empty audience is nobody; an unknown marking is RED; a name that is no member of
the region is nobody. Every answer carries its reasons, as catalogue keys.
"""

from istmo.policy.actions import MARKED, Action
from istmo.policy.decisions import (
    Context,
    Decision,
    Reason,
    Resource,
    Verdict,
    decide,
    owner_names,
    reading_limit,
    who_will_see,
)
from istmo.policy.principals import (
    Anonymous,
    Operator,
    Peer,
    Person,
    Principal,
    Role,
    Scope,
    System,
    TokenHolder,
    scopes,
    told,
)

__all__ = [
    "MARKED",
    "Action",
    "Anonymous",
    "Context",
    "Decision",
    "Operator",
    "Peer",
    "Person",
    "Principal",
    "Reason",
    "Resource",
    "Role",
    "Scope",
    "System",
    "TokenHolder",
    "Verdict",
    "decide",
    "owner_names",
    "reading_limit",
    "scopes",
    "told",
    "who_will_see",
]
