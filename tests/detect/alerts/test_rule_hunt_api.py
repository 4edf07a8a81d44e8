"""A hunt by rules, asked for over the machine interface."""

from __future__ import annotations

import orjson
import pytest

from istmo.detect.wire import (
    HuntRules,
    LeftOutRule,
    Problem,
    RuleFound,
    RuleHits,
    RuleMatch,
    Synced,
)

from .test_api import OBSERVER, T0, Peer, Room, _in_thread, client

RULE = b"title: x\nlogsource: {}\ndetection: {s: {a: 1}, condition: s}\n"


def test_a_hunt_streams_matches_and_ends_with_the_sums(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    asked: list[HuntRules] = []

    def answer() -> None:
        hunt = peer.expect(HuntRules)
        asked.append(hunt)
        left = LeftOutRule("Bad", 4, "detect.rule_hunt.correlation", {})
        peer.send(RuleHits(hunt.request, False, left_out=[left]))
        match = RuleMatch("r1", "Who", "high", "1-7", T0, "CAJA-1")
        peer.send(RuleHits(hunt.request, False, [match], looked=9))
        peer.send(
            RuleHits(hunt.request, False, found=[RuleFound("r1", "Who", "high", 12, ["1-7"])], looked=30)
        )
        problem = Problem("", "detect.search_cut_short", {"seconds": 600})
        peer.send(RuleHits(hunt.request, True, problem=problem))

    with _in_thread(answer):
        found = client(linked).post("/api/v1/events/hunt?from=2026-03-02T00:00:00Z&limit=5", content=RULE)
    assert found.status_code == 200 and found.headers["content-type"].startswith("application/x-ndjson")
    first, last = (orjson.loads(line) for line in found.content.split(b"\n") if line)
    assert (first["rule"], first["event"], first["time"]) == ("r1", "1-7", "2026-03-02T09:00:00.000000Z")
    assert last["done"] and last["looked"] == 30
    assert last["rules"] == [{"rule": "r1", "title": "Who", "level": "high", "count": 12, "events": ["1-7"]}]
    assert (last["left_out"][0]["line"], last["problem"]["code"]) == (4, "detect.search_cut_short")
    assert "⟦" not in last["left_out"][0]["text"]
    assert ([one.text for one in asked[0].rules], asked[0].limit) == ([RULE.decode()], 5)
    peer.close()


@pytest.mark.parametrize(
    ("body", "query", "status", "code"),
    [
        (b"\xff", "", 400, "detect.rule_hunt_not_text"),
        (b"", "", 400, "detect.rule_hunt_nothing"),
        (b"", "?rule=none", 404, "detect.no_rule"),
        (RULE, "", 503, "detect.worker_away"),
        (b"#" * ((4 << 20) + 1), "", 413, "detect.rules_too_large"),
    ],
)
def test_what_cannot_be_hunted_with_is_refused_in_words(
    linked: Room, body: bytes, query: str, status: int, code: str
) -> None:
    refused = client(linked).post(f"/api/v1/events/hunt{query}", content=body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_whoever_may_not_search_may_not_hunt(linked: Room) -> None:
    assert client(linked, OBSERVER).post("/api/v1/events/hunt", content=RULE).status_code == 403
