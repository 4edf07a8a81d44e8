"""Tables of accounts, sessions, API tokens, failures and the audit trail, and every statement on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Select,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from istmo.identity.objects import Account, ApiToken, AuditLine
from istmo.policy.principals import Role, scopes
from istmo.store.columns import BigId, Instant, Json
from istmo.store.engine import metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("folded", String(256), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password", String(256), nullable=False),
    Column("is_disabled", Boolean, nullable=False),
    Column("created", Instant, nullable=False),
    Column("last_sign_in", Instant, nullable=True),
    Column("language", String(8), nullable=False, server_default=""),
    Column("zone", String(64), nullable=False, server_default=""),
    Column("must_change", Boolean, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("account", String(64), ForeignKey("accounts.id"), nullable=False, index=True),
    Column("address", String(64), nullable=False),
    Column("created", Instant, nullable=False),
    Column("seen", Instant, nullable=False),
    Column("expires", Instant, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("name", String(64), nullable=False),
    Column("account", String(64), ForeignKey("accounts.id"), nullable=False, index=True),
    Column("scopes", Json, nullable=False),
    Column("created", Instant, nullable=False),
    Column("expires", Instant, nullable=False),
    Column("last_used", Instant, nullable=True),
    Column("is_revoked", Boolean, nullable=False),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("key", LargeBinary(32), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Instant, nullable=False),
    Column("forgotten", Instant, nullable=False, index=True),
)

identity_secrets = Table(
    "identity_secrets",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", LargeBinary(32), nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("principal", String(96), nullable=False),
    Column("name", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("reasons", Json, nullable=False),
    Column("address", String(64), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Index("ix_audit_principal", "principal", "id"),
    Index("ix_audit_outcome", "outcome", "id"),
    Index("ix_audit_name", "name", "id"),
    Index("ix_audit_action", "action", "id"),
)


# Accounts


def add_account(connection: Connection, account: Account, folded: str, password: str) -> None:
    connection.execute(
        insert(accounts).values(
            id=account.id,
            name=account.name,
            folded=folded,
            role=str(account.role),
            password=password,
            is_disabled=account.is_disabled,
            created=account.created,
            must_change=account.must_change,
        )
    )


def all_accounts(connection: Connection) -> list[Account]:
    return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.folded))]


def last_seen(connection: Connection) -> dict[str, datetime]:
    """When each account that has a session used it last."""
    asked = select(sessions.c.account, func.max(sessions.c.seen).label("seen")).group_by(sessions.c.account)
    return {row.account: row.seen for row in connection.execute(asked)}


def has_accounts(connection: Connection) -> bool:
    return connection.execute(select(accounts.c.id).limit(1)).first() is not None


# Built once: the door asks these of every request.
_ACCOUNT_BY_ID = select(accounts).where(accounts.c.id == bindparam("id"))


def account_by_id(connection: Connection, id: str) -> Account | None:
    row = connection.execute(_ACCOUNT_BY_ID, {"id": id}).first()
    return _account(row) if row else None


def account_by_name(connection: Connection, folded: str) -> tuple[Account, str] | None:
    """The account and the hash of its password."""
    row = connection.execute(select(accounts).where(accounts.c.folded == folded)).first()
    return (_account(row), row.password) if row else None


def password_of(connection: Connection, id: str) -> str:
    found: str = connection.execute(select(accounts.c.password).where(accounts.c.id == id)).scalar_one()
    return found


def change_account(connection: Connection, id: str, **values: Any) -> None:
    connection.execute(update(accounts).where(accounts.c.id == id).values(**values))


def working_administrators(connection: Connection) -> int:
    return connection.execute(
        select(func.count())
        .select_from(accounts)
        .where(accounts.c.role == str(Role.ADMINISTRATOR), accounts.c.is_disabled.is_(False))
    ).scalar_one()


# Sessions


def add_session(
    connection: Connection,
    token_hash: bytes,
    account: str,
    now: datetime,
    expires: datetime,
    *,
    id: str,
    address: str,
) -> None:
    connection.execute(
        insert(sessions).values(
            token_hash=token_hash,
            id=id,
            account=account,
            address=address[:64],
            created=now,
            seen=now,
            expires=expires,
        )
    )


def sessions_of(connection: Connection, account: str, now: datetime, idle_since: datetime) -> list[Row[Any]]:
    """Those that have not ended, the last used first."""
    asked = (
        select(sessions)
        .where(sessions.c.account == account, sessions.c.expires > now, sessions.c.seen > idle_since)
        .order_by(sessions.c.seen.desc(), sessions.c.id)
    )
    return list(connection.execute(asked))


def session_by_hash(connection: Connection, token_hash: bytes) -> tuple[Row[Any], Account] | None:
    row = connection.execute(select(sessions).where(sessions.c.token_hash == token_hash)).first()
    account = account_by_id(connection, row.account) if row else None
    return (row, account) if row and account else None


def touch_session(connection: Connection, token_hash: bytes, now: datetime) -> None:
    connection.execute(update(sessions).where(sessions.c.token_hash == token_hash).values(seen=now))


def drop_session(connection: Connection, token_hash: bytes) -> bool:
    return connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash)).rowcount > 0


def drop_session_by_id(connection: Connection, account: str, id: str) -> bool:
    return (
        connection.execute(
            delete(sessions).where(sessions.c.account == account, sessions.c.id == id)
        ).rowcount
        > 0
    )


def drop_sessions_of(connection: Connection, account: str, *, keep: bytes = b"") -> int:
    return connection.execute(
        delete(sessions).where(sessions.c.account == account, sessions.c.token_hash != keep)
    ).rowcount


def drop_ended_sessions(connection: Connection, now: datetime, idle_since: datetime) -> None:
    connection.execute(delete(sessions).where(or_(sessions.c.expires <= now, sessions.c.seen <= idle_since)))


# API tokens


def add_token(connection: Connection, token: ApiToken, account_id: str, token_hash: bytes) -> None:
    connection.execute(
        insert(api_tokens).values(
            id=token.id,
            token_hash=token_hash,
            name=token.name,
            account=account_id,
            scopes=sorted(token.scopes),
            created=token.created,
            expires=token.expires,
            is_revoked=False,
        )
    )


def _tokens() -> Select[Any]:
    return select(api_tokens, accounts.c.name.label("owner")).join(
        accounts, accounts.c.id == api_tokens.c.account
    )


def tokens(connection: Connection, account_id: str | None = None) -> list[ApiToken]:
    """Every token, or those of one account; newest first."""
    asked = _tokens().order_by(api_tokens.c.created.desc(), api_tokens.c.id)
    if account_id is not None:
        asked = asked.where(api_tokens.c.account == account_id)
    return [_token(row) for row in connection.execute(asked)]


def token_by_id(connection: Connection, id: str) -> tuple[ApiToken, str] | None:
    """The token and its owner's id."""
    row = connection.execute(_tokens().where(api_tokens.c.id == id)).first()
    return (_token(row), row.account) if row else None


_TOKEN_BY_HASH = _tokens().where(api_tokens.c.token_hash == bindparam("token_hash"))


def token_by_hash(connection: Connection, token_hash: bytes) -> tuple[ApiToken, Account] | None:
    row = connection.execute(_TOKEN_BY_HASH, {"token_hash": token_hash}).first()
    account = account_by_id(connection, row.account) if row else None
    return (_token(row), account) if row and account else None


def touch_token(connection: Connection, id: str, now: datetime) -> None:
    connection.execute(update(api_tokens).where(api_tokens.c.id == id).values(last_used=now))


def revoke_token(connection: Connection, id: str) -> None:
    connection.execute(update(api_tokens).where(api_tokens.c.id == id).values(is_revoked=True))


# Failures of signing in


class Failures(NamedTuple):
    """How many there were under a key, until when it is locked, and when they are forgotten."""

    number: int
    locked_until: datetime
    forgotten: datetime


def failures(connection: Connection, keys: Iterable[bytes], now: datetime) -> dict[bytes, Failures]:
    """What is remembered under each of these keys; those that have nothing are left out."""
    asked = select(sign_in_failures).where(
        sign_in_failures.c.key.in_(list(keys)), sign_in_failures.c.forgotten > now
    )
    return {
        bytes(row.key): Failures(row.failures, row.locked_until, row.forgotten)
        for row in connection.execute(asked)
    }


def set_failures(
    connection: Connection, key: bytes, count: int, locked_until: datetime, forgotten: datetime
) -> None:
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.key == key))
    connection.execute(
        insert(sign_in_failures).values(
            key=key, failures=count, locked_until=locked_until, forgotten=forgotten
        )
    )


def drop_failures(connection: Connection, key: bytes) -> None:
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.key == key))


def drop_failures_outside(connection: Connection, earliest: datetime, latest: datetime) -> None:
    """Drop what was to be forgotten by now, and what a clock that was ahead wanted kept for longer."""
    forgotten = sign_in_failures.c.forgotten
    connection.execute(delete(sign_in_failures).where(or_(forgotten <= earliest, forgotten > latest)))


def secret(connection: Connection, name: str, make: Callable[[], bytes]) -> bytes:
    """A random value of this database, made when it is first needed."""
    found = known_secret(connection, name)
    if found is None:
        found = make()
        connection.execute(insert(identity_secrets).values(name=name, value=found))
    return found


def known_secret(connection: Connection, name: str) -> bytes | None:
    """The same, where it has been made already."""
    found: bytes | None = connection.execute(
        select(identity_secrets.c.value).where(identity_secrets.c.name == name)
    ).scalar()
    return None if found is None else bytes(found)


# Audit trail: lines are added and read, never changed or removed


_LAST_DIGEST = select(audit.c.digest).order_by(audit.c.id.desc()).limit(1)


def last_digest(connection: Connection) -> bytes:
    found: bytes | None = connection.execute(_LAST_DIGEST).scalar()
    return bytes(found) if found else bytes(32)


def add_audit_line(connection: Connection, line: AuditLine, digest: bytes) -> None:
    connection.execute(
        insert(audit),
        {
            "at": line.at,
            "principal": line.principal,
            "name": line.name,
            "action": line.action,
            "subject": line.subject,
            "outcome": line.outcome,
            "reasons": [dict(reason) for reason in line.reasons],
            "address": line.address,
            "digest": digest,
        },
    )


def audit_lines(
    connection: Connection, *, before: int | None, limit: int, filters: Mapping[str, Any]
) -> Sequence[AuditLine]:
    """Newest first. Names are compared exactly; ``since`` and ``until`` are instants."""
    asked = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        asked = asked.where(audit.c.id < before)
    for name in ("principal", "name", "action", "outcome", "subject"):
        if filters.get(name):
            asked = asked.where(audit.c[name] == filters[name])
    if filters.get("since"):
        asked = asked.where(audit.c.at >= filters["since"])
    if filters.get("until"):
        asked = asked.where(audit.c.at < filters["until"])
    return [_audit_line(row) for row in connection.execute(asked)]


def whole_audit(connection: Connection) -> Iterable[tuple[AuditLine, bytes]]:
    """Every line with its digest, oldest first."""
    rows = connection.execution_options(yield_per=1000).execute(select(audit).order_by(audit.c.id))
    return ((_audit_line(row), bytes(row.digest)) for row in rows)


def _account(row: Row[Any]) -> Account:
    return Account(
        row.id,
        row.name,
        Role(row.role),
        row.is_disabled,
        row.created,
        row.last_sign_in,
        row.language,
        row.zone,
        row.must_change,
    )


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        name=row.name,
        account=row.owner,
        scopes=scopes(row.scopes),
        created=row.created,
        expires=row.expires,
        last_used=row.last_used,
        is_revoked=row.is_revoked,
    )


def _audit_line(row: Row[Any]) -> AuditLine:
    return AuditLine(
        id=row.id,
        at=row.at,
        principal=row.principal,
        name=row.name,
        action=row.action,
        subject=row.subject,
        outcome=row.outcome,
        reasons=tuple(row.reasons),
        address=row.address,
    )
