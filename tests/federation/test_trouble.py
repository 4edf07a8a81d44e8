"""Bad lines and bad peers: after each, every node holds exactly what it should, entry by entry.

House invariants 3 (nobody changes another's bytes), 4 (no sync reports success when something was not
delivered) and 8 (one bad peer or object stops nobody else) are named where they are proven.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from istmo.clock import SystemClock
from istmo.federation import statement
from istmo.federation.frames import KIND, Frame, Item, read_frame
from istmo.federation.objects import Cursor
from istmo.ledger.envelope import Envelope, Header, pae
from istmo.ledger.records import Chain
from istmo.policy.principals import Peer
from line import Proxy
from machine import both_databases

from .sites import AMBER, RED, Site, eventually, has_all, is_settled, join


def opened(line: bytes, site: Site) -> Frame:
    """A frame that a hostile origin takes apart."""
    return read_frame(statement.read(line, limit=1 << 24)[2], site.ledger.body_limit)


def is_envelopes(line: bytes) -> bool:
    return b'"kind":"envelopes"' in line[:200]


# --- the line ----------------------------------------------------------------------------------


@pytest.mark.long
def test_a_peer_that_was_down_gets_everything_on_its_return(pair: tuple[Site, Site]) -> None:
    gt, hn = pair
    eventually(lambda: is_settled(gt, hn))
    hn.stop()
    entries = gt.publish_many(1200, hn)
    eventually(lambda: gt.problem_with(hn) == "federation.unreachable", "the outage is seen")
    assert not gt.report(hn)["complete"], "invariant 4: nothing is called complete that was not delivered"
    hn.restart()
    eventually(lambda: is_settled(gt, hn), "settled", 60)
    assert len([one for one in hn.applied if one[0] == gt.id]) == len(entries)
    eventually(lambda: gt.report(hn)["complete"] and hn.report(gt)["complete"], "complete on both sides")


def test_a_line_cut_in_mid_stream_loses_and_doubles_nothing(make_site, proxy: Proxy) -> None:
    gt, hn = make_site("Guatemala", proxy=proxy), make_site("Honduras")
    join(gt, hn)
    eventually(lambda: is_settled(gt, hn))
    hn.stop()
    gt.publish_many(900, hn, lane="normal")
    proxy.cut_after = 300_000
    hn.restart()
    eventually(lambda: proxy.cuts >= 2, "cut twice")
    proxy.cut_after = None
    proxy.cut()
    eventually(lambda: is_settled(gt, hn), "settled", 60)
    of_gt = [one for one in hn.applied if one[0] == gt.id]
    assert len(of_gt) == len(set(of_gt)) == 900, "each once"


@both_databases
def test_a_line_cut_while_entries_flow(make_site, proxy: Proxy) -> None:
    gt, hn = make_site("Guatemala", proxy=proxy), make_site("Honduras")
    join(gt, hn)
    for number in range(60):
        gt.publish(hn)
        if number % 15 == 7:
            proxy.cut()
    eventually(lambda: is_settled(gt, hn), "settled", 60)


def test_the_receivers_restart_in_mid_stream(pair: tuple[Site, Site]) -> None:
    gt, hn = pair
    gt.publish_many(1500, hn)
    eventually(lambda: len(hn.applied) > 200, "under way")
    hn.stop()
    hn.restart()
    eventually(lambda: is_settled(gt, hn), "settled", 60)


def test_one_peer_that_is_away_holds_up_nobody(make_site, proxy: Proxy) -> None:
    """House invariant 8."""
    gt, hn, sv = make_site("Guatemala"), make_site("Honduras"), make_site("El Salvador", proxy=proxy)
    join(gt, hn, sv)
    eventually(lambda: is_settled(gt, hn, sv))
    proxy.is_down = True
    proxy.cut()
    sv.publish_many(50, gt, hn)
    for _ in range(10):
        entry = gt.publish(hn)
        eventually(lambda n=entry.sequence: (gt.id, n) in hn.applied, seconds=2)
    assert hn.problem_with(gt) == ""
    proxy.is_down = False
    eventually(lambda: is_settled(gt, hn, sv), "settled", 60)


@pytest.mark.parametrize("hours", [1, -1, 24 * 400])
def test_a_clock_that_is_off_is_flagged_and_nothing_is_refused(make_site, hours: int) -> None:
    """Rule 6: cursors are never clocks."""

    class Off(SystemClock):
        def now(self):
            return super().now() + timedelta(hours=hours)

    gt, hn = make_site("Guatemala"), make_site("Honduras", clock=Off())
    join(gt, hn)
    for one, other in ((gt, hn), (hn, gt)):
        one.publish_many(20, other)
    eventually(lambda: is_settled(gt, hn), "settled")
    eventually(lambda: gt.report(hn)["has_skewed_clock"], "flagged")
    assert abs(gt.report(hn)["clock_skew_seconds"] - hours * 3600) < 30
    assert abs(hn.report(gt)["clock_skew_seconds"] + hours * 3600) < 30
    eventually(lambda: gt.report(hn)["complete"], "and complete all the same")


def test_a_compressed_feed_is_the_same_feed(pair: tuple[Site, Site], monkeypatch) -> None:
    gt, hn = pair
    monkeypatch.setattr("istmo.federation.wire.is_loopback", lambda host: False)
    hn.stop()
    gt.publish_many(700, hn)
    hn.restart()
    eventually(lambda: is_settled(gt, hn), "settled", 60)
    entry = gt.publish(hn)
    eventually(lambda: (gt.id, entry.sequence) in hn.applied, "live too", 2)


def test_sealed_entries_are_opened_by_their_audience_alone(make_site) -> None:
    gt, hn, sv = (make_site(name) for name in ("Guatemala", "Honduras", "El Salvador"))
    join(gt, hn, sv)
    entry = gt.publish(hn, payload=b"for Honduras alone", markings=RED)
    gt.publish(hn, sv)
    eventually(lambda: is_settled(gt, hn, sv))
    assert (gt.id, entry.sequence) in hn.applied
    assert entry.sequence not in [one[0] for one in sv.log_of(gt)]


# --- what a receiver refuses -------------------------------------------------------------------


@both_databases
def test_an_object_that_a_receiver_refuses_is_kept_reported_and_stops_nothing(pair) -> None:
    """House invariants 4 and 8."""
    gt, hn = pair
    hn.refuse.add(b"bad one")
    gt.publish_many(5, hn)
    bad = gt.publish(hn, payload=b"bad one")
    gt.publish_many(5, hn)
    eventually(lambda: gt.acknowledged_by(hn) == len(gt.due_to(hn)), "acknowledged")
    states = {one[0]: one[4] for one in hn.log_of(gt)}
    assert states.pop(bad.sequence) == "refused"
    assert set(states.values()) == {"accepted"}
    eventually(lambda: gt.report(hn)["refused_there"] == 1, "reported back")
    report = gt.report(hn)
    assert report["refusals_there"][0]["sequence"] == bad.sequence
    assert report["refusals_there"][0]["code"] == "test.refused"
    assert not report["complete"], "invariant 4"
    assert hn.report(gt)["refused_here"] == 1


# --- hostile origins: in the charter, with good keys, and up to no good ------------------------


class Hostile:
    """Changes the lines of an origin's feed as ``change`` says, while it ``is_on``."""

    def __init__(self, change: Any) -> None:
        self.change, self.is_on, self.site = change, True, None
        self.times = 0

    def __call__(self, lines: list[bytes]) -> list[bytes]:
        if not self.is_on or not any(map(is_envelopes, lines)):
            return lines
        self.times += 1
        return self.change(self, lines)


def hostile_pair(make_site, change: Any) -> tuple[Hostile, Site, Site]:
    hostile = Hostile(change)
    hostile.is_on = False
    gt = make_site("Guatemala", meddle=hostile)
    hn = make_site("Honduras")
    hostile.site = gt
    join(gt, hn)
    eventually(lambda: is_settled(gt, hn), "settled before")
    hostile.is_on = True
    return hostile, gt, hn


def recover(hostile: Hostile, gt: Site, hn: Site) -> None:
    """The origin behaves again: everything arrives, once, and the problem is gone."""
    hostile.is_on = False
    eventually(lambda: is_settled(gt, hn), "settled after", 60)
    eventually(lambda: hn.problem_with(gt) == "", "problem gone")
    of_gt = [one for one in hn.applied if one[0] == gt.id]
    assert len(of_gt) == len(set(of_gt))


@both_databases
def test_duplicates_change_nothing(make_site) -> None:
    _, gt, hn = hostile_pair(make_site, lambda h, lines: lines * 3)
    for _ in range(20):
        gt.publish(hn)
    eventually(lambda: is_settled(gt, hn), "settled")
    assert hn.problem_with(gt) == ""
    assert len(hn.applied) == len(set(hn.applied))


@both_databases
def test_reordered_frames_are_asked_for_again(make_site) -> None:
    held: list[bytes] = []

    def swap(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        if hostile.times % 4 == 1:
            held.extend(lines)
            return []
        out = lines + held
        held.clear()
        return out

    hostile, gt, hn = hostile_pair(make_site, swap)
    # One at a time: whatever waits goes out in one line, and one line is in order.
    eventually(lambda: gt.publish(hn) and hostile.times > 5, "met")
    recover(hostile, gt, hn)


def test_a_forged_frame_is_thrown_away_whole(make_site) -> None:
    def forge(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        return [lines[0].replace(b'"charter":', b'"charter": ', 1), *lines[1:]]

    hostile, gt, hn = hostile_pair(make_site, forge)
    before = hn.log_of(gt)
    gt.publish(hn)
    eventually(lambda: hn.problem_with(gt) == "federation.forged", "told")
    assert hn.log_of(gt) == before
    recover(hostile, gt, hn)


def envelope_changed(change: Any) -> Any:
    """Change the first envelope of each frame; the origin signs the frame anew, so it is authentic."""

    def changed(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        out = []
        for line in lines:
            frame = opened(line, hostile.site)
            if frame.items and frame.items[0].envelope is not None:
                first = change(hostile.site, frame.items[0])
                line = replace(frame, items=(first, *frame.items[1:])).encode(hostile.site.keys)
            out.append(line)
        return out

    return changed


def with_header(site: Site, item: Item, **fields: Any) -> Item:
    assert item.envelope is not None
    header = replace(Header.decode(item.envelope.header), **fields).encode()
    return replace(
        item, envelope=Envelope(header, site.keys.keyid, site.keys.sign(pae(header)), item.envelope.body)
    )


OTHER = "identity--99999999-9999-4999-8999-999999999999"
BAD_ENVELOPES = {
    "ledger.bad_signature": lambda site, item: replace(
        item, envelope=replace(item.envelope, signature=bytes(64))
    ),
    "ledger.not_for_us": lambda site, item: with_header(site, item, audience=(site.id,)),
    "federation.wrong_origin": lambda site, item: with_header(site, item, origin=OTHER),
    "federation.wrong_sequence": lambda site, item: with_header(site, item, sequence=item.sequence + 9),
    "ledger.body_mismatch": lambda site, item: replace(
        item, envelope=replace(item.envelope, body=b"x" * len(item.envelope.body))
    ),
    "ledger.bad_header": lambda site, item: with_header(site, item, type="NOT A TYPE"),
}


@pytest.mark.parametrize("code", BAD_ENVELOPES)
def test_a_bad_envelope_in_a_good_frame_is_refused_and_the_others_go_on(make_site, code: str) -> None:
    """House invariants 1, 3 and 8: beyond the audience, another's origin, changed bytes: never applied."""
    hostile, gt, hn = hostile_pair(make_site, envelope_changed(BAD_ENVELOPES[code]))
    bad = gt.publish(hn)
    eventually(lambda: hostile.times > 0 and hn.report(gt)["refused_here"] == 1, "refused")
    hostile.is_on = False
    good = gt.publish(hn)
    eventually(lambda: (gt.id, good.sequence) in hn.applied, "the next one comes through")
    assert (gt.id, bad.sequence) not in hn.applied
    assert bad.sequence not in [one[0] for one in hn.log_of(gt)]
    assert hn.report(gt)["refusals_here"][0]["code"] == code
    eventually(lambda: gt.report(hn)["refused_there"] == 1, "and the origin is told")
    assert not hn.report(gt)["complete"]
    with hn.store.read() as connection:
        assert OTHER not in {one.origin for one in hn.ledger.entries(connection, 0, 1000)}


def test_a_chain_that_does_not_add_up_is_not_applied(make_site) -> None:
    def wrong_head(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        frames = [opened(line, hostile.site) for line in lines]
        return [
            replace(one, chain=Chain(one.chain.count, bytes(32))).encode(hostile.site.keys) for one in frames
        ]

    hostile, gt, hn = hostile_pair(make_site, wrong_head)
    before = hn.log_of(gt)
    gt.publish(hn)
    eventually(lambda: hn.problem_with(gt) == "federation.wrong_head", "told")
    assert hn.log_of(gt) == before
    assert not hn.report(gt)["complete"]
    recover(hostile, gt, hn)


def test_a_gap_that_stays_is_a_problem_in_words(make_site) -> None:
    def skip_first(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        frames = [opened(line, hostile.site) for line in lines]
        return [
            replace(one, items=one.items[1:]).encode(hostile.site.keys) if len(one.items) > 1 else line
            for one, line in zip(frames, lines, strict=True)
        ]

    hostile, gt, hn = hostile_pair(make_site, skip_first)
    before = hn.log_of(gt)
    gt.publish_many(10, hn)
    eventually(lambda: hn.problem_with(gt) == "federation.gap", "told")
    assert hn.log_of(gt) == before
    recover(hostile, gt, hn)


@both_databases
def test_old_frames_played_again_on_another_connection_are_refused(make_site) -> None:
    kept: list[bytes] = []

    def replay(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        if not kept:
            kept.extend(lines)
            return lines
        return kept + lines

    hostile, gt, hn = hostile_pair(make_site, replay)
    gt.publish(hn)
    eventually(lambda: is_settled(gt, hn))
    hn.stop()
    gt.publish(hn)
    hn.restart()
    eventually(lambda: hn.problem_with(gt) == "federation.frame_replayed", "told")
    recover(hostile, gt, hn)


def test_a_frame_for_somebody_else_is_refused(make_site) -> None:
    def elsewhere(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        return [
            replace(opened(one, hostile.site), recipient=OTHER).encode(hostile.site.keys) for one in lines
        ]

    hostile, gt, hn = hostile_pair(make_site, elsewhere)
    gt.publish(hn)
    eventually(lambda: hn.problem_with(gt) == "federation.frame_not_ours", "told")
    recover(hostile, gt, hn)


def test_a_frame_past_all_bounds_is_cut_off(make_site) -> None:
    def endless(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        return [b"A" * (12 << 20)]

    hostile, gt, hn = hostile_pair(make_site, endless)
    gt.publish(hn)
    eventually(lambda: hn.problem_with(gt) == "federation.statement_too_large", "told")
    recover(hostile, gt, hn)


def test_a_flooding_peer_is_cut_off_and_the_others_are_heard(make_site) -> None:
    """House invariant 8."""

    def flood(hostile: Hostile, lines: list[bytes]) -> list[bytes]:
        return lines * 2000

    hostile = Hostile(flood)
    hostile.is_on = False
    gt = make_site("Guatemala", meddle=hostile)
    hn, sv = make_site("Honduras"), make_site("El Salvador")
    hostile.site = gt
    join(gt, hn, sv)
    eventually(lambda: is_settled(gt, hn, sv))
    hostile.is_on = True
    gt.publish(hn)
    eventually(lambda: hn.problem_with(gt) == "federation.flooding", "cut off")
    problem = hn.federation.links.get(gt.id).problem
    assert problem is not None
    assert problem.params["retry_after"] > 0
    entry = sv.publish(hn)
    eventually(lambda: (sv.id, entry.sequence) in hn.applied, "others are heard", 3)
    assert hn.report(gt)["state"] == "waiting"


def test_an_origin_that_lost_its_log_is_not_believed(make_site) -> None:
    """A node restored from an old copy tells another history: both sides say so, nothing is applied."""
    gt, hn = make_site("Guatemala"), make_site("Honduras")
    join(gt, hn)
    gt.publish_many(5, hn)
    eventually(lambda: is_settled(gt, hn))
    wrong = Cursor(4, 4, b"\1" * 32)
    with pytest.raises(Exception, match="wrong_cursor"):
        gt.federation.open_feed(Peer(hn.id), wrong, "session", False)
    with pytest.raises(Exception, match="wrong_cursor"):
        body = orjson.dumps({"count": 4, "sequence": 4, "head": "01" * 32, "refused": []})
        gt.federation.acknowledge(Peer(hn.id), body).result(10)
    assert gt.problem_with(hn) == "federation.wrong_cursor"


def test_a_peer_cannot_fill_tables_with_refusals_of_its_own_making(pair: tuple[Site, Site]) -> None:
    gt, hn = pair
    entry = gt.publish(hn)
    eventually(lambda: is_settled(gt, hn))
    cursor = hn.federation.inbox.cursor(gt.id)
    refused = [{"sequence": number, "code": "x"} for number in range(1, 900)]
    body = {"count": cursor.count, "sequence": cursor.sequence, "head": cursor.head.hex(), "refused": refused}
    gt.federation.acknowledge(Peer(hn.id), orjson.dumps(body)).result(10)
    told = {one["sequence"] for one in gt.report(hn)["refusals_there"]}
    assert told == {one[0] for one in gt.due_to(hn)}
    assert entry.sequence in told


def test_a_stranger_gets_no_feed(pair: tuple[Site, Site]) -> None:
    gt, _ = pair
    with pytest.raises(Exception, match="not_member"):
        gt.federation.open_feed(Peer(OTHER), Cursor(), "session", False)


# --- urgency -----------------------------------------------------------------------------------


def test_urgent_entries_overtake_a_backlog_and_count_once(make_site) -> None:
    """Rule 8: a fast lane. What is urgent is applied ahead of its turn, and once."""
    gt, hn = make_site("Guatemala"), make_site("Honduras")
    join(gt, hn)
    eventually(lambda: is_settled(gt, hn))
    hn.stop()
    gt.publish_many(1600, hn)
    urgent = gt.publish(hn, lane="fast")
    hn.restart()
    eventually(lambda: is_settled(gt, hn), "settled", 60)
    order = [one for one in hn.applied if one[0] == gt.id]
    assert len(order) == len(set(order)) == 1601
    assert order.index((gt.id, urgent.sequence)) < 600
    assert hn.report(gt)["complete"] or eventually(lambda: hn.report(gt)["complete"])


def test_markings_decide_again_at_the_door(pair: tuple[Site, Site]) -> None:
    gt, hn = pair
    entry = gt.publish(hn, markings=AMBER)
    eventually(lambda: (gt.id, entry.sequence) in hn.applied)
    assert has_all(hn, gt)
    assert KIND == "frame"
