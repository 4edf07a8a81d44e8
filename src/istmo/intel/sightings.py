"""Sightings on their way back: what this node's detection saw, told to the indicator's origin alone.

The first one goes at once, as a job: the alert that it tells of does not wait for it. While the count
grows, a new version of the same sighting follows at most once every ``interval`` seconds: a noisy
indicator costs its origin a handful of envelopes, not a flood.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from istmo.clock import Clock
from istmo.intel import records
from istmo.intel.folding import SIGHTING
from istmo.intel.objects import StoredObject
from istmo.ledger.log import Ledger
from istmo.model import instants
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.policy import Action, Context, Resource, System, decide
from istmo.store import jobs
from istmo.store.engine import Store, Transaction
from istmo.store.jobs import JobRunner

JOB = "intel.sighting"
INTERVAL = 60.0
"""Seconds between two versions of the same sighting."""
_STEP = timedelta(microseconds=1)


class Sightings:
    """Counts what was seen and tells it on. ``record`` is what detection calls."""

    def __init__(
        self, store: Store, ledger: Ledger, clock: Clock, space: str, *, interval: float = INTERVAL
    ) -> None:
        self._store, self._ledger, self._clock, self._space = store, ledger, clock, space
        self._interval = interval

    def work(self, runner: JobRunner) -> None:
        """Tell what is due."""
        runner.handle(JOB, self._tell_due)

    def record(
        self,
        tx: Transaction,
        object: str,
        origin: str,
        *,
        count: int,
        first_seen: datetime,
        last_seen: datetime,
    ) -> None:
        """``count`` more matches of an indicator of ``origin``, seen between two instants of event time."""
        now = self._clock.now()
        known = records.find_tally(tx.connection, object, origin)
        values: dict[str, Any] = {
            "object": object,
            "origin": origin,
            "sighting": known.sighting if known else new_id("sighting"),
            "created": known.created if known else now,
            "first_seen": min(first_seen, known.first_seen) if known else first_seen,
            "last_seen": max(last_seen, known.last_seen) if known else last_seen,
            "number": (known.number if known else 0) + count,
            "told_number": known.told_number if known else 0,
            "told": known.told if known else None,
            "round": known.round if known else 0,
        }
        wait = 0.0
        if values["told"] is not None:
            wait = self._interval - (now - values["told"]).total_seconds()
        records.put_tally(tx.connection, values, is_new=known is None)
        if known is None:
            records.set_seen(tx.connection, object)
        # The key names the round: while a job of this round runs, the next one finds a key of its own.
        jobs.enqueue(
            tx,
            JOB,
            {"object": object, "origin": origin},
            now,
            delay=max(0.0, wait),
            key=f"{JOB}:{object}:{origin[-36:]}:{values['round']}",
        )

    def _tell_due(self, payload: Mapping[str, Any]) -> None:
        with self._store.write() as tx:
            known = records.find_tally(tx.connection, payload["object"], payload["origin"])
            if known is not None and known.number > known.told_number:
                self._tell(tx, dict(known._mapping), self._clock.now())

    def _tell(self, tx: Transaction, tally: dict[str, Any], now: datetime) -> None:
        """One envelope to the origin alone, under the indicator's own marking; none once it is retracted."""
        about = self._seen_object(tx, tally["object"], tally["origin"])
        if about is not None:
            tally["told"] = max(now, tally["told"] + _STEP) if tally["told"] else now
            tally["told_number"] = tally["number"]
            tally["round"] += 1
            self._ledger.append(
                tx,
                SIGHTING,
                self._sighting(tally, about.tlp),
                audience={about.origin},
                markings=(about.tlp.marking_id,),
                purpose="sighting",
            )
        records.put_tally(tx.connection, tally)

    def _seen_object(self, tx: Transaction, object: str, origin: str) -> StoredObject | None:
        versions = records.versions(tx.connection, [object]).get(object, [])
        current = [one for one in versions if one.origin == origin and one.retraction is None]
        found = next((one for one in reversed(current) if one.is_current), None)
        if found is None:
            return None
        member = self._ledger.member_id
        context = Context(member, frozenset({member}), self._space, self._clock.now())
        resource = Resource("sighting", origin, frozenset(found.audience), found.tlp, self._space)
        return found if decide(System("detect"), Action.SIGHTING_RECORD, resource, context) else None

    def _sighting(self, tally: Mapping[str, Any], tlp: Tlp) -> bytes:
        """The STIX object. Counts end at 999,999,999 (STIX 2.1 section 5.2)."""
        member = self._ledger.member_id
        data = {
            "type": "sighting",
            "spec_version": "2.1",
            "id": tally["sighting"],
            "created_by_ref": member,
            "created": instants.format(tally["created"]),
            "modified": instants.format(max(tally["told"], tally["created"])),
            "first_seen": instants.format(tally["first_seen"]),
            "last_seen": instants.format(tally["last_seen"]),
            "count": min(tally["number"], 999_999_999),
            "sighting_of_ref": tally["object"],
            "where_sighted_refs": [member],
            "object_marking_refs": [tlp.marking_id],
        }
        return json.dumps(data, separators=(",", ":")).encode("ascii")
