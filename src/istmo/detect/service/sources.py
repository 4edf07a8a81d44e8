"""Intake sources: who may send events, with a secret of its own each."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from istmo.detect.objects_source import Source, SourceSettings
from istmo.detect.records import sources as source_records
from istmo.detect.service.asking import Asking, require_last
from istmo.detect.service.source_settings import changed
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
        self,
        principal: Principal,
        name: str,
        *,
        expires: datetime | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> tuple[Source, str]:
        """A new source and its secret, which is told this once. ``settings``: as in ``source_settings``.

        Raises NotAllowed, InvalidInput ``detect.source_name``, ``detect.source_expired`` or what a setting
        raises, Conflict ``detect.source_exists``, ``detect.too_many_sources``,
        ``detect.source_network_taken`` or ``detect.source_certificate_taken``.
        """
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        name = _checked_name(name)
        now = self._clock.now()
        if expires is not None and expires <= now:
            raise InvalidInput("detect.source_expired")
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        given = changed(SourceSettings(), settings or {})
        source = Source(new_id("x-istmo-source"), name, now, told(principal), expires, None, given)
        with self._store.write() as tx:
            if source_records.has_valid_name(tx.connection, name):
                raise Conflict("detect.source_exists", name=name)
            if len(source_records.valid_digests(tx.connection, now)) >= MOST_SOURCES:
                raise Conflict("detect.too_many_sources", limit=MOST_SOURCES)
            _require_free(tx.connection, source.id, given)
            source_records.add_source(tx.connection, source, digest_of(secret))
            tx.notify("source", source.id)
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source.id} create")
        return source, secret

    def change_source(
        self,
        principal: Principal,
        source: str,
        changes: Mapping[str, Any],
        *,
        name: str | None = None,
        version: str | None = None,
    ) -> Source:
        """Give some settings of a source anew, or its name; it keeps its token. ``version``: of the source
        that was seen; None to write over whatever there is.

        Raises NotAllowed, NotFound ``detect.no_source``, Conflict ``detect.source_changed``, and of a setting
        what ``create_source`` raises.
        """
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        with self._store.write() as tx:
            found = source_records.find_source(tx.connection, source)
            if found is None or found.revoked is not None:
                raise NotFound("detect.no_source", source=source[:80])
            settings = changed(found.settings, changes)
            called = found.name if name is None else _checked_name(name)
            is_other = settings != found.settings or called != found.name
            if version not in (None, found.version) and is_other:
                raise Conflict("detect.source_changed", name=found.name)
            _require_free(tx.connection, source, settings)
            if called != found.name:
                is_same = called.lower() == found.name.lower()
                if not is_same and source_records.has_valid_name(tx.connection, called):
                    raise Conflict("detect.source_exists", name=called)
                source_records.put_name(tx.connection, source, called)
            source_records.put_settings(tx.connection, source, settings)
            tx.notify("source", source)
            what = {one for one in changes if _differs(found.settings, settings, one)}
            what |= {"name"} if called != found.name else set()
            self._record(
                tx, principal, Action.SOURCE_MANAGE, f"{source} change {' '.join(sorted(what))}".strip()
            )
        return self.read_source(principal, source)

    def rotate_source(self, principal: Principal, source: str) -> tuple[Source, str]:
        """A new secret in place of the old, which is told this once; the old one opens nothing any more.

        Raises NotAllowed, NotFound("detect.no_source").
        """
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        secret = SECRET_PREFIX + secrets.token_urlsafe(32)
        with self._store.write() as tx:
            if not source_records.put_digest(tx.connection, source, digest_of(secret)):
                raise NotFound("detect.no_source", source=source[:80])
            tx.notify("source", source)
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source} rotate")
        return self.read_source(principal, source), secret

    def pause_source(
        self, principal: Principal, source: str, is_paused: bool, *, undoing: datetime | None = None
    ) -> Source:
        """Take nothing of a source for now, or again.

        ``undoing``: when that was switched which is taken back by this. Raises NotAllowed,
        NotFound("detect.no_source"), and Conflict("detect.switched_since") where it was switched since.
        """
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        with self._store.write() as tx:
            found = source_records.find_source(tx.connection, source)
            if found is None or found.revoked is not None:
                raise NotFound("detect.no_source", source=source[:80])
            require_last(undoing, found.switched, found.name)
            source_records.set_paused(tx.connection, source, is_paused, self._clock.now())
            tx.notify("source", source)
            word = "pause" if is_paused else "resume"
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source} {word}")
        return self.read_source(principal, source)

    def revoke_source(self, principal: Principal, source: str) -> None:
        """What a source sends is refused from now on. Raises NotFound("detect.no_source"), NotAllowed."""
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))
        with self._store.write() as tx:
            if not source_records.revoke_source(tx.connection, source, self._clock.now()):
                raise NotFound("detect.no_source", source=source[:80])
            tx.notify("source", source)
            self._record(tx, principal, Action.SOURCE_MANAGE, f"{source} revoke")

    def require_managing_sources(self, principal: Principal) -> None:
        """Raise NotAllowed for whoever may not."""
        self._require(principal, Action.SOURCE_MANAGE, self._own("source"))

    def sources(self, principal: Principal) -> list[Source]:
        """Every source with what it has sent, the newest first."""
        self._require(principal, Action.SOURCE_READ, self._own("source"))
        with self._store.read() as connection:
            return source_records.all_sources(connection)

    def read_source(self, principal: Principal, source: str) -> Source:
        """One source, revoked or not. Raises NotAllowed, NotFound("detect.unknown_source")."""
        self._require(principal, Action.SOURCE_READ, self._own("source"))
        with self._store.read() as connection:
            found = source_records.find_source(connection, source)
        if found is None:
            raise NotFound("detect.unknown_source", source=source[:80])
        return found


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not is_name(name, LONGEST_NAME):
        raise InvalidInput("detect.source_name", longest=LONGEST_NAME)
    return name


def _require_free(connection: Connection, id: str, settings: SourceSettings) -> None:
    """What a source is known by must be its own: two of them could not be told apart."""
    for other in source_records.not_revoked(connection):
        if other.id == id:
            continue
        if shared := set(settings.networks) & set(other.settings.networks):
            raise Conflict("detect.source_network_taken", network=min(shared), name=other.name)
        if settings.certificate and settings.certificate == other.settings.certificate:
            raise Conflict("detect.source_certificate_taken", name=other.name)


def _differs(before: SourceSettings, after: SourceSettings, name: str) -> bool:
    return bool(getattr(before, name) != getattr(after, name))


def digest_of(secret: str) -> bytes:
    """What is kept of an intake secret. It has 256 random bits: a fast hash leaves nothing to guess."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
