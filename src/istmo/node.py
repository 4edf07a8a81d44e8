"""One node: its rooms, built and wired. Nothing is global, so several nodes live in one process.

``create_node`` opens the node of a data folder (``founding.found_node`` made it); ``Node.running`` holds
what runs beside the requests: jobs, the detection worker, the dialling of peers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from istmo.clock import Clock
from istmo.detect.link import WorkerLink
from istmo.detect.objects_triage import CaseName, Seen
from istmo.detect.scheduled_hunts import ScheduledHunts
from istmo.detect.service import Detect
from istmo.detect.service.alerts import alert_filter
from istmo.detect.silences import Silences
from istmo.detect.stories import Stories
from istmo.detect.supervise import Supervisor
from istmo.detect.warned import Warned
from istmo.errors import NotAllowed, NotFound
from istmo.federation.service import Federation
from istmo.identity.service import Identity
from istmo.intel.service import Intel
from istmo.kit.i18n import Catalogue
from istmo.ledger import keys as node_keys
from istmo.ledger.keys import NodeKeys
from istmo.ledger.log import Ledger
from istmo.ledger.log_files import LogFiles
from istmo.ledger.stored import open_to_run
from istmo.model.markings import Tlp
from istmo.notices.service import Notices
from istmo.policy.principals import Principal
from istmo.respond.objects import AlertSnapshot, Findable, ObjectSnapshot, Status
from istmo.respond.records import Filter
from istmo.respond.service import Respond
from istmo.settings import Settings
from istmo.store.engine import Store
from istmo.store.jobs import JobRunner
from istmo.subjects import Amiss, Told


class Neighbours:
    """``detect``'s view of what other rooms know and do about alerts."""

    def __init__(self, intel: Intel, respond: Respond) -> None:
        self._intel, self._respond = intel, respond

    def sightings(self, principal: Principal, indicator: str) -> tuple[Seen, ...]:
        """What members saw of an indicator; nothing where the asker may not read it."""
        try:
            return self._intel.sightings(principal, indicator)
        except (NotFound, NotAllowed):
            return ()

    def open_cases(self, principal: Principal, limit: int) -> tuple[CaseName, ...]:
        """Cases that are worked on, last touched first."""
        found = [
            one
            for status in (Status.OPEN, Status.WORKING)
            for one in self._respond.list_cases(principal, Filter(status=status), limit=limit).items
        ]
        found.sort(key=lambda one: one.updated, reverse=True)
        return tuple(CaseName(one.id, one.title) for one in found[:limit])

    def put_into_case(
        self, principal: Principal, case: str, alerts: tuple[str, ...], raise_to: Tlp | None = None
    ) -> CaseName:
        """Quote alerts in a case, or in a new one that has the first one's title; all of them or none."""
        if not case:
            first, *others = alerts
            made = self._respond.open_case(principal, alert=first, others=others)
            return CaseName(made.id, made.title)
        # What it is called is read before: who confirms that it becomes stricter may not see it any more.
        title = self._respond.read(principal, case).title
        self._respond.add_alerts(principal, case, alerts, raise_to=raise_to)
        return CaseName(case, title)


@dataclass
class Node:
    """The parts of one node, wired. Every part that tells the time is told by ``clock``."""

    settings: Settings
    clock: Clock
    keys: NodeKeys
    store: Store
    catalogue: Catalogue
    identity: Identity
    ledger: Ledger
    federation: Federation
    intel: Intel
    detect: Detect
    respond: Respond
    jobs: JobRunner
    link: WorkerLink
    supervisor: Supervisor
    log_files: LogFiles
    silences: Silences
    hunts: ScheduledHunts
    neighbours: Neighbours
    notices: Notices

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do what a node does beside answering, until the block is left; then end it in reverse order."""
        with ExitStack() as ending:
            ending.callback(self.store.close)
            for part in (
                self.log_files,
                self.hunts,  # ends after the link, with which a run that is under way ends
                self.link,
                self.jobs,
                self.notices,
                self.supervisor,
                self.silences,
                self.federation,
            ):
                part.start()
                ending.callback(part.stop)
            yield


def create_node(settings: Settings, clock: Clock) -> Node:
    """Open the node in ``settings.data`` and wire its rooms.

    Raises what reading keys raises, and as ``open_to_run`` where the database is not this node's any more.
    """
    keys = node_keys.load(settings.keys)
    store = open_to_run(settings, keys)
    identity = Identity(store, clock, settings.space)
    ledger = Ledger(store, keys, settings.member, clock, settings.log_files)
    federation = Federation(store, ledger, keys, settings, clock)
    warned = Warned(store)
    intel = Intel(
        store,
        ledger,
        settings,
        clock,
        members=lambda: names_of_members(federation, settings),
        acknowledgements=federation.acks,
        warned=warned.lists_of,
        is_warning=lambda: warned.is_any_on,
    )
    stories = Stories(settings.member, clock, intel, intel, lambda: warned.current)
    link = WorkerLink(
        store,
        settings,
        clock,
        member=settings.member,
        members=federation.members,
        indicators=intel,
        stories=stories,
    )
    detect = Detect(
        store,
        settings,
        clock,
        member=settings.member,
        members=federation.members,
        link=link,
        indicators=intel,
        warned=warned,
    )
    respond = Respond(
        store, ledger, clock, federation.members, _Alerts(detect), _Objects(intel), settings.space
    )
    jobs = JobRunner(store, clock)
    intel.work(jobs)
    catalogue = Catalogue()
    told, amiss = Told(detect, respond, federation, store), Amiss(settings, federation)
    notices = Notices(store, clock, settings, keys, identity, told, catalogue, amiss)
    return Node(
        settings,
        clock,
        keys,
        store,
        catalogue,
        identity,
        ledger,
        federation,
        intel,
        detect,
        respond,
        jobs,
        link,
        _supervisor(settings, keys),
        LogFiles(ledger),
        Silences(store, clock, link, federation.context),
        ScheduledHunts(store, clock, link, stories, federation.context, settings.limits),
        Neighbours(intel, respond),
        notices,
    )


def _supervisor(settings: Settings, keys: NodeKeys) -> Supervisor:
    if settings.tls != "own" and not settings.syslog_tls:
        return Supervisor(settings.data)
    return Supervisor(settings.data, certificate=keys.tls_certificate, key=keys.tls_key)


def names_of_members(federation: Federation, settings: Settings) -> dict[str, str]:
    """What people call each member of the region, by id; this node alone where there is no region."""
    found = {member: federation.name_of(member) for member in federation.members()}
    return {settings.member: settings.name, **found}


class _Alerts:
    """``respond``'s view of alerts."""

    def __init__(self, detect: Detect) -> None:
        self._detect = detect

    def find_alerts(self, principal: Principal, words: str, limit: int) -> list[Findable]:
        found = self._detect.list_alerts(principal, alert_filter(query=words), limit=limit).items
        return [
            Findable(one.id, one.title, one.tlp, str(one.level), one.entity, one.last_seen) for one in found
        ]

    def alert_snapshot(self, principal: Principal, alert_id: str) -> AlertSnapshot:
        return AlertSnapshot(**asdict(self._detect.alert_quote(principal, alert_id)))


class _Objects:
    """``respond``'s view of shared objects."""

    def __init__(self, intel: Intel) -> None:
        self._intel = intel

    def find_objects(self, principal: Principal, words: str, limit: int) -> list[Findable]:
        found = self._intel.search(principal, query=words, parts=False, limit=limit).items
        return [Findable(one.id, one.name or one.id, one.tlp, told=one.type) for one in found]

    def object_snapshot(self, principal: Principal, object_id: str) -> ObjectSnapshot:
        shown, *_ = self._intel.read(principal, object_id)
        return ObjectSnapshot(shown.id, shown.name, shown.tlp, shown.origin, frozenset(shown.audience))
