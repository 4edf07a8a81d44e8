"""A hunt by Sigma rules as a process aside does it: the rules read, the store looked at, sums told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from istmo.detect.aside.jobs import FindByRules, Found
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.search.rule_hunt import RuleHunter
from istmo.detect.sigma import AskedPlaceholders, Correlation, RuleFile, RuleSet, collect_rules
from istmo.detect.sigma import Problem as Unusable
from istmo.detect.sigma.engine import PlanFolder
from istmo.detect.sigma.kept import KeptFiles
from istmo.detect.sigma.kept_rules import KeptRules
from istmo.detect.wire import LeftOutRule, Problem, RuleHits, WireRule

MOST_LEFT_OUT: Final = 200


def rule_hits(folder: EventFolder, job: FindByRules) -> Iterator[Found]:
    """A hunt's answers: what could not be used first, then matches as they are found, the sums at last."""
    ruleset = _read(job)
    left_out = [_left_out(one) for one in ruleset.problems]
    left_out += [_not_evaluated(one) for one in ruleset.correlations]
    yield Found(False, by_rules=RuleHits(0, False, left_out=left_out[:MOST_LEFT_OUT]))
    hunter = RuleHunter(
        folder,
        ruleset,
        job.upto,
        job.seconds,
        start=job.start,
        end=job.end,
        limit=job.limit,
        plans=_plans(job.plans),
        after=job.after,
        with_events=job.scheduled,
    )
    for some in hunter.matches() if ruleset.rules else ():
        yield Found(False, by_rules=RuleHits(0, False, some, looked=hunter.looked))
    yield Found(False, by_rules=RuleHits(0, False, found=hunter.found(), looked=hunter.looked))
    code = "detect.search_cut_short" if hunter.is_cut else ""
    params: dict[str, str | int] = {"seconds": int(job.seconds)} if hunter.is_cut else {}
    if hunter.unreadable:
        code = "detect.search_cut_and_unreadable" if code else "detect.segments_unreadable"
        params |= hunter.unreadable.params
    yield Found(True, problem=Problem("", code, params) if code else None)


def _read(job: FindByRules) -> RuleSet:
    files = _files(job.rules)
    if job.lists:  # what a rule comes to is kept by its text alone
        return collect_rules(files, AskedPlaceholders(job.lists))
    kept = None
    if job.plans:
        with suppress(OSError):  # no safe place: they are read each time
            kept = KeptRules(KeptFiles(Path(job.plans)))
    ruleset = collect_rules(files, kept=kept)
    if kept is not None and len(job.rules) > 1:  # what somebody pasted is not worth keeping
        kept.keep()
    return ruleset


def _files(rules: Iterable[WireRule]) -> Iterator[RuleFile]:
    return (RuleFile(one.id, one.text.encode()) for one in rules if one.is_enabled)


def _plans(folder: str) -> PlanFolder | None:
    if folder:
        with suppress(OSError):
            return PlanFolder(Path(folder))
    return None


def _left_out(problem: Unusable) -> LeftOutRule:
    params = {
        name: value if isinstance(value, int) else str(value)[:200] for name, value in problem.params.items()
    }
    return LeftOutRule(problem.rule[:200] or problem.file[:200], problem.line, problem.key, params)


def _not_evaluated(one: Correlation) -> LeftOutRule:
    return LeftOutRule(one.title[:200], 0, "detect.rule_hunt.correlation", {})
