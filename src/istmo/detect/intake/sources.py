"""Who may send events: the tokens that the web process pushed, and what each source has sent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from istmo.detect.eventstore.times import to_micros
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.networks import Networks
from istmo.detect.wire import SourceCount, WireSource
from istmo.errors import NotAllowed, Unauthenticated
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Resource, decide
from istmo.policy.principals import Anonymous, Role, TokenHolder, scopes

_NOBODY = b"\0" * 32


@dataclass
class _Count:
    accepted: int = 0
    doubled: int = 0
    unreadable: int = 0
    refused: int = 0
    last: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Sources:
    """Intake tokens by digest. Secrets are hashed on arrival and compared in constant time."""

    def __init__(self, space: str) -> None:
        self._space = space
        self._by_digest: dict[bytes, WireSource] = {}
        self._by_certificate: dict[str, WireSource] = {}
        self._networks = Networks([])
        self._member = ""
        self._members: frozenset[str] = frozenset()
        self._counts: dict[str, _Count] = {}
        self.generation = 0
        """Rises with each list: what was found out about a sender before holds no more."""
        self.is_known = False
        """Whether the web process has said who may send; until then nobody may."""

    def introduce(self, member: str, members: list[str]) -> None:
        """Who this node is, for ``policy``."""
        self._member, self._members = member, frozenset(members)

    def replace(self, sources: list[WireSource]) -> None:
        """The whole list: whoever is not in it may send no more."""
        self._by_digest = {bytes(source.digest): source for source in sources}
        self._by_certificate = {one.certificate: one for one in sources if one.certificate}
        self._networks = Networks(sources)
        self.is_known = True
        self.generation += 1

    def admit(self, authorization: str, now: datetime) -> WireSource:
        """The source that sends. Raises Unauthenticated, or NotAllowed with the reasons of ``policy``."""
        digest = hashlib.sha256(token_of(authorization).encode("utf-8", "replace")).digest()
        source = self._by_digest.get(digest)
        is_right = hmac.compare_digest(digest, source.digest if source else _NOBODY)
        if source is None or not is_right:
            raise Unauthenticated("detect.token_unknown")
        return self._admitted(source, now)

    def admit_address(self, address: str, now: datetime) -> WireSource:
        """The source whose network an address is in, the smallest one. Raises what ``admit`` does."""
        source = self._networks.find(address)
        if source is None:
            raise Unauthenticated("detect.address_unknown")
        return self._admitted(source, now)

    def admit_certificate(self, fingerprint: str, now: datetime) -> WireSource:
        """The source with this certificate (SHA-256, lower-case hex). Raises what ``admit`` does.

        For certificates whose key the sender has proved to hold.
        """
        source = self._by_certificate.get(fingerprint)
        if source is None:
            raise Unauthenticated("detect.certificate_unknown")
        return self._admitted(source, now)

    def has_certificate(self, fingerprint: str) -> bool:
        """Whether a source has this certificate."""
        return fingerprint in self._by_certificate

    def _admitted(self, source: WireSource, now: datetime) -> WireSource:
        if source.until is not None and source.until <= to_micros(now):
            raise Unauthenticated("detect.token_expired", source=source.name)
        self._ask_policy(source, now)
        return source

    def count(self, source: str, arrived: Arrivals, doubled: int, at: int) -> None:
        """Remember what came, for the next report."""
        found = self._counts.setdefault(source, _Count())
        found.accepted += len(arrived.events) - doubled
        found.doubled += doubled
        found.refused += arrived.refused.total()
        found.reasons += arrived.refused
        if doubled < len(arrived.events):  # of what was sent before, all of it was counted before
            found.unreadable += arrived.unreadable.total()
            found.reasons += arrived.unreadable
        if arrived.events:
            found.last = max(found.last, at)

    def count_refused(self, source: str, code: str) -> None:
        """Remember that a whole sending of a source was refused: how many events it held nobody knows."""
        found = self._counts.setdefault(source, _Count())
        found.refused += 1
        found.reasons[code] += 1

    def take_counts(self) -> list[SourceCount]:
        """What came since the last call."""
        counts, self._counts = self._counts, {}
        return [
            SourceCount(
                id_, one.accepted, one.refused, one.last, one.unreadable, one.doubled, dict(one.reasons)
            )
            for id_, one in counts.items()
        ]

    def _ask_policy(self, source: WireSource, now: datetime) -> None:
        held = scopes(source.scopes)
        principal = TokenHolder(source.id, source.name, Role.ANALYST, held) if held else Anonymous()
        resource = Resource("event", origin=self._member, space=self._space)
        context = Context(self._member, self._members, self._space, now)
        decision = decide(principal, Action.EVENT_SUBMIT, resource, context)
        if not decision:
            raise NotAllowed("detect.submit_denied", reasons=[reason.key for reason in decision.reasons])


def token_of(authorization: str) -> str:
    """The token in an ``Authorization`` header, in whichever way the sender's protocol writes it.

    ``Bearer TOKEN``, ``Splunk TOKEN``, ``ApiKey`` (the token, or Base64 of ``anything:token``) and ``Basic``
    (the token is the password; the name may be anything). ``""`` where there is none.
    """
    kind, _, rest = authorization.strip().partition(" ")
    rest = rest.strip()
    match kind.lower():
        case "bearer" | "splunk":
            return rest
        case "basic":
            return _password(rest) or ""
        case "apikey":
            return _password(rest) or rest
    return ""


def _password(encoded: str) -> str | None:
    try:
        _, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password if colon else None
