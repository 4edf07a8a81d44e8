"""The people of a node as work is given to them: by name, and as everything else tells of them."""

from __future__ import annotations

from sqlalchemy import Connection

from istmo.identity import records
from istmo.identity.objects import Account
from istmo.policy.principals import Operator, Person, Principal, TokenHolder, told


def people(connection: Connection) -> list[Account]:
    """Every account, also those that are shut out: what was theirs is still told by their names."""
    return records.all_accounts(connection)


def person_behind(connection: Connection, principal: Principal) -> str:
    """Whose work a principal does (``policy.told``): a token's is its owner's; empty where it is nobody's."""
    match principal:
        case Person() | Operator():
            return told(principal)
        case TokenHolder(id=id):
            found = records.token_by_id(connection, id)
            return f"person:{found[1]}" if found else ""
        case _:
            return ""
