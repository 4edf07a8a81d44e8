"""What detection makes of one object: where two rooms meet, so it stands in the assembly."""

from __future__ import annotations

from litestar import get

from istmo.detect.answers import alert_json
from istmo.detect.service import Detect
from istmo.detect.shapes import AlertList, ObjectDetection
from istmo.errors import NotFound
from istmo.intel.service import Intel
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.store.changes import Change
from istmo.web.waiting import Waiting


@get("/api/v1/objects/{object_id:str}/detection", opt=PEOPLE, tags=["objects"])
async def detection(
    object_id: str,
    asker: Asker,
    intel: Intel,
    detect: Detect,
    waiting: Waiting,
    until: str = "live",
    wait: float = 0.0,
) -> ObjectDetection:
    """``live`` (the worker has acknowledged it), ``waiting``, ``stopping`` or ``off``; how its hunt went.

    With ``wait``, the answer is held back up to so many seconds (30 at most) for the state ``until``.
    """

    def look() -> ObjectDetection:
        if not intel.may_know(asker.now(), object_id):
            raise NotFound("intel.no_object", object=object_id[:120])
        found = detect.detection(object_id)
        return {
            "id": object_id,
            "state": found.state,
            "hunt_problem": found.hunt_problem,
            "level": found.level or None,
            "warning_lists": {value: list(names) for value, names in found.warned.items()},
        }

    def rings(change: Change) -> bool:
        return object_id in change.data["indicators"]

    return await waiting.until(
        look, lambda answer: answer["state"] == until, topic="detection", rings=rings, seconds=wait
    )


@get("/api/v1/objects/{object_id:str}/alerts", opt=PEOPLE, tags=["objects"])
async def alerts(
    object_id: str, asker: Asker, detect: Detect, waiting: Waiting, wait: float = 0.0
) -> AlertList:
    """The alerts that tell of one indicator or rule, last changed first.

    With ``wait``, the answer is held back up to so many seconds (30 at most) until there is one.
    """

    def look() -> AlertList:
        found = detect.alerts_about(asker.now(), object_id)
        return {"items": [alert_json(one) for one in found], "next": None, "total": None}

    def rings(change: Change) -> bool:
        return change.data.get("about") == object_id

    return await waiting.until(
        look, lambda answer: bool(answer["items"]), topic="alert", rings=rings, seconds=wait
    )


routes = [detection, alerts]
