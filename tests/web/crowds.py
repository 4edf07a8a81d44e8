"""What a busy node holds in a test: many of everything, so that lists, filters and pages are full."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from istmo.detect.objects_hunt import HuntKind, HuntPlan
from istmo.detect.records import rules
from istmo.detect.stories import Stories
from istmo.detect.wire import RuleCost, WireHit
from istmo.identity import records as identity_records
from istmo.identity.objects import Account
from istmo.model import instants
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.node import Node
from istmo.notices.objects import Kind, Plan
from istmo.policy.principals import Operator, Role, Scope

LEVELS = ("critical", "high", "medium", "low", "informational")
NO_PASSWORD = "none signs in with it"
RULE = """title: {title}
id: {id}
description: {title}
author: {author}
tags: [attack.execution, attack.t1059.{number:03}]
logsource: {{product: windows, category: process_creation}}
detection:
  selection: {{CommandLine|contains: 'x{number}'}}
  condition: selection
level: {level}
"""


def crowd(node: Node, text: str, count: int, indicator: str) -> None:
    """``count`` of each: people, tokens, ways out, lists, sources, hunts, rules, objects, cases, hosts.

    The objects are near ``indicator``.
    """
    operator = Operator()
    names = [f"{number:03} {text[-80:] if number % 3 else text}"[:100].strip() for number in range(count)]
    _people(node, count)
    for number, name in enumerate(names):
        expires = node.clock.now() + timedelta(days=1 + number % 300)
        node.identity.create_token(operator, name[:60], [Scope.READ], expires, account="ana")
        node.detect.create_source(operator, name)
        hunt = HuntPlan(
            name, HuntKind.QUERY, f"n:{number}", text, window=86_400, every=0, is_shared=number % 2 > 0
        )
        node.detect.save_hunt(operator, hunt)
        node.respond.open_case(operator, name, severity=LEVELS[number % 4], note=text)
    for number in range(min(count, 20)):
        values = [f"valor-{one}-{text[:80]}" for one in range(number + 1)]
        node.detect.put_value_list(operator, f"lista{number:03}", values)
        address = f"https://soc.example/avisos/{'largo-' * number}{number}"
        node.notices.add_way(
            operator, "ana", Plan(frozenset(Kind) - {Kind.TEST}, "low", "webhook", address, "", every=10)
        )
    _rules(node, names, text)
    _objects(node, names, indicator)


def _people(node: Node, count: int) -> None:
    roles = tuple(Role)
    with node.store.write() as tx:
        for number in range(count):
            name = f"persona.{number:03}.{'nombre-largo-' * (number % 4)}"[:64].rstrip(".-")
            account = Account(
                new_id("account"), name, roles[number % len(roles)], number % 9 == 8, node.clock.now()
            )
            identity_records.add_account(tx.connection, account, name, NO_PASSWORD)


def _rules(node: Node, names: list[str], text: str) -> None:
    """Rules of every level and cost, each of which saw something on a host of its own."""
    ids = [f"6c9a36b0-1c2e-4bd5-9b54-{number:012}" for number in range(len(names))]
    written = [
        RULE.format(
            title=json.dumps(name),
            id=id,
            author=json.dumps(text[:80]),
            number=number,
            level=LEVELS[number % len(LEVELS)],
        )
        for number, (name, id) in enumerate(zip(names, ids, strict=True))
    ]
    node.detect.import_rules(Operator(), "---\n".join(written).encode("utf-8"))
    now = node.clock.now()
    hits = [
        WireHit(
            "sigma",
            id,
            f"9-{number}",
            int((now - timedelta(minutes=11 * number)).timestamp() * 1e6),
            f"EQUIPO-{number:03}.{text[:40].replace(' ', '-')}",
            {"CommandLine": f"x{number} {text}"},
            b"{}",
        )
        for number, id in enumerate(ids)
    ]
    with node.store.write() as tx:
        rules.set_costs(
            tx.connection, [RuleCost(id, 100 * n, 50_000 * n, n * n) for n, id in enumerate(ids, 1)], now
        )
        Stories(node.intel.member, node.clock, node.intel, node.intel).store_hunted(tx, hits)


def _objects(node: Node, names: list[str], indicator: str) -> None:
    """Indicators, all in one report: the drawing of a neighbourhood is full too."""
    now = instants.format(node.clock.now())
    start = {"spec_version": "2.1", "created": now, "modified": now}
    indicators: list[dict[str, Any]] = [
        {
            **start,
            "type": "indicator",
            "id": new_id("indicator"),
            "name": name,
            "pattern": f"[domain-name:value = 'n{number}.example']",
            "pattern_type": "stix",
            "valid_from": now,
        }
        for number, name in enumerate(names)
    ]
    report = {
        **start,
        "type": "report",
        "id": new_id("report"),
        "name": names[0],
        "published": now,
        "object_refs": [indicator, *(one["id"] for one in indicators)],
    }
    bundle = {"type": "bundle", "id": new_id("bundle"), "objects": [*indicators, report]}
    node.intel.publish(Operator(), json.dumps(bundle).encode(), audience=["region"], tlp=Tlp.AMBER)
