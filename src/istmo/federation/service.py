"""The federation of one node: who belongs to the region, and everything that passes between its nodes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import (
    InvalidInput,
    IstmoError,
    NotAllowed,
    NotFound,
    RateLimited,
    Unauthenticated,
)
from istmo.federation.acknowledgements import Acknowledgements
from istmo.federation.budget import Budget
from istmo.federation.carrying import Carrying
from istmo.federation.charter import Charter
from istmo.federation.dialling import LONGEST_WAIT, Dialler, Dialling, Listening
from istmo.federation.feeding import HEARTBEAT_SECONDS, Feed, Feeds
from istmo.federation.inbox import Inbox, Taken
from istmo.federation.invitations import OWN_REQUEST, PENDING, Inviting, Joiner, read_name
from istmo.federation.links import Links
from istmo.federation.objects import Cursor, Invitation, Member
from istmo.federation.outbox import Outbox
from istmo.federation.pushing import Pusher, read_receipt, read_refused
from istmo.federation.reconciliation import Reconciliation, reconcile, reconcile_all
from istmo.federation.records import Joining
from istmo.federation.region import CHARTER_CHANGED, Region
from istmo.identity import audit
from istmo.kit.signed import Presented, Verifier
from istmo.ledger.keys import NodeKeys
from istmo.ledger.log import Ledger
from istmo.policy.actions import Action
from istmo.policy.decisions import REAL, Context, Decision, Resource, decide
from istmo.policy.principals import Operator, Peer, Principal
from istmo.settings import Settings
from istmo.store.changes import Change
from istmo.store.engine import Store, Transaction

log = structlog.get_logger(__name__)

_JOIN_POLL = 2.0
_PUBLIC_RATE, _PUBLIC_BURST = 5.0, 50.0
_PEER_RATE, _PEER_BURST = 200.0, 2000.0


@dataclass(frozen=True)
class Pace:
    """How patient the federation is; tests make it hurry."""

    heartbeat: float = HEARTBEAT_SECONDS
    longest_wait: float = LONGEST_WAIT
    join_poll: float = _JOIN_POLL


class Federation:
    """Founding, inviting, joining; feed, inbox, acknowledgement; reconciliation. Thread-safe."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        keys: NodeKeys,
        settings: Settings,
        clock: Clock,
        *,
        pace: Pace | None = None,
    ) -> None:
        self.store, self.ledger, self.keys, self.settings, self.clock = store, ledger, keys, settings, clock
        pace = pace or Pace()
        self._pace = pace
        self.region = Region(store, ledger, keys, settings, clock)
        self.links = Links(store, clock)
        self.acks = Acknowledgements(ledger, self.links, clock)
        self.outbox = Outbox(ledger, self.region, clock)
        self.inbox = Inbox(ledger, self.region, self.links, self.acks)
        self.feeds = Feeds(self.outbox, self.links, store.changes, ledger.member_id, heartbeat=pace.heartbeat)
        self.carrying = Carrying(self.region, self.outbox, self.inbox, self.links, self.acks)
        self.inviting = Inviting(store, self.region, clock)
        self.joiner = Joiner(store, self.region, clock)
        self.verifier = Verifier(clock)
        self._dialling = Dialling(
            Listening(
                self.region, self.inbox, self.links, self.acks, clock, ledger.body_limit,
                settings.limits.peer_frames_per_second, longest_wait=pace.longest_wait,
            ),
            self._dialler,
        )  # fmt: skip
        self._pushers: dict[str, Pusher] = {}
        self._public = Budget(_PUBLIC_RATE, _PUBLIC_BURST, clock)
        self._asking: dict[str, Budget] = {}
        self._lock = threading.Lock()
        self._bell, self._stopping = threading.Event(), threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="federation", daemon=True)
        self._unsubscribe: Callable[[], None] = lambda: None
        self.region.when_behind(self._bell.set)

    # --- running -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to dial peers and to write acknowledgements down. In an exercise there is nobody to dial."""
        self.acks.start()
        if self.settings.space != REAL:
            return
        self._unsubscribe = self.store.changes.subscribe(self._heard, "peer")
        self._dialling.start()
        self._keeper.start()

    def stop(self) -> None:
        """End every thread and every open feed; returns when they are gone."""
        self._stopping.set()
        self._bell.set()
        self._unsubscribe()
        self.feeds.close()
        self._dialling.stop()
        with self._lock:
            pushers = list(self._pushers.values())
            self._pushers.clear()
        for pusher in pushers:
            pusher.stop()
        for pusher in pushers:
            pusher.join()
        if self._keeper.is_alive():
            self._keeper.join(15)
        self.acks.stop()

    def _heard(self, change: Change) -> None:
        if change.subject in (CHARTER_CHANGED, OWN_REQUEST):
            self._bell.set()

    def _keep(self) -> None:
        """Keep the diallers in step with the charter; ask again where joining waits for a person."""
        while not self._stopping.is_set():
            wait: float | None = None
            try:
                self._dialling.refresh()
                self._refresh_pushers()
                joining = self.joiner.pending()
                if joining is not None:
                    wait = self._pace.join_poll
                    self.joiner.ask_again(joining)
            except IstmoError as error:
                log.info("federation_waits", code=error.code)
            except Exception:
                log.exception("federation_keeper_failed")
                wait = self._pace.join_poll
            self._bell.wait(wait)
            self._bell.clear()

    def _dialler(self, peer: Member, listening: Listening) -> Dialler:
        return Dialler(peer, listening)

    def _refresh_pushers(self) -> None:
        """A node without an address posts to every peer; others have no pusher."""
        charter = self.region.current()
        me = charter.member(self.region.me) if charter else None
        wanted = {one.id: one for one in self.region.peers() if one.url} if me and not me.url else {}
        with self._lock:
            gone = [self._pushers.pop(id) for id in list(self._pushers) if id not in wanted]
            for id, member in wanted.items():
                if id not in self._pushers and not self._stopping.is_set():
                    self._pushers[id] = Pusher(
                        member, self.region, self.outbox, self.links, self.acks,
                        heartbeat=self._pace.heartbeat,
                    )  # fmt: skip
                    self._pushers[id].start()
        for pusher in gone:
            pusher.stop()
            pusher.join()

    # --- who asks ----------------------------------------------------------------------------

    def who_signed(self, request: Presented) -> Principal:
        """Whose key signed a request: this node's own (its operator) or a member's.

        Raises what ``signed.Verifier.verify`` raises. A clock that differs is written on the link.
        """
        proven = self.verifier.verify(request, self._key_of)
        principal = self._holder(proven.keyid)
        if isinstance(principal, Peer):
            self.links.set_skew(principal.member, proven.skew)
        return principal

    def signer(self, request: Presented) -> Principal:
        """Whose key signed a request's headers, before its body is read: ``signed.Verifier.signer``."""
        return self._holder(self.verifier.signer(request, self._key_of))

    def _holder(self, keyid: str) -> Principal:
        if keyid == self.keys.keyid:
            return Operator()
        member = self.region.by_keyid(keyid)
        if member is None:
            raise Unauthenticated("signed.unknown_key", keyid=keyid)
        return Peer(member.id)

    def _key_of(self, keyid: str) -> bytes | None:
        if keyid == self.keys.keyid:
            return self.keys.public
        member = self.region.by_keyid(keyid)
        return member.signing_key if member else None

    def members(self) -> frozenset[str]:
        """Ids of the region's present members, this node included."""
        return self.region.members()

    def member(self, id: str) -> Member | None:
        """A present member by id (this node too)."""
        charter = self.region.current()
        return charter.member(id) if charter else None

    def name_of(self, id: str) -> str:
        """What the charter calls a member, present or former; the id itself where it is unknown."""
        if id == self.region.me:
            found = self.member(id)
            return found.name if found else self.settings.name
        known = self.region.known(id)
        return known.name if known else id

    def context(self) -> Context:
        """Where and when, for ``policy.decide``."""
        return self.region.context()

    # --- membership --------------------------------------------------------------------------

    def found(self, principal: Principal, name: str) -> Charter:
        """Found a region with this node as its first member. See ``read_name``.

        Raises Conflict ``federation.already_in_region``.
        """
        self._may(principal, Action.PEER_MANAGE, "region")
        name = read_name(name)
        with self.store.write() as tx:
            charter = self.region.found(tx, name)
            self._record(tx, principal, "peer.found", charter.region)
        return charter

    def invite(self, principal: Principal, name: str, fingerprint: str = "") -> tuple[Invitation, str]:
        """Invite a node; the invitation and its one-time code. See ``Inviting.invite``."""
        self._may(principal, Action.PEER_MANAGE, "invitation")
        invitation, code = self.inviting.invite(name, fingerprint)
        self._told(principal, "peer.invite", invitation.id)
        return invitation, code

    def withdraw(self, principal: Principal, id: str) -> None:
        """Withdraw an invitation."""
        self._may(principal, Action.PEER_MANAGE, "invitation")
        self.inviting.withdraw(id)
        self._told(principal, "peer.withdraw", id)

    def accept(self, principal: Principal, code: str) -> Joining:
        """Use an invitation's code. See ``Joiner.accept``."""
        self._may(principal, Action.PEER_MANAGE, "region")
        joining = self.joiner.accept(code)
        self._told(principal, "peer.accept", joining.url)
        self._bell.set()
        return joining

    def confirm(self, principal: Principal, member: str, fingerprint: str) -> Charter:
        """Let a pending member in, whose fingerprint a person has compared. See ``Inviting.confirm``."""
        self._may(principal, Action.PEER_MANAGE, member)
        charter = self.inviting.confirm(member, fingerprint)
        self._told(principal, "peer.confirm", member)
        return charter

    def remove(self, principal: Principal, member: str) -> Charter:
        """Remove a member: nothing further is meant for it."""
        self._may(principal, Action.PEER_MANAGE, member)
        with self.store.write() as tx:
            charter = self.region.remove(tx, member)
            self._record(tx, principal, "peer.remove", member)
        return charter

    def invitations(self, principal: Principal) -> list[Invitation]:
        """Every invitation, the newest first."""
        self._may(principal, Action.PEER_MANAGE, "invitation")
        return self.inviting.all()

    def asking(self, principal: Principal) -> list[str]:
        """Names of those who wait to be let in; none for whoever may not let them in."""
        if self.settings.space != REAL or not self._decision(principal, Action.PEER_MANAGE):
            return []
        return [one.name for one in self.inviting.all() if one.state == PENDING]

    def joining(self, principal: Principal) -> Joining | None:
        """This node's own request to join, as it stands."""
        self._may(principal, Action.PEER_READ, "region")
        return self.joiner.last()

    # --- looking -----------------------------------------------------------------------------

    def charter(self, principal: Principal) -> Charter | None:
        """The charter in force; None for a node that belongs to no region."""
        self._may(principal, Action.PEER_READ, "region")
        return self.region.current()

    def peers(self, principal: Principal) -> list[Reconciliation]:
        """A reconciliation report for every other member, by name."""
        self._may(principal, Action.PEER_READ, "region")
        found = list(reconcile_all(self.ledger, self.links, self.acks, self.region.peers()))
        return sorted(found, key=lambda one: (one.member.name, one.member.id))

    def reconciliation(self, principal: Principal, member: str) -> Reconciliation:
        """The report on one peer, a former one too. NotFound ``federation.no_member``."""
        self._may(principal, Action.PEER_READ, member)
        known = self.region.known(member)
        if known is None:
            raise NotFound("federation.no_member", member=member[:80])
        return reconcile(self.ledger, self.links, self.acks, known)

    def acknowledged(self, connection: Connection, recipient: str) -> int:
        """How many of our deliveries ``recipient`` holds, by its own word."""
        return self.acks.acknowledged(connection, recipient)

    def acknowledgements(self, connection: Connection, sequence: int) -> dict[str, datetime | None]:
        """For each recipient of one of our entries: when it acknowledged, or None."""
        return self.acks.of_entry(connection, sequence)

    # --- the wire: what peers ask ------------------------------------------------------------

    def open_feed(self, principal: Principal, cursor: Cursor, session: str, gzip: bool) -> Feed:
        """A live feed for the peer that asks; its cursor is an acknowledgement too."""
        member = self._peer(principal)
        if not session:
            raise InvalidInput("signed.malformed", part="nonce")
        feed = self.feeds.open(member.id, session, cursor, gzip)
        if cursor.count:
            self.acks.submit(member.id, cursor)
        return feed

    def acknowledge(self, principal: Principal, body: bytes) -> Future[None]:
        """A peer says what it holds; on disk when the result is done. Touches no database itself."""
        member = self._peer(principal)
        value = _json(body)
        return self.acks.submit(member.id, read_receipt(value), read_refused(value))

    def take_frames(self, principal: Principal, body: bytes) -> dict[str, Any]:
        """Frames that a peer posts because it cannot be reached; what we hold after them."""
        member = self._peer(principal)
        if member.id not in self.region.members():
            raise NotAllowed("federation.not_member")
        taken = self.carrying.take(member, body, is_live=True)
        return _receipt(taken.cursor, taken.refused, taken.problem)

    def charters(self, principal: Principal, after: int) -> list[str]:
        """Signed charters past a version, for a peer that missed some."""
        member = self._peer(principal)
        if member.id not in self.region.members():
            raise NotAllowed("federation.not_member")
        return [one.decode("ascii") for one in self.region.documents(after)]

    def hello(self, nonce: str) -> str:
        """Who this node is, for somebody with an invitation's code."""
        self._public_budget()
        return self.inviting.hello(nonce)

    def answer_join(self, body: bytes) -> str:
        """A request to join. See ``Inviting.answer``."""
        self._public_budget()
        return self.inviting.answer(body)

    def _peer(self, principal: Principal) -> Member:
        self._check_exit()
        member = self.region.known(principal.member) if isinstance(principal, Peer) else None
        if member is None:
            raise NotAllowed("federation.not_member")
        with self._lock:
            budget = self._asking.get(member.id)
            if budget is None:
                budget = self._asking[member.id] = Budget(_PEER_RATE, _PEER_BURST, self.clock)
        if not budget.take():
            error = RateLimited("federation.flooding", retry_after=10)
            self.links.set_problem(member.id, error)
            raise error
        return member

    def _public_budget(self) -> None:
        self._check_exit()
        if not self._public.take():
            raise RateLimited("federation.too_many_strangers", retry_after=10)

    # --- carried files -----------------------------------------------------------------------

    def export(self, principal: Principal, member: str) -> Iterator[bytes]:
        """Frame lines for a file that somebody carries to ``member``. See ``Carrying.export``."""
        self._may(principal, Action.PEER_MANAGE, member)
        peer = self.region.peer(member)
        self._told(principal, "peer.export", member)
        return self.carrying.export(peer)

    def import_file(self, principal: Principal, lines: Iterable[bytes]) -> tuple[Member, Taken]:
        """Take in a carried file; whose it was and what it brought. See ``Carrying.take_file``."""
        self._may(principal, Action.PEER_MANAGE, "file")
        peer, taken = self.carrying.take_file(lines)
        self._told(principal, "peer.import", peer.id)
        return peer, taken

    # --- policy and audit --------------------------------------------------------------------

    def _check_exit(self) -> None:
        """An exercise meets no other node: neither asks nor answers."""
        if self.settings.space != REAL:
            raise NotAllowed("federation.no_exit", space=self.settings.space)

    def _may(self, principal: Principal, action: Action, subject: str) -> None:
        if action is Action.PEER_MANAGE:
            self._check_exit()
        answer = self._decision(principal, action)
        if not answer.allowed:
            audit.record_denial(self.store, principal, action, subject, answer.reasons, self.clock.now())
            raise NotAllowed("federation.not_allowed", action=str(action))

    def _decision(self, principal: Principal, action: Action) -> Decision:
        resource = Resource("peer", self.region.me, space=self.settings.space)
        return decide(principal, action, resource, self.region.context())

    def _told(self, principal: Principal, action: str, subject: str) -> None:
        with self.store.write() as tx:
            self._record(tx, principal, action, subject)

    def _record(self, tx: Transaction, principal: Principal, action: str, subject: str) -> None:
        audit.record(tx, principal, action, subject, audit.DONE, (), self.clock.now())


def _receipt(cursor: Cursor, refused: list[tuple[int, str]], problem: IstmoError | None) -> dict[str, Any]:
    return {
        "count": cursor.count,
        "sequence": cursor.sequence,
        "head": cursor.head.hex(),
        "refused": [{"sequence": sequence, "code": code} for sequence, code in refused[:1000]],
        "problem": problem.code if problem else None,
    }


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput("federation.bad_frame", part="receipt")
    return value
