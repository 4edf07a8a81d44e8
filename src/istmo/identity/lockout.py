"""Slowing down who guesses: by account name and by address, the wait doubling with each failure.

An attempt counts as a failure before the password is looked at and is taken back when it was right,
so guesses sent at once are counted too. Names and addresses rest only as a hash under a key of this
database, a day at most: people type their password into the field of the name.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from istmo.errors import RateLimited
from istmo.identity import records
from istmo.store.engine import Transaction

LONGEST_WAIT = 900.0
_KEY = "lockout"


@dataclass(frozen=True)
class Guard:
    """What is counted: ``free`` failures cost nothing; each further one doubles the wait from 2 s."""

    key: bytes
    free: int
    memory: timedelta


def guards(tx: Transaction, name: str, address: str) -> tuple[Guard, ...]:
    """The account (5 free, a day) and the address (20 free, an hour; IPv6 by its /64 network)."""
    found = [Guard(_key(tx, "name", name), 5, timedelta(days=1))]
    if address:
        found.append(Guard(_key(tx, "address", _network(address)), 20, timedelta(hours=1)))
    return tuple(found)


def attempt(tx: Transaction, asked: Iterable[Guard], now: datetime) -> None:
    """Count an attempt, or raise RateLimited("identity.locked", retry_after=seconds) where one must wait."""
    asked = tuple(asked)
    wait = max(_wait(tx.connection, one, now) for one in asked)
    if wait > 0:
        raise RateLimited("identity.locked", retry_after=int(wait) + 1)
    records.drop_forgotten_failures(tx.connection, now)
    for one in asked:
        found = records.failures(tx.connection, one.key, now)
        count = (found[0] if found else 0) + 1
        over = count - one.free
        seconds = min(2.0 ** min(over, 32), LONGEST_WAIT) if over > 0 else 0.0
        records.set_failures(
            tx.connection, one.key, count, now + timedelta(seconds=seconds), now + one.memory
        )


def forgive(tx: Transaction, asked: Iterable[Guard], now: datetime) -> None:
    """The password was right: the account starts afresh, the address gets this one attempt back."""
    account, *addresses = asked
    records.drop_failures(tx.connection, account.key)
    for one in addresses:
        found = records.failures(tx.connection, one.key, now)
        if found:
            records.set_failures(tx.connection, one.key, max(found[0] - 1, 0), now, now + one.memory)


def unlock(tx: Transaction, name: str) -> None:
    """Forget the failures of an account (an administrator has set its password anew)."""
    records.drop_failures(tx.connection, _key(tx, "name", name))


def locked_until(connection: Connection, names: Iterable[str], now: datetime) -> dict[str, datetime]:
    """Until when accounts must wait by their own failures; those that need not wait are left out."""
    secret = records.known_secret(connection, _KEY)
    if secret is None:
        return {}
    by_key = {_hashed(secret, "name", name): name for name in names}
    return {by_key[key]: until for key, until in records.locked(connection, by_key, now).items()}


def _wait(connection: Connection, one: Guard, now: datetime) -> float:
    found = records.failures(connection, one.key, now)
    return (found[1] - now).total_seconds() if found else 0.0


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
