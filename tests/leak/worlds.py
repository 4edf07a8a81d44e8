"""Two worlds that differ only in what a third may not know: a node, and its copy with withheld things added.

The node is founded, joined and filled by its own services. What stands in the copy beyond it is published,
shared, watched and retracted by the same services, so nothing is withheld by the test's own cunning.
"""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar

from istmo.clock import ManualClock
from istmo.detect.objects import AlertFilter, Status
from istmo.detect.objects_hunt import HuntKind, HuntPlan
from istmo.detect.records import saved_hunts
from istmo.detect.service.hunt_runs import run_of
from istmo.detect.stories import Stories
from istmo.detect.wire import Problem, WireHit
from istmo.founding import found_node
from istmo.intel.objects import RetractionReason
from istmo.ledger.log import Ledger
from istmo.model import instants
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.node import Node, create_node
from istmo.policy.principals import Operator, Person, Principal, Role
from istmo.settings import Settings, load_settings, save_settings
from istmo.store import jobs
from istmo.web.app import create_app

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PASSWORD = "cuatro lanchas azules 47"
SECRET_WORD = "zarzaparrilla"
"""Stands in every text of every withheld thing and nowhere else."""
OPERATOR = Operator()
RULE = """title: {title}
id: {id}
status: experimental
logsource: {{product: windows, category: process_creation}}
detection:
  selection: {{CommandLine|contains: ' -enc '}}
  condition: selection
level: high
"""


@dataclass
class Ids:
    """What may be asked for, by kind."""

    objects: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    hunts: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    invitations: list[str] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    members: list[str] = field(default_factory=list)

    def few(self) -> Ids:
        """One or two of each kind."""
        return Ids(**{one.name: getattr(self, one.name)[:2] for one in fields(self)})


@dataclass
class World:
    """One node in its folder, always served at the same address, at the same instant."""

    folder: Path
    ids: Ids
    secrets: dict[str, str]
    """Session and token secrets of its people, by name: made before any copy, so the same in all."""

    def open(self) -> tuple[Node, ManualClock]:
        clock = ManualClock(START + timedelta(hours=1))
        return create_node(load_settings(self.folder), clock), clock

    def copy(self, folder: Path) -> World:
        """The same node again: same keys, same ids, same database."""
        shutil.copytree(self.folder, folder)
        settings = load_settings(self.folder)
        save_settings(replace(settings, data=folder))
        return World(folder, Ids(), self.secrets)


@dataclass
class Region:
    """A publisher, and the two members that it speaks to, each a whole node with a folder."""

    publisher: World
    peer: Path
    """Of the member from whom things are withheld."""
    other: Path
    """Of a third member, who may have some of them."""
    listener: socket.socket
    peer_id: str
    other_id: str


@contextmanager
def served(node: Node, listener: socket.socket, app: Litestar | None = None) -> Iterator[None]:
    """The node's application, or this one of it, on its real socket, on a thread of its own."""
    config = uvicorn.Config(
        app or create_app(node), http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener.dup()],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)  # the pace of polling, not a wait for luck
    try:
        yield
    finally:
        node.federation.feeds.close()
        server.should_exit = True
        thread.join(15)
        assert server.started and not thread.is_alive()


def found_region(folder: Path) -> Region:
    """Guatemala publishes; Honduras and El Salvador are members. Everything that all may know is there."""
    # With its protocol named, asyncio switches off the waiting for full packets (TCP_NODELAY).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    clock = ManualClock(START)
    publisher = _found(folder / "gt", "CSIRT Guatemala", "GT", listener.getsockname()[1], clock)
    others = [
        _found(folder / code.lower(), f"CSIRT {name}", code, 1, clock)
        for name, code in (("Honduras", "HN"), ("El Salvador", "SV"))
    ]
    with served(publisher, listener):
        publisher.federation.found(OPERATOR, "Centroamérica")
        for other in others:
            fingerprint = other.keys.fingerprint
            _, code = publisher.federation.invite(OPERATOR, other.settings.name, fingerprint)
            assert other.federation.accept(OPERATOR, code).state == "joined"
    peer, other = others
    world = World(publisher.settings.data, Ids(), {})
    _fill(publisher, peer, other, clock, world)
    for node in (publisher, peer, other):
        node.store.close()
    return Region(
        world, peer.settings.data, other.settings.data, listener, peer.settings.member, other.settings.member
    )


def _found(folder: Path, name: str, country: str, port: int, clock: ManualClock) -> Node:
    settings = Settings(data=folder, name=name, country=country, url=f"http://127.0.0.1:{port}", port=port)
    settings = found_node(settings, administrator="raiz", password=PASSWORD, clock=clock)
    return create_node(settings, clock)


def carry(sender: Node, receiver: Node) -> None:
    """Take everything that waits for ``receiver`` to it, as a file: sightings too, which a job tells."""
    sender.jobs.run_due()
    lines = list(sender.federation.export(OPERATOR, receiver.settings.member))
    _, taken = receiver.federation.import_file(OPERATOR, lines)
    assert taken.problem is None, taken.problem


def person(node: Node, name: str) -> Person:
    """Somebody with an account."""
    return next(one for one in node.identity.accounts(OPERATOR) if one.name == name).person


def indicator(clock: ManualClock, value: str, name: str, **more: Any) -> dict[str, Any]:
    """A STIX indicator for a domain."""
    at = instants.format(clock.now())
    return {
        "type": "indicator", "spec_version": "2.1", "id": new_id("indicator"), "created": at, "modified": at,
        "name": name, "pattern": f"[domain-name:value = '{value}']", "pattern_type": "stix", "valid_from": at,
        **more,
    }  # fmt: skip


def publish(
    node: Node, who: Any, *objects: dict[str, Any], audience: list[str] | None, tlp: Tlp
) -> list[str]:
    """Publish to an audience, or import for this node alone where it is None; the ids."""
    raw = json.dumps({"type": "bundle", "id": new_id("bundle"), "objects": objects}).encode()
    if audience is None:
        plan = node.intel.import_bundle(who, raw, tlp=tlp)
    else:
        plan = node.intel.publish(who, raw, audience=audience, tlp=tlp)
    refused = [one for one in plan.items if str(one.outcome) == "refused"]
    assert not refused and not plan.problems, (refused, plan.problems)
    return [str(one["id"]) for one in objects]


def watch(node: Node, subject: str, host: str, word: str, detector: str = "indicators") -> str:
    """An alert on an indicator or a rule, folded by the code that folds what the worker reports."""
    stories = Stories(node.intel.member, node.clock, node.intel, node.intel)
    at = int(node.clock.now().timestamp() * 1e6)
    raw = json.dumps({"EventID": 22, "Computer": host, "QueryName": word}).encode()
    hit = WireHit(detector, subject, f"0-{subject}", at, host, {"QueryName": word}, raw, True, at, "")
    before = _alerts(node)
    with node.store.write() as tx:
        stories.store_hunted(tx, [hit])
    (new,) = _alerts(node) - before
    return new


def _alerts(node: Node) -> set[str]:
    rosa = person(node, "rosa")  # the one role that reads RED
    return {one.id for one in node.detect.list_alerts(rosa, limit=200).items}


def _fill(node: Node, peer: Node, other: Node, clock: ManualClock, world: World) -> None:
    """What everybody may know, of each kind of thing that there is."""
    for name, role in (("olga", Role.OBSERVER), ("ana", Role.ANALYST), ("rosa", Role.COORDINATOR)):
        node.identity.create_account(OPERATOR, name, role, PASSWORD)
        world.secrets[name] = node.identity.sign_in(name, PASSWORD, "127.0.0.1").token
        who = person(node, name)
        until = clock.now() + timedelta(days=30)
        _, world.secrets[f"{name} token"] = node.identity.create_token(who, "guion", ["read"], until)
    ana, ids = person(node, "ana"), world.ids
    hn, sv = peer.settings.member, other.settings.member
    ids.members = [node.settings.member, hn, sv]
    shown = [indicator(clock, f"malo{n}.example", f"Campaña Tapir {n}") for n in range(4)]
    ids.objects += publish(node, ana, *shown, audience=["region"], tlp=Tlp.AMBER)
    ids.objects += publish(node, ana, indicator(clock, "hn.example", "Solo HN"), audience=[hn], tlp=Tlp.AMBER)
    node.intel.retract(ana, ids.objects[1], reason=RetractionReason("false-positive"), note="era nuestro")
    ids.rules.append("6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a001")
    node.detect.import_rules(OPERATOR, RULE.format(title="Codificado", id=ids.rules[0]).encode())
    ids.hunts += [hunt(node, ana, "Quién soy", is_shared=True), hunt(node, ana, "Mía")]
    source, _ = node.detect.create_source(OPERATOR, "cortafuegos")
    ids.sources.append(source.id)
    ids.alerts.append(watch(node, ids.objects[0], "SRV-1", "malo0.example"))
    ids.alerts.append(watch(node, ids.rules[0], "SRV-1", "-enc", "sigma"))
    case = node.respond.open_case(ana, "Correo con adjunto", severity="high", note="Tres equipos.")
    node.respond.add_object(ana, case.id, ids.objects[0])
    node.respond.share(ana, case.id, hn)
    local = node.respond.open_case(ana, "Caso de aquí", severity="low")
    ids.cases += [case.id, local.id, _made_strict(node, clock)]
    ids.accounts += ["olga", "raiz"]
    for receiver in (peer, other):
        carry(node, receiver)
    publish_there = indicator(clock, "deaca.example", "De Honduras")
    ids.objects += _publish_from(peer, publish_there, node.settings.member)
    with peer.store.write() as tx:
        now = clock.now()
        peer.intel.record_sighting(tx, ids.objects[0], count=3, first_seen=now, last_seen=now)
    carry(peer, node)
    with node.store.read() as connection:
        ids.sequences = list(range(node.ledger.last_sequence(connection) + 1))


def _made_strict(node: Node, clock: ManualClock) -> str:
    """A case of an analyst's, in which the coordinator has written what an analyst does not read; its id."""
    rosa = person(node, "rosa")
    case = node.respond.open_case(person(node, "ana"), "Caso que se volvió RED").id
    (red,) = publish(
        node, rosa, indicator(clock, f"{SECRET_WORD}.example", SECRET_WORD), audience=None, tlp=Tlp.RED
    )
    node.respond.add_object(rosa, case, red, raise_to=Tlp.RED)
    node.respond.add_note(rosa, case, SECRET_WORD)
    task = node.respond.add_task(rosa, case, SECRET_WORD)
    node.respond.finish_task(rosa, case, task.id)
    node.respond.rename(rosa, case, SECRET_WORD)
    return case


def _publish_from(node: Node, content: dict[str, Any], to: str) -> list[str]:
    return publish(node, OPERATOR, content, audience=[to], tlp=Tlp.AMBER)


def hunt(node: Node, who: Principal, name: str, **more: Any) -> str:
    """A saved hunt that has failed so often that it is marked."""
    plan = HuntPlan(name, HuntKind.QUERY, name.split()[0], name, every=900, is_alerting=True, **more)
    saved = node.detect.save_hunt(who, plan)
    now = node.clock.now()
    with node.store.write() as tx:
        problem = Problem("", "detect.search_cut_short", {"seconds": 600})
        saved_hunts.add_run(tx.connection, saved.row, run_of(who, now, now, 3, problem))
        saved_hunts.finish_run(tx.connection, saved.row, due=saved.due, upto=None, failures=3)
    return saved.id


def bare_ledger(node: Node) -> Ledger:
    """The node's log without its rooms: a hostile member writes into its own log what it likes."""
    return Ledger(node.store, node.keys, node.settings.member, node.clock, node.settings.log_files)


def write_probes(region: Region, withheld: Ids, nothing: str) -> bytes:
    """What a hostile member writes to find out what is there: about withheld things, shown ones, nothing.

    The lines of a file of frames. A case is not probed: whoever holds its id (122 random bits) has been
    told of it, and docs/protocol.md says so under "What leaks".
    """
    clock = ManualClock(START + timedelta(hours=1))
    node = create_node(load_settings(region.peer), clock)
    at, me = instants.format(clock.now()), node.settings.member
    publisher = region.publisher.ids.members[0]
    known = [*withheld.objects, *region.publisher.ids.objects, nothing]
    probes: list[tuple[str, dict[str, Any]]] = []
    for one in known:
        seen = {
            "type": "sighting", "spec_version": "2.1", "id": new_id("sighting"), "created": at,
            "modified": at, "first_seen": at, "last_seen": at, "count": 1, "sighting_of_ref": one,
        }  # fmt: skip
        tie = {
            "type": "relationship", "spec_version": "2.1", "id": new_id("relationship"), "created": at,
            "modified": at, "relationship_type": "related-to", "source_ref": one, "target_ref": one,
        }  # fmt: skip
        double = indicator(clock, "doble.example", "el mismo id") | {"id": one}
        probes += [("sighting", seen), ("stix", tie), ("stix", double)]
        for sequence in (withheld.sequences[0], withheld.sequences[1], 9_999):
            taken = {"origin": publisher, "sequence": sequence, "object": one}
            probes.append(("retraction", {"retracts": taken, "reason": "error", "note": ""}))
    log = bare_ledger(node)
    with node.store.write() as tx:
        for type, payload in probes:
            log.append(
                tx, type, json.dumps(payload).encode(), audience={me, publisher},
                markings=(Tlp.GREEN.marking_id,),
            )  # fmt: skip
    lines = b"".join(node.federation.export(OPERATOR, publisher))
    node.store.close()
    return lines


def withhold_from_peer(world: World, region: Region) -> None:
    """Add what Honduras may not know: other audiences, RED to others, this node's own affairs."""
    node, clock = world.open()
    other = create_node(load_settings(region.other), clock)
    try:
        _withhold_from_peer(node, other, clock, world.ids, region)
    finally:
        node.store.close()
        other.store.close()


def _withhold_from_peer(node: Node, other: Node, clock: ManualClock, ids: Ids, region: Region) -> None:
    ana, rosa, sv = person(node, "ana"), person(node, "rosa"), region.other_id
    with node.store.read() as connection:
        before = node.ledger.last_sequence(connection)

    def made(name: str) -> dict[str, Any]:
        return indicator(clock, f"{name}.{SECRET_WORD}.example", f"{SECRET_WORD} {name}")

    ids.objects += publish(node, ana, made("a"), made("b"), audience=[sv], tlp=Tlp.AMBER)
    ids.objects += publish(node, ana, made("c"), audience=[sv], tlp=Tlp.AMBER_STRICT)
    ids.objects += publish(node, rosa, made("d"), audience=[sv], tlp=Tlp.RED)
    ids.objects += publish(node, ana, made("e"), audience=None, tlp=Tlp.GREEN)
    shared = region.publisher.ids
    malware = {
        "type": "malware", "spec_version": "2.1", "id": new_id("malware"), "is_family": False,
        "created": instants.format(clock.now()), "modified": instants.format(clock.now()),
        "name": SECRET_WORD,
    }  # fmt: skip
    relation = {
        "type": "relationship", "spec_version": "2.1", "id": new_id("relationship"),
        "created": malware["created"], "modified": malware["created"], "relationship_type": "indicates",
        "source_ref": shared.objects[0], "target_ref": malware["id"],
    }  # fmt: skip
    ids.objects += publish(node, ana, malware, relation, audience=[sv], tlp=Tlp.AMBER)
    node.intel.retract(ana, ids.objects[1], reason=RetractionReason("error"), note=SECRET_WORD)
    ids.alerts.append(watch(node, ids.objects[0], SECRET_WORD, f"a.{SECRET_WORD}.example"))
    ids.alerts.append(watch(node, ids.objects[3], SECRET_WORD, f"d.{SECRET_WORD}.example"))
    node.detect.set_status(ana, ids.alerts[0], Status.ACKNOWLEDGED, note=SECRET_WORD)
    hidden = node.respond.open_case(ana, f"{SECRET_WORD} uno", severity="high", note=SECRET_WORD)
    node.respond.add_alert(ana, hidden.id, ids.alerts[0])
    other_case = node.respond.open_case(ana, f"{SECRET_WORD} dos", severity="low", note=SECRET_WORD)
    node.respond.share(ana, other_case.id, sv)
    node.respond.add_object(ana, shared.cases[0], ids.objects[0], only_to=[sv])
    ids.cases += [hidden.id, other_case.id]
    ids.rules.append("6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a002")
    node.detect.import_rules(OPERATOR, RULE.format(title=SECRET_WORD, id=ids.rules[0]).encode())
    ids.hunts += [hunt(node, ana, f"{SECRET_WORD} a", is_shared=True), hunt(node, rosa, SECRET_WORD)]
    known_by = {"networks": ["10.66.0.0/16"], "silent_after": "1m"}
    source, _ = node.detect.create_source(OPERATOR, SECRET_WORD, settings=known_by)
    ids.sources.append(source.id)
    node.silences.judge(clock.now(), clock.now() + timedelta(minutes=2))
    silent = node.detect.list_alerts(OPERATOR, AlertFilter(detector="source")).items
    ids.alerts += [one.id for one in silent]
    account, _ = node.identity.create_account(OPERATOR, SECRET_WORD, Role.ANALYST, PASSWORD)
    ids.accounts.append(account.name)
    until = clock.now() + timedelta(days=9)
    token, _ = node.identity.create_token(account.person, SECRET_WORD, ["read"], until)
    ids.tokens.append(token.id)
    invitation, _ = node.federation.invite(OPERATOR, SECRET_WORD)
    ids.invitations.append(invitation.id)
    with node.store.write() as tx:
        jobs.enqueue(tx, SECRET_WORD, {"word": SECRET_WORD}, clock.now())
        now = clock.now()
        node.intel.record_sighting(tx, ids.objects[0], count=2, first_seen=now, last_seen=now)
    carry(node, other)
    _publish_from(other, made("f"), node.settings.member)
    with other.store.write() as tx:
        for seen in (ids.objects[0], shared.objects[0]):
            other.intel.record_sighting(tx, seen, count=7, first_seen=clock.now(), last_seen=clock.now())
    carry(other, node)
    with node.store.write() as tx:
        node.ledger.erase(tx, node.settings.member, before + 2, "por ley")
    with node.store.read() as connection:
        ids.sequences = list(range(before + 1, node.ledger.last_sequence(connection) + 1))


def withhold_from_role(world: World, strictest: Tlp) -> None:
    """Add what a person of this node may not read: above ``strictest``, made by the coordinator."""
    node, clock = world.open()
    rosa, ids = person(node, "rosa"), world.ids
    region = [node.settings.member]
    levels = [one for one in (Tlp.AMBER_STRICT, Tlp.RED) if one > strictest]
    for level in levels:
        made = [
            indicator(clock, f"{n}{int(level)}.{SECRET_WORD}.example", f"{SECRET_WORD} {n}") for n in range(3)
        ]
        found = publish(node, rosa, *made[:2], audience=region, tlp=level)
        found += publish(node, rosa, made[2], audience=None, tlp=level)
        node.intel.retract(rosa, found[1], reason=RetractionReason("error"), note=SECRET_WORD)
        alert = watch(node, found[0], f"{SECRET_WORD}{int(level)}", f"0.{SECRET_WORD}.example")
        node.detect.set_status(rosa, alert, Status.ACKNOWLEDGED, note=SECRET_WORD)
        case = node.respond.open_case(rosa, SECRET_WORD, severity="high", tlp=level, note=SECRET_WORD)
        node.respond.add_alert(rosa, case.id, alert)
        promoted = node.respond.open_case(rosa, SECRET_WORD, alert=alert)
        with node.store.write() as tx:
            now = clock.now()
            node.intel.record_sighting(tx, found[0], count=2, first_seen=now, last_seen=now)
        ids.objects += found
        ids.alerts.append(alert)
        ids.cases += [case.id, promoted.id]
    ids.hunts += [hunt(node, rosa, SECRET_WORD), hunt(node, OPERATOR, SECRET_WORD)]
    node.store.close()
