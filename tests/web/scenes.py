"""What a node holds in a test: alerts, objects, a case; calm, or hostile in every field."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from crowds import crowd

from istmo.detect.objects import Level
from istmo.detect.objects_hunt import HuntKind, HuntPlan
from istmo.detect.objects_source import Sent
from istmo.detect.records import rules, saved_hunts, sources
from istmo.detect.scheduled_hunts import HUNT_TLP, ITSELF
from istmo.detect.service.hunt_runs import run_of
from istmo.detect.stories import Heading, Stories
from istmo.detect.wire import Problem, RuleCost, SourceCount, WireHit
from istmo.model import instants
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.node import Node
from istmo.notices import records as notice_records
from istmo.notices.objects import Kind, Plan
from istmo.policy.principals import Operator

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)><svg onload=alert(1)>{{7*7}}${7*7}"
RULE = """title: {title}
id: 6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a001
status: experimental
description: {description}
author: {title}
tags: [attack.execution, attack.t1059.001]
logsource: {{product: windows, category: process_creation}}
detection:
  selection: {{CommandLine|contains: ' -enc '}}
  condition: selection
level: critical
"""


WORDS = """
Se revisó el correo que llegó a la oficina de compras y no hay otros equipos con ese adjunto;
el banco confirma que bloqueó la cuenta a las nueve y pide copia del informe cuando esté firmado por quien
coordina, mientras tanto queda aislado el servidor y se conservan los registros de la última semana
"""


@dataclass(frozen=True)
class Scene:
    """Ids of what was put in."""

    indicator: str
    alert: str
    case: str
    source: str
    hunt: str
    way: str
    compared: str
    """The query that names the indicator's first and last version."""
    person: str = "ana"
    rule: str = "6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a001"


def fill(node: Node, *, text: str = "", alerts: int = 6, many: int = 0) -> Scene:
    """Put a scene into the node. ``text``, where given, stands in every field that others may write.

    ``many``: how many more there are of each thing that a list shows.
    """
    operator = Operator()
    indicator, bundle = _publish(node, text)
    rule = RULE.format(
        title=json.dumps(text[:250] or "PowerShell codificado", ensure_ascii=False),
        description=json.dumps(
            text or "Una línea de órdenes codificada en Base64, usual en intrusiones.", ensure_ascii=False
        ),
    )
    node.detect.import_rules(operator, rule.encode("utf-8"))
    with node.store.write() as tx:
        rules.set_costs(tx.connection, [RuleCost(Scene.rule, 12_345, 980_000, 421)], node.clock.now())
    _alerts(node, indicator, text, alerts)
    subject = next(one for one in node.detect.list_alerts(operator).items if one.detector == "indicator")
    case = node.respond.open_case(
        operator,
        text[:200] or "Correo con adjunto en el ministerio",
        severity="high",
        note=text or "Tres equipos afectados.",
    )
    node.respond.add_alert(operator, case.id, subject.id)
    node.respond.add_object(operator, case.id, indicator)
    node.respond.add_task(operator, case.id, text or "Avisar al proveedor")
    for number in range(3 * many):
        chance = random.Random(number)
        words, digest = " ".join(chance.sample(WORDS.split(), 25)), chance.randbytes(32).hex()
        node.respond.add_note(operator, case.id, f"{words}. SHA-256 {digest}. {text}")
    if many:
        crowd(node, text or "de muchas", many, indicator)
        _change(node, bundle)
    versions = node.intel.read(operator, indicator)
    compared = f"before={versions[-1].sequence}&after={versions[0].sequence}"
    source, hunt, way = _source(node, text), _hunt(node, text), _told(node)
    return Scene(indicator, subject.id, case.id, source, hunt, way, compared)


def _told(node: Node) -> str:
    """Notices for everybody, and a way out that failed the last time."""
    kinds = frozenset({Kind.ALERT, Kind.CASE, Kind.PEER})
    plan = Plan(kinds, "critical", "webhook", "https://soc.example/avisos", "22:00-06:00", every=10)
    way = node.notices.add_way(Operator(), "ana", plan)
    with node.store.write() as tx:
        problem = ["notices.webhook_refused", {"host": "soc.example", "status": 502}]
        notice_records.change_way(tx.connection, way.id, tried=node.clock.now(), problem=problem)
    node.notices.telling.tell({})
    return way.id


def _source(node: Node, text: str) -> str:
    """A source that sent something, of which some could not be used, and that has been silent since."""
    settings = {"silent_after": "15m", "networks": ["10.20.0.0/16"], "zone": "America/Tegucigalpa"}
    source, _ = node.detect.create_source(
        Operator(), text[:99] or "Cortafuegos de la sede", settings=settings
    )
    node.detect.create_source(Operator(), "Servidor de correo")
    now = node.clock.now()
    reasons = {"detect.line_not_json": 1_000, "detect.line_too_long": 637, "detect.batch_too_large": 2}
    with node.store.write() as tx:
        begun = Sent(source.id, 1, 0, now - timedelta(days=3))
        last = Sent(source.id, 1_204_511, 639, now - timedelta(hours=2), 1_000, 120, reasons)
        sources.count_events(tx.connection, [begun, last])
        sources.set_lags(tx.connection, {source.id: 21_600_000_000})
    node.link.recent.add([SourceCount(source.id, 9_000, 600, 0, 700)])
    node.silences.judge(now - timedelta(days=9), now)
    return source.id


def _hunt(node: Node, text: str) -> str:
    """A hunt that runs by itself, found something, and has failed since."""
    now, quoted = node.clock.now(), text.replace('"', '""')
    ana = next(one.person for one in node.identity.accounts(Operator()) if one.name == "ana")
    plan = HuntPlan(
        text[:99] or "Órdenes codificadas",
        HuntKind.QUERY,
        f'"{quoted}"' if text else 'CommandLine:"* -enc *" NOT User:respaldo',
        text or "PowerShell con una orden en Base64, fuera del respaldo nocturno.",
        window=7 * 86_400,
        every=900,
        is_alerting=True,
        level=Level.HIGH,
        is_shared=True,
    )
    hunt = node.detect.save_hunt(Operator(), plan)
    node.detect.save_hunt(ana, replace(plan, name="Quién soy", every=0, is_shared=False))
    cut = Problem("", "detect.search_cut_short", {"seconds": 600})
    runs = [(1, 12, None), (2, 0, None), (3, 4, cut)]
    hit = WireHit("hunt", hunt.id, "0-1", int(now.timestamp() * 1e6), text or "PC-7", {}, b"{}", True)
    heading = Heading(hunt.plan.name, Level.HIGH, HUNT_TLP, node.intel.member, None)
    with node.store.write() as tx:
        for hours, found, problem in runs:
            begun = now - timedelta(hours=5 - hours)
            saved_hunts.add_run(
                tx.connection, hunt.row, run_of(ITSELF, begun, begun + timedelta(seconds=4), found, problem)
            )
        saved_hunts.finish_run(tx.connection, hunt.row, due=hunt.due, upto=None, failures=3)
        Stories(node.intel.member, node.clock, node.intel, node.intel).store_scheduled(
            tx, hunt.id, heading, [hit]
        )
    return hunt.id


def _publish(node: Node, text: str) -> tuple[str, dict[str, Any]]:
    """Id of the first indicator, and the bundle."""
    now = node.clock.now()
    values = ("evil.example", "198.51.100.23", "update-mail.example") if not text else ("evil.example",)
    objects: list[dict[str, Any]] = [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": new_id("indicator"),
            "created": instants.format(now),
            "modified": instants.format(now),
            "name": text or f"Campaña Tapir: {value}",
            "description": text or "Servidor de mando visto en correos a ministerios.",
            "pattern": f"[domain-name:value = '{value}']"
            if value[0].isalpha()
            else f"[ipv4-addr:value = '{value}']",
            "pattern_type": "stix",
            "valid_from": instants.format(now),
            "x_note": text,
        }
        for value in values
    ]
    bundle = {"type": "bundle", "id": new_id("bundle"), "objects": objects}
    node.intel.publish(Operator(), json.dumps(bundle).encode(), audience=["region"], tlp=Tlp.AMBER)
    return str(objects[0]["id"]), bundle


def _change(node: Node, bundle: dict[str, Any]) -> None:
    """A second version of the first indicator."""
    first = {
        **bundle["objects"][0],
        "modified": instants.format(node.clock.now() + timedelta(seconds=1)),
        "confidence": 80,
        "labels": ["phishing", "ministerios"],
    }
    changed = {**bundle, "id": new_id("bundle"), "objects": [first]}
    node.intel.publish(Operator(), json.dumps(changed).encode(), audience=["region"], tlp=Tlp.AMBER)


def _alerts(node: Node, indicator: str, text: str, count: int) -> None:
    stories = Stories(node.intel.member, node.clock, node.intel, node.intel)
    now = node.clock.now()
    hits = []
    for number in range(count):
        at = int((now - timedelta(minutes=37 * number)).timestamp() * 1e6)
        host = text or f"SRV-CORREO-{number % 3}"
        fields = {
            text or "QueryName": text or "evil.example",
            "Image": text or "C:\\Windows\\System32\\svchost.exe",
        }
        raw = json.dumps({"EventID": 22, "Computer": host, **fields}).encode()
        for detector, subject in (
            ("indicators", indicator),
            ("sigma", "6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a001"),
        ):
            hits.append(WireHit(detector, subject, f"0-{number}", at, host, fields, raw, number > 3, at, ""))
    with node.store.write() as tx:
        stories.store_hunted(tx, hits)
