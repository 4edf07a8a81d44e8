"""Entries reach those they are meant for, whole and once, whatever happens to the line."""

from __future__ import annotations

import time

from machine import both_databases

from .sites import Site, eventually, is_settled, join


@both_databases
def test_what_is_published_arrives_and_is_acknowledged(pair: tuple[Site, Site]) -> None:
    gt, hn = pair
    entry = gt.publish(hn)
    eventually(lambda: is_settled(gt, hn), "settled")
    with gt.store.read() as connection:
        told = gt.federation.acknowledgements(connection, entry.sequence)
    assert list(told) == [hn.id]
    assert told[hn.id] is not None
    assert hn.applied == [(gt.id, entry.sequence)]


@both_databases
def test_three_nodes_form_a_full_mesh(make_site) -> None:
    sites = [make_site(name) for name in ("Guatemala", "Honduras", "El Salvador")]
    join(*sites)
    for site in sites:
        site.publish(*(one for one in sites if one is not site))
    eventually(lambda: is_settled(*sites), "settled")
    reports = [lambda a=one, b=other: a.report(b) for one in sites for other in sites if one is not other]
    eventually(lambda: all(one()["state"] == "connected" for one in reports), "all connected")
    eventually(lambda: all(one()["complete"] for one in reports), "all complete")


@both_databases
def test_a_live_entry_is_there_within_a_second(pair: tuple[Site, Site]) -> None:
    gt, hn = pair
    eventually(lambda: hn.report(gt)["state"] == "connected", "connected")
    times = []
    for _ in range(30):
        started = time.monotonic()
        entry = gt.publish(hn)
        eventually(lambda n=entry.sequence: (gt.id, n) in hn.applied, "applied")
        times.append(time.monotonic() - started)
    assert sorted(times)[-2] < 1.0, times
    print("latency ms", [round(one * 1e3, 1) for one in sorted(times)])
