"""What notices are about, in the words of the rooms that know: where ``node.py`` ties them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from istmo.detect.service import Detect
from istmo.doctor import LOW_DISK_GB, check_keys, check_sealing, check_settings, free_disk
from istmo.federation.service import Federation
from istmo.identity.objects import Account
from istmo.model.markings import Tlp
from istmo.notices.objects import Heading, Kind
from istmo.policy.actions import Action
from istmo.policy.decisions import Resource, decide
from istmo.policy.principals import Person
from istmo.respond.service import Respond
from istmo.settings import Settings
from istmo.store.engine import Store

NODE_TLP: Final = Tlp.GREEN
"""What a notice says of the node itself, its members and its work: nothing that others wrote."""


class Told:
    """What may be said of the subject of a notice, and to whom: every room's own policy is asked."""

    def __init__(self, detect: Detect, respond: Respond, federation: Federation, store: Store) -> None:
        self._detect, self._respond, self._federation, self._store = detect, respond, federation, store

    def headings(self, people: Iterable[Account], kind: Kind, subject: str) -> Mapping[str, Heading]:
        """By account id, for those of ``people`` who may know of it at this moment."""
        by_person = {one.person: one.id for one in people if not one.is_disabled}
        match kind:
            case Kind.ALERT | Kind.ASSIGNED | Kind.SOURCE:
                readers, heading = self._alert(by_person, subject)
            case Kind.CASE:
                readers, heading = self._case(by_person, subject)
            case Kind.PEER:
                readers, heading = self._peer(by_person, subject)
            case Kind.JOB:
                readers = self._who_may(by_person, Action.JOB_MANAGE)
                heading = Heading("", NODE_TLP, "/administration/jobs", words="notices.title.job")
            case Kind.DOCTOR | Kind.DISK:
                readers = self._who_may(by_person, Action.NODE_MANAGE)
                words = "cli.doctor.disk" if kind is Kind.DISK else f"cli.doctor.{subject}"
                heading = Heading("", NODE_TLP, "/administration/doctor", words=words)
            case _:
                return {}
        return {by_person[one]: heading for one in readers} if heading is not None else {}

    def _alert(self, people: Mapping[Person, str], subject: str) -> tuple[list[Any], Heading | None]:
        alert, readers = self._detect.alert_for(people, subject)
        if alert is None:
            return [], None
        title = " · ".join(part for part in (alert.title or alert.subject, alert.entity) if part)
        return readers, Heading(title[:300], alert.tlp, f"/alerts/{alert.id}", str(alert.level))

    def _case(self, people: Mapping[Person, str], subject: str) -> tuple[list[Any], Heading | None]:
        case, readers = self._respond.case_for(people, subject)
        if case is None:
            return [], None
        words = "" if case.title else "console.case.invitation"
        return readers, Heading(case.title[:300], case.tlp, f"/cases/{case.id}", words=words)

    def _peer(self, people: Mapping[Person, str], subject: str) -> tuple[list[Any], Heading | None]:
        name = self._federation.name_of(subject)
        readers = self._who_may(people, Action.PEER_READ)
        return readers, Heading(name[:300], NODE_TLP, f"/peers/{subject}")

    def _who_may(self, people: Iterable[Person], action: Action) -> list[Person]:
        context = self._federation.context()
        me = context.member
        own = Resource("node", me, frozenset({me}), Tlp.CLEAR, context.space)
        return [one for one in people if decide(one, action, own, context)]


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
