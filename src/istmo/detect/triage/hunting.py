"""A hunt: files in parts, each part read, normalised and matched, on all cores where there are several."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO

from istmo.detect.normalise import NormalEvent
from istmo.detect.sigma import RuleSet
from istmo.detect.triage.correlated import correlate
from istmo.detect.triage.findings import Findings, Row
from istmo.detect.triage.indicator_files import ReadIndicator
from istmo.detect.triage.parts import STDIN, Part, list_parts
from istmo.detect.triage.sharing import Sharing
from istmo.detect.triage.spool import Spool
from istmo.detect.triage.stopping import Stop
from istmo.detect.triage.work import Work
from istmo.errors import IstmoError
from istmo.settings import Limits

Progress = Callable[[], AbstractContextManager[Callable[[float], None]]]


@contextmanager
def no_progress() -> Iterator[Callable[[float], None]]:
    """Progress that nobody watches."""
    yield lambda done: None


Words = Callable[[IstmoError], dict[str, str]]


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
    form: str = ""
    """What the files hold, where somebody said it (``reading.FORMS``); otherwise each is looked at."""
    received: datetime | None = None
    """The latest moment that a line without a year can mean; None for now."""
    findings: Findings = field(default_factory=Findings)
    spool: Spool = field(default_factory=Spool)
    is_cut_short: bool = False
    """Somebody ended it before it was through."""

    def run(self, parts: list[Part], progress: Progress = no_progress, processes: int = 0) -> None:
        """Look through all parts. What was found stands in ``findings``, also where somebody ended it.

        ``progress`` is entered once the processes are there, for it may be a thread, and told of the bytes
        that were dealt with. Raises Unavailable where the system ended one of the processes.
        """
        processes = processes or os.cpu_count() or 1
        is_shared = len(parts) > 1 and processes > 1 and sys.platform == "linux"
        stop = Stop()
        try:
            with stop.heeding():
                if is_shared:
                    sharing = Sharing(lambda heard: Work(self, stop, heard), stop, min(processes, len(parts)))
                    sharing.run(parts, self.findings, self.spool.add, progress)
                else:
                    self._alone(parts, stop, progress)
                if self.ruleset.correlations:
                    keep = self.spool.add if self.keeps_rows else _drop
                    correlate(self.ruleset, self.findings, keep, self.words)
        except KeyboardInterrupt:
            stop.set()
        self.is_cut_short = stop.is_set

    def _alone(self, parts: list[Part], stop: Stop, progress: Progress) -> None:
        with progress() as done:
            work = Work(self, stop, done)
            for part in parts:
                if stop.is_set:
                    return
                work.look(part, self.findings, self.spool.add)


def _drop(row: Row) -> None:
    """Nobody asked for single matches."""


__all__ = ["STDIN", "Hunt", "Part", "Wanted", "list_parts"]
