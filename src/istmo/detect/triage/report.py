"""A hunt as one HTML file: nothing loaded from anywhere, nothing run, fit to be printed or sent on."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from istmo.detect.triage.findings import Findings, Row
from istmo.detect.triage.tables import told
from istmo.kit.timeline import Bar, draw
from istmo.kit.visible import visible

MOST_ROWS: Final = 5000
"""Matches that stand in the file one by one."""
MOST_BARS: Final = 60
_FOLDER: Final = Path(__file__).parents[1] / "templates"
_STYLE: Final = "hunt_report.css"


def write_html(
    findings: Findings,
    rows: Iterable[Row],
    into: TextIO,
    *,
    language: str,
    text: Callable[..., str],
    summary: dict[str, Any],
) -> None:
    """Write the report. ``text`` gives a text of the catalogue, ``summary`` the command's own words."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_FOLDER / _STYLE).read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    bars = bars_of(findings)
    shown = islice(rows, MOST_ROWS)
    pieces = environment.get_template("hunt_report.html").stream(
        t=text,
        language=language,
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        findings=findings,
        groups=findings.ordered(),
        hosts=findings.hosts(),
        techniques=findings.techniques(),
        chart=draw(bars, title=text("detect.hunt.timeline"), zone="UTC") if bars else None,
        bars=[bar for bar in bars if bar.count],
        rows=shown,
        most=MOST_ROWS,
        told=told,
        summary=summary,
    )
    pieces.enable_buffering(50)
    for piece in pieces:
        into.write(piece)


def bars_of(findings: Findings) -> list[Bar]:
    """Matches over equal steps of whole hours, empty ones included."""
    hours = {
        datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC): sum(counts)
        for hour, counts in findings.steps.items()
    }
    if not hours:
        return []
    first, last = min(hours), max(hours)
    step = timedelta(hours=-(-(int((last - first).total_seconds()) // 3600 + 1) // MOST_BARS))
    counts = [0] * ((last - first) // step + 1)
    for hour, n in hours.items():
        counts[(hour - first) // step] += n
    return [Bar(first + at * step, n) for at, n in enumerate(counts)]
