"""What detection makes of one object: where two rooms meet, so it stands in the assembly."""

from __future__ import annotations

from typing import Any

from litestar import get

from istmo.detect.service import Detect
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker


@get("/api/v1/objects/{object_id:str}/detection", opt=PEOPLE, sync_to_thread=True, tags=["objects"])
def detection(object_id: str, asker: Asker, intel: Intel, detect: Detect) -> dict[str, Any]:
    """``live`` (the worker has acknowledged it), ``waiting``, ``stopping`` or ``off``; how its hunt went."""
    shown, *_ = intel.read(asker.principal, object_id)
    return {
        "id": shown.id,
        "state": detect.detection(shown.id),
        "hunt_problem": detect.hunt_problem(shown.id),
    }


routes = [detection]
