"""Instants with their zone, and ages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from istmo.kit import times

NOON = datetime(2026, 3, 2, 12, 0, 5, 250_000, tzinfo=UTC)


def test_an_instant_is_shown_in_the_askers_zone_with_its_offset() -> None:
    assert times.local(NOON, "America/Guatemala") == "2026-03-02 06:00:05 −06:00"
    assert times.local(NOON, "Asia/Kathmandu") == "2026-03-02 17:45:05 +05:45"
    assert times.local(NOON, "UTC") == "2026-03-02 12:00:05 UTC"
    assert times.local(NOON, "America/Guatemala", "%H:%M") == "2026-03-02 06:00 −06:00"


def test_where_the_calendar_ends_an_instant_is_shown_in_utc() -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert times.local(first, "America/Guatemala").endswith("-01-01 00:00:00 UTC")
    assert times.local(last, "Asia/Kathmandu") == "9999-12-31 23:59:59 UTC"
    assert times.local(last, "America/Guatemala") == "9999-12-31 17:59:59 −06:00"


def test_an_unknown_zone_is_utc() -> None:
    for name in ("Nowhere/Land", "../../etc/passwd", "", "a\x00b"):
        assert times.local(NOON, name) == "2026-03-02 12:00:05 UTC"


def test_a_node_starts_with_its_countrys_zone() -> None:
    assert times.zone_of_country("hn") == "America/Tegucigalpa"
    assert times.zone_of_country("ZZ") == "UTC"


def test_ages_are_told_in_the_largest_unit() -> None:
    ages = [times.age(NOON - timedelta(seconds=s), NOON) for s in (5, 60, 7_200, 200_000)]
    assert ages == [("second", 5), ("minute", 1), ("hour", 2), ("day", 2)]
    assert times.age(NOON + timedelta(hours=1), NOON) == ("second", 0)


def test_machines_read_rfc_3339_in_utc() -> None:
    assert times.machine(NOON) == "2026-03-02T12:00:05.250Z"
