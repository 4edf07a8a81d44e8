"""The console at volume: how long the server takes for each page, and how much it sends.

A whole node with 50,000 alerts (10,000 of them of one rule), 200,000 objects, 50 peers that are away and the
stored events of ``--events-folder`` (built once by ``store_volume.py``; else a million are built here), while
2,000 events a second come in by ``_bulk``. Each page is asked for in turn, compressed as a browser asks;
milliseconds from sending the request until the whole answer is here. Also: bytes of a first load with all
that it names, bytes of each later page, and how soon the first row of a hunt is here. ``--database`` takes
the URL of an empty PostgreSQL database; without it the node keeps its own SQLite. Floor: a static file of
the same server. Ratio: the slowest page's 95th percentile against the floor's.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import random
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from live import ACTION, LATENCY_BODY, bodies
from measure import finish, percentile
from sigma_engine import SHARED
from sqlalchemy import Connection, Table, create_engine, func, insert, select, text
from store_volume import build, replayed

from istmo.cli.demo.region import RunningNode, make_node, running
from istmo.clock import SystemClock
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.wal import count_lines
from istmo.detect.objects import LEVELS, Level
from istmo.detect.outgoing import terms_digest
from istmo.detect.records import positions
from istmo.detect.records.alerts import alerts
from istmo.detect.records.evidence import alert_evidence, alert_hosts, alert_hours
from istmo.detect.wire import INDICATORS, SIGMA, Position
from istmo.federation.objects import Member
from istmo.intel.records.objects import objects, texts
from istmo.ledger import keys
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.node import create_node
from istmo.policy.principals import Operator, Role

PASSWORD = "cuatro lanchas azules 47"
PORTION = 5_000
RATE = 2_000
RULE = """title: Noisy rule
id: 6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a001
status: experimental
tags: [attack.execution, attack.t1059.001]
logsource: {product: windows, category: process_creation}
detection:
  selection: {CommandLine|contains: ' -enc '}
  condition: selection
level: high
"""
NOISY = "6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a001"
GOAL_MS, GOAL_FIRST, GOAL_LATER = 100, 100_000, 30_000


def insert_many(connection: Connection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    """In portions, so that none of it is held at once."""
    portion: list[dict[str, Any]] = []
    for row in rows:
        portion.append(row)
        if len(portion) == PORTION:
            connection.execute(insert(table), portion)
            portion = []
    if portion:
        connection.execute(insert(table), portion)


def alert_rows(number: int, member: str, indicators: list[str]) -> Iterator[dict[str, Any]]:
    """Alerts over the last thirty days: a fifth of one rule, the others of many; most are closed."""
    dice, now = random.Random(3), datetime.now(UTC)
    for row in range(1, number + 1):
        created = now - timedelta(seconds=dice.randrange(30 * 86_400))
        is_noisy = row % 5 == 0
        is_indicator = not is_noisy and row % 3 == 0
        subject = NOISY if is_noisy else dice.choice(indicators) if is_indicator else f"rule-{row % 700}"
        host = f"SRV-{dice.randrange(3_000):04}"
        is_open = is_noisy or dice.random() < 0.2
        level = Level.HIGH if is_noisy else dice.choices(LEVELS, (40, 30, 20, 8, 2))[0]
        title = "Noisy rule" if is_noisy else f"Campaña {row % 900}: {host.lower()}.example"
        yield {
            "row": row,
            "id": new_id("x-istmo-alert"),
            "detector": "indicator" if is_indicator else "sigma",
            "subject": subject,
            "title": title,
            "level": str(level),
            "rank": LEVELS.index(level),
            "tlp": int(dice.choice((Tlp.GREEN, Tlp.AMBER))),
            "origin": member,
            "audience": None,
            "owner": "operator",
            "entity": host,
            "first_seen": created,
            "last_seen": created,
            "count": dice.randrange(1, 2_000),
            "stored_count": 0,
            "created": created,
            "updated": created,
            "status": "open" if is_open else "closed",
            "reason": None if is_open else "resolved",
            "note": "",
            "worked_by": "",
            "former": None,
            "version": 1,
            "search": f"{title} {host} {subject}".lower(),
        }


def object_rows(number: int, like: dict[str, Any], origins: list[str]) -> Iterator[dict[str, Any]]:
    """Objects of every peer, each like one that was really published, with a value of its own."""
    dice, now = random.Random(4), datetime.now(UTC)
    sequences = dict.fromkeys(origins, 1_000_000)
    for at in range(number):
        origin = dice.choice(origins)
        sequences[origin] += 1
        value = f"{dice.getrandbits(40):x}.example"
        yield like | {
            "object": new_id("indicator"),
            "origin": origin,
            "sequence": sequences[origin],
            "name": f"Campaña {at % 900}: {value}",
            "sorting": f"campaña {at % 900}: {value}",
            "received": now - timedelta(seconds=dice.randrange(90 * 86_400)),
            "terms": [["domain", value]],
        }


def fill(node: RunningNode, alerts_: int, objects_: int, peers: int, folder: Path) -> dict[str, str]:
    """Put it all into the node's database before it runs; the ids of one of each."""
    made = create_node(node.settings, SystemClock())
    operator = Operator()
    made.identity.create_account(operator, "ana", Role.ANALYST, PASSWORD)
    made.federation.found(operator, "Bench")
    with made.store.write() as tx:
        for number in range(peers):
            made.federation.region.add(tx, _peer(folder / f"peer{number}", number))
    made.detect.import_rules(operator, RULE.encode())
    published = _publish(made)
    members = sorted(made.federation.members() - {made.ledger.member_id})
    case = made.respond.open_case(operator, "Bench", severity="high", note="x")
    with made.store.write() as tx:
        connection = tx.connection
        row = connection.execute(select(objects).where(objects.c.object == published)).mappings().one()
        like = {name: value for name, value in row.items() if name != "row"}
        insert_many(connection, objects, object_rows(objects_, like, members))
        searched = select(objects.c.row, func.lower(objects.c.name)).where(objects.c.row > row["row"])
        connection.execute(insert(texts).from_select(["row", "text"], searched))
        some = list(connection.execute(select(objects.c.object).limit(2_000)).scalars())
        insert_many(connection, alerts, alert_rows(alerts_, made.ledger.member_id, some))
        rows = range(1, alerts_ + 1)
        insert_many(connection, alert_hosts, _hosts(connection))
        hour = int(time.time()) // 3600
        insert_many(connection, alert_hours, ({"alert": row, "hour": hour, "count": 9} for row in rows))
        noisy = connection.execute(select(alerts).where(alerts.c.subject == NOISY).limit(1)).first()
        assert noisy is not None
        connection.execute(insert(alert_evidence), [_evidence(noisy.row, at) for at in range(40)])
        _settle(connection, EventFolder(node.settings.events))
    made.store.close()
    if node.settings.database:
        # As PostgreSQL does by itself within the minute: a node's tables do not fill at once.
        with create_engine(node.settings.database, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return {"object": published, "alert": noisy.id, "case": case.id, "peer": members[0], "rule": NOISY}


def _settle(connection: Connection, folder: EventFolder) -> None:
    """As a node is that has run for long: every stored event was looked at, and each indicator hunted for."""
    segment = folder.wal_segments()[-1]
    with folder.wal_path(segment).open("rb") as file:
        head = Position(segment, count_lines(file.fileno()))
    now = datetime.now(UTC)
    for stage in (INDICATORS, SIGMA):
        positions.put_position(connection, stage, head, now)
    watched = connection.execute(select(objects.c.object, objects.c.terms, objects.c.plan)).all()
    rows = (
        {"indicator": id, "terms": terms_digest(terms, plan), "state": positions.DONE, "remembered": 0}
        for id, terms, plan in watched
    )
    insert_many(connection, positions.hunts, rows)


def _hosts(connection: Connection) -> Iterator[dict[str, Any]]:
    for row, host in connection.execute(select(alerts.c.row, alerts.c.entity)).all():
        yield {"alert": row, "host": host, "count": 9}


def _evidence(alert: int, at: int) -> dict[str, Any]:
    now = datetime.now(UTC)
    raw = b'{"EventID":1,"CommandLine":"powershell -enc ' + b"QQ" * 300 + b'","Computer":"SRV-1"}'
    return {
        "alert": alert,
        "event": f"1-{at}",
        "time": now,
        "received": now,
        "host": "SRV-1",
        "source": "x",
        "fields": {"CommandLine": "powershell -enc QQQQ"},
        "raw": raw,
        "stored": False,
    }


def _publish(made: Any) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    id = new_id("indicator")
    text = (
        f'{{"type":"bundle","id":"{new_id("bundle")}","objects":[{{"type":"indicator","spec_version":"2.1",'
        f'"id":"{id}","created":"{now}","modified":"{now}","name":"Campaña","valid_from":"{now}",'
        '"pattern":"[domain-name:value = \'one.example\']","pattern_type":"stix"}]}'
    )
    made.intel.publish(Operator(), text.encode(), audience=["region"], tlp=Tlp.AMBER)
    return id


def _peer(folder: Path, number: int) -> Member:
    made = keys.create(folder, url=f"https://peer{number}.example", clock=SystemClock())
    return Member(
        id=new_id("identity"),
        name=f"CSIRT {number:02}",
        country=("GT", "BZ", "SV", "NI", "CR", "PA", "DO")[number % 7],
        kind="member",
        url="",
        signing_key=made.public,
        age_recipient=made.age_recipient,
        tls_certificate="",
        joined=datetime.now(UTC),
    )


class Browser:
    """Asks for pages as a browser that is signed in does, over one connection."""

    def __init__(self, node: RunningNode) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", node.settings.port, timeout=120)
        self._cookies: dict[str, str] = {}
        csrf = re.search(rb'name="csrf" value="([0-9a-f]+)"', self.get("/sign-in")[1])
        assert csrf
        form = {"name": "ana", "password": PASSWORD, "csrf": csrf[1].decode(), "next": "/"}
        status, _, _ = self._ask("POST", "/sign-in", urlencode(form))
        assert status == 303, status

    def get(self, path: str) -> tuple[float, bytes, int]:
        """Milliseconds, the answer's body, and its bytes on the wire."""
        began = time.perf_counter()
        status, body, size = self._ask("GET", path)
        took = (time.perf_counter() - began) * 1000
        if status != 200:
            raise SystemExit(f"{path} answered {status}")
        return took, body, size

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes, int]:
        headers = {"Accept-Encoding": "gzip", "Accept-Language": "es", "Sec-Fetch-Site": "same-origin"}
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._http.request(method, path, body, headers)
        answer = self._http.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        raw = answer.read()
        is_packed = answer.headers.get("Content-Encoding") == "gzip"
        return answer.status, gzip.decompress(raw) if is_packed else raw, len(raw)


@contextmanager
def arriving(node: RunningNode) -> Iterator[dict[str, Any]]:
    """So many events a second until the end; how many it really were."""
    source, told, stopping = node.source("bench"), {}, threading.Event()
    lines = [line for body in bodies(20_000, repeats=True) for line in body.split(b"\n")[1::2]]
    parts = [lines[at : at + LATENCY_BODY] for at in range(0, len(lines), LATENCY_BODY)]
    given = [b"".join(ACTION + line + b"\n" for line in part) for part in parts]

    def send() -> None:
        began, sent = time.monotonic(), 0
        while not stopping.is_set():
            stopping.wait(max(0.0, began + sent / RATE - time.monotonic()))
            source._http.post("/_bulk", content=given[sent // LATENCY_BODY % len(given)])
            sent += LATENCY_BODY
        told["events arriving a second"] = round(sent / (time.monotonic() - began))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield told
    finally:
        stopping.set()
        thread.join()


def pages_of(one: dict[str, str]) -> dict[str, str]:
    """The pages that are asked for, by what they are."""
    return {
        "situation": "/",
        "alerts": "/alerts",
        "alerts of one rule": f"/alerts?subject={NOISY}",
        "alerts by host": "/alerts?group=host",
        "alerts one by one": "/alerts?group=none&status=",
        "alerts with words": "/alerts?q=srv-0042&status=",
        "one alert": f"/alerts/{one['alert']}",
        "objects": "/objects",
        "objects with words": "/objects?q=campa%C3%B1a+17",
        "objects of one origin": f"/objects?origin={one['peer']}",
        "one object": f"/objects/{one['object']}",
        "cases": "/cases",
        "one case": f"/cases/{one['case']}",
        "rules": "/rules",
        "one rule": f"/rules/{one['rule']}",
        "sources": "/sources",
        "hunt": "/hunt",
        "saved hunts": "/hunts",
        "publish": "/publish",
        "region": "/peers",
        "one member": f"/peers/{one['peer']}",
        "administration": "/administration",
        "search": "/search?q=srv-0042",
    }


def measure(node: RunningNode, one: dict[str, str], rounds: int) -> tuple[dict[str, Any], float]:
    """Each page's milliseconds and bytes; the slowest 95th percentile over that of a static file."""
    browser = Browser(node)
    _, html, first = browser.get("/")
    named = re.findall(rb'(?:src|href)="(/static/[^"]+)"', html)
    static = {path.decode(): browser.get(path.decode())[2] for path in named}
    first_load = first + sum(static.values())
    result: dict[str, Any] = {}
    slowest = 0.0
    pages = pages_of(one)
    times: dict[str, list[float]] = {name: [] for name in (*pages, "static")}
    sizes: dict[str, int] = {}
    for _ in range(rounds):
        for name, path in pages.items():
            took, _, sizes[name] = browser.get(path)
            times[name].append(took)
        times["static"].append(browser.get(next(iter(static)))[0])
    for name in pages:
        p95 = percentile(times[name], 0.95)
        slowest = max(slowest, p95)
        note = " MISSED" if p95 > GOAL_MS or sizes[name] > GOAL_LATER else ""
        result[name] = (
            f"p50 {percentile(times[name], 0.5):.0f} ms, p95 {p95:.0f} ms, {sizes[name]:,} bytes{note}"
        )
    result["first load, bytes"] = f"{first_load:,}" + (" MISSED" if first_load > GOAL_FIRST else "")
    floor = percentile(times["static"], 0.95)
    result["static file, p95 ms"] = round(floor, 1)
    return result, slowest / floor


def first_row(node: RunningNode) -> str:
    """How soon a hunt by a field and one by free text give their first row; each is left then."""
    told = []
    for query in ("EventID:4688", "powershell"):
        began = time.perf_counter()
        rows = node.operator.stream("/api/v1/events/search", q=query, limit=1000)
        next(rows)
        told.append(f"{query} after {(time.perf_counter() - began) * 1000:.0f} ms")
        rows.close()
    return ", ".join(told)


def main() -> None:
    """Build, fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events-folder", type=Path, help="an event store, copied by links")
    parser.add_argument("--database", default="", help="URL of an empty PostgreSQL database")
    parser.add_argument("--alerts", type=int, default=50_000)
    parser.add_argument("--objects", type=int, default=200_000)
    parser.add_argument("--peers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help="a hundredth of it, a few rounds")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    events = 1_000_000
    if asked.quick:
        asked.alerts, asked.objects, asked.peers, asked.rounds, events = 500, 2_000, 5, 3, 5_000
    with tempfile.TemporaryDirectory(prefix="istmo-console-") as made:
        folder = Path(made)
        node = make_node(folder / "node", "Bench", "HN", database=asked.database)
        if asked.events_folder:
            shutil.copytree(
                asked.events_folder, node.settings.events, copy_function=_link, dirs_exist_ok=True
            )
        else:
            build(node.settings.events, replayed(SHARED / "events-large", events, 10))
        one = fill(node, asked.alerts, asked.objects, asked.peers, folder)
        result: dict[str, Any] = {"database": "PostgreSQL" if asked.database else "SQLite"}
        with running([node]), arriving(node) as told:
            _wait_live(node)
            found, ratio = measure(node, one, asked.rounds)
            result |= found
            result["first row"] = first_row(node)
        result |= told
    finish(result, asked.json, f"ratio: the slowest page takes {ratio:.1f} times a static file")


def _link(source: str, target: str) -> None:
    """Segments are never written to; what is still open a node goes on writing, and gets a copy of."""
    if Path(source).parent.name == "segments":
        Path(target).hardlink_to(source)
    else:
        shutil.copy2(source, target)


def _wait_live(node: RunningNode) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if node.operator.get("/api/v1/node")["worker"]["indicators"]:
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main()
