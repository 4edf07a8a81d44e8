"""House rule 1 on a running node with its detection worker: what comes by itself, and what is counted."""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from istmo.cli.demo.region import RunningNode, Source, make_node, running
from istmo.clock import ManualClock
from istmo.detect.intake import app as intake
from istmo.kit.client import NodeClient

from .worlds import SECRET_WORD, START, indicator

HIDDEN = f"oculto.{SECRET_WORD}.example"


@pytest.fixture(scope="module")
def node(memory: Path) -> Iterator[RunningNode]:
    """A node of its own processes."""
    made = make_node(memory / "running", "CSIRT de prueba", "GT")
    with running([made]):
        yield made


def take_in(client: NodeClient, value: str, name: str, tlp: str) -> str:
    """Take in an indicator, for this node alone, and wait until detection watches for it; its id."""
    one = indicator(ManualClock(START), value, name)
    bundle = {"type": "bundle", "id": one["id"].replace("indicator", "bundle"), "objects": [one]}
    told = client.post("/api/v1/objects/import", json.dumps(bundle).encode(), tlp=tlp)
    assert told["counts"]["refused"] == 0, told
    path = f"/api/v1/objects/{one['id']}/detection"
    until(lambda: client.get(path)["state"] == "live", "live")
    return str(one["id"])


def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Poll a real condition until it holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)  # the pace of polling, not a wait for luck
    raise AssertionError(f"never came true: {what}")


def event(value: str) -> bytes:
    """An event with the value."""
    told = {"EventID": 22, "Computer": "SRV-1", "QueryName": value, "UtcTime": "2026-03-02 08:00:00.000"}
    return json.dumps(told).encode()


def intake_bodies(method: str, path: str) -> tuple[bytes, ...]:
    """What is sent to a route of the intake port, whatever it takes."""
    if method in ("GET", "HEAD"):
        return (b"",)
    lines = (event(HIDDEN), event("otro.example"), event(HIDDEN) + b"\n{", b"{", b"")
    if path.endswith("/_bulk"):
        return tuple(b'{"create":{}}\n' + line for line in lines)
    return lines


Told = tuple[str, str, bytes, int, list[tuple[str, str]], bytes]


def ask_intake(source: Source) -> list[Told]:
    """Everything that the intake answers, but the time: with the source's token, and with no good one."""
    told: list[Told] = []
    with httpx.Client(base_url=source.url, trust_env=False) as http:
        for method, path in intake.ROUTES:
            for token in (source.token, "istmo_unknown"):
                for body in intake_bodies(method, path):
                    answer = http.request(
                        method,
                        re.sub(r"\{.*?\}", "x", path),
                        content=body,
                        headers={"Authorization": f"Bearer {token}"},
                    )
                    headers = [(name, text) for name, text in answer.headers.items() if name != "date"]
                    told.append((method, path, body, answer.status_code, headers, answer.content))
    return told


def test_an_observer_hears_counts_and_is_answered_nothing_of_what_is_withheld(node: RunningNode) -> None:
    """House invariant 1: live changes, counts, alerts, and the answer to whoever sent the event."""
    rosa, olga = node.person("rosa", "coordinator"), node.person("olga", "observer")
    source = node.source("cortafuegos")
    until(
        lambda: 200 in {status for *_, status, _, _ in ask_intake(source)[:1]}, "the worker knows the source"
    )
    before = ask_intake(source)
    assert {status for *_, status, _, _ in before} >= {200, 400, 401}, before
    counted = olga.get("/api/v1/node")
    heard: queue.Queue[tuple[str, str]] = queue.Queue()
    listening = threading.Event()

    def listen() -> None:
        # the node's end, with the last test of this file, is the stream's
        with suppress(httpx.RemoteProtocolError), olga.events("/api/v1/changes") as events:
            listening.set()
            for event in events:
                heard.put(event)

    threading.Thread(target=listen, daemon=True).start()
    assert listening.wait(10)
    hidden = take_in(rosa, HIDDEN, SECRET_WORD, "TLP:RED")
    until(lambda: rosa.get("/api/v1/alerts", subject=hidden)["items"], "the alert of the hunt")
    assert ask_intake(source) == before, "whoever sends events is not told what they hit"
    assert _settled(olga.get("/api/v1/node")) == _settled(counted)
    assert olga.get("/api/v1/alerts")["total"] == 0
    shown = take_in(rosa, "visto.example", "Visto", "TLP:AMBER")
    told = []
    while ("object", shown) not in told:
        told.append(heard.get(timeout=20))
    assert {subject for topic, subject in told if topic in ("object", "alert", "case")} == {shown}
    assert node.operator.get("/api/v1/node")["worker"]["indicators"] == 2, "who runs the node may count"


def _settled(about: dict[str, object]) -> dict[str, object]:
    """A node's word about itself without times, and without what the asking itself changes."""
    worker = dict(about["worker"])  # type: ignore[call-overload]
    for name in ("stored", "bytes", "rate", "indicator_lag", "sigma_lag"):
        worker.pop(name)
    # Refused senders are told once a second: whether they have been yet is a matter of time.
    worker["notices"] = [told for told in worker["notices"] if told["code"] != "detect.intake_denied"]
    return {**{name: value for name, value in about.items() if name != "now"}, "worker": worker}


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer istmo_unknown", "Basic YTpi"])
def test_the_intake_opens_to_nobody_without_a_source_s_token(node: RunningNode, token: str) -> None:
    headers = {"Authorization": token} if token else {}
    answer = httpx.post(f"{node.intake_url}/api/v1/events", content=b"{}", headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "detect.token_unknown")
