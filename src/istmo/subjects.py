"""What notices are about, in the words of the rooms that know: where ``node.py`` ties them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from istmo.detect.objects import Alert
from istmo.detect.service import Detect
from istmo.doctor import LOW_DISK_GB, check_keys, check_sealing, check_settings, free_disk
from istmo.federation.invitations import JOINED, OWN_REQUEST, PENDING, REFUSED
from istmo.federation.service import Federation
from istmo.identity.objects import Account
from istmo.kit.pages import with_query
from istmo.model.markings import Tlp
from istmo.notices.objects import Family, Heading, Kind
from istmo.policy.actions import Action
from istmo.policy.decisions import Resource, decide
from istmo.policy.principals import Person
from istmo.respond.objects import CaseSummary
from istmo.respond.service import Respond
from istmo.settings import Settings
from istmo.store.engine import Store

NODE_TLP: Final = Tlp.GREEN
"""What a notice says of the node itself, its members and its work: nothing that others wrote."""


class Told:
    """What may be said of the subject of a notice, and to whom: every room's own policy is asked."""

    def __init__(self, detect: Detect, respond: Respond, federation: Federation, store: Store) -> None:
        self._detect, self._respond, self._federation, self._store = detect, respond, federation, store

    def headings(
        self, people: Iterable[Account], kind: Kind, subjects: Iterable[str]
    ) -> Mapping[str, Mapping[str, Heading]]:
        """By subject and then by account id, for those of ``people`` who may know of it at this moment."""
        by_person = {one.person: one.id for one in people if not one.is_disabled}
        found: dict[str, dict[str, Heading]] = {}
        for subject, heading, readers in self._told(by_person, kind, list(subjects)):
            found.setdefault(subject, {}).update({by_person[one]: heading for one in readers})
        return found

    def _told(
        self, people: Iterable[Person], kind: Kind, subjects: list[str]
    ) -> Iterator[tuple[str, Heading, Sequence[Any]]]:
        """Each subject that there is, what is said of it, and to whom: more than once where that differs."""
        readers: Sequence[Any]
        match kind:
            case Kind.ALERT | Kind.ASSIGNED | Kind.SOURCE:
                for alert, readers in self._detect.alerts_for(people, subjects):
                    yield alert.id, _of_alert(alert), readers
            case Kind.CASE:
                for case, readers in self._respond.cases_for(people, subjects):
                    yield case.id, _of_case(case), readers
            case Kind.PEER:
                readers = self._who_may(people, Action.PEER_READ)
                for subject in subjects:
                    name = self._federation.name_of(subject)
                    yield subject, Heading(name[:300], NODE_TLP, f"/peers/{subject}"), readers
            case Kind.ENTRY:
                readers = self._who_may(people, Action.PEER_MANAGE)
                for subject in subjects:
                    if heading := self._of_entry(subject):
                        yield subject, heading, readers
            case Kind.JOB:
                readers = self._who_may(people, Action.JOB_MANAGE)
                for subject in subjects:
                    words = "notices.title.job"
                    yield subject, Heading("", NODE_TLP, "/administration/jobs", words=words), readers
            case Kind.DOCTOR | Kind.DISK:
                readers = self._who_may(people, Action.NODE_MANAGE)
                for subject in subjects:
                    words = "cli.doctor.disk" if kind is Kind.DISK else f"cli.doctor.{subject}"
                    yield subject, Heading("", NODE_TLP, "/administration/doctor", words=words), readers

    def _of_entry(self, subject: str) -> Heading | None:
        """How a request to join stands by now, this node's own or that of a member to be."""

        def heading(words: str, **params: str) -> Heading:
            return Heading("", NODE_TLP, "/peers", words=words, params=params)

        if subject == OWN_REQUEST:
            own, charter = self._federation.joiner.last(), self._federation.region.current()
            if charter is not None:
                return heading("notices.title.let_in", region=charter.name)
            is_refused = own is not None and own.state == REFUSED
            return heading("notices.title.not_let_in", url=own.url) if own and is_refused else None
        states = {PENDING: "notices.title.asks", JOINED: "notices.title.entered"}
        for one in self._federation.inviting.all():
            if one.member is not None and one.member.id == subject and one.state in states:
                return heading(states[one.state], name=one.name)
        return None

    def _who_may(self, people: Iterable[Person], action: Action) -> list[Person]:
        context = self._federation.context()
        me = context.member
        own = Resource("node", me, frozenset({me}), Tlp.CLEAR, context.space)
        return [one for one in people if decide(one, action, own, context)]


def _of_alert(alert: Alert) -> Heading:
    title = " · ".join(part for part in (alert.title or alert.subject, alert.entity) if part)
    family = Family(
        alert.subject, (alert.title or alert.subject)[:300], with_query("/alerts", subject=alert.subject)
    )
    return Heading(title[:300], alert.tlp, f"/alerts/{alert.id}", str(alert.level), family=family)


def _of_case(case: CaseSummary) -> Heading:
    words = "" if case.title else "console.case.invitation"
    return Heading(case.title[:300], case.tlp, f"/cases/{case.id}", words=words)


class Amiss:
    """What is not as it should be with the node and its peers."""

    def __init__(self, settings: Settings, federation: Federation) -> None:
        self._settings, self._federation = settings, federation
        self._begun: datetime | None = None

    def __call__(self, now: datetime) -> Iterator[tuple[Kind, str]]:
        """Peers that are away for too long, little room on the disk, and what the doctor finds broken."""
        self._begun = self._begun or now
        longest = timedelta(minutes=self._settings.notices.peer_away_minutes)
        for member in self._federation.region.peers():
            link = self._federation.links.get(member.id)
            heard = max(link.contact or self._begun, self._begun)
            if link.state != "connected" and now - heard >= longest:
                yield Kind.PEER, member.id
        if free_disk(self._settings) / 1e9 < LOW_DISK_GB:
            yield Kind.DISK, "disk"
        for check in (check_settings, check_keys, check_sealing):
            for finding in check(self._settings):
                if finding.state == "bad":
                    yield Kind.DOCTOR, finding.check
