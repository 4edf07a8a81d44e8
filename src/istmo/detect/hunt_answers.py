"""Saved hunts and their runs as plain JSON, and what a run came to in words."""

from __future__ import annotations

from typing import Final

from istmo.detect.objects_hunt import EVERYTHING, HuntRun, SavedHunt
from istmo.detect.service import Detect
from istmo.detect.shapes_saved_hunts import HuntRunShape, SavedHuntShape
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import durations, instants

ALL: Final = "all"
"""The window of a hunt that looks at everything."""
ALL_TYPED: Final = ("todo",)
"""The same as people may write it."""


def window_told(seconds: int) -> str:
    """A window as programs are told of it, and as ``api_saved_hunts.window_of`` reads it back."""
    return ALL if seconds >= EVERYTHING else durations.format(seconds)


def window_words(seconds: int, language: str, catalogue: Catalogue) -> str:
    """A window in words: everything that is stored, or the last days, hours, minutes or seconds."""
    if seconds >= EVERYTHING:
        return catalogue.text(language, "console.hunt.last.everything")
    length = durations.format(seconds)
    return catalogue.text(language, f"console.hunt.last.{length[-1]}", n=int(length[:-1]))


def hunt_json(hunt: SavedHunt, asker: Asker, detect: Detect, catalogue: Catalogue) -> SavedHuntShape:
    """A hunt with its last run."""
    plan = hunt.plan
    return {
        "id": hunt.id,
        "name": plan.name,
        "description": plan.description,
        "kind": str(plan.kind),
        "text": plan.text,
        "window": window_told(plan.window),
        "every": durations.format(plan.every) if plan.every else "",
        "on": plan.is_on,
        "alert": plan.is_alerting,
        "level": str(plan.level),
        "shared": plan.is_shared,
        "owner": hunt.owner,
        "owner_name": hunt.owner_name,
        "own": detect.may_change_hunt(asker.principal, hunt),
        "created": instants.format(hunt.created),
        "changed": instants.format(hunt.changed),
        "version": hunt.version,
        "due": None if hunt.due is None else instants.format(hunt.due),
        "failures": hunt.failures,
        "failing": hunt.has_failed,
        "last": None if hunt.last is None else run_json(hunt.last, asker, catalogue),
    }


def run_json(run: HuntRun, asker: Asker, catalogue: Catalogue) -> HuntRunShape:
    """One run."""
    text = problem_text(run, asker.language, catalogue)
    return {
        "by": run.by,
        "name": run.name,
        "begun": instants.format(run.begun),
        "ended": instants.format(run.ended),
        "seconds": round((run.ended - run.begun).total_seconds(), 3),
        "found": run.found,
        "whole": run.is_whole,
        "problem": {"code": run.problem, "text": text} if run.problem else None,
    }


def problem_text(run: HuntRun, language: str, catalogue: Catalogue) -> str:
    """Why a run did not see or tell everything; empty where it did."""
    if not run.problem:
        return ""
    key = f"error.{run.problem}"
    if not catalogue.has(language, key):
        return run.problem
    return catalogue.text(language, key, **(run.params or {}))
