"""Saved hunts: kept, shared, changed by their owner alone, and run when somebody asks."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from istmo.detect.objects import LEVELS
from istmo.detect.objects_hunt import EVERYTHING, HuntKind, HuntPlan, HuntRun, SavedHunt
from istmo.detect.records import saved_hunts as records
from istmo.detect.rule_import import read_upload
from istmo.detect.search.query import parse_query
from istmo.detect.search.sql.statement import LONGEST as LONGEST_STATEMENT
from istmo.detect.service.asking import words_of
from istmo.detect.service.hunt_runs import HuntRuns, called, rules_asked
from istmo.detect.service.hunts import asked_rules
from istmo.detect.service.patterns import asked_pattern
from istmo.detect.stories import to_micros
from istmo.errors import Conflict, InvalidInput, NotFound, TooLarge, Unavailable
from istmo.model.ids import new_id
from istmo.model.names import is_name
from istmo.policy import Action, Principal, Resource, decide, owner_names, told

HUNT_TYPE: Final = "x-istmo-hunt"
MOST_HUNTS: Final = 1_000
MOST_OF_ONE: Final = 200
"""Hunts of one owner."""
LONGEST_NAME: Final = 100
LONGEST_DESCRIPTION: Final = 2_000
LONGEST_TEXT: Final = 256 << 10
"""Bytes."""
SHORTEST: Final = 60
"""Seconds: of a window, and between two runs by itself."""
LONGEST_EVERY: Final = 31 * 86_400
_NOT_YET: Final = "detect.sql_no_column"
"""A field that no event has so far may be what the hunt waits for."""


class SavedHunts(HuntRuns):
    """What can be done with saved hunts."""

    def list_hunts(self, principal: Principal, *, query: str = "", failing: bool = False) -> list[SavedHunt]:
        """The hunts that the asker may see, by name; ``failing``: those alone that need somebody's eye."""
        sees_all = self._may(principal, Action.HUNT_STOP, self._own("hunt"))
        if not sees_all:
            self._require(principal, Action.HUNT_READ, self._own("hunt"))
        with self._store.read() as connection:
            found = records.list_hunts(
                connection,
                owners=owner_names(principal),
                every=sees_all,
                words=words_of(query),
                failing=failing,
            )
        return [one for one in found if self._sees(principal, one)]

    def read_hunt(self, principal: Principal, hunt: str) -> SavedHunt:
        """One hunt. Raises NotFound("detect.no_hunt") where there is none for this asker."""
        with self._store.read() as connection:
            found = records.find_hunt(connection, hunt)
        return self._seen(principal, found, hunt)

    def hunt_runs(self, principal: Principal, hunt: str) -> list[HuntRun]:
        """What is kept of a hunt's runs, the newest first. Raises NotFound as ``read_hunt``."""
        found = self.read_hunt(principal, hunt)
        with self._store.read() as connection:
            return records.runs(connection, found.row)

    def may_save_hunts(self, principal: Principal) -> bool:
        """Whether the asker may have hunts of their own."""
        return self._may(principal, Action.HUNT_WRITE, self._of(told(principal)))

    def may_change_hunt(self, principal: Principal, hunt: SavedHunt) -> bool:
        """Whether the asker is its owner, and may."""
        return self._may(principal, Action.HUNT_WRITE, self._of(hunt.owner))

    def may_stop_hunt(self, principal: Principal, hunt: SavedHunt) -> bool:
        """Whether the asker may switch it off, and delete it."""
        return self.may_change_hunt(principal, hunt) or self._may(
            principal, Action.HUNT_STOP, self._of(hunt.owner)
        )

    def may_run_hunt(self, principal: Principal, hunt: SavedHunt) -> bool:
        """Whether the asker may run it: whoever only may stop it may not."""
        return self._may(principal, Action.HUNT_READ, self._hunt(hunt)) and self._may(
            principal, Action.EVENT_SEARCH, self._own("event")
        )

    def save_hunt(self, principal: Principal, plan: HuntPlan) -> SavedHunt:
        """A new hunt, of the asker's own.

        Raises NotAllowed, InvalidInput for what cannot be asked or scheduled, TooLarge, Conflict
        ``detect.hunt_exists``, ``detect.too_many_hunts``.
        """
        owner = told(principal)
        self._require(principal, Action.HUNT_WRITE, self._of(owner))
        plan = self._checked(principal, plan)
        now, id = self._clock.now(), new_id(HUNT_TYPE)
        with self._store.write() as tx:
            if records.is_named(tx.connection, owner, plan.name):
                raise Conflict("detect.hunt_exists", name=plan.name)
            for most, number in (
                (MOST_OF_ONE, records.count_hunts(tx.connection, owner)),
                (MOST_HUNTS, records.count_hunts(tx.connection)),
            ):
                if number >= most:
                    raise Conflict("detect.too_many_hunts", limit=most)
            records.add_hunt(tx.connection, id, plan, (owner, called(principal)), _due(plan, None, now), now)
            tx.notify("hunt", id)
            self._record(tx, principal, Action.HUNT_WRITE, f"{id} create {_said(plan)}")
        return self.read_hunt(principal, id)

    def change_hunt(self, principal: Principal, hunt: str, plan: HuntPlan, version: int) -> SavedHunt:
        """Give a hunt of one's own anew. ``version``: the one that was seen.

        Raises what ``save_hunt`` raises, NotFound, Conflict("detect.hunt_changed").
        """
        found = self._own_hunt(principal, hunt)
        plan = self._checked(principal, plan)
        now = self._clock.now()
        with self._store.write() as tx:
            if records.is_named(tx.connection, found.owner, plan.name, found.row):
                raise Conflict("detect.hunt_exists", name=plan.name)
            due = _due(plan, found, now)
            if not records.change_hunt(tx.connection, found.row, version, plan, due, now):
                raise Conflict("detect.hunt_changed", name=found.plan.name)
            tx.notify("hunt", found.id)
            self._record(tx, principal, Action.HUNT_WRITE, f"{found.id} change {_said(plan)}")
        return self.read_hunt(principal, hunt)

    def switch_hunt(self, principal: Principal, hunt: str, is_on: bool) -> SavedHunt:
        """Let a hunt run by itself, or no more. Its owner may; whoever may stop hunts may switch it off."""
        found = self.read_hunt(principal, hunt)
        action = Action.HUNT_WRITE
        if not is_on and not self.may_change_hunt(principal, found):
            action = Action.HUNT_STOP
        self._require(principal, action, self._of(found.owner), found.id)
        plan, now = replace(found.plan, is_on=is_on), self._clock.now()
        with self._store.write() as tx:
            due = _due(plan, found, now)
            if not records.change_hunt(tx.connection, found.row, found.version, plan, due, now):
                raise Conflict("detect.hunt_changed", name=found.plan.name)
            tx.notify("hunt", found.id)
            self._record(tx, principal, action, f"{found.id} {'on' if is_on else 'off'}")
        return self.read_hunt(principal, hunt)

    def delete_hunt(self, principal: Principal, hunt: str) -> None:
        """Forget a hunt and its runs; its alerts stay. Raises NotAllowed, NotFound."""
        found = self.read_hunt(principal, hunt)
        is_own = self.may_change_hunt(principal, found)
        action = Action.HUNT_WRITE if is_own else Action.HUNT_STOP
        self._require(principal, action, self._of(found.owner), found.id)
        with self._store.write() as tx:
            records.drop_hunt(tx.connection, found.row)
            tx.notify("hunt", found.id)
            self._record(tx, principal, action, f"{found.id} delete {_said(found.plan)}")

    # --- who may, and what can be asked ----------------------------------------------------------

    def _may(self, principal: Principal, action: Action, resource: Resource) -> bool:
        return bool(decide(principal, action, resource, self._context()))

    def _sees(self, principal: Principal, hunt: SavedHunt) -> bool:
        return self._may(principal, Action.HUNT_READ, self._hunt(hunt)) or self._may(
            principal, Action.HUNT_STOP, self._of(hunt.owner)
        )

    def _seen(self, principal: Principal, found: SavedHunt | None, id: str) -> SavedHunt:
        if not self._may(principal, Action.HUNT_STOP, self._own("hunt")):
            self._require(principal, Action.HUNT_READ, self._own("hunt"))
        if found is None or not self._sees(principal, found):
            raise NotFound("detect.no_hunt", hunt=id[:80])
        return found

    def _own_hunt(self, principal: Principal, hunt: str) -> SavedHunt:
        found = self.read_hunt(principal, hunt)
        self._require(principal, Action.HUNT_WRITE, self._of(found.owner), found.id)
        return found

    def _checked(self, principal: Principal, plan: HuntPlan) -> HuntPlan:
        plan = checked_plan(plan)
        if plan.kind is HuntKind.QUERY:
            parse_query(plan.text)
            return plan
        if plan.kind is HuntKind.PATTERN:
            asked_pattern(plan.text)
            return plan
        if plan.kind is HuntKind.SQL:
            self._try_statement(plan.text)
            return plan
        asked = rules_asked(plan.text)
        if not asked.yaml:
            self._require(principal, Action.RULE_READ, self._own("rule"))
            if asked.ids:
                with self._store.read() as connection:
                    asked_rules(connection, "", asked.ids)
            return plan
        upload = read_upload(asked.yaml.encode())
        if not upload.rules:
            first = upload.problems[0].told() if upload.problems else None
            raise InvalidInput(
                "detect.hunt_no_usable_rule", line=first.line if first else 1, n=len(upload.problems)
            )
        return plan

    def _try_statement(self, text: str) -> None:
        """Ask the worker, over no time at all: nothing but a process of its own reads what somebody wrote.

        Where none is there, or it is busy, the first run tells what is wrong.
        """
        if len(text.encode("utf-8", "surrogatepass")) > LONGEST_STATEMENT:
            raise TooLarge("detect.sql_too_long", limit=LONGEST_STATEMENT)
        now = to_micros(self._clock.now())
        try:
            with closing(self._link.ask.sql(text, now, now, 1)):
                return
        except Unavailable:
            return
        except InvalidInput as error:
            if error.code != _NOT_YET:
                raise


def checked_plan(plan: HuntPlan) -> HuntPlan:
    """A plan as it is kept, where it can be. Raises InvalidInput, TooLarge."""
    name = " ".join(plan.name.split())
    if not is_name(name, LONGEST_NAME):
        raise InvalidInput("detect.hunt_name", longest=LONGEST_NAME)
    if len(plan.description) > LONGEST_DESCRIPTION or "\x00" in plan.description:
        raise InvalidInput("detect.hunt_description", longest=LONGEST_DESCRIPTION)
    if len(plan.text.encode("utf-8", "surrogatepass")) > LONGEST_TEXT:
        raise TooLarge("detect.hunt_too_long", limit=LONGEST_TEXT)
    if "\x00" in plan.text or not plan.text.strip():
        raise InvalidInput("detect.hunt_empty")
    if not SHORTEST <= plan.window <= EVERYTHING:
        raise InvalidInput("detect.hunt_window", days=EVERYTHING // 86_400)
    if plan.every and not SHORTEST <= plan.every <= LONGEST_EVERY:
        raise InvalidInput("detect.hunt_every", days=LONGEST_EVERY // 86_400)
    if plan.level not in LEVELS:
        raise InvalidInput("detect.unknown_filter", field="level", value=str(plan.level)[:40])
    return replace(plan, name=name, text=plan.text.strip(), description=plan.description.strip())


def next_due(due: datetime, every: int, now: datetime) -> datetime:
    """The first time of a schedule that is still to come: what was missed is one run."""
    if due > now:  # a clock that has been put right since
        return now + timedelta(seconds=every)
    missed = int((now - due).total_seconds() // every)
    return due + timedelta(seconds=every * (missed + 1))


def _due(plan: HuntPlan, before: SavedHunt | None, now: datetime) -> datetime | None:
    if not plan.is_on or not plan.every:
        return None
    if before is not None and before.due is not None and before.plan.every == plan.every:
        return before.due
    return now


def _said(plan: HuntPlan) -> str:
    return f'"{plan.name}"'
