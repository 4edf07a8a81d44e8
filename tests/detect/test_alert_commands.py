"""``istmo alerts`` as it is typed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from answering import answering
from istmo.detect.commands_alerts import alerts
from istmo.kit.cli import speak

LINE = {
    "detector": "sigma",
    "subject": "0f06a3a5",
    "host": "",
    "title": "PowerShell codificado",
    "newest": "x-istmo-alert--1",
    "alerts": 3,
    "hosts": 3,
    "subjects": 1,
    "events": 12,
    "level": "critical",
    "tlp": "TLP:AMBER",
    "last_seen": "2026-03-02T09:00:00.000Z",
    "taken": 0,
    "assignee": "",
}
ALERT = {
    "id": "x-istmo-alert--1",
    "title": "PowerShell codificado",
    "level": "critical",
    "status": "open",
    "host": "PC-7",
    "count": 4,
    "last_seen": "2026-03-02T09:00:00.000Z",
    "snoozed_until": "2026-03-02T10:00:00.000Z",
}


def run(*arguments: str, answer: Any) -> Result:
    speak("es")
    runner = CliRunner(env={"COLUMNS": "200", "ISTMO_TOKEN": "istmo_x"})
    with answering(json.dumps(answer).encode()) as url:
        return runner.invoke(alerts, [*arguments, "--url", url])


def test_the_queue_is_listed_by_the_line_or_by_the_alert() -> None:
    lines = run("list", answer={"items": [LINE], "next": None, "total": 1})
    assert "PowerShell codificado" in lines.output and "--subject 0f06a3a5" in lines.output
    each = run("list", "--each", answer={"items": [ALERT], "next": None, "total": 1})
    assert "x-istmo-alert--1" in each.output and "PC-7" in each.output
    none = run("list", answer={"items": [], "next": None, "total": 0})
    assert "No hay alertas" in none.output


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("assign", "x-istmo-alert--1", "ana"), "a cargo de ana"),
        (("assign", "x-istmo-alert--1"), "ya no está a cargo de nadie"),
        (("snooze", "x-istmo-alert--1", "--for", "1h"), "pospuesta hasta 2026-03-02T10:00"),
        (("snooze", "x-istmo-alert--1"), "de vuelta en la cola"),
        (("acknowledge", "x-istmo-alert--1"), "En atención"),
        (("close", "x-istmo-alert--1", "--reason", "expected"), "Cerrada"),
    ],
)
def test_work_on_an_alert_is_told(typed: tuple[str, ...], told: str) -> None:
    done = run(*typed, answer=ALERT)
    assert done.exit_code == 0 and told in done.output
    assert json.loads(run(*typed, "--json", answer=ALERT).stdout) == ALERT


def test_undo_tells_of_how_many() -> None:
    done = {"deed": "undo", "change": "change--1", "number": 9, "left": 0, "was": "close"}
    assert "9 alertas" in run("undo", answer=done).output
