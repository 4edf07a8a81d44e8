"""How much an indicator's alert asks for: confidence, kind, and the warning lists of this node."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from istmo.detect.service.warning_lists import MOST_LISTS
from istmo.detect.wire import INDICATORS, Position, WireHit
from istmo.errors import Conflict, InvalidInput, NotAllowed, NotFound

from .room import ADMINISTRATOR, ANALYST, OBSERVER, Room, hit

RESOLVER = "8.8.8.8"
FOUND = {"DestinationIp": RESOLVER}


def listed(*entries: str, name: str = "Public resolvers", type: str = "string") -> bytes:
    return orjson.dumps({"name": name, "type": type, "list": entries, "matching_attributes": ["ip-dst"]})


def found(subject: str, line: int, *terms: tuple[str, str], **more: Any) -> WireHit:
    made = hit(subject, line, **more)
    return WireHit(**{name: getattr(made, name) for name in made.__struct_fields__} | {"terms": list(terms)})


def tell(room: Room, *hits: WireHit) -> None:
    """As the worker tells them, event after event."""
    lines = [int(one.event_id.partition("-")[2]) for one in hits]
    room.tell(INDICATORS, list(hits), Position(1, max(lines) + 1))


def told(room: Room, subject: str) -> tuple[str, Any]:
    (alert,) = (one for one in room.alerts() if one.subject == subject)
    return str(alert.level), alert.weighed


def test_the_level_is_by_confidence_and_kind(room: Room) -> None:
    for line, (confidence, types, level) in enumerate(
        [
            (None, (), "medium"),
            (90, ("malicious-activity",), "critical"),
            (10, ("compromised",), "low"),
            (90, ("benign",), "informational"),
        ]
    ):
        watch = room.shelf.publish(("ipv4", RESOLVER), confidence=confidence, types=types)
        tell(room, found(watch.id, line, ("ipv4", RESOLVER), fields=FOUND))
        assert told(room, watch.id)[0] == level
        assert (told(room, watch.id)[1].confidence, told(room, watch.id)[1].types) == (confidence, [*types])


def test_a_value_on_a_warning_list_is_informational_and_the_alert_names_the_list(room: Room) -> None:
    kept = room.detect.put_warning_list(ANALYST, listed(RESOLVER))
    assert (kept.name, kept.entries, kept.unusable) == ("Public resolvers", 1, 0)
    watch = room.shelf.publish(("ipv4", RESOLVER), ("ipv4", "203.0.113.5"))
    tell(room, found(watch.id, 1, ("ipv4", RESOLVER), fields=FOUND))
    assert told(room, watch.id)[0] == "informational"
    assert told(room, watch.id)[1].lists == ["Public resolvers"]
    assert room.detect.detection(watch.id).warned == {RESOLVER: ("Public resolvers",)}

    # A hit of its other value asks for more, and so does the story; the list stays named.
    other = {"DestinationIp": "203.0.113.5"}
    tell(room, found(watch.id, 2, ("ipv4", "203.0.113.5"), fields=other))
    assert told(room, watch.id)[0] == "high"
    assert told(room, watch.id)[1].lists == ["Public resolvers"]
    tell(room, found(watch.id, 3, ("ipv4", RESOLVER), fields=FOUND))
    assert told(room, watch.id)[0] == "high"


def test_of_a_range_the_address_counts_that_was_seen(room: Room) -> None:
    room.detect.put_warning_list(ANALYST, listed(RESOLVER))
    watch = room.shelf.publish(("ipv4", "8.8.0.0/16"))
    tell(room, found(watch.id, 1, ("ipv4", "8.8.0.0/16"), fields=FOUND))
    assert told(room, watch.id)[0] == "informational"
    other = {"DestinationIp": "8.8.9.9"}
    tell(room, found(watch.id, 2, ("ipv4", "8.8.0.0/16"), fields=other))
    assert told(room, watch.id)[0] == "high"


def test_an_event_with_another_value_beside_it_and_a_whole_pattern_keep_their_level(room: Room) -> None:
    room.detect.put_warning_list(ANALYST, listed(RESOLVER))
    watch = room.shelf.publish(("ipv4", RESOLVER), ("ipv4", "203.0.113.5"))
    both = [("ipv4", RESOLVER), ("ipv4", "203.0.113.5")]
    tell(room, found(watch.id, 1, *both, fields=FOUND))
    assert told(room, watch.id)[0] == "high"
    whole = room.shelf.publish(("ipv4", RESOLVER), plan="{}")
    tell(room, found(whole.id, 2, fields=FOUND))
    assert told(room, whole.id)[0] == "high"


def test_a_list_that_is_gone_says_nothing_any_more(room: Room) -> None:
    room.detect.put_warning_list(ANALYST, listed(RESOLVER))
    room.detect.drop_warning_list(ANALYST, "Public resolvers")
    watch = room.shelf.publish(("ipv4", RESOLVER))
    tell(room, found(watch.id, 1, ("ipv4", RESOLVER), fields=FOUND))
    assert told(room, watch.id)[0] == "high"
    with pytest.raises(NotFound):
        room.detect.drop_warning_list(ANALYST, "Public resolvers")


def test_lists_are_kept_over_a_restart_and_replaced_by_name(room: Room) -> None:
    room.detect.put_warning_list(ANALYST, listed("198.51.100.1"))
    room.detect.put_warning_list(ANALYST, listed(RESOLVER, "what", type="cidr"))
    (kept,) = room.detect.warning_lists(OBSERVER)
    assert (kept.type, kept.entries, kept.unusable, kept.kinds) == ("cidr", 1, 1, ("ipv4", "ipv6"))
    anew = type(room.detect.warned)(room.store)
    assert anew.current.find("ipv4", RESOLVER) == ("Public resolvers",)
    assert anew.current.find("ipv4", "198.51.100.1") == ()


def test_the_reserved_lists_come_with_the_program_and_can_be_put_in_force_by_hand(room: Room) -> None:
    assert room.detect.warning_lists(ANALYST) == []
    assert len(room.detect.put_reserved_lists(ADMINISTRATOR)) == 3
    assert room.detect.warned.lists_of([("ipv4", "10.0.0.1"), ("ipv4", RESOLVER)]) == {
        ("ipv4", "10.0.0.1"): ("Reserved IPv4 and IPv6 ranges",)
    }


def test_who_may_read_rules_may_not_write_lists_and_every_change_is_on_record(room: Room) -> None:
    with pytest.raises(NotAllowed):
        room.detect.put_warning_list(OBSERVER, listed(RESOLVER))
    with pytest.raises(NotAllowed):
        room.detect.put_reserved_lists(OBSERVER)
    with pytest.raises(NotAllowed):
        room.detect.drop_warning_list(OBSERVER, "x")
    with pytest.raises(InvalidInput, match=r"detect\.warning_list_empty"):
        room.detect.put_warning_list(ANALYST, listed("what", type="cidr"))


def test_there_is_a_bound_of_lists(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("istmo.detect.service.warning_lists.MOST_LISTS", 1)
    room.detect.put_warning_list(ANALYST, listed(RESOLVER, name="one"))
    with pytest.raises(Conflict):
        room.detect.put_warning_list(ANALYST, listed(RESOLVER, name="two"))
    room.detect.put_warning_list(ANALYST, listed("198.51.100.1", name="one"))
    assert MOST_LISTS > 1
