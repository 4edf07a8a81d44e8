"""What the situation draws: alerts over time, the region, what came in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from istmo.detect.objects import Level
from istmo.detect.service import Detect
from istmo.detect.service.overview import Interval
from istmo.federation.reconciliation import Reconciliation
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue, grouped
from istmo.kit.region_map import Place, Tile, draw, tiles
from istmo.kit.timeline import Bar
from istmo.kit.timeline import draw as draw_bars
from istmo.settings import Settings

SPANS = {"day": (timedelta(days=1), timedelta(hours=1)), "week": (timedelta(days=7), timedelta(hours=6))}
"""How far back alerts are drawn, and in which steps."""


@dataclass(frozen=True)
class Trouble:
    """Something that keeps all from being well, in the asker's words, and where to go."""

    what: str
    remedy: str
    path: str = ""
    grade: str = "bad"
    """``bad`` while it lasts; ``warn`` for what has happened."""
    at: datetime | None = None


@dataclass(frozen=True)
class Words:
    """The catalogue in one language."""

    catalogue: Catalogue
    language: str

    def text(self, key: str, **params: Any) -> str:
        return self.catalogue.text(self.language, key, **params)

    def trouble(self, key: str, **params: Any) -> Trouble:
        return Trouble(self.text(key, **params), self.text(f"{key}.remedy", **params))


@dataclass(frozen=True)
class Chart:
    """A drawing, and the same as rows. ``span``: which of SPANS it shows."""

    svg: Markup
    rows: Sequence[Interval]
    span: str
    count: int


def alerts_over_time(words: Words, detect: Detect, asker: Asker, span: str, now: datetime) -> Chart:
    """Alerts by when they arose, each bar parted by level, the gravest below."""
    span = span if span in SPANS else "day"
    back, step = SPANS[span]
    found = detect.alerts_by_time(asker.principal, now - back, step)
    count = sum(one.count for one in found)
    bars = [
        Bar(
            one.start,
            one.count,
            tuple(
                (f"level-{level}", words.text(f"kit.level.{level}"), one.levels[level])
                for level in reversed(Level)
                if level in one.levels
            ),
        )
        for one in found
    ]
    title = words.text(f"web.situation.over_time.{span}", n=count, shown=grouped(count))
    return Chart(draw_bars(bars, title=title, zone=asker.zone), found, span, count)


@dataclass(frozen=True)
class Region:
    """The map, and a square for each state."""

    svg: Markup
    tiles: list[Tile]


def draw_region(words: Words, peers: Sequence[Reconciliation], node: Settings) -> Region:
    """Who is within reach, and whether all that is due has arrived; this node itself is one of them."""
    places = [Place(node.country, node.name, "good", words.text("web.region.own"), "/peers")]
    places += [
        Place(one.member.country, one.member.name, *_standing(words, one), f"/peers/{one.member.id}")
        for one in peers
    ]
    well = sum(one.grade == "good" for one in places)
    title = words.text("web.region.title", n=len(places), well=well)
    return Region(draw(places, title=title), tiles(places))


def _standing(words: Words, peer: Reconciliation) -> tuple[str, str]:
    if peer.state in ("connecting", "catching_up"):
        return "warn", words.text("console.link.connecting")
    if peer.state != "connected":
        return "bad", words.text("console.link.away")
    if not peer.is_complete:
        return "warn", words.text(f"web.region.{peer.standing}")
    return "good", words.text("web.region.complete")


@dataclass(frozen=True)
class TakenIn:
    """Events by minute over the last hour; ``svg`` is empty where none came."""

    svg: Markup | str
    minutes: list[tuple[datetime, int]]


def taken_in(words: Words, detect: Detect, asker: Asker, now: datetime) -> TakenIn:
    """What came in during the last hour."""
    counts = detect.taken_in(asker.principal)
    start = now.replace(second=0, microsecond=0)
    minutes = [(start - timedelta(minutes=len(counts) - 1 - at), count) for at, count in enumerate(counts)]
    if not any(counts):
        return TakenIn("", minutes)
    title = words.text("web.watch.hour", n=sum(counts))
    return TakenIn(draw_bars([Bar(*one) for one in minutes], title=title, zone=asker.zone), minutes)
