"""What the door asks of the node: who a token or a signature stands for, what they may know of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from istmo.errors import IstmoError, NotFound
from istmo.identity import audit
from istmo.identity.strangers import Strangers
from istmo.intel.objects import Retraction
from istmo.kit.asking import Asker
from istmo.model.markings import Tlp
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Reason, Resource, decide
from istmo.policy.principals import Anonymous, Person, Principal, TokenHolder
from istmo.web.admission import Keepers

if TYPE_CHECKING:
    from istmo.node import Node

log = structlog.get_logger(__name__)


class Keeping:
    """One node's answers to the door."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.strangers = Strangers(node.store, node.clock)
        self.fingerprint: str = node.keys.fingerprint

    def keepers(self) -> Keepers:
        """The three ways to be known."""
        federation = self._node.federation
        return Keepers(self._session, self._token, federation.signer, federation.who_signed)

    def may(self, principal: Principal, action: Action) -> bool:
        """Whether the asker's role opens this kind of thing at all: what the navigation shows."""
        member, space = self._node.ledger.member_id, self._node.settings.space
        anything = Resource("any", member, frozenset({member}), Tlp.CLEAR, space)
        context = Context(member, frozenset({member}), space, self._node.clock.now())
        return decide(principal, action, anything, context).allowed

    def names(self) -> dict[str, str]:
        """What people call each member of the region, by id."""
        return dict(self._node.intel.names())

    def unread(self, principal: Principal) -> int:
        """How many notices somebody has not read; 0 where that cannot be told: no page fails over it."""
        try:
            return self._node.notices.unread(principal)
        except Exception:
            log.exception("unread_not_counted")
            return 0

    def taken_back(self, principal: Principal, object: str) -> Retraction | None:
        """The retraction of an object, where there is one that the asker may read."""
        try:
            return self._node.intel.read(principal, object)[0].retraction
        except NotFound:
            return None

    def may_know(self, principal: Principal, topic: str, subject: str) -> bool:
        """Whether the asker may be told that this subject changed: exactly whether they could read it."""
        reader = self._readers().get(topic)
        return reader is not None and reader(principal, subject)

    def record_denial(self, asker: Asker, method: str, path: str, error: IstmoError) -> None:
        """A denial, in the audit trail: what was asked for, and why not, where the room has said so.

        Of those whom nobody knows, so many a minute (``identity.strangers``).
        """
        if isinstance(asker.principal, Anonymous):
            self.strangers.denied("web.request", f"{method} {path}", error.code, asker.address)
            return
        why = error.params.get("why") or [error.code]
        audit.record_denial(
            self._node.store,
            asker.principal,
            error.params.get("action", "web.request"),
            f"{method} {path}",
            [Reason(str(code)) for code in why],
            self._node.clock.now(),
            address=asker.address,
        )

    def _session(self, token: str, is_used: bool) -> Person | None:
        found = self._node.identity.session(token, is_used=is_used)
        return found.principal if found else None

    def _token(self, secret: str, is_used: bool) -> TokenHolder | None:
        return self._node.identity.token(secret, is_used=is_used)

    def _readers(self) -> dict[str, Callable[[Principal, str], bool]]:
        node = self._node
        return {
            "alert": node.detect.may_know,
            "object": node.intel.may_know,
            "case": node.respond.may_know,
            "peer": lambda principal, _: self.may(principal, Action.PEER_READ),
            "worker": lambda principal, _: self.may(principal, Action.NODE_READ),
            "notice": lambda principal, account: isinstance(principal, Person) and principal.id == account,
        }
