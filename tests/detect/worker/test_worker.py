from __future__ import annotations

import gzip
import time
from collections.abc import Callable

import orjson
import pytest

from istmo.detect import wire

from .conftest import Rig, source

EVENT = {
    "Channel": "Microsoft-Windows-Sysmon/Operational",
    "EventID": 3,
    "Computer": "pc-1.example",
    "UtcTime": "2026-03-02 09:00:00.123",
    "Image": "C:\\Windows\\System32\\rundll32.exe",
    "DestinationIp": "203.0.113.7",
}
BAD = wire.WireIndicator("indicator--1", [("ipv4", "203.0.113.7")])
RULE = """
title: Network connection by rundll32
id: 11111111-1111-4111-8111-111111111111
logsource: {category: network_connection, product: windows}
detection:
  selection: {Image|endswith: '\\rundll32.exe'}
  condition: selection
level: medium
"""


def test_an_event_with_a_live_indicator_hits_at_once(rig: Rig) -> None:
    rig.put(BAD)
    begin = time.monotonic()
    rig.send(EVENT)
    (hit,) = rig.hits("indicators", 1)
    assert time.monotonic() - begin < 5
    assert (hit.subject, hit.fields, hit.host) == (
        "indicator--1",
        {"DestinationIp": "203.0.113.7"},
        "pc-1.example",
    )
    assert hit.time == 1_772_442_000_123_000
    assert orjson.loads(hit.raw) == EVENT
    assert not hit.stored


def test_a_dropped_indicator_hits_no_more(rig: Rig) -> None:
    rig.put(BAD, wire.WireIndicator("indicator--2", [("ipv4", "203.0.113.0/24")]))
    rig.say(wire.DropIndicators(9, ["indicator--1"]))
    assert rig.hear(wire.Live).generation == 9
    rig.send(EVENT)
    assert [hit.subject for hit in rig.hits("indicators", 1)] == ["indicator--2"]


def test_a_rule_hits_and_a_bad_one_costs_no_other(rig: Rig) -> None:
    """Invariant 8: one bad rule stops no other."""
    rig.say(wire.PutRules(5, [wire.WireRule("bad", "title: [unclosed"), wire.WireRule("good", RULE)], True))
    live = rig.hear(wire.Live, lambda live: live.what == "sigma")
    assert (live.generation, [problem.subject for problem in live.problems]) == (5, ["bad"])
    rig.send(EVENT)
    (hit,) = rig.hits("sigma", 1)
    assert (hit.subject, hit.fields["Image"]) == ("good", EVENT["Image"])


def test_a_trickle_of_events_costs_the_database_one_position_a_second(rig: Rig) -> None:
    """Each position told is a commit of the web process: a disk must not pay one for each event."""
    rig.say(wire.PutRules(5, [wire.WireRule("good", RULE)], True))
    rig.hear(wire.Live, lambda live: live.what == "sigma")
    began = time.monotonic()
    for number in range(20):
        rig.send({"EventID": 22, "QueryName": f"a{number}.example"})
    told = 0
    while rig.hear(wire.Hits, lambda hits: hits.detector == "sigma").position.line < 20:
        told += 1
    assert told <= 1 + (time.monotonic() - began)


def test_a_hunt_finds_what_is_stored_and_live_detection_what_comes(rig: Rig) -> None:
    old = [EVENT | {"UtcTime": f"2026-03-0{day} 09:00:00.000"} for day in (3, 1, 2)]
    rig.send(*old, EVENT | {"DestinationIp": "203.0.113.70"})
    rig.settle_stored()
    rig.put(BAD)
    rig.send(EVENT)
    found = rig.hunt("indicator--1", "indicator--unknown")
    assert [orjson.loads(hit.raw)["UtcTime"][8:10] for hit in found] == ["01", "02", "03"]
    assert all(hit.stored for hit in found)
    live = rig.hits("indicators", 1)
    assert {hit.event_id for hit in live} & {hit.event_id for hit in found} == set()


def test_an_expired_indicator_is_not_hunted(rig: Rig) -> None:
    rig.send(EVENT)
    rig.put(wire.WireIndicator("indicator--1", [("ipv4", "203.0.113.7")], 1))
    assert rig.hunt("indicator--1") == []


def test_stored_events_are_searched(rig: Rig) -> None:
    rig.send(*({"n": n, "UtcTime": f"2026-03-02 09:00:{n:02}.000", "Image": "a.exe"} for n in range(10)))
    rows, problem = rig.search("Image:A.EXE", limit=3)
    assert problem is None
    assert [orjson.loads(row.raw)["n"] for row in rows] == [9, 8, 7]
    rows, problem = rig.search("Image:(")
    assert problem is not None and problem.code == "detect.query_wrong"


def test_each_line_is_judged_alone_and_none_is_lost(rig: Rig) -> None:
    """Invariant 8: one bad event stops no other."""
    lines = [b'{"n":1}', b"\xff\xfe", b'{"n":2', b"[1]", b"", b'{"a":' * 100 + b"1" + b"}" * 100, b'{"n":3}']
    status, answer = rig.post(b"\n".join(lines))
    assert (status, answer["accepted"], answer["refused"]) == (200, 6, [])
    assert answer["unreadable"] == [
        {"line": 2, "code": "detect.line_not_utf8"},
        {"line": 3, "code": "detect.line_not_json"},
        {"line": 4, "code": "detect.line_not_object"},
        {"line": 6, "code": "detect.line_too_deep"},
    ]
    rows, _ = rig.search("n:*")
    assert sorted(orjson.loads(row.raw)["n"] for row in rows) == [1, 3]
    rows, _ = rig.search("istmo.unreadable:line_not_utf8")
    (kept,) = (orjson.loads(row.raw) for row in rows)
    assert kept["message"].encode(kept["istmo.encoding"]) == b"\xff\xfe"
    rows, _ = rig.search("istmo.unreadable:line_not_json")
    assert [orjson.loads(row.raw)["message"] for row in rows] == ['{"n":2']


def test_an_array_and_a_gzip_body_are_read(rig: Rig) -> None:
    body = orjson.dumps([{"n": 1, "s": 'a]},{"'}, {"n": 2}], option=orjson.OPT_INDENT_2)
    assert rig.post(body)[1]["accepted"] == 2
    packed = gzip.compress(b'{"n":3}\n', mtime=0) + gzip.compress(b'{"n":4}', mtime=0)
    assert rig.post(packed, headers={"Content-Encoding": "gzip"})[1]["accepted"] == 2


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"no", {}, 400, "detect.nothing_accepted"),
        (b"no", {"Content-Encoding": "gzip"}, 400, "detect.body_not_gzip"),
        (gzip.compress(b"{}" * 9, mtime=0)[:-9], {"Content-Encoding": "gzip"}, 400, "detect.body_cut_short"),
        (gzip.compress(b" " * (30 << 20), mtime=0), {"Content-Encoding": "gzip"}, 413, "detect.body_bomb"),
        (b"{}", {"Content-Encoding": "br"}, 415, "detect.encoding_unknown"),
        (b'{"a":"' + b"x" * 1000 + b'"}\n', {"Authorization": "Bearer wrong"}, 401, "detect.token_unknown"),
        (b'{"a":"%b"}\n' % (b"x" * 900_000) * 20, {}, 413, "detect.batch_too_large"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(
    rig: Rig, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    got, answer = rig.post(body, headers=headers | {"Accept-Language": "es"})
    assert (got, answer["error"]["code"]) == (status, code)
    for words in (answer["error"]["message"], answer["error"]["remedy"]):
        assert words and "⟦" not in words and "{" not in words
    rows, _ = rig.search("")
    assert rows == []


def test_tokens_end(rig: Rig) -> None:
    rig.say(wire.PutSources(2, [source(until=1), source("other", id="s2", scopes=["read"])]))
    rig.hear(wire.Live)
    assert rig.post(b"{}")[1]["error"]["code"] == "detect.token_expired"
    told = rig.hear(wire.Notice).params
    assert told == {"n": 1, "addresses": 1, "address": "127.0.0.1", "problem": "detect.token_expired"}
    assert rig.post(b"{}", "other")[0] == 403
    rig.say(wire.PutSources(3, []))
    rig.hear(wire.Live)
    assert rig.post(b"{}")[0] == 401


def test_stages_go_on_from_the_stored_position_after_a_restart(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.start()
    rig.accept()
    rig.put(BAD)
    rig.send(*[EVENT] * 10)
    first = rig.hear(wire.Hits, lambda hits: bool(hits.hits))
    seen = {hit.event_id for hit in first.hits}
    rig.kill()
    rig.start()
    ready = rig.accept({"indicators": first.position}, sync=False)
    rig.put(BAD)
    rig.send(EVENT)
    rig.say(wire.Synced())
    rest = rig.settle("indicators", wire.Position(ready.head.segment, ready.head.line + 1))
    assert len(seen) + len(rest) == 11
    assert seen | {hit.event_id for hit in rest} == {f"1-{n}" for n in range(11)}


def test_the_worker_outlives_the_web_process(rig: Rig) -> None:
    rig.put(BAD)
    assert rig.channel is not None
    rig.channel.close()
    rig.send(EVENT)  # intake goes on
    rig.accept({"indicators": wire.Position(1, 0)})
    (hit,) = rig.hits("indicators", 1)
    assert hit.event_id == "1-0"


def test_the_worker_ends_with_its_parent(rig: Rig) -> None:
    rig.send(EVENT)
    assert rig.end() == 0


def test_what_is_unknown_is_not_found(rig: Rig) -> None:
    stats = rig.stats()
    assert (stats.events, stats.intake, stats.behind) == (0, "open", {"indicators": 0, "sigma": 0})


def test_stored_events_are_counted(rig: Rig) -> None:
    rig.send(*({"n": n, "UtcTime": f"2026-03-02 09:{n:02}:00.000", "Image": "ab"[n % 2]} for n in range(10)))
    rig.say(wire.Count(7, "n:>=2", by="Image", bucket=5 * 60_000_000))
    while not (told := rig.hear(wire.Tally)).done:
        last = told
    assert (last.total, last.values) == (8, [("a", 4), ("b", 4)])
    assert [count for _, count in last.buckets] == [3, 5]
    rig.say(wire.Count(8, "Image:("))
    told = rig.hear(wire.Tally)
    assert told.problem is not None and (told.request, told.problem.code) == (8, "detect.query_wrong")
