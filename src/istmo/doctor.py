"""Looking a node over: what is in order, what is not, and what to do about it.

``istmo doctor`` shows it on the command line, the console under administration.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.health import look_at
from istmo.detect.eventstore.sealing import NO_KEYS, key_path, keys_of
from istmo.errors import IstmoError
from istmo.kit import times
from istmo.kit.cli import say
from istmo.kit.client import NodeClient
from istmo.kit.i18n import grouped
from istmo.ledger import keys as node_keys
from istmo.ledger.verify_node import verify_settings
from istmo.model import instants
from istmo.settings import Settings
from istmo.store.health import database_problem, is_empty, is_missing, needs_upgrade

LOW_DISK_GB = 2.0
FULL_DISK_BYTES = 64 << 20
"""From here on, whatever is written may be refused at any moment."""
FEW_DAYS = 14
"""Until the disk is full with events, at the present rate: time enough to do something about it."""
MOST_NAMED = 5
LOOPBACK = ("127.0.0.1", "::1", "localhost")


NAMED = 5
"""Things that a finding names; it tells how many there are."""

Say = Callable[..., str]
"""A text of the catalogue in somebody's language: ``say(key, **params)``."""


@dataclass(frozen=True)
class Words:
    """A parameter that is itself a text of the catalogue."""

    key: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """A parameter that is an instant, as RFC 3339 writes it."""

    text: str


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``state`` is ``ok``, ``warn`` or ``bad``."""

    check: str
    state: str
    key: str
    params: dict[str, Any] = field(default_factory=dict)

    def text(self, speak: Say = say, zone: str = "UTC") -> str:
        """What was found, and what to do about it; numbers and instants as the console writes them."""

        def shown(one: Any) -> Any:
            if isinstance(one, Moment):
                return times.local(instants.parse(one.text), zone)
            # One is left as it is, for the text is chosen by it.
            return grouped(one) if isinstance(one, int) and one != 1 else _told(one, speak)

        return speak(f"cli.doctor.{self.key}", **{name: shown(one) for name, one in self.params.items()})

    def told(self, speak: Say = say) -> dict[str, Any]:
        """Its parameters for programs, those in words in the words of ``speak``."""
        return {name: _told(one, speak) for name, one in self.params.items()}


def _told(one: Any, speak: Say) -> Any:
    if isinstance(one, Words):
        return speak(one.key, **one.params)
    return one.text if isinstance(one, Moment) else one


def is_healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is broken."""
    return all(one.state != "bad" for one in findings)


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Whether what leaves the machine is encrypted."""
    host = urlsplit(settings.url).hostname or ""
    if settings.url.startswith("http://") and host not in LOOPBACK:
        yield Finding("settings", "bad", "settings.plain", {"url": settings.url})
    else:
        shown = {"name": settings.name, "country": settings.country, "url": settings.url}
        yield Finding("settings", "ok", "settings.ok", shown)


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Whether the keys can be read, by us and by nobody else."""
    try:
        keys = node_keys.load(settings.keys)
    except IstmoError as error:
        yield Finding("keys", "bad", "keys.bad", {"problem": _words(error)})
        return
    for path in sorted(settings.keys.iterdir()):
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and path.suffix != ".crt":
            yield Finding("keys", "bad", "keys.open", {"file": str(path)})
    yield Finding("keys", "ok", "keys.ok", {"fingerprint": keys.fingerprint})


def check_database(settings: Settings) -> Iterator[Finding]:
    """Whether the database is sound and has the shape that this program knows."""
    if is_missing(settings.database_url):  # looked at further, it would be made
        yield Finding("database", "bad", "database.none")
        return
    problem = database_problem(settings.database_url)
    if problem:
        yield Finding("database", "bad", "database.bad", {"problem": problem})
    elif is_empty(settings.database_url):
        yield Finding("database", "bad", "database.none")
    elif needs_upgrade(settings.database_url):
        yield Finding("database", "warn", "database.old")
    else:
        yield Finding("database", "ok", "database.ok")


def free_disk(settings: Settings) -> int:
    """Bytes that may still be written beside the node's folder."""
    return shutil.disk_usage(settings.data).free


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Whether there is room for the logs of the coming days."""
    free = free_disk(settings) / 1e9
    low = free < LOW_DISK_GB
    yield Finding("disk", "bad" if low else "ok", "disk.low" if low else "disk.ok", {"free": f"{free:.1f}"})


def check_events(settings: Settings, *, every_event: bool = False) -> Iterator[Finding]:
    """Whether the stored events can be read and searched: the ends of each file, or all of it."""
    try:
        keys, shut = keys_of(settings), "events.shut"
    except IstmoError:
        keys, shut = NO_KEYS, "events.not_opened"  # why is told by its own check
    try:
        found = look_at(settings.events, keys, every_event=every_event)
    except OSError:
        yield Finding("events", "bad", "events.closed", {"folder": str(settings.events)})
        return
    if found.lost:
        yield Finding("events", "bad", "events.lost", _files(found.lost, settings))
    if found.slow:
        yield Finding("events", "warn", "events.slow", _files(found.slow, settings))
    if found.shut:
        yield Finding("events", "bad", shut, _files(found.shut, settings) | {"folder": str(settings.events)})
    if not found.lost and not found.slow and not found.shut:
        key = "events.none" if not found.segments else "events.all" if every_event else "events.ok"
        yield Finding("events", "ok", key, {"n": found.segments})


def check_sealing(settings: Settings) -> Iterator[Finding]:
    """Whether the key file of stored events can be used, by us alone, and rests apart from what it seals."""
    path = key_path(settings)
    if path is None:
        yield Finding("sealing", "ok", "sealing.off")
        return
    told = {"file": str(path)}
    try:
        keys = keys_of(settings)
        mode, device = path.stat().st_mode, path.stat().st_dev
    except (IstmoError, OSError) as error:
        problem: Words | str = _words(error) if isinstance(error, IstmoError) else str(error.strerror)
        yield Finding("sealing", "bad", "sealing.bad", told | {"problem": problem})
        return
    if stat.S_IMODE(mode) & 0o077:
        yield Finding("sealing", "bad", "sealing.open", told)
    elif device == settings.data.stat().st_dev:
        yield Finding("sealing", "warn", "sealing.same_disk", told)
    elif not keys.first:
        yield Finding("sealing", "ok", "sealing.ending", told)
    else:
        yield Finding("sealing", "ok", "sealing.ok", told | {"key": keys.first.hex()})


def _files(names: list[str], settings: Settings) -> dict[str, Any]:
    named = names[:MOST_NAMED] + (["…"] if len(names) > MOST_NAMED else [])
    folder = EventFolder(settings.events).segments
    return {"n": len(names), "files": ", ".join(named), "folder": str(folder)}


def check_ledger(settings: Settings) -> Iterator[Finding]:
    """Whether every entry of the log still verifies."""
    try:
        report = verify_settings(settings)
    except IstmoError as error:
        yield Finding("ledger", "bad", "ledger.bad", {"problem": _words(error)})
        return
    if report.problems:
        first = report.problems[0]
        problem = Words(f"ledger.problem.{first.code}", dict(first.params))
        yield Finding("ledger", "bad", "ledger.bad", {"problem": problem})
    else:
        yield Finding("ledger", "ok", "ledger.ok", {"n": report.entries})


def check_running(settings: Settings) -> Iterator[Finding]:
    """Whether the node answers, its worker detects, its peers are there and its jobs get done."""
    try:
        with NodeClient.by_key(settings) as client:
            yield from look_at_running(settings, client.get)
    except IstmoError:
        yield Finding("running", "warn", "running.no", {"url": settings.url})


def look_at_running(settings: Settings, ask: Callable[..., Any]) -> Iterator[Finding]:
    """The same of a node that answers ``ask(path, **query)`` as its JSON does."""
    node = ask("/api/v1/node")
    yield Finding("running", "ok", "running.ok", {"url": settings.url})
    yield _worker(node["worker"])
    yield _kept(ask("/api/v1/events/kept"))
    if counts := node["worker"]["correlations"]:
        yield _correlations(counts)
    if counts := node["worker"]["patterns"]:
        yield _patterns(counts)
    yield _slow_rules(ask("/api/v1/rules", slow="true"))
    yield _hunts(ask("/api/v1/hunts", failing="true")["items"])
    yield from _sources(ask("/api/v1/sources")["items"])
    yield _peers(ask("/api/v1/peers")["items"])
    dead = len(ask("/api/v1/jobs/dead")["items"])
    yield Finding("jobs", "bad" if dead else "ok", "jobs.bad" if dead else "jobs.ok", {"n": dead})


def _worker(worker: dict[str, Any]) -> Finding:
    if worker["state"] != "ready":
        return Finding("worker", "bad", "worker.bad", {"worker": Words(f"web.watch.{worker['state']}")})
    counts = {"indicators": worker["indicators"], "rules": worker["rules"]}
    return Finding("worker", "ok", "worker.ok", counts)


def _kept(kept: dict[str, Any]) -> Finding:
    """How far back events reach, and for how many days there is room at the present rate."""
    told = {
        "oldest": Moment(kept["oldest"] or ""),
        "size": f"{kept['bytes'] / 1e9:.2f}",
        "n": kept["days_left"],
    }
    if kept["oldest"] is None:
        return Finding("kept", "ok", "kept.none")
    if kept["days_left"] is None:
        return Finding("kept", "ok", "kept.new", told | {"n": 0})
    # With a budget the oldest go by themselves, and what is left until then is no worry.
    is_short = kept["days_left"] < FEW_DAYS and not kept["budget_bytes"]
    return Finding("kept", "warn" if is_short else "ok", "kept.short" if is_short else "kept.ok", told)


def _correlations(counts: dict[str, int]) -> Finding:
    """Whether correlations saw everything: what came too late, and what was let go of for room."""
    forgotten = counts["groups_forgotten"] + counts["events_forgotten"] + counts["hurried"]
    told = {"groups": counts["groups"], "events": counts["remembered"], "late": counts["late"]}
    is_bad = bool(forgotten or counts["late"])
    code = "correlations.bad" if is_bad else "correlations.ok"
    return Finding("correlations", "warn" if is_bad else "ok", code, told | {"forgotten": forgotten})


def _patterns(counts: dict[str, int]) -> Finding:
    """Whether patterns over time could remember what they need."""
    told = {"n": counts["patterns"], "events": counts["remembered"]}
    told |= {name: counts[name] for name in ("forgotten", "given_up")}
    is_bad = bool(counts["forgotten"] or counts["given_up"])
    code = "patterns.bad" if is_bad else "patterns.ok"
    return Finding("patterns", "warn" if is_bad else "ok", code, told)


def _slow_rules(found: dict[str, Any]) -> Finding:
    """Rules that cost more than they should, as the worker timed them."""
    names = ", ".join(rule["title"] for rule in found["items"][:NAMED])
    code = "slow_rules.bad" if found["total"] else "slow_rules.ok"
    return Finding(
        "slow_rules", "warn" if found["total"] else "ok", code, {"n": found["total"], "names": names}
    )


def _hunts(found: list[dict[str, Any]]) -> Finding:
    """Saved hunts that failed again and again when they ran by themselves."""
    named = ", ".join(one["name"] for one in found[:NAMED]) + (", …" if len(found) > NAMED else "")
    code = "hunts.bad" if found else "hunts.ok"
    return Finding("hunts", "warn" if found else "ok", code, {"n": len(found), "names": named})


def _sources(found: list[dict[str, Any]]) -> Iterator[Finding]:
    """Who should send and does not, and whose events cannot be used."""
    active = [one for one in found if one["state"] not in ("revoked", "expired")]
    troubles = {
        "silent": [one["name"] for one in active if one["state"] == "silent"],
        "unreadable": [one["name"] for one in active if one["last_hour"]["much_unreadable"]],
        "refused": [one["name"] for one in active if one["last_hour"]["much_refused"]],
    }
    for trouble, names in troubles.items():
        if names:
            named = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
            yield Finding("sources", "warn", f"sources.{trouble}", {"n": len(names), "names": named})
    if not any(troubles.values()):
        yield Finding("sources", "ok", "sources.ok" if active else "sources.none", {"n": len(active)})


def _peers(peers: list[dict[str, Any]]) -> Finding:
    away = [peer["name"] for peer in peers if peer["state"] != "connected"]
    if away:
        return Finding("peers", "warn", "peers.bad", {"names": ", ".join(away)})
    return Finding("peers", "ok", "peers.ok" if peers else "peers.none", {"n": len(peers)})


def _words(error: IstmoError) -> Words:
    return Words(f"error.{error.code}", dict(error.params))


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    check_settings,
    check_keys,
    check_database,
    check_disk,
    check_events,
    check_sealing,
    check_ledger,
    check_running,
)
