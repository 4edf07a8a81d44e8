"""``python -m istmo.detect.aside EVENTS [KEYS]``: does one job after another, until its input ends.

``KEYS`` is the descriptor of the keys that seal what is stored.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog

from istmo.detect.aside.jobs import (
    CloseSegment,
    CountEvents,
    FindByRules,
    FindBySql,
    FindFields,
    FindHits,
    FindPast,
    FindRows,
    Found,
    Job,
    Rewrite,
    encode,
    read_job,
)
from istmo.detect.aside.rule_hunts import rule_hits
from istmo.detect.aside.sql_queries import confine, sql_rows
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.disk import is_full
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.rewriting import rewrite
from istmo.detect.eventstore.sealing import NO_KEYS, Keys, SealedAway
from istmo.detect.hits import fitting
from istmo.detect.process_log import log_to_stderr
from istmo.detect.search.counting import CountingFinder, Counts
from istmo.detect.search.field_names import field_names
from istmo.detect.search.find import Finder, OutOfTime
from istmo.detect.search.hunt import Hunter
from istmo.detect.search.past import PastFinder
from istmo.detect.search.pattern_hunt import PatternFinder
from istmo.detect.search.query import Query, parse_query
from istmo.detect.wire import SEGMENT_SHUT, PastFound, Problem
from istmo.errors import IstmoError

log = structlog.get_logger(__name__)

_PORTION = 200
_NICE = 5
"""Whoever waits for a search waits a little longer; whoever sends events does not notice."""


def answers(folder: EventFolder, job: Job) -> Iterator[Found]:
    """A job's answers, the last one ``done``."""
    match job:
        case CloseSegment(segment=segment):
            if folder.wal_path(segment).exists():  # else somebody was faster
                yield _close(folder, segment)
            else:
                yield Found(True)
        case Rewrite():
            yield _rewrite(folder, job)
        case FindRows():
            yield from _rows(folder, job)
        case CountEvents():
            yield from _tallies(folder, job)
        case FindHits():
            yield from _hits(folder, job)
        case FindPast():
            yield _past(folder, job)
        case FindByRules():
            yield from rule_hits(folder, job)
        case FindBySql():
            yield from sql_rows(folder, job)
        case FindFields():
            yield Found(True, fields=field_names(folder, job.upto, job.seconds))


def _close(folder: EventFolder, segment: int) -> Found:
    try:
        close_segment(folder, segment)
    except SealedAway as error:
        log.error("segment_not_closed", segment=segment, problem=str(error))
        return Found(True, problem=Problem("", SEGMENT_SHUT, {"segment": segment, "key": error.key.hex()}))
    return Found(True)


def _rewrite(folder: EventFolder, job: Rewrite) -> Found:
    olds = [Closed(*one) for one in job.closed]
    without = {old: frozenset(sources) for old, sources in zip(olds, job.without, strict=True)}
    try:
        rewrite(folder, olds, without)
    except IstmoError as error:
        return Found(True, problem=Problem("", error.code, error.params))
    except ValueError as error:
        log.error("segments_not_rewritten", segment=olds[0].first, problem=str(error))
        return Found(True, problem=Problem("", "detect.segments_unreadable", {}))
    except OSError as error:
        if not is_full(error):
            raise
        return Found(True, problem=Problem("", "detect.disk_full", {"folder": str(folder.root)}))
    return Found(True)


def _rows(folder: EventFolder, job: FindRows) -> Iterator[Found]:
    query = _asked(job)
    if isinstance(query, Problem):
        yield Found(True, problem=query)
        return
    finder: Finder | PatternFinder
    try:
        finder = _finder(folder, job, query)
    except ValueError:
        yield Found(True, problem=Problem("", "detect.pattern_not_served", {}))
        return
    is_cut = False
    try:
        for rows in finder.rows():
            yield Found(False, rows=rows, looked=finder.looked, of=finder.of)
    except OutOfTime:
        is_cut = True
    problem = _not_all(finder, job.seconds, is_cut=is_cut)
    if problem is None and finder.cut_at:
        problem = Problem("", "detect.search_cut_at", {"limit": finder.cut_at})
    if problem is None and isinstance(finder, PatternFinder) and finder.is_forgetful:
        problem = Problem("", "detect.pattern_forgot", {})
    yield Found(True, looked=finder.looked, of=finder.of, problem=problem)


def _finder(folder: EventFolder, job: FindRows, query: Query) -> Finder | PatternFinder:
    """Raises ValueError for a pattern that cannot be served."""
    if job.pattern is None:
        return Finder(folder, query, job.limit, job.upto, job.seconds, job.after)
    return PatternFinder(
        folder, job.pattern, query, job.limit, job.upto, job.seconds, after=job.after, before=job.before
    )


def _past(folder: EventFolder, job: FindPast) -> Found:
    finder = PastFinder(folder, job.indicators, job.upto, job.start, job.now, job.seconds)
    found = list(finder.matches())
    code = "detect.past_cut_short" if finder.is_cut else ""
    if finder.unreadable:
        code = code or "detect.segments_unreadable"
    problem = Problem("", code, {"seconds": int(job.seconds), **finder.unreadable.params}) if code else None
    return Found(True, past=PastFound(0, True, found, problem), problem=problem)


def _asked(job: FindRows | CountEvents) -> Query | Problem:
    """What a job asks for, within its own times as well; the problem where it cannot be read."""
    try:
        found = parse_query(job.query)
    except IstmoError as error:
        return Problem("", error.code, error.params)
    return Query(found.node, _later(found.start, job.start), _earlier(found.end, job.end))


def _tallies(folder: EventFolder, job: CountEvents) -> Iterator[Found]:
    query = _asked(job)
    if isinstance(query, Problem):
        yield Found(True, problem=query)
        return
    counting = CountingFinder(folder, query, Counts(job.by, job.top, job.bucket), job.upto, job.seconds)
    is_cut = False
    try:
        for tally in counting.tallies():
            yield Found(False, tally=tally)
    except OutOfTime:
        is_cut = True
    yield Found(True, problem=_not_all(counting, job.seconds, is_cut=is_cut))


def _not_all(finder: Finder | PatternFinder, seconds: float, *, is_cut: bool) -> Problem | None:
    """What an answer does not hold, and why."""
    code = "detect.search_cut_short" if is_cut else ""
    params: dict[str, str | int] = {"seconds": int(seconds)} if is_cut else {}
    if finder.unreadable:
        code = "detect.search_cut_and_unreadable" if code else "detect.segments_unreadable"
        params |= finder.unreadable.params
    return Problem("", code, params) if code else None


def _hits(folder: EventFolder, job: FindHits) -> Iterator[Found]:
    hunter = Hunter(folder, job.indicators, job.upto, job.now, job.seconds)
    hits = hunter.hits()
    for start in range(0, len(hits), _PORTION):
        yield Found(False, hits=fitting(hits[start : start + _PORTION]))
    # What is kept of it is the code alone, and damage stays until somebody mends it: it is told first.
    code = "detect.hunt_unreadable" if hunter.unreadable else "detect.hunt_cut_short" if hunter.is_cut else ""
    problem = Problem("", code, hunter.unreadable.params) if code else None
    yield Found(True, memory=hunter.memory(), problem=problem)


def _later(one: int | None, other: int | None) -> int | None:
    return max(one, other) if one is not None and other is not None else one if other is None else other


def _earlier(one: int | None, other: int | None) -> int | None:
    return min(one, other) if one is not None and other is not None else one if other is None else other


def main() -> None:
    """Serve jobs from standard input; the log goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the node's to heed: our input ends with it
    log_to_stderr()
    os.nice(_NICE)
    keys = Keys.take_over(int(sys.argv[2])) if len(sys.argv) > 2 else NO_KEYS
    folder = EventFolder(Path(sys.argv[1]), keys)
    while (job := read_job(sys.stdin.buffer)) is not None:
        try:
            if isinstance(job, FindBySql):
                confine()
            for answer in answers(folder, job):
                sys.stdout.buffer.write(encode(answer))
                sys.stdout.buffer.flush()
        except BrokenPipeError:
            return
        except Exception:
            log.exception("aside_failed", job=type(job).__name__)
            sys.stdout.buffer.write(encode(Found(True, problem=Problem("", "detect.aside_failed", {}))))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
