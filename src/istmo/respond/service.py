"""What can be done with cases, each after asking policy: open, add, share. Reading them is in ``reading``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput, NotAllowed, NotFound
from istmo.ledger.log import Ledger
from istmo.model.ids import is_id
from istmo.model.markings import Tlp
from istmo.model.names import is_name
from istmo.policy.actions import Action
from istmo.policy.decisions import Resource
from istmo.policy.principals import Principal, told
from istmo.respond import entries, records
from istmo.respond.fold import Folded
from istmo.respond.inbox import Inbox
from istmo.respond.objects import (
    LONGEST_TEXT,
    LONGEST_TITLE,
    Alert,
    AlertSource,
    Author,
    Case,
    CaseEntry,
    Findable,
    Marking,
    Note,
    Object,
    ObjectSource,
    Opening,
    OwnerChange,
    Refusal,
    Severity,
    SeverityChange,
    Share,
    SharePlan,
    Status,
    StatusChange,
    Task,
    TaskDone,
    TitleChange,
)
from istmo.respond.reading import reasons_told
from istmo.respond.sharing import plan_share
from istmo.respond.writing import Writing
from istmo.store.engine import Store

SNIPPETS, SNIPPET = 20, 2_000


class Respond(Writing):
    """Everything that can be done with the cases of one node. Thread-safe; one instance a node."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        clock: Clock,
        region: Callable[[], frozenset[str]],
        alerts: AlertSource,
        objects: ObjectSource,
        space: str = "real",
    ) -> None:
        super().__init__(store, ledger, clock, region, space)
        self._alerts, self._objects = alerts, objects
        self._inbox = Inbox(ledger, clock)

    # Opening

    def open_case(
        self,
        principal: Principal,
        title: str = "",
        *,
        severity: str = "",
        tlp: Tlp = Tlp.AMBER,
        note: str = "",
        alert: str = "",
        others: Iterable[str] = (),
    ) -> Case:
        """A new case, for this node alone until it is shared; with ``alert``, that alert is promoted.

        Title and severity are the alert's where they are not given; ``others`` are alerts that are put
        into it too. Raises InvalidInput, NotAllowed, NotFound for an alert that the asker may not see.
        """
        resource = Resource("case", self._me, frozenset({self._me}), tlp, self._space, told(principal))
        self._may(principal, Action.CASE_WORK, resource)
        quoted = self._alert(principal, alert) if alert else None
        more = [self._alert(principal, one) for one in others]
        title = title.strip()
        if (title or quoted is None) and not is_name(title, LONGEST_TITLE):
            raise InvalidInput("respond.bad_title", longest=LONGEST_TITLE)
        title = title or (quoted.title if quoted else "")
        level = severity or (str(quoted.level) if quoted else Severity.MEDIUM)
        level = _one_of(Severity, level, "severity")
        opening = self._body(Opening, principal, title=title, severity=level, tlp=tlp.label)
        case, copy = entries.open_with(opening, self._me)
        with self._store.write() as tx:
            self._append(tx, copy, tlp)
            self._written(tx, principal, case, entries.encode_body(opening))
            for body in (quoted, *more, self._note(principal, note) if note.strip() else None):
                if body is not None:
                    self._add(tx, principal, self._folded(tx.connection, case), body, frozenset({self._me}))
            found = self._folded(tx.connection, case).case()
            records.put_case(tx.connection, found, self._clock.now(), told(principal))
            self._record(tx, principal, Action.CASE_WORK, case)
        return found

    # Adding

    def add_note(self, principal: Principal, case_id: str, text: str) -> CaseEntry:
        """Something said, to everyone whom this node lets read the case."""
        return self._add_to(principal, case_id, self._note(principal, text))

    def add_alert(
        self,
        principal: Principal,
        case_id: str,
        alert_id: str,
        *,
        only_to: Iterable[str] | None = None,
        raise_to: Tlp | None = None,
    ) -> CaseEntry:
        """An alert as it is now.

        Raises NotAllowed("respond.not_theirs_to_see") naming the members who may not see it, ``only_to``
        then leaves them out; Conflict("respond.already_there"); Conflict("respond.raises_marking") naming
        who of this node would not see the case any more, ``raise_to`` then says how strict it may become.
        """
        return self._add_to(principal, case_id, self._alert(principal, alert_id), only_to, raise_to)

    def add_alerts(
        self, principal: Principal, case_id: str, alerts: Iterable[str], *, raise_to: Tlp | None = None
    ) -> tuple[CaseEntry, ...]:
        """Several alerts, all or none; those that are in the case already are left as they are there.

        Errors as for one alert: ``respond.already_there`` where nothing would be added.
        """
        bodies = [self._alert(principal, one) for one in alerts]
        return self._add_all(principal, case_id, bodies, raise_to=raise_to)

    def add_object(
        self,
        principal: Principal,
        case_id: str,
        object_id: str,
        *,
        only_to: Iterable[str] | None = None,
        raise_to: Tlp | None = None,
    ) -> CaseEntry:
        """A shared object, by its id. ``only_to``, ``raise_to`` and errors as for an alert."""
        found = self._objects.object_snapshot(principal, object_id)
        marking = Marking(found.tlp.label, found.origin, tuple(sorted(found.audience)))
        body = self._body(Object, principal, object=found.id, name=found.name[:300], marking=marking)
        return self._add_to(principal, case_id, body, only_to, raise_to)

    def add_task(self, principal: Principal, case_id: str, text: str) -> CaseEntry:
        """Something to be done."""
        return self._add_to(principal, case_id, self._body(Task, principal, text=_checked(text)))

    def finish_task(self, principal: Principal, case_id: str, task: str) -> CaseEntry:
        """A task is done. Raises NotFound where there is none, Conflict("respond.already_done")."""
        case = self.read(principal, case_id)
        if task not in {one.entry.id for one in case.tasks}:
            raise NotFound("respond.no_task", task=task[:80])
        return self._add_to(principal, case_id, self._body(TaskDone, principal, task=task))

    def set_status(self, principal: Principal, case_id: str, status: str) -> CaseEntry:
        """Change the status; settles a dispute about it."""
        wanted = _one_of(Status, status, "status")
        return self._add_to(principal, case_id, self._body(StatusChange, principal, status=wanted))

    def set_severity(self, principal: Principal, case_id: str, severity: str) -> CaseEntry:
        """Change the severity; settles a dispute about it."""
        wanted = _one_of(Severity, severity, "severity")
        return self._add_to(principal, case_id, self._body(SeverityChange, principal, severity=wanted))

    def set_owner(self, principal: Principal, case_id: str, member: str = "", name: str = "") -> CaseEntry:
        """Who leads: a member on the case, with a person's name if wanted; nobody when empty."""
        case = self.read(principal, case_id)
        if member and member not in case.members:
            raise InvalidInput("respond.not_on_case", member=member[:80])
        owner = Author(member, name.strip()) if member else None
        return self._add_to(principal, case_id, self._body(OwnerChange, principal, owner=owner))

    def rename(self, principal: Principal, case_id: str, title: str) -> CaseEntry:
        """What the case is called from now on; what it was called stays in its timeline."""
        title = title.strip()
        if not is_name(title, LONGEST_TITLE):
            raise InvalidInput("respond.bad_title", longest=LONGEST_TITLE)
        return self._add_to(principal, case_id, self._body(TitleChange, principal, title=title))

    def set_state(
        self,
        principal: Principal,
        case_id: str,
        *,
        status: str,
        severity: str,
        owner: str,
        version: str | None = None,
    ) -> Case:
        """Where a case stands, all in one: what differs is written. ``owner``: member, or ``member/name``.

        ``version``: the ``Case.version`` that the asker saw. Raises Conflict("respond.state_moved") where
        somebody changed it since: then nothing is written.
        """
        with self._denials(principal), self._store.write() as tx:
            folded, case = self._readable(tx.connection, principal, case_id)
            self._may(principal, Action.CASE_WORK, self._resource_of(tx.connection, case))
            if case.is_invitation:
                raise Conflict("respond.not_open_here")
            if version is not None and version != case.version:
                raise Conflict("respond.state_moved")
            bodies = self._changes(principal, case, status, severity, owner)
            for body in bodies:
                self._add(tx, principal, self._folded(tx.connection, case_id), body, self._audience(folded))
            if bodies:
                self._record(tx, principal, Action.CASE_WORK, case_id)
            folded = self._folded(tx.connection, case_id)
        return self._as_seen(principal, folded, folded.case())

    def _changes(
        self, principal: Principal, case: Case, status: str, severity: str, owner: str
    ) -> list[StatusChange | SeverityChange | OwnerChange]:
        found: list[StatusChange | SeverityChange | OwnerChange] = []
        # A value that is disputed is settled by saying it again.
        if status != case.status.value or case.status.is_disputed:
            found.append(self._body(StatusChange, principal, status=_one_of(Status, status, "status")))
        if severity != case.severity.value or case.severity.is_disputed:
            level = _one_of(Severity, severity, "severity")
            found.append(self._body(SeverityChange, principal, severity=level))
        if owner != case.owner.value or case.owner.is_disputed:
            member, _, name = owner.partition("/")
            if member and member not in case.members:
                raise InvalidInput("respond.not_on_case", member=member[:80])
            author = Author(member, name.strip()) if member else None
            found.append(self._body(OwnerChange, principal, owner=author))
        return found

    # Finding what could be added

    def find_alerts(self, principal: Principal, words: str, limit: int = 20) -> list[Findable]:
        """Alerts of this node that the asker may read, to add one to a case; none for who reads none."""
        try:
            return list(self._alerts.find_alerts(principal, words, limit))
        except NotAllowed:
            return []

    def find_objects(self, principal: Principal, words: str, limit: int = 20) -> list[Findable]:
        """The same of shared objects."""
        try:
            return list(self._objects.find_objects(principal, words, limit))
        except NotAllowed:
            return []

    # Sharing

    def plan_share(
        self,
        principal: Principal,
        case_id: str,
        member: str,
        leave_out: Iterable[str] = (),
        *,
        seen: str | None = None,
    ) -> SharePlan:
        """Who will see what, and why, were the case shared with ``member``. Changes nothing.

        ``seen``: the ``SharePlan.seen`` of an earlier plan; what was written since is told as ``new``.
        """
        with self._denials(principal), self._store.read() as connection:
            folded, _ = self._readable(connection, principal, case_id)
            return self._plan(connection, principal, folded, member, frozenset(leave_out), seen)

    def share(
        self,
        principal: Principal,
        case_id: str,
        member: str,
        leave_out: Iterable[str] = (),
        *,
        seen: str | None = None,
    ) -> Case:
        """Let another member read what this node wrote here and will write; what others wrote is theirs.

        ``seen``: the ``SharePlan.seen`` of the plan that is confirmed. Raises
        NotAllowed("respond.share_refused") naming each alert or object that the member may not see and
        why: share again with these left out, or do not share; Conflict("respond.share_moved") where
        something that would go was written since the plan was seen.
        """
        left = frozenset(leave_out)
        with self._denials(principal), self._store.write() as tx:
            folded, case = self._readable(tx.connection, principal, case_id)
            plan = self._plan(tx.connection, principal, folded, member, left, seen)
            if not plan.allowed:
                raise NotAllowed(
                    "respond.share_denied", member=member[:80], denied=reasons_told(plan.reasons)
                )
            if plan.refused:
                raise NotAllowed(
                    "respond.share_refused",
                    member=member,
                    n=len(plan.refused),
                    titles=[one.title for one in plan.refused],
                    refused=[_refusal(one) for one in plan.refused],
                )
            if case.is_invitation:
                raise Conflict("respond.not_open_here")
            if plan.new:
                raise Conflict("respond.share_moved", n=len(plan.new))
            for copy in entries.reissue(folded, self._me, member, left):
                self._append(tx, copy, case.tlp)
            folded = self._folded(tx.connection, case_id)
            audience = self._audience(folded) | {member}
            body = self._body(
                Share, principal, member=member, members=tuple(sorted(folded.members | {member}))
            )
            self._add(tx, principal, folded, body, audience)
            self._record(tx, principal, Action.CASE_SHARE, f"{case_id} {member}")
            folded = self._folded(tx.connection, case_id)
        return self._as_seen(principal, folded, folded.case())

    def _plan(
        self,
        connection: Connection,
        principal: Principal,
        folded: Folded,
        member: str,
        left: frozenset[str],
        seen: str | None,
    ) -> SharePlan:
        if not is_id(member, "identity") or member == self._me:
            raise InvalidInput("respond.no_such_member", member=member[:80])
        plan = plan_share(principal, folded, member, left, self._context())
        written = records.written(connection, folded.id, self._me)
        since = written[written.index(seen) + 1 :] if seen in written else written
        known = self._as_seen(principal, folded, folded.case())
        withheld = {one.id: one for one in known.timeline if one.is_withheld}
        return replace(
            plan,
            sends=tuple(withheld.get(one.id, one) for one in plan.sends),
            refused=tuple(
                replace(one, kind="withheld", title="") if one.entry in withheld else one
                for one in plan.refused
            ),
            seen=written[-1] if written else "",
            new=frozenset() if seen is None else frozenset(since) & {one.id for one in plan.sends},
        )

    # What the above is made of

    def _note(self, principal: Principal, text: str) -> Note:
        found: Note = self._body(Note, principal, text=_checked(text))
        return found

    def _alert(self, principal: Principal, alert_id: str) -> Alert:
        one = self._alerts.alert_snapshot(principal, alert_id)
        audience = None if one.audience is None else tuple(sorted(one.audience))
        found: Alert = self._body(
            Alert,
            principal,
            alert=one.id,
            title=one.title[:LONGEST_TITLE],
            level=_one_of(Severity, one.level, "severity"),
            first=one.first,
            last=one.last,
            count=one.count,
            evidence=tuple(text[:SNIPPET].replace("\0", "") for text in one.evidence[:SNIPPETS]),
            indicator=one.indicator,
            marking=Marking(one.tlp.label, one.origin or self._me, audience),
        )
        return found


def _checked(text: str) -> str:
    """What somebody wrote, without what surrounds it."""
    text = text.strip()
    if not text:
        raise InvalidInput("respond.no_text")
    if len(text) > LONGEST_TEXT:
        raise InvalidInput("respond.text_too_long", length=len(text), limit=LONGEST_TEXT)
    return text


def _one_of(kind: type[Status] | type[Severity], text: str, field: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        known = [str(one) for one in kind]
        raise InvalidInput("respond.unknown_value", field=field, value=text[:80], known=known) from None


def _refusal(one: Refusal) -> dict[str, Any]:
    return {"entry": one.entry, "kind": one.kind, "title": one.title, "reasons": reasons_told(one.reasons)}
