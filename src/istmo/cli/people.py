"""``istmo account`` and ``istmo token``: people and programs from the command line.

They stand here and not in ``istmo.identity`` because commands speak through ``kit``, which is above it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import click

from istmo.clock import SystemClock
from istmo.identity.service import LONGEST_TOKEN, TOKEN_SCOPES
from istmo.kit.cli import Command, Group, Teller, argument, group, option, say, told
from istmo.kit.cli import command as kit_command
from istmo.kit.streams import standard_input
from istmo.model import instants
from istmo.policy.principals import Role

ROLES = click.Choice([str(one) for one in Role])
DAYS = click.IntRange(1, LONGEST_TOKEN.days)
SCOPES = click.Choice(TOKEN_SCOPES)


@group("account", help="identity.command.account")
def account() -> None:
    """Accounts."""


@group("token", help="identity.command.token")
def token() -> None:
    """API tokens."""


def _command(parent: Group, name: str, key: str) -> Callable[[Callable[..., Any]], Command]:
    def register(function: Callable[..., Any]) -> Command:
        made = kit_command(name, help=key)(function)
        parent.add_command(made)
        return made

    return register


@_command(account, "add", "identity.command.account.add")
@argument("name")
@option("--role", type=ROLES, default="analyst", show_default=True, help="identity.command.account.role")
@option("--password-stdin", is_flag=True, help="identity.command.password_stdin")
@told
def account_add(teller: Teller, name: str, role: str, password_stdin: bool) -> None:
    """Make an account; a password that the node made is told once."""
    wanted = {"name": name, "role": role, "password": _from_stdin(password_stdin)}
    made = teller.client().post("/api/v1/accounts", wanted)
    if password_stdin:
        made.pop("password", None)
    teller.show(made, "identity.command.account.add.done", name=name, role=say(f"identity.role.{role}"))
    _tell_password(teller, made, name)


@_command(account, "list", "identity.command.account.list")
@told
def account_list(teller: Teller) -> None:
    """Everybody who has an account."""
    found = teller.client().get("/api/v1/accounts")
    heads = [f"identity.column.{name}" for name in ("name", "role", "state", "last_sign_in")]
    rows = [
        (
            one["name"],
            say(f"identity.role.{one['role']}"),
            say("identity.state.disabled" if one["is_disabled"] else "identity.state.working"),
            one["last_sign_in"] or "—",
        )
        for one in found["items"]
    ]
    teller.rows(found, heads, rows, "identity.no_accounts")


@_command(account, "disable", "identity.command.account.disable")
@argument("name")
@option("--undo", is_flag=True, help="identity.command.account.disable.undo")
@told
def account_disable(teller: Teller, name: str, undo: bool) -> None:
    """Shut an account out, or let it in again."""
    done = teller.client().post(f"/api/v1/accounts/{quote(name, safe='')}", {"disabled": not undo})
    key = "identity.command.account.enable.done" if undo else "identity.command.account.disable.done"
    teller.show(done, key, name=name)


@_command(account, "password", "identity.command.account.password")
@argument("name")
@option("--password-stdin", is_flag=True, help="identity.command.password_stdin")
@told
def account_password(teller: Teller, name: str, password_stdin: bool) -> None:
    """Set an account's password, end its sessions and lift a lockout."""
    wanted = {"password": _from_stdin(password_stdin), "new_password": not password_stdin}
    done = teller.client().post(f"/api/v1/accounts/{quote(name, safe='')}", wanted)
    teller.show(done, "identity.command.account.password.done", name=name)
    _tell_password(teller, done, name)


@_command(token, "add", "identity.command.token.add")
@argument("name")
@option("--account", "owner", default="", help="identity.command.token.owner")
@option("--scope", "scopes", multiple=True, required=True, type=SCOPES, help="identity.command.token.scope")
@option("--days", type=DAYS, default=90, show_default=True, help="identity.command.token.days")
@told
def token_add(teller: Teller, name: str, owner: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a token; its secret is told once, on stdout alone."""
    expires = instants.format(SystemClock().now() + timedelta(days=days))
    wanted = {"name": name, "account": owner, "scopes": list(scopes), "expires": expires}
    made = teller.client().post("/api/v1/tokens", wanted)
    if teller.json:
        teller.print_json(made)
        return
    teller.note("identity.command.token.add.done", account=made["account"], expires=made["expires"])
    sys.stdout.write(made["secret"] + "\n")


@_command(token, "list", "identity.command.token.list")
@told
def token_list(teller: Teller) -> None:
    """Every token, without its secret."""
    found = teller.client().get("/api/v1/tokens")
    heads = [
        f"identity.column.{name}" for name in ("id", "name", "account", "scopes", "expires", "last_used")
    ]
    rows = [
        (
            one["id"],
            one["name"],
            one["account"],
            ", ".join(one["scopes"]),
            say("identity.state.revoked") if one["is_revoked"] else one["expires"],
            one["last_used"] or "—",
        )
        for one in found["items"]
    ]
    teller.rows(found, heads, rows, "identity.no_tokens")


@_command(token, "revoke", "identity.command.token.revoke")
@argument("token_id", metavar="ID")
@told
def token_revoke(teller: Teller, token_id: str) -> None:
    """Stop a token for good."""
    teller.client().delete(f"/api/v1/tokens/{quote(token_id, safe='')}")
    teller.show({"revoked": token_id}, "identity.command.token.revoke.done", id=token_id)


def _from_stdin(asked: bool) -> str:
    return standard_input().readline().rstrip("\r\n") if asked else ""


def _tell_password(teller: Teller, made: dict[str, Any], name: str) -> None:
    if "password" in made and not teller.json:
        teller.tell("identity.command.password", name=name, password=made["password"])


commands = [account, token]
