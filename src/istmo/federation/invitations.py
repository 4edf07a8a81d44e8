"""Inviting and joining: a one-time code, and two people who compare a fingerprint.

The inviter's side keeps a place open; the invited side asks for it. Neither trusts the address or the
certificate it meets: the code carries the inviter's fingerprint, and the request to join carries the
proof that whoever holds the new key also holds the code.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
import structlog

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput, IstmoError, NotFound, Unauthenticated
from istmo.federation import records, statement, wire
from istmo.federation.charter import Charter
from istmo.federation.code import PROOF as PROOF_KIND
from istmo.federation.code import Code, is_fingerprint, new_code, same_fingerprint
from istmo.federation.objects import Invitation, Member, Problem, read_key
from istmo.federation.records import Joining
from istmo.federation.region import Region
from istmo.kit.members import member_named
from istmo.ledger.keys import verify
from istmo.model import instants
from istmo.model.names import is_name
from istmo.store.engine import Store, Transaction

log = structlog.get_logger(__name__)

HELLO, REQUEST, ANSWER = "hello", "join-request", "join-answer"
OPEN, PENDING, JOINED, WITHDRAWN, REFUSED = "open", "pending", "joined", "withdrawn", "refused"
OWN_REQUEST = "joining"
"""The subject of a change in this node's own request to join; of somebody else's it is their member id."""
LIFETIME = timedelta(hours=24)
TRIES = 10
"""Wrong proofs after which an invitation is withdrawn."""
LONGEST_NAME = 200
_REFUSALS: dict[str, type[IstmoError]] = {
    "federation.code_unknown": NotFound,
    "federation.code_expired": Conflict,
    "federation.code_used": Conflict,
    "federation.code_wrong": InvalidInput,
}
"""What an inviter may say of a code, and what it is here: a wrong code is nobody's failed sign-in."""
_STATEMENT_LIMIT = 2 << 20
_REQUEST_LIMIT = 16 << 10


def read_name(name: str) -> str:
    """What a region or a member is to be called. Raises InvalidInput ``federation.bad_name``."""
    name = name.strip()
    if not is_name(name, LONGEST_NAME):
        raise InvalidInput("federation.bad_name", longest=LONGEST_NAME)
    return name


class Inviting:
    """The inviter's side."""

    def __init__(self, store: Store, region: Region, clock: Clock) -> None:
        self._store, self._region, self._clock = store, region, clock

    def invite(self, name: str, fingerprint: str) -> tuple[Invitation, str]:
        """Keep a place for ``name``; the invitation, and its code, which is shown once and not kept.

        Where the invited node's fingerprint is known, it joins without further confirmation. Raises
        InvalidInput ``federation.bad_fingerprint``, ``federation.bad_name``; Conflict
        ``federation.no_region``, ``federation.not_signer``, ``federation.already_invited``.
        """
        name = read_name(name)
        if fingerprint and not is_fingerprint(fingerprint):
            raise InvalidInput("federation.bad_fingerprint", fingerprint=fingerprint[:64])
        charter = self._region.charter()
        if self._region.me not in charter.signers:
            names = [one.name for one in charter.members if one.id in charter.signers]
            raise Conflict("federation.not_signer", signers=names)
        code = new_code(self._region.settings.url, self._region.keys.fingerprint)
        now = self._clock.now()
        invitation = Invitation(code.id, code.public_key, name, fingerprint, now, now + LIFETIME, OPEN, None)
        with self._store.write() as tx:
            # Two valid codes for one institution: a form that was sent twice, and one code more to lose.
            if any(_holds_place(one, name, now) for one in records.all_invitations(tx.connection)):
                raise Conflict("federation.already_invited", name=name)
            records.insert_invitation(tx.connection, invitation)
            tx.notify("peer", invitation.id, state=OPEN)
        return invitation, code.encode()

    def all(self) -> list[Invitation]:
        with self._store.read() as connection:
            return records.all_invitations(connection)

    def hello(self, nonce: str) -> str:
        """Who this node is, signed: what somebody with a code compares its fingerprint to."""
        me = self._region.myself()
        value = {
            "nonce": nonce,
            "member": me.id,
            "signing_key": base64.b64encode(me.signing_key).decode("ascii"),
            "tls_certificate": me.tls_certificate,
        }
        return statement.sign(self._region.keys, HELLO, value).decode("utf-8")

    def answer(self, body: bytes) -> str:
        """Answer a request to join: a signed statement, ``joined`` with the charter or ``pending``.

        Raises NotFound ``federation.code_unknown``; Conflict ``federation.code_expired``,
        ``federation.code_used``, ``federation.fingerprint_mismatch``; Unauthenticated
        ``federation.code_wrong``; InvalidInput.
        """
        line, proof = _read_body(body)
        asked = _read_request(line)
        with self._store.read() as connection:
            invitation = records.find_invitation(connection, asked.invitation)
        if invitation is None or invitation.state == WITHDRAWN:
            raise NotFound("federation.code_unknown")
        if not same_fingerprint(asked.inviter, self._region.keys.fingerprint):
            raise NotFound("federation.code_unknown")
        if not verify(invitation.public_key, statement.pae(PROOF_KIND, line), proof):
            with self._store.write() as tx:
                self._count_attempt(tx, invitation.id)
            raise Unauthenticated("federation.code_wrong")
        charter = self._admit(invitation.id, asked.member)
        value = {
            "nonce": asked.nonce,
            "state": JOINED if charter else PENDING,
            "charter": charter.encode().decode("ascii") if charter else None,
        }
        return statement.sign(self._region.keys, ANSWER, value).decode("utf-8")

    def _admit(self, id: str, member: Member) -> Charter | None:
        """Let the holder of the code in, with the charter, or have it wait: decided in one write."""
        mismatch: Conflict | None = None
        with self._store.write() as tx:
            invitation = records.find_invitation(tx.connection, id)
            if invitation is None:
                raise NotFound("federation.code_unknown")
            if invitation.member is not None and invitation.member.signing_key != member.signing_key:
                raise Conflict("federation.code_used")
            if invitation.state == JOINED:
                charter = self._region.charter_in(tx.connection)
                if charter is None or charter.member(member.id) is None:
                    raise NotFound("federation.code_unknown")  # removed since
                return charter
            if self._clock.now() > invitation.expires:
                raise Conflict("federation.code_expired")
            expected = invitation.fingerprint
            if expected and not same_fingerprint(expected, member.fingerprint):
                mismatch = Conflict(
                    "federation.fingerprint_mismatch", expected=expected, found=member.fingerprint
                )
                self._count_attempt(tx, id)
            elif invitation.state == OPEN:
                member = replace(member, name=invitation.name)
                state = JOINED if expected else PENDING
                charter = self._region.add(tx, member) if expected else None
                records.set_invitation(tx.connection, id, state, member)
                tx.notify("peer", member.id, state=state)
                return charter
        if mismatch is not None:
            raise mismatch
        return None

    def confirm(self, member: str, fingerprint: str) -> Charter:
        """A person has compared the fingerprint: the pending member, by id or name, joins.

        Raises NotFound ``federation.nobody_pending``, Conflict ``federation.other_fingerprint``.
        """
        with self._store.write() as tx:
            pending = {
                one.member.id: one
                for one in records.all_invitations(tx.connection)
                if one.state == PENDING and one.member is not None
            }
            names = {id: one.member.name for id, one in pending.items() if one.member is not None}
            found = pending.get(member_named(names, member))
            if found is None or found.member is None:
                raise NotFound("federation.nobody_pending", member=member[:80])
            if not same_fingerprint(fingerprint, found.member.fingerprint):
                raise Conflict(
                    "federation.other_fingerprint", typed=fingerprint[:64], found=found.member.fingerprint
                )
            charter = self._region.add(tx, found.member)
            records.set_invitation(tx.connection, found.id, JOINED, found.member)
        return charter

    def withdraw(self, id: str) -> None:
        """Close an invitation, used or not; who has joined stays."""
        with self._store.write() as tx:
            if records.find_invitation(tx.connection, id) is None:
                raise NotFound("federation.no_invitation", id=id[:32])
            records.set_invitation(tx.connection, id, WITHDRAWN, None)
            tx.notify("peer", id, state=WITHDRAWN)

    def _count_attempt(self, tx: Transaction, id: str) -> None:
        if records.count_attempt(tx.connection, id) >= TRIES:
            records.set_invitation(tx.connection, id, WITHDRAWN, None)


class Joiner:
    """The invited side."""

    def __init__(self, store: Store, region: Region, clock: Clock) -> None:
        self._store, self._region, self._clock = store, region, clock

    def accept(self, text: str) -> Joining:
        """Use a code: meet the inviter, compare its key with the code, ask to join.

        The result is ``joined``, or ``pending`` until a person on the other side has confirmed; ``ask_again``
        is then called until there is an answer. Raises InvalidInput ``federation.code_mistyped``,
        ``federation.inviter_mismatch``; Conflict ``federation.already_in_region``; Unavailable; and
        what the inviter answers.
        """
        charter = self._region.current()
        if charter is not None:
            raise Conflict("federation.already_in_region", name=charter.name)
        code = Code.decode(text)
        http, inviter = self._meet(code)
        with closing(http):
            line = self._request(code)
            body = orjson.dumps(
                {"request": line.decode("utf-8"), "proof": base64.b64encode(code.prove(line)).decode("ascii")}
            )
            joining = Joining(code.url, inviter, body, self._clock.now(), PENDING, None)
            try:
                return self._ask(http, joining)
            except wire.PeerAnswered as error:
                raise self._in_our_words(error) from error

    def last(self) -> Joining | None:
        """This node's request to join, answered or not."""
        with self._store.read() as connection:
            return records.joining(connection)

    def pending(self) -> Joining | None:
        """The request that waits for an answer, if there is one."""
        found = self.last()
        return found if found is not None and found.state == PENDING else None

    def ask_again(self, joining: Joining) -> Joining:
        """Ask whether a person has confirmed meanwhile. A final refusal is kept for people to see."""
        if self._clock.now() - joining.created > LIFETIME:
            return self._keep(joining, REFUSED, Conflict("federation.code_expired"))
        try:
            with closing(self._connect(joining.url, str(joining.inviter["tls_certificate"]))) as http:
                return self._ask(http, joining)
        except wire.PeerAnswered as error:
            if error.answer_status < 500:
                return self._keep(joining, REFUSED, self._in_our_words(error))
            raise

    def _in_our_words(self, error: wire.PeerAnswered) -> IstmoError:
        """What the inviter refused, as people here can read it; as it was told where it is something else."""
        if error.answer_code == "federation.fingerprint_mismatch":
            return Conflict("federation.not_invited", found=self._region.keys.fingerprint)
        kind = _REFUSALS.get(error.answer_code)
        return error if kind is None else kind(error.answer_code)

    def _meet(self, code: Code) -> tuple[httpx.Client, Mapping[str, Any]]:
        """The inviter, verified by the fingerprint in the code, and a connection to it and nobody else."""
        pem, certificate = "", ""
        if code.url.startswith("https:"):
            pem, certificate = wire.certificate_of(code.url)
        nonce = secrets.token_urlsafe(16)
        http = wire.client(code.url, wire.trust_exactly(pem) if pem else True)
        try:
            answer = wire.answer_of(http, "GET", "/federation/v1/hello", None, {"nonce": nonce})
            signature, payload, value = statement.read(_line_in(answer), limit=_STATEMENT_LIMIT)
            key = read_key(value.get("signing_key"))
            stated = value.get("tls_certificate")
            is_theirs = statement.is_signed_by(key, HELLO, signature, payload)
            found = replace(self._region.myself(), signing_key=key).fingerprint
            if not is_theirs or value.get("nonce") != nonce or not same_fingerprint(found, code.fingerprint):
                raise InvalidInput(
                    "federation.inviter_mismatch", url=code.url, expected=code.fingerprint, found=found
                )
            if stated and stated != certificate:
                raise InvalidInput("federation.wrong_certificate", url=code.url)
        except IstmoError:
            http.close()
            raise
        if pem and not stated:
            http.close()  # a proxy's certificate: ordinary web TLS has to vouch for it
            http = wire.client(code.url, True)
        inviter = {
            "member": str(value.get("member", "")),
            "signing_key": base64.b64encode(key).decode("ascii"),
            "tls_certificate": str(stated or ""),
        }
        return http, inviter

    def _connect(self, url: str, certificate: str) -> httpx.Client:
        if not certificate:
            return wire.client(url, True)
        pem, found = wire.certificate_of(url)
        if found != certificate:
            raise InvalidInput("federation.wrong_certificate", url=url)
        return wire.client(url, wire.trust_exactly(pem))

    def _request(self, code: Code) -> bytes:
        value = {
            "invitation": code.id,
            "inviter": code.fingerprint,
            "nonce": secrets.token_urlsafe(16),
            "created": instants.format(self._clock.now()),
            "member": self._region.myself().to_json(),
        }
        return statement.sign(self._region.keys, REQUEST, value)

    def _ask(self, http: httpx.Client, joining: Joining) -> Joining:
        answer = wire.answer_of(http, "POST", "/federation/v1/join", joining.request)
        key = read_key(joining.inviter["signing_key"])
        value = statement.read_verified(_line_in(answer), ANSWER, key, limit=_STATEMENT_LIMIT)
        line, _ = _read_body(joining.request)
        if value.get("nonce") != _read_request(line).nonce:
            raise InvalidInput("federation.forged")
        if value.get("state") != JOINED:
            return self._keep(joining, PENDING, None)
        document = str(value.get("charter", "")).encode("utf-8")
        with self._store.write() as tx:
            self._region.adopt(tx, document, str(joining.inviter["member"]), key)
            done = replace(joining, state=JOINED, problem=None)
            known = records.joining(tx.connection)
            records.put_joining(tx.connection, done)
            if known is not None and known.state == PENDING:
                tx.notify("peer", OWN_REQUEST, state=JOINED)  # somebody let it in, while nobody watched
        return done

    def _keep(self, joining: Joining, state: str, error: IstmoError | None) -> Joining:
        problem = None if error is None else Problem(error.code, error.params)
        kept = replace(joining, state=state, problem=problem)
        with self._store.read() as connection:
            known = records.joining(connection)
        if known is not None and (known.request, known.state, known.problem) == (
            kept.request,
            state,
            problem,
        ):
            return kept
        with self._store.write() as tx:
            records.put_joining(tx.connection, kept)
            tx.notify("peer", OWN_REQUEST, state=state)
        return kept


def _holds_place(one: Invitation, name: str, now: datetime) -> bool:
    """Whether an invitation to this name can still be used, or waits for somebody to confirm it."""
    is_open = one.state == PENDING or (one.state == OPEN and now <= one.expires)
    return is_open and one.name.casefold() == name.casefold()


@dataclass(frozen=True)
class _Asked:
    invitation: str
    inviter: str
    nonce: str
    member: Member


def _read_body(body: bytes) -> tuple[bytes, bytes]:
    """The request line and the proof in the body of a request to join."""
    if len(body) > _REQUEST_LIMIT:
        raise InvalidInput("federation.bad_statement")
    try:
        found = orjson.loads(body)
        return found["request"].encode("utf-8"), base64.b64decode(found["proof"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise InvalidInput("federation.bad_statement") from None


def _read_request(line: bytes) -> _Asked:
    """A request to join, signed by the very key that asks."""
    signature, payload, value = statement.read(line, limit=_REQUEST_LIMIT)
    member = Member.from_json(value.get("member"))
    if not statement.is_signed_by(member.signing_key, REQUEST, signature, payload):
        raise InvalidInput("federation.forged")
    texts = [value.get(name) for name in ("invitation", "inviter", "nonce")]
    if not all(isinstance(one, str) and len(one) <= 128 for one in texts):
        raise InvalidInput("federation.bad_statement")
    return _Asked(str(texts[0]), str(texts[1]), str(texts[2]), member)


def _line_in(answer: Mapping[str, Any]) -> bytes:
    line = answer.get("statement")
    if not isinstance(line, str):
        raise InvalidInput("federation.bad_statement")
    return line.encode("utf-8")
