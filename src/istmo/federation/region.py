"""The region as this node knows it: the charter in force, who may speak, what follows a change."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterable
from dataclasses import replace

import structlog
from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput, NotFound
from istmo.federation import charter as charters
from istmo.federation import records
from istmo.federation.charter import Charter
from istmo.federation.objects import MEMBER, Member
from istmo.ledger.entry import Entry
from istmo.ledger.keys import NodeKeys, keyid
from istmo.ledger.log import Ledger
from istmo.model.markings import Tlp
from istmo.policy.decisions import Context
from istmo.settings import Settings
from istmo.store.engine import Store, Transaction

log = structlog.get_logger(__name__)

CHARTER = "charter"
"""The one object type that the federation itself understands."""
CHARTER_CHANGED = "charter"
"""Subject of the ``peer`` change that follows a new charter."""
_PAGE = 64


class Region:
    """Charter and members. Thread-safe; what it remembers follows each commit."""

    def __init__(
        self, store: Store, ledger: Ledger, keys: NodeKeys, settings: Settings, clock: Clock
    ) -> None:
        self.store, self.ledger, self.keys, self.settings, self.clock = store, ledger, keys, settings, clock
        self.me = ledger.member_id
        self._current: Charter | None = None
        self._by_keyid: dict[str, Member] = {}
        self._behind: Callable[[], None] = lambda: None
        ledger.on(CHARTER, self._take_entry)
        ledger.find_age_keys(self._age_key)
        self._remember()

    def when_behind(self, action: Callable[[], None]) -> None:
        """Run ``action`` when a charter is heard of that does not follow ours: some lie between."""
        self._behind = action

    # --- reading -----------------------------------------------------------------------------

    def current(self) -> Charter | None:
        """The charter in force; None for a node that belongs to no region."""
        return self._current

    def charter(self) -> Charter:
        """The same; Conflict ``federation.no_region`` where there is none."""
        if self._current is None:
            raise Conflict("federation.no_region")
        return self._current

    def members(self) -> frozenset[str]:
        """Ids of the present members, this node included; alone it is its own only member."""
        return self._current.ids if self._current else frozenset({self.me})

    def peers(self) -> tuple[Member, ...]:
        """Every other member."""
        return tuple(one for one in self._current.members if one.id != self.me) if self._current else ()

    def peer(self, id: str) -> Member:
        """One other member; NotFound ``federation.no_member``."""
        found = next((one for one in self.peers() if one.id == id), None)
        if found is None:
            raise NotFound("federation.no_member", member=id[:80])
        return found

    def by_keyid(self, key: str) -> Member | None:
        """Whose key this is, among the present and the former members."""
        return self._by_keyid.get(key)

    def known(self, id: str) -> Member | None:
        """A present or former member other than this node."""
        found = next((one for one in self._by_keyid.values() if one.id == id), None)
        return found if found is not None and found.id != self.me else None

    def context(self) -> Context:
        """Where and when, for ``policy.decide``."""
        return Context(self.me, self.members(), self.settings.space, self.clock.now())

    def myself(self) -> Member:
        """This node as a member, from its settings and keys."""
        certificate = ""
        if self.settings.tls == "own":
            der = ssl.PEM_cert_to_DER_cert(self.keys.certificate_pem.decode("ascii"))
            certificate = hashlib.sha256(der).hexdigest()
        return Member(
            id=self.me,
            name=self.settings.name,
            country=self.settings.country,
            kind=MEMBER,
            url=self.settings.url,
            signing_key=self.keys.public,
            age_recipient=self.keys.age_recipient,
            tls_certificate=certificate,
            joined=self.clock.now(),
        )

    def documents(self, after: int) -> list[bytes]:
        """Signed charters past a version, oldest first, a page of them."""
        with self.store.read() as connection:
            return records.charter_documents(connection, after, _PAGE)

    def _age_key(self, connection: Connection, member: str) -> str | None:
        charter = self.charter_in(connection)
        found = charter.member(member) if charter else None
        return found.age_recipient if found else None

    # --- changing ----------------------------------------------------------------------------

    def found(self, tx: Transaction, name: str) -> Charter:
        """Begin a region with this node as its only member and signer."""
        if self.charter_in(tx.connection) is not None:
            raise Conflict("federation.already_in_region", name=self.charter().name)
        return self._issue(tx, charters.found(name, self.myself(), self.clock.now()), (self.me,))

    def add(self, tx: Transaction, member: Member) -> Charter:
        """Admit a member: a new version, told to all."""
        charter = self._mine_to_sign(tx.connection)
        same = charter.member(member.id)
        if same is not None:
            if same.signing_key != member.signing_key:
                raise Conflict("federation.charter_key_changed", name=same.name)
            return charter
        former = self.known(member.id)
        if former is not None and former.signing_key != member.signing_key:
            raise Conflict("federation.charter_key_changed", name=former.name)
        members = (*charter.members, replace(member, joined=self.clock.now()))
        return self._issue(tx, charters.amend(charter, members, self.clock.now()), charter.ids | {member.id})

    def remove(self, tx: Transaction, id: str) -> Charter:
        """Remove a member: a new version, told to all and to the one removed."""
        charter = self._mine_to_sign(tx.connection)
        if charter.member(id) is None:
            raise NotFound("federation.no_member", member=id[:80])
        if id == self.me:
            raise Conflict("federation.cannot_remove_self")
        rest = [one for one in charter.members if one.id != id]
        return self._issue(tx, charters.amend(charter, rest, self.clock.now()), charter.ids)

    def adopt(self, tx: Transaction, document: bytes, inviter: str, inviter_key: bytes) -> Charter:
        """Enter a region: take the charter that the inviter gave, whose key was compared already."""
        if self.charter_in(tx.connection) is not None:
            raise Conflict("federation.already_in_region", name=self.charter().name)
        charter = Charter.decode(document)
        charters.check_anchor(charter)
        host, me = charter.member(inviter), charter.member(self.me)
        if host is None or host.signing_key != inviter_key:
            raise InvalidInput("federation.bad_charter", part="inviter")
        if me is None or me.signing_key != self.keys.public:
            raise InvalidInput("federation.bad_charter", part="member")
        self._apply(tx, charter)
        return charter

    def take(self, tx: Transaction, document: bytes) -> bool:
        """Apply a charter that follows ours; False when it lies further ahead.

        One that we have already changes nothing. Raises what ``charter.check_next`` raises.
        """
        new = Charter.decode(document)
        current = self.charter_in(tx.connection)
        if current is None:
            charters.check_anchor(new)
            self._apply(tx, new)
            return True
        if new.version <= current.version:
            self._check_same(tx.connection, new)
            return True
        if new.version > current.version + 1:
            return False
        charters.check_next(current, new)
        self._apply(tx, new)
        return True

    def _take_entry(self, tx: Transaction, entry: Entry) -> None:
        """The ledger's handler: a charter was written here or came from a member."""
        if entry.payload is None:
            return
        if self.charter_in(tx.connection) is None and entry.origin != self.me:
            raise Conflict("federation.no_region")
        if not self.take(tx, entry.payload):
            tx.after_commit(lambda: self._behind())

    def _issue(self, tx: Transaction, charter: Charter, audience: Iterable[str]) -> Charter:
        signed = charter.sign(self.keys)
        if signed.threshold > 1:
            raise Conflict("federation.needs_signatures", needed=signed.threshold)
        self.ledger.append(
            tx,
            CHARTER,
            signed.encode(),
            audience=audience,
            markings=(Tlp.AMBER.marking_id,),
            lane="fast",
            purpose=CHARTER,
        )
        return signed

    def _mine_to_sign(self, connection: Connection) -> Charter:
        charter = self.charter_in(connection)
        if charter is None:
            raise Conflict("federation.no_region")
        if self.me not in charter.signers:
            names = [one.name for one in charter.members if one.id in charter.signers]
            raise Conflict("federation.not_signer", signers=names)
        return charter

    def _check_same(self, connection: Connection, new: Charter) -> None:
        known = records.charter_documents(connection, new.version - 1, 1)
        if known:
            same = Charter.decode(known[0])
            if same.version == new.version and same.payload != new.payload:
                raise InvalidInput("federation.charter_fork", version=new.version)

    def _apply(self, tx: Transaction, charter: Charter) -> None:
        records.insert_charter(tx.connection, charter.version, charter.encode(), self.clock.now())
        tx.after_commit(self._remember)
        tx.notify("peer", CHARTER_CHANGED, version=charter.version)
        log.info("charter_applied", version=charter.version, members=len(charter.members))

    def charter_in(self, connection: Connection) -> Charter | None:
        """The charter as this transaction sees it."""
        found = records.last_charter(connection)
        if found is None:
            return None
        if self._current is not None and self._current.version == found[0]:
            return self._current
        return Charter.decode(found[1])

    def _remember(self) -> None:
        """Read the charter in force, and the keys of everyone who was ever in one."""
        known: dict[str, Member] = {}
        current: Charter | None = None
        after = 0
        while documents := self.documents(after):
            for document in documents:
                current = Charter.decode(document)
                after = current.version
                known |= {keyid(one.signing_key): one for one in current.members}
        self._by_keyid, self._current = known, current
