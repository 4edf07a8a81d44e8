"""A store that was lost, while the database goes on: what comes is seen, at places that were never told."""

from __future__ import annotations

from collections.abc import Callable

from istmo.detect import wire

from .conftest import Rig
from .test_worker import BAD, EVENT, RULE

READ = wire.Position(9, 40)


def test_where_the_store_was_lost_its_places_are_not_given_again(make_rig: Callable[..., Rig]) -> None:
    """Stages go on from what the database says, and saved hunts and known hits go by places too."""
    rig = make_rig()
    rig.start()
    rig.accept({"indicators": READ, "sigma": READ}, sync=False)
    rig.put(BAD)
    rig.say(wire.PutRules(5, [wire.WireRule("good", RULE)], True))
    rig.hear(wire.Live, lambda live: live.what == "sigma")
    rig.say(wire.Synced())
    rig.send(EVENT)
    assert [hit.event_id for hit in rig.hits("indicators", 1, 8)] == ["10-0"]
    assert [hit.event_id for hit in rig.hits("sigma", 1, 8)] == ["10-0"]
    assert rig.stats().head == wire.Position(10, 1)
    rig.kill()
    rig.start()
    rig.accept({"indicators": wire.Position(10, 1), "sigma": wire.Position(10, 1)})
    assert rig.stats().head == wire.Position(10, 1)
