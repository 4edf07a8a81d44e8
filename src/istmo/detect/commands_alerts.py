"""``istmo alerts``: the queue of alerts, and work on one."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import click

from istmo.detect.objects import CloseReason
from istmo.kit.cli import Teller, argument, command, group, option, told

REASONS = click.Choice([str(reason) for reason in CloseReason])
LIMIT = click.IntRange(min=1, max=500)
OPEN: Final = "open"
HEADS: Final = ("level", "title", "host", "alerts", "events", "last", "alert")
ALERT_HEADS: Final = ("level", "title", "host", "state", "events", "last", "alert")


@group("alerts", help="detect.command.alerts")
def alerts() -> None:
    """The alerts of a node."""


@command("list", help="detect.command.alerts.list")
@option("--status", default=OPEN, show_default=True, help="detect.command.alerts.status")
@option("--level", default="", help="detect.command.alerts.level")
@option("--host", default="", help="detect.command.alerts.host")
@option("--subject", default="", metavar="ID", help="detect.command.alerts.subject")
@option("--who", default="", metavar="NAME", help="detect.command.alerts.who")
@option("--search", "words", default="", metavar="WORDS", help="detect.command.alerts.search")
@option("--snoozed", is_flag=True, help="detect.command.alerts.snoozed")
@option("--each", is_flag=True, help="detect.command.alerts.each")
@option("--limit", type=LIMIT, default=50, show_default=True, help="detect.command.alerts.limit")
@told
def list_(
    teller: Teller,
    status: str,
    level: str,
    host: str,
    subject: str,
    who: str,
    words: str,
    snoozed: bool,
    each: bool,
    limit: int,
) -> None:
    """What waits, the gravest first: a line for each rule or indicator, or each alert by itself."""
    asked: dict[str, Any] = {
        "status": status,
        "level": level,
        "host": host,
        "subject": subject,
        "who": who,
        "q": words,
        "snoozed": "only" if snoozed else "no",
        "limit": limit,
    }
    is_each = each or bool(subject or host)
    with teller.client() as node:
        if is_each:
            found = node.get("/api/v1/alerts", order="queue", **asked)
        else:
            found = node.get("/api/v1/alerts/lines", **asked)
    rows = [_alert_row(one) if is_each else _line_row(one) for one in found["items"]]
    heads = ALERT_HEADS if is_each else HEADS
    teller.rows(found, [f"detect.alerts.{head}" for head in heads], rows, "detect.alerts.none")


@command("show", help="detect.command.alerts.show")
@argument("alert")
@told
def show(teller: Teller, alert: str) -> None:
    """One alert, and what was done to it."""
    with teller.client() as node:
        found = node.get(_path(alert))
        past = node.get(f"{_path(alert)}/history")["items"]
    if teller.json:
        teller.print_json({**found, "history": past})
        return
    teller.tell("detect.alerts.shown", **_named(found))
    teller.rows(
        past,
        [f"detect.alerts.{head}" for head in ("at", "by", "deed")],
        [(one["at"], one["by"], one["deed"]) for one in past],
        "detect.alerts.untouched",
    )


@command("acknowledge", help="detect.command.alerts.acknowledge")
@argument("alert")
@told
def acknowledge(teller: Teller, alert: str) -> None:
    """Say that an alert is being worked on."""
    _change(teller, alert, "status", {"status": "acknowledged"}, "detect.alerts.acknowledged")


@command("close", help="detect.command.alerts.close")
@argument("alert")
@option("--reason", type=REASONS, required=True, help="detect.command.alerts.reason")
@option("--note", default="", help="detect.command.alerts.note")
@told
def close(teller: Teller, alert: str, reason: str, note: str) -> None:
    """Close an alert with its reason."""
    body = {"status": "closed", "reason": reason, "note": note}
    _change(teller, alert, "status", body, "detect.alerts.closed")


@command("assign", help="detect.command.alerts.assign")
@argument("alert")
@argument("account", required=False, default="")
@told
def assign(teller: Teller, alert: str, account: str) -> None:
    """Give an alert to somebody; to nobody where no account is named."""
    name = "detect.alerts.assigned" if account else "detect.alerts.unassigned"
    _change(teller, alert, "assign", {"assignee": account}, name, account=account)


@command("snooze", help="detect.command.alerts.snooze")
@argument("alert")
@option("--for", "length", default="", metavar="1h|7d", help="detect.command.alerts.for")
@option("--until", default="", metavar="INSTANT", help="detect.command.alerts.until")
@told
def snooze(teller: Teller, alert: str, length: str, until: str) -> None:
    """Put an alert off; back into the queue at once where no time is named."""
    body = {"length": length, "until": until}
    _change(
        teller, alert, "snooze", body, "detect.alerts.snoozed" if length or until else "detect.alerts.woken"
    )


@command("undo", help="detect.command.alerts.undo")
@told
def undo(teller: Teller) -> None:
    """Take back one's own last change, of however many alerts."""
    with teller.client() as node:
        done = node.post("/api/v1/alerts/undo", {})
    teller.show(done, "detect.alerts.undone", n=done["number"])


def _change(teller: Teller, alert: str, what: str, body: dict[str, Any], key: str, **more: str) -> None:
    with teller.client() as node:
        changed = node.post(f"{_path(alert)}/{what}", body)
    teller.show(changed, key, **_named(changed), **more)


def _path(alert: str) -> str:
    return f"/api/v1/alerts/{quote(alert, safe='')}"


def _named(alert: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": alert["title"],
        "level": alert["level"],
        "state": alert["status"],
        "until": alert["snoozed_until"] or "",
    }


def _line_row(line: dict[str, Any]) -> tuple[Any, ...]:
    return (
        line["level"],
        line["title"],
        line["hosts"],
        line["alerts"],
        line["events"],
        line["last_seen"],
        line["newest"] if line["alerts"] == 1 else f"--subject {line['subject']}",
    )


def _alert_row(alert: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(alert[name] for name in ("level", "title", "host", "status", "count", "last_seen", "id"))


for one in (list_, show, acknowledge, close, assign, snooze, undo):
    alerts.add_command(one)

commands = [alerts]
