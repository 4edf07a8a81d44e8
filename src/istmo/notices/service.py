"""What can be done with notices: read one's own, choose what one is told, decide what leaves."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput, NotAllowed, NotFound
from istmo.identity import audit
from istmo.identity.objects import Account
from istmo.identity.service import Identity, fold
from istmo.kit.i18n import Catalogue
from istmo.ledger.keys import NodeKeys
from istmo.model.ids import new_id
from istmo.notices import records, timing
from istmo.notices.objects import CONSOLE, KINDS, LEVELS, Kind, Plan, Shown, Subjects, Way
from istmo.notices.sending import SEND, Sending, headings_for
from istmo.notices.telling import CHANGED, TELL, USUAL, Telling
from istmo.notices.watching import Troubles, Watching
from istmo.notices.ways import notifier_named, notifiers
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Decision, Reason, Resource, decide
from istmo.policy.principals import Person, Principal
from istmo.settings import Settings
from istmo.store.engine import Store, Transaction
from istmo.store.jobs import JobRunner

MOST_COUNTED: Final = 100
"""Unread notices that are counted: of more, that there are more."""
MOST_WAYS: Final = 200
LONGEST_EVERY: Final = 24 * 60
ATTEMPTS: Final = 12
"""With the waits between them about two hours: a mail server is restarted in less."""


class Notices:
    """The notices of one node. Thread-safe; one instance a node."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        keys: NodeKeys,
        identity: Identity,
        subjects: Subjects,
        catalogue: Catalogue,
        troubles: Troubles,
    ) -> None:
        self._store, self._clock, self._settings = store, clock, settings
        self._identity, self._subjects = identity, subjects
        self.sending = Sending(store, clock, settings, keys, identity, subjects, catalogue)
        self.telling = Telling(store, clock, identity, subjects, self.sending)
        self.watching = Watching(store, clock, self.telling, troubles)
        # A runner of its own: a receiver that does not answer holds up no other work of the node.
        self.jobs = JobRunner(store, clock, attempts=ATTEMPTS)
        self.jobs.handle(TELL, self.telling.tell)
        self.jobs.handle(SEND, self.sending.send)

    def start(self) -> None:
        """Hand out and send from now on."""
        self.jobs.start()
        self.watching.start()

    def stop(self) -> None:
        """End what runs; what waits is sent after the next start."""
        self.watching.stop()
        self.jobs.stop()

    # One's own

    def unread(self, by: Principal) -> int:
        """How many notices somebody has not read, up to ``MOST_COUNTED``; 0 for whoever has none."""
        if not isinstance(by, Person) or not self._decision(by, Action.NOTICE_READ):
            return 0
        with self._store.read() as connection:
            return records.count_unread(connection, by.id, MOST_COUNTED)

    def list_notices(
        self, by: Principal, *, unread: bool = False, before: int | None = None, limit: int = 50
    ) -> list[Shown]:
        """One's own, newest first, each as it may be told at this moment. Raises NotAllowed."""
        account = self._own(by)
        with self._store.read() as connection:
            found = records.list_notices(
                connection, account.id, unread=unread, before=before, limit=max(1, min(limit, 200))
            )
        headings = headings_for(self._subjects, account, found)
        return [Shown(one, headings.get((one.kind, one.subject))) for one in found]

    def count_notices(self, by: Principal, *, unread: bool) -> int:
        """How many of one's own there are. Raises NotAllowed."""
        account = self._own(by)
        with self._store.read() as connection:
            return records.count_notices(connection, account.id, unread=unread)

    def mark_read(self, by: Principal, *, id: int | None = None, upto: int | None = None) -> int:
        """One of one's own, or all up to one; how many were unread. Raises NotAllowed."""
        account = self._own(by)
        if id is None and upto is None:
            return 0
        with self._store.write() as tx:
            done = records.mark_read(tx.connection, account.id, self._clock.now(), id=id, upto=upto)
            if done:
                tx.notify(CHANGED, account.id)
        return done

    def console_plan(self, by: Principal) -> Plan:
        """What one is told of in the console. Raises NotAllowed."""
        account = self._own(by)
        with self._store.read() as connection:
            found = records.console_way(connection, account.id)
        return found.plan if found else USUAL

    def set_console_plan(self, by: Principal, kinds: Iterable[str], level: str) -> Plan:
        """Say what one wants to be told of in the console. Raises NotAllowed, InvalidInput."""
        account = self._own(by)
        plan = Plan(read_kinds(kinds, may_be_none=True), read_level(level))
        with self._store.write() as tx:
            found = records.console_way(tx.connection, account.id)
            if found is None:
                records.add_way(tx.connection, self._way(account, plan))
            else:
                records.change_plan(tx.connection, found.id, found.version, plan)
        return plan

    # What leaves the node

    def ways(self, by: Principal) -> list[tuple[Way, str]]:
        """Every way out with the name of whom it tells. Raises NotAllowed."""
        self._may_manage(by)
        names = {one.id: one.name for one in self._identity.known_people()}
        with self._store.read() as connection:
            found = records.all_ways(connection)
        return [(one, names.get(one.account, "")) for one in found if one.plan.notifier != CONSOLE]

    def way(self, by: Principal, id: str) -> tuple[Way, str]:
        """One way out. Raises NotAllowed, NotFound("notices.no_way")."""
        found = next((one for one in self.ways(by) if one[0].id == id), None)
        if found is None:
            raise NotFound("notices.no_way", id=id[:80])
        return found

    def people(self, by: Principal) -> list[str]:
        """Names of those who can be told. Raises NotAllowed."""
        self._may_manage(by)
        return [one.name for one in self._identity.known_people()]

    def add_way(self, by: Principal, person: str, plan: Plan) -> Way:
        """A new way out for ``person``. Raises NotAllowed, InvalidInput, NotFound("identity.no_account")."""
        self._may_manage(by)
        account, plan = self._named(person), self._checked(plan)
        with self._store.write() as tx:
            if len(records.all_ways(tx.connection)) >= MOST_WAYS + len(self._identity.known_people()):
                raise InvalidInput("notices.too_many_ways", most=MOST_WAYS)
            way = self._way(account, plan)
            records.add_way(tx.connection, way)
            self._record(tx, by, f"{way.id} {plan.notifier}: {account.name}")
        return way

    def change_way(self, by: Principal, id: str, plan: Plan, version: int | None = None) -> Way:
        """Give a way out another plan. ``version``: the one that the asker saw.

        Raises NotAllowed, NotFound, InvalidInput, Conflict("notices.way_changed").
        """
        found, _ = self.way(by, id)
        checked = self._checked(replace(plan, notifier=found.plan.notifier))
        with self._store.write() as tx:
            seen = found.version if version is None else version
            if not records.change_plan(tx.connection, id, seen, checked):
                raise Conflict("notices.way_changed")
            self._record(tx, by, f"{id} changed")
        return self.way(by, id)[0]

    def switch_way(self, by: Principal, id: str, *, on: bool) -> None:
        """Send nothing more by a way, or again. What waited is let go of with the first."""
        self.way(by, id)
        with self._store.write() as tx:
            records.change_way(tx.connection, id, is_on=on)
            if not on:
                records.drop_letters(tx.connection, id)
            self._record(tx, by, f"{id} {'on' if on else 'off'}")

    def drop_way(self, by: Principal, id: str) -> None:
        """Take a way out away, and what waited for it."""
        self.way(by, id)
        with self._store.write() as tx:
            records.drop_way(tx.connection, id)
            self._record(tx, by, f"{id} deleted")

    def test_way(self, by: Principal, id: str) -> None:
        """Send a test by it, now. Raises what the sending raises."""
        way, _ = self.way(by, id)
        account = next((one for one in self._identity.known_people() if one.id == way.account), None)
        if account is None:
            raise NotFound("notices.no_way", id=id[:80])
        self.sending.test(way, account)

    def secret(self, by: Principal, way: Way) -> str:
        """The secret of a way that was just made (anew); empty where it has none. Raises NotAllowed."""
        self._may_manage(by)
        return self.sending.secret_of(way) if notifier_named(way.plan.notifier).has_secret else ""

    def new_secret(self, by: Principal, id: str) -> Way:
        """Sign with another secret from now on; the one before is worth nothing."""
        self.way(by, id)
        with self._store.write() as tx:
            records.change_way(tx.connection, id, nonce=secrets.token_hex(16))
            self._record(tx, by, f"{id} new secret")
        return self.way(by, id)[0]

    def notifiers(self, by: Principal) -> list[str]:
        """The ways there are. Raises NotAllowed."""
        self._may_manage(by)
        return sorted(notifiers())

    # What all of the above stands on

    def _way(self, account: Account, plan: Plan) -> Way:
        return Way(
            new_id("x-istmo-notice-way"),
            account.id,
            plan,
            secrets.token_hex(16),
            True,
            self._clock.now(),
            None,
            None,
            None,
            1,
        )

    def _checked(self, plan: Plan) -> Plan:
        timing.read_quiet(plan.quiet)
        if not 0 <= plan.every <= LONGEST_EVERY:
            raise InvalidInput("notices.every", most=LONGEST_EVERY)
        kinds, level = read_kinds(plan.kinds), read_level(plan.level)
        address = notifier_named(plan.notifier).check(plan.address, self._settings)
        return replace(plan, kinds=kinds, level=level, address=address, quiet=plan.quiet.strip())

    def _named(self, person: str) -> Account:
        wanted = fold(person[:256])
        found = next((one for one in self._identity.known_people() if fold(one.name) == wanted), None)
        if found is None:
            raise NotFound("identity.no_account", name=person[:80])
        return found

    def _own(self, by: Principal) -> Account:
        if not isinstance(by, Person):
            raise NotAllowed("notices.people_only")
        self._may(by, Action.NOTICE_READ)
        return self._identity.myself(by)

    def _may_manage(self, by: Principal) -> None:
        self._may(by, Action.NOTICE_MANAGE)

    def _decision(self, by: Principal, action: Action) -> Decision:
        space = self._settings.space
        context = Context("", frozenset(), space, self._clock.now())
        return decide(by, action, Resource("notice", space=space), context)

    def _may(self, by: Principal, action: Action) -> None:
        decision = self._decision(by, action)
        if not decision:
            why = [reason.code for reason in decision.reasons]
            raise NotAllowed("notices.not_allowed", action=str(action), why=why)

    def _record(self, tx: Transaction, by: Principal, subject: str) -> None:
        reasons: tuple[Reason, ...] = ()
        audit.record(tx, by, Action.NOTICE_MANAGE, subject, audit.DONE, reasons, self._clock.now())


def read_kinds(names: Iterable[str], *, may_be_none: bool = False) -> frozenset[Kind]:
    """Kinds by their names. Raises InvalidInput("notices.bad_kind") for one that is none, or none at all."""
    known = {str(kind): kind for kind in KINDS}
    wanted = [str(name) for name in names]
    bad = next((name for name in wanted if name not in known), None)
    if bad is not None or (not wanted and not may_be_none):
        raise InvalidInput("notices.bad_kind", kind=(bad or "")[:40], known=sorted(known))
    return frozenset(known[name] for name in wanted)


def read_level(name: str) -> str:
    """A level of alerts by its name. Raises InvalidInput("notices.bad_level")."""
    if name not in LEVELS:
        raise InvalidInput("notices.bad_level", level=name[:40], known=list(LEVELS))
    return name
