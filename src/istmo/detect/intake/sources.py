"""Who may send events: the tokens that the web process pushed, and what each source has sent."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from istmo.detect.eventstore.times import to_micros
from istmo.detect.wire import SourceCount, WireSource
from istmo.errors import NotAllowed, Unauthenticated
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Resource, decide
from istmo.policy.principals import Anonymous, Role, TokenHolder, scopes

_NOBODY = b"\0" * 32


class Sources:
    """Intake tokens by digest. Secrets are hashed on arrival and compared in constant time."""

    def __init__(self, space: str) -> None:
        self._space = space
        self._by_digest: dict[bytes, WireSource] = {}
        self._member = ""
        self._members: frozenset[str] = frozenset()
        self._counts: dict[str, list[int]] = {}
        self.is_known = False
        """Whether the web process has said who may send; until then nobody may."""

    def introduce(self, member: str, members: list[str]) -> None:
        """Who this node is, for ``policy``."""
        self._member, self._members = member, frozenset(members)

    def replace(self, sources: list[WireSource]) -> None:
        """The whole list: whoever is not in it may send no more."""
        self._by_digest = {bytes(source.digest): source for source in sources}
        self.is_known = True

    def admit(self, authorization: str, now: datetime) -> WireSource:
        """The source that sends. Raises Unauthenticated, or NotAllowed with the reasons of ``policy``."""
        kind, _, secret = authorization.partition(" ")
        digest = hashlib.sha256(secret.strip().encode()).digest()
        source = self._by_digest.get(digest)
        is_right = hmac.compare_digest(digest, source.digest if source else _NOBODY)
        if source is None or not is_right or kind.lower() != "bearer":
            raise Unauthenticated("detect.token_unknown")
        if source.until is not None and source.until <= to_micros(now):
            raise Unauthenticated("detect.token_expired", source=source.name)
        self._ask_policy(source, now)
        return source

    def count(self, source: str, accepted: int, refused: int, at: int) -> None:
        """Remember what came, for the next report."""
        found = self._counts.setdefault(source, [0, 0, 0])
        found[0] += accepted
        found[1] += refused
        found[2] = max(found[2], at)

    def take_counts(self) -> list[SourceCount]:
        """What came since the last call."""
        counts, self._counts = self._counts, {}
        return [SourceCount(id_, *found) for id_, found in counts.items()]

    def _ask_policy(self, source: WireSource, now: datetime) -> None:
        held = scopes(source.scopes)
        principal = TokenHolder(source.id, source.name, Role.ANALYST, held) if held else Anonymous()
        resource = Resource("event", origin=self._member, space=self._space)
        context = Context(self._member, self._members, self._space, now)
        decision = decide(principal, Action.EVENT_SUBMIT, resource, context)
        if not decision:
            raise NotAllowed("detect.submit_denied", reasons=[reason.key for reason in decision.reasons])
