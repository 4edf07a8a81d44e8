"""What the detection worker hears before it lets go of stored events: what is wanted, and what was read."""

from __future__ import annotations

import structlog

from istmo.detect import wire
from istmo.detect.records import positions, retention
from istmo.detect.wire import Keeping, Position
from istmo.model.markings import Tlp
from istmo.policy import Action, Context, Resource, System, decide
from istmo.store.engine import Store

log = structlog.get_logger(__name__)


def keeping_of(store: Store, context: Context) -> Keeping:
    """Stored positions alone count: what a stage found since is told again after a crash, and read for it.

    Where policy lets nothing go, nothing has been read far enough.
    """
    own = Resource("event", context.member, frozenset({context.member}), Tlp.CLEAR, context.space)
    if not decide(System("detect"), Action.EVENT_LET_GO, own, context):
        log.warning("events_not_let_go")
        return Keeping(Position(), {})
    with store.read() as connection:
        stored = positions.positions(connection)
        state = positions.state(connection, wire.SIGMA)
        kept = retention.retention_by_source(connection)
    read = [stored.get(detector, Position()) for detector in wire.DETECTORS]
    if state is not None:
        read.append(state.position)
    return Keeping(min(read), {id: (one.days, one.budget) for id, one in kept.items()})
