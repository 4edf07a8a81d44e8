"""Saved hunts in the console: all that one may see, and one with its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from litestar import Request, Response, get

from istmo.detect.hunt_answers import ALL, problem_text, window_told, window_words
from istmo.detect.objects_hunt import HuntPlan, SavedHunt
from istmo.detect.service import Detect
from istmo.errors import NotFound
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.pages import asker_of, faces_of, page
from istmo.model import durations
from istmo.policy.actions import Action

RUNS_SHOWN = 20
ALERTS_SHOWN = 5
FILLED = (("kind", 20), ("text", 16 << 10), ("window", 12), ("name", 100))
"""What an address may fill into the form of a new hunt."""
NEW = {"kind": "query", "window": "24h", "level": "medium"}


@get("/hunts", opt=PEOPLE, sync_to_thread=True)
def hunt_list(request: Request[Any, Any, Any], asker: Asker, detect: Detect) -> Response[Any]:
    """Every hunt, and a form: empty, with a copy of the hunt that the address names, or with what it asks."""
    copied = request.query_params.get("copy", "")[:80]
    values: dict[str, Any] = dict(NEW)
    for name, longest in FILLED:
        if given := request.query_params.get(name, ""):
            values[name] = given[:longest]
    if copied:
        try:
            values = values_of(detect.read_hunt(asker.principal, copied).plan) | {"shared": ""}
        except NotFound:
            values = dict(NEW)
    return show_hunts(request, detect, Form(values))


@get("/hunts/{id:str}", opt=PEOPLE, sync_to_thread=True)
def hunt_page(request: Request[Any, Any, Any], id: str, detect: Detect) -> Response[Any]:
    """One hunt: what it asks, what its runs came to, and how it is changed."""
    return show_hunt(request, id, detect)


def show_hunts(request: Request[Any, Any, Any], detect: Detect, form: Form) -> Response[Any]:
    """The page of all hunts, with what was typed into ``form`` when something stood against it."""
    _say_window(request, form)
    who = asker_of(request).principal
    found = [
        (
            one,
            detect.may_run_hunt(who, one),
            detect.may_stop_hunt(who, one),
            detect.may_change_hunt(who, one),
        )
        for one in detect.list_hunts(who)
    ]
    return page(
        request,
        "detect/hunts.html",
        form=form,
        json_path="/api/v1/hunts",
        found=found,
        length=durations.format,
        may_save=detect.may_save_hunts(who),
    )


def show_hunt(
    request: Request[Any, Any, Any],
    id: str,
    detect: Detect,
    form: Form | None = None,
    *,
    status: int = 200,
    both: Sequence[tuple[str, str, str]] = (),
) -> Response[Any]:
    """The page of a hunt, with what was typed into ``form`` when something stood against it.

    ``both``: where it has changed meanwhile, what it is now and what was typed, in words.
    """
    asker, faces = asker_of(request), faces_of(request)
    hunt = detect.read_hunt(asker.principal, id)
    form = form or Form()
    form.values = form.values or {**values_of(hunt.plan), "version": str(hunt.version)}
    _say_window(request, form)
    runs = detect.hunt_runs(asker.principal, id)[:RUNS_SHOWN]
    return page(
        request,
        "detect/hunt.html",
        status=status,
        form=form,
        json_path=f"/api/v1/hunts/{quote(id, safe='')}",
        both=both,
        hunt=hunt,
        runs=[(one, problem_text(one, asker.language, faces.catalogue)) for one in runs],
        alerts=_alerts(request, asker, detect, hunt),
        length=durations.format,
        window=window_words(hunt.plan.window, asker.language, faces.catalogue),
        may_run=detect.may_run_hunt(asker.principal, hunt),
        may_stop=detect.may_stop_hunt(asker.principal, hunt),
        may_change=detect.may_change_hunt(asker.principal, hunt),
        may_save=detect.may_save_hunts(asker.principal),
    )


def _say_window(request: Request[Any, Any, Any], form: Form) -> None:
    """A window of everything stands in its field in the asker's language."""
    if form.values.get("window") == ALL:
        form.values["window"] = faces_of(request).catalogue.text(
            asker_of(request).language, "console.hunt.window.all"
        )


def _alerts(request: Request[Any, Any, Any], asker: Asker, detect: Detect, hunt: SavedHunt) -> Any:
    if not faces_of(request).may(asker.principal, Action.ALERT_READ):
        return ()
    return detect.alerts_about(asker.principal, hunt.id, ALERTS_SHOWN)


def values_of(plan: HuntPlan) -> dict[str, Any]:
    """A plan as the fields of a form show it."""
    return {
        "name": plan.name,
        "kind": str(plan.kind),
        "text": plan.text,
        "description": plan.description,
        "window": window_told(plan.window),
        "every": durations.format(plan.every) if plan.every else "",
        "alert": "on" if plan.is_alerting else "",
        "level": str(plan.level),
        "shared": "on" if plan.is_shared else "",
    }


routes = [hunt_list, hunt_page]
