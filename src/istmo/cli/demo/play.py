"""The path that istmo exists for, played step by step through each node's own HTTP interface.

A step either happened, seen by asking the node it should have happened in, or raises StepFailed. The
demo plays it with its own recorded attack; the region tests play it with real recordings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from istmo.cli.demo.region import RunningNode, Source
from istmo.errors import IstmoError, Unavailable
from istmo.kit.cli import machine_refused, told_of
from istmo.kit.client import NodeAnswered, NodeClient
from istmo.model import instants

PATIENCE = 15.0
"""Seconds that a step may take before it counts as not having happened."""

ANALYST = "analista"
"""The account that plays the path in each node; a coordinator, since it shares the case too."""

Facts = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """What is played: batches of events, a STIX bundle, Sigma rules as a zip, and what they must lead to."""

    batches: Sequence[Sequence[Mapping[str, Any]]]
    bundle: bytes
    rules: bytes
    watched: str
    """The indicator whose story is followed: its value occurs in ``batches``."""
    search: str
    """A query on stored events that finds some of ``batches``."""
    rule_titles: tuple[str, ...]
    """Rules that must raise an alert on ``batches``."""
    next_event: Callable[[], Mapping[str, Any]]
    """One more event that carries the watched value, at the present hour."""
    case_title: str
    note_here: str
    note_there: str
    started: datetime


@dataclass
class Step:
    """One thing that happened or did not. ``milliseconds`` is what a person would have waited."""

    name: str
    ok: bool = False
    milliseconds: float = 0.0
    facts: Facts = field(default_factory=dict)
    problem: str = ""

    def document(self) -> Facts:
        """The step as it stands in the JSON document."""
        told = {"name": self.name, "ok": self.ok, "ms": round(self.milliseconds, 1), "facts": self.facts}
        return told | ({"problem": self.problem} if self.problem else {})


class StepFailed(IstmoError):
    """A step that did not happen, or not in time; the code says what was missing."""


class Play:
    """Guatemala publishes, Honduras was hit, El Salvador is protected; all three are running nodes."""

    def __init__(
        self,
        nodes: Sequence[RunningNode],
        material: Material,
        tell: Callable[[Step], None] = lambda step: None,
        language: str = "en",
    ) -> None:
        self.publisher, self.victim, self.neighbour = nodes
        self.nodes, self.material, self.tell = nodes, material, tell
        self.steps: list[Step] = []
        self.analyst = {node.url: node.person(ANALYST, "coordinator", language) for node in nodes}
        self._source: Source | None = None
        self._alert = ""

    # --- the path ----------------------------------------------------------------------------

    def play(self) -> bool:
        """Every step in order; stops at the first that does not happen. True when all did."""
        for act in (
            self.load_rules,
            self.receive_logs,
            self.search_logs,
            self.preview,
            self.publish,
            self.hunt_the_past,
            self.protect_the_neighbour,
            self.see_rules_fire,
            self.see_the_sighting,
            self.open_a_case,
            self.work_on_it_together,
            self.retract,
            self.stop_detecting,
            self.see_who_acknowledged,
        ):
            step = Step(act.__name__)
            began = time.perf_counter()
            try:
                step.facts = act() or {}
                step.ok = True
            except (IstmoError, KeyError, OSError) as error:
                step.problem = told_of(_in_words(error))["message"]
            step.milliseconds = step.facts.pop("ms", (time.perf_counter() - began) * 1000)
            self.steps.append(step)
            self.tell(step)
            if not step.ok:
                return False
        return True

    def load_rules(self) -> Facts:
        """Honduras loads Sigma rules from a zip; its worker has them."""
        done = self.at(self.victim).post("/api/v1/rules/import", self.material.rules)
        # Some are kept and wait for a value list, or for what they are made of.
        waiting = {(one["file"], one["line"]) for one in done["problems"] if one["kept"]}
        wanted = int(done["accepted"]) - len(waiting)
        self.until(lambda: self.worker(self.victim)["rules"] >= wanted, self.victim)
        return {"rules": wanted, "problems": len(done["problems"])}

    def receive_logs(self) -> Facts:
        """Honduras receives a day of logs over HTTP; each answer comes after they are on disk."""
        self._source = self.victim.source("hacienda")
        accepted = sum(self._source.send(batch)["accepted"] for batch in self.material.batches)
        sent = sum(len(batch) for batch in self.material.batches)
        if accepted != sent:
            raise StepFailed("demo.events_missing", accepted=accepted, sent=sent)
        return {"events": accepted}

    def search_logs(self) -> Facts:
        """The stored events are found again."""
        found = list(self.at(self.victim).stream("/api/v1/events/search", q=self.material.search, limit=50))
        rows = [row for row in found if "event" in row]
        if not rows:
            raise StepFailed("demo.nothing_found", query=self.material.search)
        return {"query": self.material.search, "found": len(rows)}

    def preview(self) -> Facts:
        """Guatemala sees who will see it, and why, before anything goes out."""
        told = self.at(self.publisher).post(
            "/api/v1/objects/preview", self.material.bundle, tlp="amber", audience="region"
        )
        sees = [verdict for item in told["items"] for verdict in item["sees"]]
        who = sorted({one["member"]["name"] for one in sees if one["allowed"]})
        if len(who) != len(self.nodes) or not all(one["allowed"] and one["reasons"] for one in sees):
            raise StepFailed("demo.not_for_all", who=who or ["—"])
        why = next(one["reasons"][0]["text"] for one in sees if one["member"]["name"] == who[-1])
        return {"who": who, "why": why}

    def publish(self) -> Facts:
        """Guatemala publishes; within a second the indicator is live in both neighbours."""
        began = time.perf_counter()
        done = self.at(self.publisher).post(
            "/api/v1/objects/publish", self.material.bundle, tlp="amber", audience="region"
        )
        live = {}
        for node in (self.victim, self.neighbour):
            self.until(partial(self.is_live, node), node)
            live[node.settings.name] = round((time.perf_counter() - began) * 1000, 1)
        return {"objects": done["counts"]["publish"], "live_ms": live, "ms": max(live.values())}

    def hunt_the_past(self) -> Facts:
        """Honduras's stored events were searched at once: one alert, with its timeline."""
        alert = self.until(lambda: self.story(self.victim), self.victim)
        self._alert = alert["id"]
        return {
            "alert": alert["title"],
            "events": alert["count"],
            "first_seen": instants.parse(alert["first_seen"]),
        }

    def protect_the_neighbour(self) -> Facts:
        """The next event that carries the value raises an alert in El Salvador."""
        source = self.neighbour.source("correo")
        began = time.perf_counter()
        source.send([self.material.next_event()])
        alert = self.until(lambda: self.story(self.neighbour), self.neighbour)
        return {"alert": alert["title"], "ms": (time.perf_counter() - began) * 1000}

    def see_rules_fire(self) -> Facts:
        """Sigma rules raised alerts of their own on the same events."""

        def fired() -> list[str]:
            titles = self.alert_titles(self.victim, "sigma")
            return titles if set(self.material.rule_titles) <= set(titles) else []

        return {"rules": self.until(fired, self.victim)}

    def see_the_sighting(self) -> Facts:
        """Back in Guatemala the indicator shows who saw it, since when, how often."""

        def seen() -> list[Facts]:
            items: list[Facts] = self.at(self.publisher).get(f"{self.object_path}/sightings")["items"]
            return items if len({one["member"]["id"] for one in items}) >= 2 else []

        items = self.until(seen, self.publisher)
        seen_by = [{"where": one["member"]["name"], "count": one["count"]} for one in items]
        return {"seen": seen_by, "since": min(one["first_seen"] for one in items)}

    def open_a_case(self) -> Facts:
        """Honduras's analyst promotes the alert to a case and shares it with Guatemala."""
        desk = self.at(self.victim)
        case = desk.post(
            "/api/v1/cases", {"alert": self._alert, "severity": "high", "title": self.material.case_title}
        )
        desk.post(f"/api/v1/cases/{case['id']}/share", {"member": self.publisher.settings.member})
        self._case = case["id"]
        there = self.until(lambda: self.case_at(self.publisher), self.publisher)
        return {"case": there["title"]}

    def work_on_it_together(self) -> Facts:
        """Both add a note, each in its own node; both see both."""
        self.note(self.publisher, self.material.note_there)
        self.note(self.victim, self.material.note_here)
        wanted = {self.material.note_there, self.material.note_here}
        for node in (self.publisher, self.victim):
            self.until(partial(self.has_notes, node, wanted), node)
        return {"notes": sorted(wanted)}

    def retract(self) -> Facts:
        """Guatemala takes the indicator back; within a second nobody detects on it."""
        began = time.perf_counter()
        self.at(self.publisher).post(
            f"{self.object_path}/retract", {"reason": "false-positive", "note": self.material.note_there}
        )
        stopped = {}
        for node in (self.victim, self.neighbour):
            self.until(partial(self.is_off, node), node)
            stopped[node.settings.name] = round((time.perf_counter() - began) * 1000, 1)
        return {"off_ms": stopped, "ms": max(stopped.values())}

    def stop_detecting(self) -> Facts:
        """The same value, sent again, raises nothing in Honduras."""
        assert self._source is not None
        before = (self.story(self.victim) or {}).get("count", 0)
        stored = self.worker(self.victim)["stored"]
        self._source.send([self.material.next_event()])
        self.until(
            lambda: (told := self.worker(self.victim))["stored"] > stored and told["indicator_lag"] == 0,
            self.victim,
        )
        after = (self.story(self.victim) or {}).get("count", 0)
        if after != before:
            raise StepFailed("demo.detects_still", before=before, after=after)
        return {"events_after": after}

    def see_who_acknowledged(self) -> Facts:
        """Guatemala sees that both have the retraction."""

        def acknowledged() -> list[str]:
            items = self.at(self.publisher).get(f"{self.object_path}/recipients")["items"]
            names = [one["member"]["name"] for one in items if (one["retraction"] or {}).get("acknowledged")]
            return names if len(names) == 2 else []

        return {"acknowledged": self.until(acknowledged, self.publisher)}

    # --- asking ------------------------------------------------------------------------------

    @property
    def object_path(self) -> str:
        return f"/api/v1/objects/{self.material.watched}"

    def at(self, node: RunningNode) -> NodeClient:
        """The API of a node, as its analyst."""
        return self.analyst[node.url]

    def until(self, look: Callable[[], Any], where: RunningNode) -> Any:
        """Ask again until the answer is something; StepFailed, naming the node, when patience ends."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                raise StepFailed("demo.not_seen", name=where.settings.name, seconds=int(PATIENCE))
            time.sleep(0.01)

    def worker(self, node: RunningNode) -> Facts:
        told: Facts = self.at(node).get("/api/v1/node")["worker"]
        return told

    def is_live(self, node: RunningNode) -> bool:
        return bool(self.state_of(node) == "live")

    def is_off(self, node: RunningNode) -> bool:
        return bool(self.state_of(node) == "off")

    def state_of(self, node: RunningNode) -> str:
        """What detection makes of the watched indicator in a node; ``absent`` where it has not come yet."""
        with _absent_is_none():
            return str(self.at(node).get(f"{self.object_path}/detection")["state"])
        return "absent"

    def story(self, node: RunningNode) -> Facts | None:
        """The alert that tells of the watched indicator, if there is one."""
        items = self.at(node).get("/api/v1/alerts", subject=self.material.watched)["items"]
        return items[0] if items else None

    def alert_titles(self, node: RunningNode, detector: str) -> list[str]:
        items = self.at(node).get("/api/v1/alerts", detector=detector, limit=200)["items"]
        return [one["title"] for one in items]

    def case_at(self, node: RunningNode) -> Facts | None:
        with _absent_is_none():
            told: Facts = self.at(node).get(f"/api/v1/cases/{self._case}")
            return told
        return None

    def note(self, node: RunningNode, text: str) -> None:
        self.at(node).post(f"/api/v1/cases/{self._case}/entries", {"kind": "note", "text": text})

    def has_notes(self, node: RunningNode, wanted: set[str]) -> bool:
        case = self.case_at(node) or {"timeline": []}
        return wanted <= {one["text"] for one in case["timeline"] if one["kind"] == "note"}


@contextmanager
def _absent_is_none() -> Iterator[None]:
    try:
        yield
    except NodeAnswered as error:
        if error.params["status"] != 404:
            raise


def _in_words(error: IstmoError | KeyError | OSError) -> IstmoError:
    """Whatever stopped a step, as an error that the catalogue has words for."""
    if isinstance(error, OSError):
        return machine_refused(error)
    if isinstance(error, KeyError):
        return Unavailable("demo.answer_lacks", field=str(error.args[0]))
    return error
