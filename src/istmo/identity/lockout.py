"""Slowing down who guesses: by account name and by address, the wait doubling with each failure.

An attempt counts as a failure before the password is looked at and is taken back when it was right,
so guesses sent at once are counted too. Names and addresses rest only as a hash under a key of this
database, a day at most: people type their password into the field of the name.

A clock that was ahead and is set right leaves instants that lie in the future. What no clock that is
right can have written counts for nothing: nobody waits for the length of such a jump.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from istmo.errors import RateLimited
from istmo.identity import records
from istmo.store.engine import Transaction

LONGEST_WAIT = 900.0
_LONGEST_MEMORY = timedelta(days=1)
_AHEAD = timedelta(seconds=LONGEST_WAIT)
"""How far ahead of this clock one may have been whose failures still count."""
_KEY = "lockout"


@dataclass(frozen=True)
class Guard:
    """What is counted: ``free`` failures cost nothing; each further one doubles the wait from 2 s."""

    key: bytes
    free: int
    memory: timedelta


def guards(tx: Transaction, name: str, address: str) -> tuple[Guard, ...]:
    """The account (5 free, a day) and the address (20 free, an hour; IPv6 by its /64 network)."""
    found = [_account(_key(tx, "name", name))]
    if address:
        found.append(Guard(_key(tx, "address", _network(address)), 20, timedelta(hours=1)))
    return tuple(found)


def attempt(tx: Transaction, asked: Iterable[Guard], now: datetime) -> None:
    """Count an attempt, or raise RateLimited("identity.locked", retry_after=seconds) where one must wait."""
    asked = tuple(asked)
    known = _remembered(tx.connection, asked, now)
    wait = max(_wait(known.get(one.key), one, now) for one in asked)
    if wait > 0:
        raise RateLimited("identity.locked", retry_after=int(wait) + 1)
    records.drop_failures_outside(tx.connection, now, now + _LONGEST_MEMORY + _AHEAD)
    for one in asked:
        count = (known[one.key].number if one.key in known else 0) + 1
        over = count - one.free
        seconds = min(2.0 ** min(over, 32), LONGEST_WAIT) if over > 0 else 0.0
        records.set_failures(
            tx.connection, one.key, count, now + timedelta(seconds=seconds), now + one.memory
        )


def forgive(tx: Transaction, asked: Iterable[Guard], now: datetime) -> None:
    """The password was right: the account starts afresh, the address gets this one attempt back."""
    account, *addresses = asked
    records.drop_failures(tx.connection, account.key)
    for key, found in _remembered(tx.connection, addresses, now).items():
        memory = next(one.memory for one in addresses if one.key == key)
        records.set_failures(tx.connection, key, max(found.number - 1, 0), now, now + memory)


def unlock(tx: Transaction, name: str) -> None:
    """Forget the failures of an account (an administrator has set its password anew)."""
    records.drop_failures(tx.connection, _key(tx, "name", name))


def locked_until(connection: Connection, names: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Until when accounts must wait by their own failures; those that need not wait are left out."""
    secret = records.known_secret(connection, _KEY)
    if secret is None:
        return {}
    asked = {_account(_hashed(secret, "name", name)): name for name in names}
    known = _remembered(connection, asked, now)
    return {
        name: known[one.key].locked_until
        for one, name in asked.items()
        if _wait(known.get(one.key), one, now) > 0
    }


def _account(key: bytes) -> Guard:
    return Guard(key, 5, _LONGEST_MEMORY)


def _remembered(
    connection: Connection, asked: Iterable[Guard], now: datetime
) -> Mapping[bytes, records.Failures]:
    """What is known under each key, without what was written by a clock far ahead of this one."""
    memory = {one.key: one.memory for one in asked}
    return {
        key: found
        for key, found in records.failures(connection, memory, now).items()
        if found.forgotten - memory[key] <= now + _AHEAD
    }


def _wait(found: records.Failures | None, one: Guard, now: datetime) -> float:
    if found is None or found.number <= one.free:
        return 0.0
    wait = (found.locked_until - now).total_seconds()
    return wait if wait <= LONGEST_WAIT else 0.0  # longer was never written: the clock was set back


def _key(tx: Transaction, kind: str, value: str) -> bytes:
    secret = records.secret(tx.connection, _KEY, lambda: secrets.token_bytes(32))
    return _hashed(secret, kind, value)


def _hashed(secret: bytes, kind: str, value: str) -> bytes:
    return hmac.digest(secret, f"{kind}\0{value}".encode(), hashlib.sha256)


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
