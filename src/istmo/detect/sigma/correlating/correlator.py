"""Correlations on event time: events of rules in, in any order within the lateness; matches out.

How it is read:

* Events are judged in the order of their own time, when everything that may still arrive within
  ``lateness`` has had its chance; all events of one instant together. So the order of arrival makes no
  difference.
* A window ends at an event and reaches back ``timespan``, both ends included.
* A correlation matches when its condition comes to hold for a group. While it goes on holding, and
  until a timespan has passed in which it did not, it does not match again: one attack is one match.
* A correlation over correlations meets a match below as an event with the fields of all its
  contributors. A counting one meets it once a match. A temporal one meets it also at each later instant
  at which the condition still holds, with the fields of what contributes at that instant: so a logon is
  found to follow many failed ones however long these go on.

Not safe to share between threads.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Final

from istmo.detect.sigma.correlating.matches import CorrelationMatch, CorrelatorLimits, Counts, Reference
from istmo.detect.sigma.correlating.plans import AnyWindow, Plan, Prepared, make_plans
from istmo.detect.sigma.correlating.snapshots import (
    GroupState,
    HeldState,
    Snapshot,
    SnapshotUnreadable,
    dump_prepared,
    load_prepared,
    read_snapshot,
    write_snapshot,
)
from istmo.detect.sigma.correlating.values import Key
from istmo.detect.sigma.correlating.windows import Contributor
from istmo.detect.sigma.ruleset import RuleSet

LATENESS: Final = 10_000_000
"""Ten seconds."""
PASSED_ON: Final = 16
"""Contributors that a match goes on with to correlations over it while it goes on holding."""
NEVER: Final = -(1 << 62)
"""Before every time."""


class _Group:
    """The state of one group of one correlation."""

    __slots__ = ("quiet_until", "since", "touched", "window", "written")

    def __init__(self, window: AnyWindow, written: Key) -> None:
        self.window = window
        self.written = written
        self.quiet_until = NEVER
        self.since = NEVER
        """When what contributed to the last match began."""
        self.touched = NEVER


Batch = dict[int, list[Prepared]]


class Correlator:
    """The correlations of a rule set, fed with what its rules match."""

    def __init__(
        self,
        ruleset: RuleSet,
        *,
        lateness: int = LATENESS,
        limits: CorrelatorLimits | None = None,
    ) -> None:
        """``lateness`` in microseconds: how much later than a newer event an event may arrive."""
        self.limits = limits or CorrelatorLimits()
        self.lateness = lateness
        self.counts = Counts()
        self._silent = ruleset.silent
        self._plans, self._uses = make_plans(ruleset.correlations, self.limits)
        self._groups: list[dict[Key, _Group]] = [{} for _ in self._plans]
        """By plan; the least recently touched first."""
        self._size = 0
        self._remembered = 0
        self._held: list[tuple[int, int, int, Prepared]] = []
        """Events that wait: time, order of arrival, plan."""
        self._arrived = 0
        self._newest = self._heard = NEVER
        """The newest event's time, and when it came in."""
        self._reached = NEVER
        """Events up to this time have been judged; what comes for it now is late."""
        self._resting: frozenset[int] = frozenset()
        """Plans that take nothing in for now."""

    @property
    def reached(self) -> int:
        """Microseconds since 1970: everything that happened up to here has been judged."""
        return self._reached

    @property
    def groups(self) -> int:
        """Groups that are remembered now."""
        return self._size

    @property
    def remembered(self) -> int:
        """Events in windows now."""
        return self._remembered

    def is_concerned(self, rule_id: str) -> bool:
        """Whether a rule's matches make any difference here."""
        return rule_id in self._uses

    def feed(
        self,
        rule_id: str,
        fields: Mapping[str, Any],
        time: int,
        reference: Reference,
        received: int | None = None,
    ) -> list[CorrelationMatch]:
        """An event that a rule matches; the correlations that can now be told to match.

        Times in microseconds since 1970. ``received``: when the event came in; an event dated later than
        that by more than the lateness has a wrong clock, and counts as of then, lest it make all others late.
        Time passes up to ``received`` first (:meth:`pass_time`).
        """
        uses = self._uses.get(rule_id)
        if uses is None:
            return []
        found = [] if received is None else self.pass_time(received)
        if received is not None and time > received + self.lateness:
            self.counts.from_future += 1
            time = received
        if time <= self._reached:
            self.counts.late += 1
            return found
        for plan, at in uses:
            if plan.index in self._resting:
                continue
            prepared = plan.prepare(fields, time, reference, at)
            if prepared is None:
                self.counts.without_group += 1
            else:
                self._arrived += 1
                heapq.heappush(self._held, (time, self._arrived, plan.index, prepared))
        if time > self._newest:
            self._newest, self._heard = time, NEVER if received is None else received
        until = self._newest - self.lateness - 1
        if len(self._held) > self.limits.held:
            self.counts.hurried += 1
            until = max(until, self._held[0][0])
        if self._held and self._held[0][0] <= until:
            return [*found, *self._judge_until(until)]
        self._reached = max(self._reached, until)
        return found

    def pass_time(self, now: int) -> list[CorrelationMatch]:
        """Judge what is out of reach of later events by now, though none may have come.

        Event time goes on from the newest event as the clock on the wall has since that came in: old
        records that are sent in late are judged by their own time. Where ``now`` is always the time at
        which the next event came in or one before it, it makes no difference how often this is called.
        """
        if self._heard == NEVER:
            return []
        until = self._newest + max(0, now - self._heard) - self.lateness - 1
        return self._judge_until(until) if until > self._reached else []

    def flush(self, until: int) -> list[CorrelationMatch]:
        """Judge all events up to a time without waiting for later ones; what comes for it after is late.

        To be called when time passes and no events come, with the present time less the lateness.
        """
        return self._judge_until(until)

    def _judge_until(self, until: int) -> list[CorrelationMatch]:
        held = self._held
        found: list[CorrelationMatch] = []
        while held and held[0][0] <= until:
            time = held[0][0]
            batch: Batch = {}
            while held and held[0][0] == time:
                _, _, index, prepared = heapq.heappop(held)
                batch.setdefault(index, []).append(prepared)
            while batch:
                index = min(batch)  # parts come before what is made of them
                self._judge(self._plans[index], time, batch.pop(index), batch, found)
        self._reached = max(self._reached, until)
        return found

    def _judge(
        self, plan: Plan, time: int, events: list[Prepared], batch: Batch, found: list[CorrelationMatch]
    ) -> None:
        """All events of one instant for one correlation; what it comes to goes to the correlations above."""
        groups = self._groups[plan.index]
        timespan = plan.correlation.timespan
        before = time - timespan
        self._forget_spent(groups, before)
        if plan.is_temporal and len(events) > 1:
            events.sort(key=lambda one: one.counted.rule)  # within an instant any order is the right one
        touched: dict[Key, _Group] = {}
        for event in events:
            for key, written in event.groups.items():
                group = touched.get(key)
                if group is None:
                    group = touched[key] = self._touch(plan, groups, key, written, time, before)
                group.window.add(event.counted)
        for group in touched.values():
            window = group.window
            value = window.judge()
            if value is not None:
                is_new = time > group.quiet_until
                group.quiet_until = time + timespan
                if is_new or plan.parents:
                    self._hold(plan, group, time, value, batch, found, is_new=is_new)
            trimmed = window.trim()
            if trimmed and window.keep == self.limits.window:
                self.counts.events_forgotten += trimmed
            self._remembered += len(window)
        if self._size > self.limits.groups or self._remembered > self.limits.remembered:
            self._make_room()

    def _touch(
        self, plan: Plan, groups: dict[Key, _Group], key: Key, written: Key, time: int, before: int
    ) -> _Group:
        """The group, its window up to date, last in the order of use and its events uncounted for now."""
        group = groups.pop(key, None)
        if group is None:
            group = _Group(plan.window(), written)
            self._size += 1
        else:
            self._remembered -= len(group.window)
            group.window.expire(before)
        group.touched = time
        groups[key] = group
        return group

    def _hold(
        self,
        plan: Plan,
        group: _Group,
        time: int,
        value: float,
        batch: Batch,
        found: list[CorrelationMatch],
        *,
        is_new: bool,
    ) -> None:
        """The condition holds for a group: say so, and pass it on."""
        most = self.limits.contributors if is_new else min(PASSED_ON, self.limits.contributors)
        contributors = list(itertools.islice(group.window.contributors(), most))
        contributors.reverse()
        references = tuple(dict.fromkeys(one for by in contributors for one in by.references))[-most:]
        correlation = plan.correlation
        if is_new:
            group.since = min((by.since for by in group.window.contributors()), default=time)
            if correlation.id not in self._silent:
                texts = zip(correlation.group_by, group.written, strict=True)
                found.append(
                    CorrelationMatch(
                        correlation.id,
                        correlation.title,
                        correlation.level,
                        dict(texts),
                        references,
                        group.since,
                        time,
                        value,
                    )
                )
        by = Contributor(time, group.since, references, None)
        fields = [one for each in contributors if is_new or each.time == time for one in each.carried or ()]
        for parent, at in plan.parents:
            if parent.index in self._resting:
                continue
            if fields and (is_new or parent.is_temporal):
                prepared = parent.prepare_match(by, fields, at)
                if prepared is None:
                    self.counts.without_group += 1
                else:
                    batch.setdefault(parent.index, []).append(prepared)

    def _forget_spent(self, groups: dict[Key, _Group], before: int) -> None:
        """Groups whose last event lies before the window can make no difference any more."""
        while groups:
            key = next(iter(groups))
            if groups[key].touched >= before:
                return
            self._drop(groups, key)

    def _drop(self, groups: dict[Key, _Group], key: Key) -> int:
        group = groups.pop(key)
        self._size -= 1
        self._remembered -= len(group.window)
        return len(group.window)

    def _make_room(self) -> None:
        """Forget the groups that were not touched for longest, a sixteenth more than must be."""
        groups_most = self.limits.groups - self.limits.groups // 16
        remembered_most = self.limits.remembered - self.limits.remembered // 16
        self._forget_oldest(groups_most, remembered_most)

    def _forget_oldest(self, groups_most: int, remembered_most: int) -> None:
        while self._size > groups_most or self._remembered > remembered_most:
            oldest = min(
                (groups for groups in self._groups if groups),
                key=lambda groups: next(iter(groups.values())).touched,
            )
            self.counts.groups_forgotten += 1
            self.counts.events_forgotten += self._drop(oldest, next(iter(oldest)))

    def snapshot(self) -> bytes:
        """All that is remembered, to be stored together with the position up to which events were fed."""
        states = {
            plan.correlation.id: (
                plan.binding,
                [self._state(key, one) for key, one in groups.items()],
            )
            for plan, groups in zip(self._plans, self._groups, strict=True)
        }
        held = [
            HeldState(time, arrived, self._plans[index].correlation.id, dump_prepared(prepared))
            for time, arrived, index, prepared in sorted(self._held, key=lambda one: one[:2])
        ]
        return write_snapshot(
            Snapshot(self._arrived, self._newest, self._heard, self._reached, self.counts, states, held)
        )

    @staticmethod
    def _state(key: Key, group: _Group) -> GroupState:
        window = group.window.dump()
        return GroupState(
            list(key), list(group.written), group.quiet_until, group.since, group.touched, window
        )

    def restore(self, data: bytes) -> tuple[str, ...]:
        """Take up what a snapshot remembers; ids of correlations that begin anew, being other than they were.

        Raises SnapshotUnreadable, and is as it was, when the bytes are not a snapshot of this version.
        """
        snapshot = read_snapshot(data)
        by_id = {plan.correlation.id: plan for plan in self._plans}
        kept = {
            id_
            for id_, (binding, _) in snapshot.states.items()
            if id_ in by_id and by_id[id_].binding == binding
        }
        groups: list[dict[Key, _Group]] = [{} for _ in self._plans]
        for id_ in kept:
            plan = by_id[id_]
            for state in snapshot.states[id_][1]:
                group = _Group(plan.window(), tuple(state.written))
                group.quiet_until, group.since, group.touched = state.quiet_until, state.since, state.touched
                try:
                    group.window.load(state.window)
                except (TypeError, ValueError) as error:
                    raise SnapshotUnreadable(str(error)) from None
                groups[plan.index][tuple(state.key)] = group
        held = [
            (one.time, one.arrived, by_id[one.correlation].index, load_prepared(one.prepared))
            for one in snapshot.held
            if one.correlation in kept
        ]
        self._groups, self._held = groups, held  # sorted, and so a heap
        self._size = sum(map(len, groups))
        self._remembered = sum(len(one.window) for some in groups for one in some.values())
        self._arrived, self._reached = snapshot.arrived, snapshot.reached
        self._newest, self._heard = snapshot.newest, snapshot.heard
        self.counts = snapshot.counts
        return tuple(id_ for id_ in by_id if id_ not in kept)

    def take_over(self, previous: Correlator) -> tuple[str, ...]:
        """Go on with what another one remembers, whose end this is; ids of correlations that begin anew."""
        by_id = {plan.correlation.id: plan for plan in previous._plans}
        moved: dict[int, int] = {}
        anew: list[str] = []
        for plan in self._plans:
            before = by_id.get(plan.correlation.id)
            if before is None or before.binding != plan.binding:
                anew.append(plan.correlation.id)
                continue
            moved[before.index] = plan.index
            self._groups[plan.index] = previous._groups[before.index]
        self._held = [
            (time, arrived, moved[index], prepared)
            for time, arrived, index, prepared in previous._held
            if index in moved
        ]
        heapq.heapify(self._held)
        self._size = sum(map(len, self._groups))
        self._remembered = sum(len(one.window) for some in self._groups for one in some.values())
        self._arrived, self._reached = previous._arrived, previous._reached
        self._newest, self._heard = previous._newest, previous._heard
        self.counts = previous.counts
        return tuple(anew)

    def rest(self, ids: Iterable[str]) -> None:
        """These correlations, and no others, take nothing in until further notice."""
        resting = frozenset(ids)
        self._resting = frozenset(plan.index for plan in self._plans if plan.correlation.id in resting)

    def make_room(self, share: float) -> None:
        """Forget the groups that were not touched for longest, until at most this share is remembered."""
        self._forget_oldest(int(self._size * share), int(self._remembered * share))
