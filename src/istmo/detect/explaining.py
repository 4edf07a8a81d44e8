"""Why a correlation matched, or that a source fell silent, in words."""

from __future__ import annotations

from typing import Final

from istmo.detect.levels import band
from istmo.detect.objects import Correlated, Silence, Weighed
from istmo.detect.stories import from_micros
from istmo.kit import times
from istmo.kit.i18n import Catalogue

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
"""The symbols of SI, the same in both languages."""


def explain(catalogue: Catalogue, language: str, seen: Correlated) -> list[str]:
    """Sentences: what came to hold within which time, for whom, and how often."""
    params = {
        "value": f"{seen.value:g}",
        "fields": ", ".join(seen.fields),
        "within": timespan_text(seen.timespan),
        "condition": seen.condition or catalogue.text(language, "detect.correlation.boolean"),
    }
    told = [catalogue.text(language, f"detect.correlation.{seen.type}", **params)]
    if seen.group:
        group = ", ".join(f"{name} = {value}" for name, value in seen.group.items())
        told.append(catalogue.text(language, "detect.correlation.group", group=group))
    if seen.matches > 1:
        told.append(catalogue.text(language, "detect.correlation.again", n=seen.matches))
    return told


def explain_weighed(catalogue: Catalogue, language: str, weighed: Weighed) -> list[str]:
    """Sentences: how sure the indicator's author is, of what kind it is, and which warning lists say less."""

    def say(key: str, **params: str | int) -> str:
        return catalogue.text(language, f"detect.weighed.{key}", **params)

    sure = catalogue.text(language, f"detect.confidence.{band(weighed.confidence)}")
    told = [
        say("unsaid", band=sure)
        if weighed.confidence is None
        else say("confidence", confidence=weighed.confidence, band=sure)
    ]
    if weighed.types:
        told.append(say("types", types=", ".join(weighed.types)))
    if weighed.lists:
        told.append(say("lists", lists=", ".join(weighed.lists)))
    return told


def explain_silence(catalogue: Catalogue, language: str, silence: Silence, zone: str) -> list[str]:
    """Sentences: since when, what it used to send, what to look at, and whether it is over.

    ``zone``: in which times are told.
    """

    def when(micros: int) -> str:
        return times.local(from_micros(micros), zone)

    def say(key: str, **params: str | int) -> str:
        return catalogue.text(language, f"detect.silence.{key}", **params)

    limit = timespan_text(silence.limit * 1_000_000)
    told = (
        [say("never", since=when(silence.since), limit=limit)]
        if silence.last is None
        else [say("last", last=when(silence.last), limit=limit)]
    )
    if silence.last is not None and silence.last < silence.since:
        told.append(say("counted", since=when(silence.since)))
    if silence.hourly:
        # A narrow space between thousands reads alike in both languages, as in the console's numbers.
        events = f"{silence.hourly:,.0f}".replace(",", "\u202f") if silence.hourly >= 1 else "< 1"
        told.append(say("used", events=events))
    if silence.ended is not None:
        return [*told, say("ended", ended=when(silence.ended))]
    told.append(say("check"))
    if silence.networks:
        told.append(say("networks", networks=", ".join(silence.networks)))
    return told


def lag_text(seconds: float) -> str:
    """A lag in the unit in which it is one to three digits."""
    size = abs(seconds)
    if size < 1:
        return "< 1 s"
    length, unit = next((one for one in _UNITS if size >= 2 * one[0]), _UNITS[-1])
    return f"{size / length:.0f} {unit}" if seconds > 0 else f"−{size / length:.0f} {unit}"


def timespan_text(micros: int) -> str:
    """A length of time in the largest unit that holds it whole."""
    seconds = micros // 1_000_000
    size, unit = next((one for one in _UNITS if seconds >= one[0] and seconds % one[0] == 0), _UNITS[-1])
    return f"{seconds // size} {unit}"
