"""``istmo doctor``: look the node over and say what to mend."""

from __future__ import annotations

from typing import Any

from istmo.doctor import CHECKS, Finding, check_events, is_healthy
from istmo.kit.cli import Teller, command, option, say, told_here
from istmo.kit.times import zone_of_country
from istmo.settings import load_settings


@command("doctor", help="cli.doctor")
@option("--events", "every_event", is_flag=True, help="cli.doctor.every_event")
@told_here
def doctor(teller: Teller, every_event: bool) -> None:
    """Run every check; exit with 1 when something is broken. Every stored event is read only on request."""
    settings = load_settings(teller.data)
    zone = zone_of_country(settings.country)
    findings = [finding for check in CHECKS for finding in check(settings)]
    if every_event:
        findings = [one for one in findings if one.check != "events"]
        findings += check_events(settings, every_event=True)
    teller.rows(
        {"healthy": is_healthy(findings), "checks": [_document(one, zone) for one in findings]},
        ("cli.doctor.check", "cli.doctor.state", "cli.doctor.remedy"),
        [
            (say(f"cli.doctor.{one.check}"), say(f"cli.doctor.{one.state}"), one.text(zone=zone))
            for one in findings
        ],
        "cli.doctor.none",
    )
    if not teller.json:
        teller.tell("cli.doctor.healthy" if is_healthy(findings) else "cli.doctor.sick")
    if not is_healthy(findings):
        raise SystemExit(1)


def _document(finding: Finding, zone: str) -> dict[str, Any]:
    text = finding.text(zone=zone)
    return {"check": finding.check, "state": finding.state, "text": text, **finding.told()}


commands = [doctor]
