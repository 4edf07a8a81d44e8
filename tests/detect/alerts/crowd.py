"""Thousands of alerts at once, as a night of noisy rules leaves them: written straight into the tables."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select

from istmo.detect.objects import LEVELS
from istmo.detect.records.alerts import alerts
from istmo.detect.records.evidence import alert_hosts
from istmo.model.markings import Tlp
from istmo.store.engine import Store

RULES = 200


def crowd(
    store: Store,
    number: int,
    now: datetime,
    *,
    member: str,
    rules: int = RULES,
    seed: int = 7,
    is_even: bool = False,
) -> None:
    """``number`` alerts of ``rules`` Sigma rules, a few of which make most of the noise; a tenth is closed.

    ``is_even``: all rules make as much, and all are open.
    """
    chance = random.Random(seed)
    values = list(_alerts(number, now, member, rules, chance))
    if is_even:
        for place, one in enumerate(values):
            rule = place % rules
            one |= {
                "subject": str(UUID(int=rule)),
                "title": f"Regla {rule} que nadie afinó",
                "status": "open",
            }
    with store.write() as tx:
        for start in range(0, number, 1_000):
            tx.connection.execute(insert(alerts), values[start : start + 1_000])
        before = select(alert_hosts.c.alert)
        asked = select(alerts.c.row, alerts.c.entity, alerts.c.count).where(alerts.c.row.not_in(before))
        rows = tx.connection.execute(asked).all()
        for start in range(0, len(rows), 1_000):
            some = [{"alert": row, "host": host, "count": n} for row, host, n in rows[start : start + 1_000]]
            tx.connection.execute(insert(alert_hosts), some)


def _alerts(
    number: int, now: datetime, member: str, rules: int, chance: random.Random
) -> Iterator[dict[str, Any]]:
    for _ in range(number):
        rule = min(int(chance.paretovariate(0.7)) - 1, rules - 1)
        level = LEVELS[rule % 5]
        seen = now - timedelta(seconds=chance.randrange(30 * 86_400))
        host = f"EQUIPO-{chance.randrange(4_000)}"
        title = f"Regla ruidosa {rule} que reconoce una orden sospechosa"
        subject = str(UUID(int=rule))
        yield {
            "id": f"x-istmo-alert--{UUID(int=chance.getrandbits(128), version=4)}",
            "detector": "sigma",
            "subject": subject,
            "title": title,
            "level": level,
            "rank": rule % 5,
            "tlp": int(Tlp.AMBER),
            "origin": member,
            "audience": None,
            "owner": "",
            "entity": host,
            "first_seen": seen - timedelta(minutes=5),
            "last_seen": seen,
            "count": chance.randrange(1, 50),
            "stored_count": 0,
            "created": seen,
            "updated": seen,
            "status": "open" if chance.random() < 0.9 else "closed",
            "note": "",
            "worked_by": "",
            "former": None,
            "version": 1,
            "search": f"{title}\n{subject}\n{host}\npowershell.exe -enc sqbfafgakaboaguadwatae8ayg".lower(),
        }
