"""What the web process and the detection worker say to one another.

The web process listens on ``run/worker.sock``; the worker dials, again and again. A message is a
4-byte big-endian length and msgpack of one tagged struct. A conversation goes:

1. worker: ``Ready``.
2. web: ``Welcome`` (the positions that it stored), then its whole state as ``PutIndicators``,
   ``PutRules``, ``PutSources`` with ``reset`` on the first of each, then ``Synced``. The detecting
   stages rest from the moment the connection breaks until ``Synced``; intake goes on with the
   sources last known.
3. From then on each side speaks when it has something to say. Every put and drop carries a
   ``generation``; ``Live`` says that it counts from the next event on. Every request carries a
   number chosen by the web process, and its answers repeat it.

``Hits`` carry the stage's position *after* the events looked at: the web process stores alerts and
position in one transaction. What it did not store is matched again from there, so an event may
be told twice after a crash, never lost: (detector, subject, event id) is the key of a hit. A
stored position also moves without hits, by an empty ``Hits`` about once a second.

Correlations remember, so their memory is stored too, less often than the position: a worker that starts
takes it up, feeds itself again what lies between it and the stored position without telling anything,
and goes on from there. A match is new when its (``at``, ``last``) lies after the stored (position, judged).
"""

from __future__ import annotations

from istmo.detect.wire.carrying import (
    LONGEST,
    Channel,
    decode_to_web,
    decode_to_worker,
    encode,
    read_frame,
)
from istmo.detect.wire.said import (
    INTAKE_DENIED,
    SEGMENT_SHUT,
    AskKeeping,
    Costs,
    Counted,
    Fields,
    Hits,
    HuntHits,
    Lags,
    LeftOutRule,
    LetGo,
    Live,
    Notice,
    PastExample,
    PastFound,
    PastMatches,
    Ready,
    Rows,
    RuleCost,
    RuleFound,
    RuleHits,
    RuleMatch,
    Sealing,
    SqlRows,
    Stats,
    Tally,
    ToWeb,
)
from istmo.detect.wire.things import (
    BEFORE,
    DETECTORS,
    HUNT_SECONDS,
    INDICATORS,
    SIGMA,
    SOURCES,
    Position,
    Problem,
    Progress,
    SourceCount,
    StoredState,
    Stretch,
    WireHit,
    WireIndicator,
    WireMatch,
    WireRow,
    WireRule,
    WireSource,
    WireState,
)
from istmo.detect.wire.told import (
    AskFields,
    AskPast,
    AskSql,
    AskStats,
    Cancel,
    Count,
    DropIndicators,
    DropRules,
    Hunt,
    HuntRules,
    Keeping,
    PutIndicators,
    PutRules,
    PutSources,
    Search,
    Synced,
    ToWorker,
    Welcome,
)

__all__ = [
    "BEFORE",
    "DETECTORS",
    "HUNT_SECONDS",
    "INDICATORS",
    "INTAKE_DENIED",
    "LONGEST",
    "SEGMENT_SHUT",
    "SIGMA",
    "SOURCES",
    "AskFields",
    "AskKeeping",
    "AskPast",
    "AskSql",
    "AskStats",
    "Cancel",
    "Channel",
    "Costs",
    "Count",
    "Counted",
    "DropIndicators",
    "DropRules",
    "Fields",
    "Hits",
    "Hunt",
    "HuntHits",
    "HuntRules",
    "Keeping",
    "Lags",
    "LeftOutRule",
    "LetGo",
    "Live",
    "Notice",
    "PastExample",
    "PastFound",
    "PastMatches",
    "Position",
    "Problem",
    "Progress",
    "PutIndicators",
    "PutRules",
    "PutSources",
    "Ready",
    "Rows",
    "RuleCost",
    "RuleFound",
    "RuleHits",
    "RuleMatch",
    "Sealing",
    "Search",
    "SourceCount",
    "SqlRows",
    "Stats",
    "StoredState",
    "Stretch",
    "Synced",
    "Tally",
    "ToWeb",
    "ToWorker",
    "Welcome",
    "WireHit",
    "WireIndicator",
    "WireMatch",
    "WireRow",
    "WireRule",
    "WireSource",
    "WireState",
    "decode_to_web",
    "decode_to_worker",
    "encode",
    "read_frame",
]
