"""Why a correlation matched, in words."""

from __future__ import annotations

from typing import Final

from istmo.detect.objects import Correlated
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


def timespan_text(micros: int) -> str:
    """A length of time in the largest unit that holds it whole."""
    seconds = micros // 1_000_000
    size, unit = next((one for one in _UNITS if seconds >= one[0] and seconds % one[0] == 0), _UNITS[-1])
    return f"{seconds // size} {unit}"
