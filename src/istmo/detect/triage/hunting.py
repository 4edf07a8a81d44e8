"""The work: files in parts, each part read, normalised and matched, on all cores where there are several.

Rules are loaded once, before the processes are made: they share them. Results are joined in the order of
the parts, and only few are under way at once, so memory depends on neither their number nor their size.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from istmo.detect.eventstore.lines import read_event
from istmo.detect.indicators import Matcher
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.reading import FileProblem, Found, Line, Members, count_members, open_events, open_stream
from istmo.detect.sigma import Rule, RuleSet
from istmo.detect.triage.correlated import Gatherer, correlate
from istmo.detect.triage.finder import Finder
from istmo.detect.triage.findings import (
    MOST_FIELDS,
    Findings,
    Group,
    Row,
    techniques_of,
    text_of,
)
from istmo.detect.triage.indicator_files import ReadIndicator
from istmo.detect.triage.spool import Handed, Spool
from istmo.errors import IstmoError, NotFound, Unavailable
from istmo.model import instants
from istmo.settings import Limits

BATCH_EVENTS: Final = 2000
BATCH_BYTES: Final = 4 << 20
MEMBERS: Final = 24
"""Members of an archive that are one part of the work."""
STDIN: Final = "-"
INDICATOR_LEVEL: Final = "high"

Progress = Callable[[], AbstractContextManager[Callable[[float], None]]]


@contextmanager
def no_progress() -> Iterator[Callable[[float], None]]:
    """Progress that nobody watches."""
    yield lambda done: None


Words = Callable[[IstmoError], dict[str, str]]


@dataclass(frozen=True)
class Part:
    """A file, or some members of an archive. Without a path: standard input."""

    path: Path | None
    members: Members = None


@dataclass(frozen=True)
class Wanted:
    """Which events count: between two instants (the later one excluded), and of a host."""

    since: datetime | None = None
    until: datetime | None = None
    host: str = ""

    def holds(self, event: NormalEvent) -> bool:
        """Whether the event is one of them; one without a time is in no stretch of time."""
        if self.host and self.host.lower() not in (event.host.lower(), event.host.lower().partition(".")[0]):
            return False
        if self.since is None and self.until is None:
            return True
        if event.time is None:
            return False
        return not (self.since and event.time < self.since) and not (self.until and event.time >= self.until)


@dataclass
class Hunt:
    """One look through files. ``words`` puts an error into the asker's language."""

    ruleset: RuleSet
    indicators: tuple[ReadIndicator, ...]
    wanted: Wanted
    limits: Limits
    words: Words
    now: Callable[[], int]
    input: IO[bytes] | None = None
    keeps_rows: bool = False
    findings: Findings = field(default_factory=Findings)
    spool: Spool = field(default_factory=Spool)
    is_cut_short: bool = False
    """Somebody ended it before it was through."""

    def run(self, parts: list[Part], progress: Progress = no_progress, processes: int = 0) -> None:
        """Look through all parts. What was found stands in ``findings``, also where somebody ended it.

        ``progress`` is entered once the processes are there, for it may be a thread, and told of each part.
        Raises Unavailable where the system ended one of the processes.
        """
        processes = processes or os.cpu_count() or 1
        is_shared = len(parts) > 1 and processes > 1 and sys.platform == "linux"
        try:
            if is_shared:
                self._share(parts, progress, min(processes, len(parts)))
            else:
                work = Work(self)
                with progress() as done:
                    for part in parts:
                        work.look(part, self.findings, self.spool.add)
                        done(1)
            if self.ruleset.correlations:
                keep = self.spool.add if self.keeps_rows else _drop
                correlate(self.ruleset, self.findings, keep, self.words)
        except KeyboardInterrupt:
            self.is_cut_short = True

    def _share(self, parts: list[Part], progress: Progress, processes: int) -> None:
        global _lent, _folder
        gc.collect()
        gc.freeze()  # what all processes share must stay as it is, or each gets a copy
        kept = tempfile.TemporaryDirectory(prefix="istmo-hunt-", ignore_cleanup_errors=True)
        _lent, _folder = self, kept.name
        context = multiprocessing.get_context("fork")
        executor = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)
        under_way: deque[Part | Future[tuple[Findings, Handed]]] = deque()
        try:
            coming = iter(parts)
            self._hand_out(coming, under_way, executor, processes)
            with progress() as done:
                while under_way:
                    self._take(under_way[0])
                    under_way.popleft()
                    done(1)
                    self._hand_out(coming, under_way, executor, processes)
        except BrokenProcessPool:
            raise Unavailable("detect.hunt_process_ended") from None
        finally:
            for process in multiprocessing.active_children():
                process.terminate()
            executor.shutdown(wait=True, cancel_futures=True)
            kept.cleanup()
            _lent = None
            gc.unfreeze()

    def _hand_out(
        self,
        coming: Iterator[Part],
        under_way: deque[Part | Future[tuple[Findings, Handed]]],
        executor: ProcessPoolExecutor,
        processes: int,
    ) -> None:
        while len(under_way) < 3 * processes and (part := next(coming, None)) is not None:
            under_way.append(part if part.path is None else executor.submit(_look, part))

    def _take(self, one: Part | Future[tuple[Findings, Handed]]) -> None:
        if isinstance(one, Part):  # standard input is this process's alone
            Work(self).look(one, self.findings, self.spool.add)
            return
        found, rows = one.result()
        self.findings.merge(found)
        for row in rows.take():
            self.spool.add(row)


_lent: Hunt | None = None
"""The hunt that processes take part in; they get it by being forked."""
_work: Work | None = None
_folder = ""


def _begin() -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert _lent is not None
    _work = Work(_lent)


def _look(part: Part) -> tuple[Findings, Handed]:
    assert _work is not None
    findings = Findings()
    rows = Handed(_folder)
    _work.look(part, findings, rows.add)
    return findings, rows


class Work:
    """Reading and matching in one process."""

    def __init__(self, hunt: Hunt) -> None:
        self._hunt = hunt
        self._finder = Finder(hunt.ruleset)
        self._gatherer = Gatherer(hunt.ruleset)
        self._matcher = Matcher(hunt.now)
        self._titles = {one.id: one.title for one in hunt.indicators}
        for one in hunt.indicators:
            self._matcher.put(one.id, one.terms)

    def look(self, part: Part, into: Findings, keep: Callable[[Row], None]) -> None:
        """Everything of one part. Never raises for what it holds."""
        batch: list[tuple[Line, NormalEvent]] = []
        size = 0
        place = ""
        for one in self._open(part):
            if isinstance(one, FileProblem):
                into.tell(one.place, one.line, self._hunt.words(one.error))
                continue
            try:
                _, data = read_event(one.raw, self._hunt.limits)
                event = normalise(data, one.raw)
            except IstmoError as error:
                into.tell(one.place, one.number, self._hunt.words(error))
                continue
            into.events += 1
            if one.place != place:
                place = one.place
                into.places += 1
            if not self._hunt.wanted.holds(event):
                continue
            batch.append((one, event))
            size += len(one.raw)
            if len(batch) >= BATCH_EVENTS or size >= BATCH_BYTES:
                self._match(batch, into, keep)
                batch, size = [], 0
        self._match(batch, into, keep)

    def _open(self, part: Part) -> Iterator[Found]:
        if part.path is None:
            assert self._hunt.input is not None
            return open_stream(self._hunt.input, STDIN, self._hunt.limits)
        return open_events(part.path, self._hunt.limits, part.members)

    def _match(
        self, batch: list[tuple[Line, NormalEvent]], into: Findings, keep: Callable[[Row], None]
    ) -> None:
        keeps, gatherer = self._hunt.keeps_rows, self._gatherer
        for at, rule, matched in self._finder.find([event for _, event in batch]):
            line, event = batch[at]
            if not gatherer.is_idle:
                gatherer.gather(rule.id, event, (line.place, line.number, event.host[:256]), into)
                if gatherer.is_silent(rule.id):
                    continue
            group = _group(rule)
            row = _row(group, line, event, matched)
            into.add(group, row)
            if keeps:
                keep(row)
        if not self._titles:
            return
        for line, event in batch:
            for hit in self._matcher.match(event.fields):
                group = Group("indicator", hit.id, self._titles[hit.id], INDICATOR_LEVEL)
                row = _row(group, line, event, {hit.field: hit.value})
                into.add(group, row)
                if keeps:
                    keep(row)


def _drop(row: Row) -> None:
    """Nobody asked for single matches."""


def _group(rule: Rule) -> Group:
    return Group("rule", rule.id, rule.title, rule.level, rule.author, rule.license, techniques_of(rule.tags))


def _row(group: Group, line: Line, event: NormalEvent, matched: dict[str, object]) -> Row:
    fields = event.fields
    return {
        "time": instants.format(event.time) if event.time else "",
        "level": group.level,
        "title": group.title,
        "id": group.id,
        "kind": group.kind,
        "techniques": list(group.techniques),
        "host": event.host[:256],
        "channel": text_of(fields.get("Channel")),
        "event_id": text_of(fields.get("EventID")),
        "record": text_of(fields.get("EventRecordID", fields.get("RecordNumber"))),
        "file": line.place,
        "number": line.number,
        "matched": {name[:256]: text_of(value) for name, value in list(matched.items())[:MOST_FIELDS]},
    }


def list_parts(names: Iterable[str], tell: Callable[[str, IstmoError], None]) -> list[Part]:
    """What there is to look through. Links out of a folder are not followed, and pipes in it not opened.

    ``tell`` hears of a name that leads nowhere, and of a folder that holds nothing.
    """
    parts: list[Part] = []
    for name in names:
        if name == STDIN:
            parts.append(Part(None))
            continue
        path = Path(name)
        before = len(parts)
        if path.is_dir():
            for one in sorted(path.rglob("*")):
                with suppress(OSError):
                    if one.is_file() and not one.is_symlink():
                        parts += _parts(one)
            if len(parts) == before:
                tell(name, NotFound("detect.hunt_empty_folder", folder=name))
        elif path.exists():
            parts += _parts(path)
        else:
            tell(name, NotFound("detect.no_such_file", file=name))
    return parts


def _parts(path: Path) -> list[Part]:
    members = count_members(path)
    if members < 2:
        return [Part(path)]
    return [Part(path, (start, start + MEMBERS)) for start in range(0, members, MEMBERS)]


__all__ = ["STDIN", "Hunt", "Part", "Wanted", "list_parts"]
