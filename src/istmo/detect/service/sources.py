"""Intake sources: who may send events, with a secret of its own each."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Final

from istmo.detect.objects import Source
from istmo.detect.records import sources as source_records
from istmo.detect.service.asking import Asking
from istmo.errors import Conflict, InvalidInput, NotFound
from istmo.model.ids import new_id
from istmo.model.names import is_name
from istmo.policy import Action, Principal, told

SECRET_PREFIX: Final = "istmo_src_"  # noqa: S105 - how a secret begins, so that it is known where it is found
MOST_SOURCES: Final = 1_000
LONGEST_NAME: Final = 100


class Sources(Asking):
    """What can be done with intake sources."""

    def create_source(
        self, principal: Principal, name: str, *, expires: datetime | None = None
    ) -> tuple[Source, str]:
        """A new source and its secret, which is told this once.

        Raises NotAllowed, InvalidInput ``detect.source_name`` or ``detect.source_expired``,
        Conflict ``detect.source_exists`` or ``detect.too_many_sources``.
        """
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        name = " ".join(name.split())
        if not is_name(name, LONGEST_NAME):
            raise InvalidInput("detect.source_name", longest=LONGEST_NAME)
        now = self._clock.now()
        if expires is not None and expires <= now:
            raise InvalidInput("detect.source_expired")
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        source = Source(new_id("x-istmo-source"), name, now, told(principal), expires, None, 0, 0, None)
        with self._store.write() as tx:
            if source_records.has_valid_name(tx.connection, name):
                raise Conflict("detect.source_exists", name=name)
            if len(source_records.valid_digests(tx.connection, now)) >= MOST_SOURCES:
                raise Conflict("detect.too_many_sources", limit=MOST_SOURCES)
            source_records.add_source(tx.connection, source, digest_of(secret))
            tx.notify("source", source.id)
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source.id} create")
        return source, secret

    def revoke_source(self, principal: Principal, source: str) -> None:
        """What a source sends is refused from now on. Raises NotFound("detect.no_source"), NotAllowed."""
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        with self._store.write() as tx:
            if not source_records.revoke_source(tx.connection, source, self._clock.now()):
                raise NotFound("detect.no_source", source=source[:80])
            tx.notify("source", source)
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source} revoke")

    def sources(self, principal: Principal) -> list[Source]:
        """Every source with what it has sent, the newest first."""
        self._require(principal, Action.SOURCE_READ, self._own("source"))
        with self._store.read() as connection:
            return source_records.all_sources(connection)


def digest_of(secret: str) -> bytes:
    """What is kept of an intake secret. It has 256 random bits: a fast hash leaves nothing to guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
