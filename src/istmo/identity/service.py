"""Accounts, signing in, API tokens: who is asking, and who may decide about that."""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput, NotAllowed, NotFound, Unauthenticated
from istmo.identity import audit, lockout, passwords, records
from istmo.identity.objects import Account, ApiToken, AuditLine, OpenSession, Session
from istmo.model.ids import new_id
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Decision, Reason, Resource, decide
from istmo.policy.principals import Anonymous, Operator, Person, Principal, Role, Scope, TokenHolder
from istmo.store.engine import Store, Transaction

IDLE = timedelta(hours=2)
LONGEST_SESSION = timedelta(hours=12)
TOUCH_EVERY = timedelta(seconds=60)
TOKEN_SCOPES: Final = tuple(str(one) for one in Scope if one is not Scope.SUBMIT)
"""What an API token may be made for. Events are sent with the token of an intake source."""
LONGEST_TOKEN = timedelta(days=366)
TOKEN_PREFIX = "istmo_"  # noqa: S105 - the mark by which scanners of published code find a lost token

_NAME = re.compile(r"[^\W_][\w.@+-]*( [\w.@+-]+)*")
_UNKNOWN = "?"


class Identity:
    """The people and programs of one node. Thread-safe; one instance a node."""

    def __init__(self, store: Store, clock: Clock, space: str = "real") -> None:
        self._store, self._clock, self._space = store, clock, space

    # Accounts

    def create_first_administrator(self, name: str, password: str = "") -> tuple[Account, str]:
        """The account that a new node begins with, and its password (a random one where none is given).

        Raises Conflict("identity.not_first") once there is any account.
        """
        account, password, hashed = self._draft(name, Role.ADMINISTRATOR, password)
        with self._store.write() as tx:
            if records.has_accounts(tx.connection):
                raise Conflict("identity.not_first")
            self._add(tx, Operator(), account, hashed)
        return account, password

    def create_account(
        self, by: Principal, name: str, role: Role | str, password: str = ""
    ) -> tuple[Account, str]:
        """A new account and its password (a random one where none is given, told this once, which its owner
        has to change before anything else).

        Raises NotAllowed, InvalidInput for name, role or password, Conflict when the name is taken.
        """
        self._may(by, Action.ACCOUNT_MANAGE)
        account, password, hashed = self._draft(name, read_role(role), password)
        with self._store.write() as tx:
            self._add(tx, by, account, hashed)
        return account, password

    def _draft(self, name: str, role: Role, password: str) -> tuple[Account, str, str]:
        """Everything slow or refusable, before the writer's turn is taken."""
        must_change = not password
        name, password = read_name(name), password or passwords.generate_password()
        passwords.check_password(password, name)
        account = Account(new_id("account"), name, role, False, self._clock.now(), must_change=must_change)
        return account, password, passwords.hash_password(password)

    def _add(self, tx: Transaction, by: Principal, account: Account, hashed: str) -> None:
        if records.account_by_name(tx.connection, fold(account.name)):
            raise Conflict("identity.name_taken", name=account.name)
        records.add_account(tx.connection, account, fold(account.name), hashed)
        self._record(tx, by, "account.create", account.name, Reason("role", {"role": str(account.role)}))

    def accounts(self, by: Principal) -> list[Account]:
        """Everybody who has an account, by name."""
        self._may(by, Action.ACCOUNT_MANAGE)
        with self._store.read() as connection:
            return records.all_accounts(connection)

    def standing(self, by: Principal) -> dict[str, tuple[datetime | None, datetime | None]]:
        """Of each account, by id: when it was seen last, and until when it is locked out."""
        self._may(by, Action.ACCOUNT_MANAGE)
        with self._store.read() as connection:
            seen, found = records.last_seen(connection), records.all_accounts(connection)
            locked = lockout.locked_until(connection, [fold(one.name) for one in found], self._clock.now())
        return {
            one.id: (
                max((at for at in (seen.get(one.id), one.last_sign_in) if at), default=None),
                locked.get(fold(one.name)),
            )
            for one in found
        }

    def known_people(self) -> list[Account]:
        """Everybody who may sign in: for parts of the node that tell people something, never for an asker."""
        with self._store.read() as connection:
            return [one for one in records.all_accounts(connection) if not one.is_disabled]

    def change_account(
        self,
        by: Principal,
        name: str,
        *,
        role: Role | str | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> tuple[Account, str]:
        """Everything that is given, or nothing: the account as it is then, and a password that was set.

        An account that is shut out loses its sessions, and its tokens stop at once. A new password (a
        random one for an empty text, to be changed at once) ends the sessions and lifts a lockout. A role
        counts from the next request on. Raises NotAllowed, NotFound, InvalidInput for role or password, and
        Conflict: ``identity.yourself`` rather than let somebody lock themself out,
        ``identity.last_administrator`` rather than lock everybody out.
        """
        self._may(by, Action.ACCOUNT_MANAGE)
        wanted = None if role is None else read_role(role)
        set_to = hashed = ""
        if password is not None:
            set_to = password or passwords.generate_password()
            passwords.check_password(set_to, name)
            hashed = passwords.hash_password(set_to)
        with self._store.write() as tx:
            account = self._named(tx, name)
            self._keep_oneself(by, account, wanted, disabled)
            if wanted is not None:
                records.change_account(tx.connection, account.id, role=str(wanted))
                self._record(tx, by, "account.role", account.name, Reason("role", {"role": str(wanted)}))
            if disabled is not None:
                records.change_account(tx.connection, account.id, is_disabled=disabled)
                self._record(tx, by, "account.disable" if disabled else "account.enable", account.name)
            self._keep_an_administrator(tx, account)
            if hashed:
                records.change_account(tx.connection, account.id, password=hashed, must_change=not password)
                lockout.unlock(tx, fold(account.name))
                self._record(tx, by, "account.password", account.name)
            if hashed or disabled:
                records.drop_sessions_of(tx.connection, account.id)
            tx.notify("account", account.id)
        return self._again(account.id), set_to

    def disable_account(self, by: Principal, name: str, *, disabled: bool = True) -> Account:
        """Shut an account out, or let it in again. See ``change_account``."""
        return self.change_account(by, name, disabled=disabled)[0]

    def change_role(self, by: Principal, name: str, role: Role | str) -> Account:
        """Give an account another role. See ``change_account``."""
        return self.change_account(by, name, role=role)[0]

    def reset_password(self, by: Principal, name: str, password: str = "") -> str:
        """Set somebody's password, a random one where none is given. See ``change_account``."""
        return self.change_account(by, name, password=password)[1]

    def _keep_an_administrator(self, tx: Transaction, changed: Account) -> None:
        was_working = changed.role is Role.ADMINISTRATOR and not changed.is_disabled
        if was_working and not records.working_administrators(tx.connection):
            raise Conflict("identity.last_administrator", name=changed.name)

    def _keep_oneself(
        self, by: Principal, changed: Account, role: Role | None, disabled: bool | None
    ) -> None:
        """Whoever takes their own access away cannot give it back: somebody else must do that."""
        is_oneself = isinstance(by, Person) and by.id == changed.id
        if is_oneself and (disabled or (role is not None and role is not changed.role)):
            raise Conflict("identity.yourself", name=changed.name)

    def set_preferences(self, by: Principal, *, language: str = "", zone: str = "") -> None:
        """What a person reads and in which zone, for every browser and for what is sent to them."""
        given = {name: value for name, value in (("language", language), ("zone", zone)) if value}
        if isinstance(by, Person) and given:
            with self._store.write() as tx:
                records.change_account(tx.connection, by.id, **given)

    def myself(self, by: Principal) -> Account:
        """One's own account. Raises NotAllowed for whoever is no person."""
        if not isinstance(by, Person):
            raise NotAllowed("identity.people_only")
        return self._again(by.id)

    def change_password(self, by: Principal, old: str, new: str, *, session: str = "") -> None:
        """Change one's own password; every other session of the account ends.

        Raises NotAllowed("identity.wrong_password"), counted like a failed sign-in, and InvalidInput for
        a new one that will not do, which is no failure.
        """
        if not isinstance(by, Person):
            raise NotAllowed("identity.people_only")
        with self._store.write() as tx:
            known = records.account_by_id(tx.connection, by.id)
            if known is None or known.is_disabled:
                raise Unauthenticated("identity.sign_in_failed")
            guards = lockout.guards(tx, fold(known.name), "")
            lockout.attempt(tx, guards, self._clock.now())
            hashed = records.password_of(tx.connection, by.id)
        if not passwords.is_right(old, hashed):
            raise NotAllowed("identity.wrong_password")
        with self._store.write() as tx:
            lockout.forgive(tx, guards, self._clock.now())
        passwords.check_password(new, known.name)
        hashed = passwords.hash_password(new)
        with self._store.write() as tx:
            records.change_account(tx.connection, by.id, password=hashed, must_change=False)
            records.drop_sessions_of(tx.connection, by.id, keep=_hash(session) if session else b"")
            self._record(tx, by, "account.password", known.name)

    # Signing in

    def sign_in(self, name: str, password: str, address: str, *, previous: str = "") -> Session:
        """A fresh session for who knows the password; a ``previous`` one ends (session fixation).

        Raises Unauthenticated("identity.sign_in_failed"), the same and in the same time whether the
        account exists, is disabled or the password is wrong; RateLimited after too many failures, for
        names that exist and for those that do not.
        """
        now, folded = self._clock.now(), fold(name[:256])
        with self._store.write() as tx:
            guards = lockout.guards(tx, folded, address)
            lockout.attempt(tx, guards, now)
            found = records.account_by_name(tx.connection, folded)
        right = passwords.is_right(password, found[1] if found else passwords.hash_of_nobody())
        if found is None or not right or found[0].is_disabled:
            with self._store.write() as tx:
                who = found[0].name if found else _UNKNOWN
                audit.record(tx, Anonymous(), "session.create", who, audit.DENIED, (), now, address=address)
            raise Unauthenticated("identity.sign_in_failed")
        account, hashed = found
        if passwords.is_outdated(hashed):
            hashed = passwords.hash_password(password)
        session = Session(secrets.token_urlsafe(32), account, now, now + LONGEST_SESSION)
        with self._store.write() as tx:
            lockout.forgive(tx, guards, now)
            records.drop_ended_sessions(tx.connection, now, now - IDLE)
            if previous:
                records.drop_session(tx.connection, _hash(previous))
            records.change_account(tx.connection, account.id, last_sign_in=now, password=hashed)
            records.add_session(
                tx.connection,
                _hash(session.token),
                account.id,
                now,
                session.expires,
                id=new_id("session"),
                address=address,
            )
            self._record(tx, account.person, "session.create", account.name, address=address)
        return session

    def session(self, token: str, *, is_used: bool = True) -> Session | None:
        """The session that a cookie's token names; None when it has ended or its account is shut out.

        Its time without use begins anew where it ``is_used``, and not where somebody merely looks.
        """
        now, hashed = self._clock.now(), _hash(token)
        with self._store.read() as connection:
            found = records.session_by_hash(connection, hashed)
        if found is None:
            return None
        row, account = found
        if account.is_disabled or row.expires <= now or row.seen + IDLE <= now:
            return None
        if is_used and now - row.seen >= TOUCH_EVERY:
            with self._store.write() as tx:
                records.touch_session(tx.connection, hashed, now)
        return Session(token, account, row.created, row.expires)

    def sign_out(self, token: str) -> None:
        """End a session; nothing happens when there is none."""
        with self._store.write() as tx:
            found = records.session_by_hash(tx.connection, _hash(token))
            if found and records.drop_session(tx.connection, _hash(token)):
                self._record(tx, found[1].person, "session.end", found[1].name)

    def open_sessions(self, by: Principal, token: str = "") -> list[OpenSession]:
        """One's own sessions, the last used first; ``token`` is that of the one which asks."""
        account, now, here = self.myself(by), self._clock.now(), _hash(token)
        with self._store.read() as connection:
            found = records.sessions_of(connection, account.id, now, now - IDLE)
        return [
            OpenSession(
                row.id, row.created, row.seen, row.expires, row.address, bytes(row.token_hash) == here
            )
            for row in found
        ]

    def end_session(self, by: Principal, id: str) -> None:
        """End one of one's own sessions. Raises NotFound("identity.no_session")."""
        account = self.myself(by)
        with self._store.write() as tx:
            if not records.drop_session_by_id(tx.connection, account.id, id):
                raise NotFound("identity.no_session", id=id[:80])
            self._record(tx, by, "session.end", account.name)

    def end_sessions(self, by: Principal, *, but: str = "") -> int:
        """End all of one's own sessions, except the one whose token is ``but``; how many ended."""
        account = self.myself(by)
        with self._store.write() as tx:
            ended = records.drop_sessions_of(tx.connection, account.id, keep=_hash(but) if but else b"")
            self._record(tx, by, "session.end", f"{account.name}: {ended}")
        return ended

    # API tokens

    def create_token(
        self,
        by: Principal,
        name: str,
        scopes: Iterable[Scope | str],
        expires: datetime,
        *,
        account: str = "",
    ) -> tuple[ApiToken, str]:
        """A token that acts for ``account`` (by default the asker's own), and its secret, told this once.

        Raises NotAllowed, InvalidInput for the name, an unknown or missing scope, an expiry that is past
        or more than a year away.
        """
        now = self._clock.now()
        granted = read_scopes(scopes)
        if not now < expires <= now + LONGEST_TOKEN:
            raise InvalidInput("identity.token_expiry", days=LONGEST_TOKEN.days)
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        owner = self._token_owner(by, account)
        token = ApiToken(
            new_id("token"), read_name(name), owner.name, granted, now, expires, None, is_revoked=False
        )
        with self._store.write() as tx:
            records.add_token(tx.connection, token, owner.id, _hash(secret))
            self._record(tx, by, "token.create", f"{owner.name}: {token.name}")
        return token, secret

    def _token_owner(self, by: Principal, name: str) -> Account:
        if not name and not isinstance(by, Person):
            raise InvalidInput("identity.token_needs_account")
        with self._store.read() as connection:
            if name:
                found = records.account_by_name(connection, fold(name[:256]))
                owner = found[0] if found else None
            else:
                owner = records.account_by_id(connection, by.id) if isinstance(by, Person) else None
        # Asked before "no such account" is told: who may not manage it learns nothing of it.
        self._may(by, Action.TOKEN_MANAGE, owner.id if owner else "")
        if owner is None:
            raise NotFound("identity.no_account", name=name[:80])
        return owner

    def token(self, secret: str, *, is_used: bool = True) -> TokenHolder | None:
        """Who a secret stands for; None when it is unknown, expired, revoked or its owner shut out."""
        if not secret.startswith(TOKEN_PREFIX):
            return None
        now = self._clock.now()
        with self._store.read() as connection:
            found = records.token_by_hash(connection, _hash(secret))
        if found is None:
            return None
        token, owner = found
        if token.is_revoked or token.expires <= now or owner.is_disabled:
            return None
        if is_used and (token.last_used is None or now - token.last_used >= TOUCH_EVERY):
            with self._store.write() as tx:
                records.touch_token(tx.connection, token.id, now)
        return TokenHolder(token.id, f"{owner.name}: {token.name}", owner.role, token.scopes)

    def tokens(self, by: Principal) -> list[ApiToken]:
        """One's own tokens; an administrator and the operator see everybody's."""
        if self._decide(by, Action.ACCOUNT_MANAGE):
            with self._store.read() as connection:
                return records.tokens(connection)
        own = by.id if isinstance(by, Person) else ""
        self._may(by, Action.TOKEN_MANAGE, own)
        with self._store.read() as connection:
            return records.tokens(connection, own)

    def revoke_token(self, by: Principal, id: str) -> None:
        """Stop a token for good. Raises NotFound where there is none that the asker may know of."""
        with self._store.read() as connection:
            found = records.token_by_id(connection, id)
        if found is None:
            raise NotFound("identity.no_token", id=id[:80])
        token, owner = found
        decision = self._decide(by, Action.TOKEN_MANAGE, owner)
        if not decision:
            # Told as "no such token", so the web never hears of a denial: the line is written here.
            now = self._clock.now()
            audit.record_denial(self._store, by, Action.TOKEN_MANAGE, id, decision.reasons, now)
            raise NotFound("identity.no_token", id=id[:80])
        with self._store.write() as tx:
            records.revoke_token(tx.connection, id)
            self._record(tx, by, "token.revoke", f"{token.account}: {token.name}")

    # The audit trail

    def require_audit(self, by: Principal) -> None:
        """Raises NotAllowed where the asker may not read the audit trail, whatever they ask of it."""
        self._may(by, Action.AUDIT_READ)

    def audit_trail(
        self, by: Principal, *, before: int | None = None, limit: int = 100, **filters: object
    ) -> list[AuditLine]:
        """Newest first; by ``principal``, ``name``, ``action``, ``outcome``, ``subject``, ``since``,
        ``until``.
        """
        self.require_audit(by)
        with self._store.read() as connection:
            return audit.lines(connection, before=before, limit=limit, **filters)

    # What all of the above stands on

    def _context(self) -> Context:
        return Context("", frozenset(), self._space, self._clock.now())

    def _decide(self, by: Principal, action: Action, owner: str = "") -> Decision:
        return decide(by, action, Resource("account", space=self._space, owner=owner), self._context())

    def _may(self, by: Principal, action: Action, owner: str = "") -> None:
        decision = self._decide(by, action, owner)
        if not decision:
            raise NotAllowed(
                "identity.not_allowed", action=str(action), why=[r.code for r in decision.reasons]
            )

    def _record(
        self, tx: Transaction, by: Principal, action: str, subject: str, *reasons: Reason, address: str = ""
    ) -> None:
        audit.record(tx, by, action, subject, audit.DONE, reasons, self._clock.now(), address=address)

    def _named(self, tx: Transaction, name: str) -> Account:
        found = records.account_by_name(tx.connection, fold(name[:256]))
        if found is None:
            raise NotFound("identity.no_account", name=name[:80])
        return found[0]

    def _again(self, id: str) -> Account:
        with self._store.read() as connection:
            found = records.account_by_id(connection, id)
        if found is None:
            raise NotFound("identity.no_account", name=id)
        return found


def fold(name: str) -> str:
    """How names are compared: compatibility forms and case make no difference."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def read_name(name: str) -> str:
    """A name of a person or a token: up to 64 letters, digits, ``. @ + - _`` and single spaces."""
    name = unicodedata.normalize("NFC", name).strip()
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise InvalidInput("identity.bad_name", name=name[:80])
    return name


def read_role(role: Role | str) -> Role:
    """A role by its name. Raises InvalidInput("identity.bad_role")."""
    try:
        return Role(role)
    except ValueError:
        raise InvalidInput(
            "identity.bad_role", role=str(role)[:80], known=[str(one) for one in Role]
        ) from None


def read_scopes(names: Iterable[Scope | str]) -> frozenset[Scope]:
    """Scopes by name; at least one. Raises InvalidInput("identity.bad_scope")."""
    wanted = [str(name) for name in names]
    bad = next((name for name in wanted if name not in TOKEN_SCOPES), None)
    if bad is not None or not wanted:
        raise InvalidInput("identity.bad_scope", scope=(bad or "")[:80], known=list(TOKEN_SCOPES))
    return frozenset(Scope(name) for name in wanted)


def _hash(secret: str) -> bytes:
    # A fast hash is right here: the secret has 256 random bits, there is nothing to guess.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
