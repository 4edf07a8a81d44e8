"""What is large, long or many: the worker keeps its memory and its answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from istmo.cli.demo.region import free_ports
from istmo.detect import wire
from istmo.detect.ingesting import Sender
from istmo.detect.reading import Line, LineLogs, open_events
from istmo.errors import Unavailable
from istmo.kit.client import NodeAnswered
from istmo.settings import Limits

from .conftest import SECRET, Rig


def most_memory(pid: int) -> int:
    """The most that a process ever had resident, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) << 10


def test_a_line_of_two_gigabytes_is_told_and_the_rest_kept(rig: Rig) -> None:
    """Invariant 8: one bad event stops no other."""
    rig.send({"n": 0})
    assert rig.process is not None
    before = most_memory(rig.process.pid)
    chunk, count = b"x" * (1 << 20), 2 << 10
    length = 8 + len(chunk) * count + 8
    with socket.create_connection(("127.0.0.1", rig.port), timeout=120) as sender:
        head = f"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"
        head += "Connection: close\r\n"
        sender.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % length + b'{"n":1}\n')
        for _ in range(count):
            sender.sendall(chunk)
        sender.sendall(b'\n{"n":2}')
        answer = b"".join(iter(lambda: sender.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    told = orjson.loads(answer.partition(b"\r\n\r\n")[2])
    assert (told["accepted"], told["refused"]) == (2, [{"line": 2, "code": "detect.line_too_long"}])
    assert most_memory(rig.process.pid) - before < 32 << 20


def test_files_are_sent_and_every_problem_has_its_place(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    body = b"".join(b'{"n":%d,"x":"%b"}\n' % (n, b"x" * 700) for n in range(5000))
    path.write_bytes(b'{"n":-1}\nnonsense\n' + body + b"[]\n")
    array = tmp_path / "b.json"
    array.write_bytes(orjson.dumps([{"m": 1}, 7, {"m": 2}], option=orjson.OPT_INDENT_2))
    sender = Sender(f"http://127.0.0.1:{rig.port}", SECRET)
    counted: list[float] = []
    found = [
        *open_events(path, Limits()),
        *open_events(array, Limits()),
        *open_events(tmp_path / "c", Limits()),
    ]
    outcome = sender.send(found, counted.append)
    sender.close()
    assert (outcome.accepted, outcome.refused_total, sum(counted)) == (5006, 0, 5006)
    assert outcome.unreadable == [
        {"place": str(path), "line": 2, "code": "detect.line_not_json"},
        {"place": str(path), "line": 5003, "code": "detect.line_not_object"},
        {"place": str(array), "line": 2, "code": "detect.line_not_object"},
    ]
    assert [one.error.code for one in outcome.problems] == ["detect.no_such_file"]
    assert rig.stats().events == 5006
    counts = rig.hear(wire.Counted).sources
    assert counts[0].id == "s1"


def test_a_sender_hears_the_nodes_own_words(rig: Rig) -> None:
    sender = Sender(f"http://127.0.0.1:{rig.port}", "wrong")
    with pytest.raises(NodeAnswered) as told:
        sender.send([Line("a", 1, b"{}")], lambda _: None)
    assert told.value.params["code"] == "detect.token_unknown"
    sender.close()
    rig.kill()
    sender = Sender(f"http://127.0.0.1:{rig.port}", SECRET)
    with pytest.raises(Unavailable):
        sender.send([Line("a", 1, b"{}")], lambda _: None)
    sender.close()


def test_a_search_is_called_off(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    rig.start()
    rig.accept()
    body = b"\n".join(b'{"n":%d,"x":"%b"}' % (n, b"x" * 300) for n in range(20_000))
    for _ in range(3):
        assert rig.post(body)[0] == 200
    rig.say(wire.Search(77, "x:nothing", limit=5))
    rig.say(wire.Cancel(77))
    answer = rig.hear(wire.Rows, lambda rows: rows.request == 77)
    assert answer.done and answer.problem is not None
    assert answer.problem.code == "detect.search_cancelled"
    rows, problem = rig.search("n:19999", limit=1)
    assert (len(rows), problem) == (1, None)


def test_a_search_ends_in_time_and_says_so(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(limits=replace(Limits(), search_seconds=0))
    rig.start()
    rig.accept()
    rig.send({"n": 1})
    _, problem = rig.search("")
    assert problem is not None and problem.code == "detect.search_cut_short"


def test_many_hunts_at_once_share_their_way(rig: Rig) -> None:
    rig.send(*({"DestinationIp": f"203.0.113.{n}"} for n in range(200)))
    rig.settle_stored()
    rig.put(*(wire.WireIndicator(f"indicator--{n}", [("ipv4", f"203.0.113.{n}")]) for n in range(200)))
    for n in range(200):
        rig.say(wire.Hunt(1000 + n, [f"indicator--{n}"]))
    found: dict[int, list[str]] = {}
    waiting = set(range(1000, 1200))
    while waiting:
        answer = rig.hear(wire.HuntHits)
        found.setdefault(answer.request, []).extend(hit.subject for hit in answer.hits)
        if answer.done:
            waiting.discard(answer.request)
    assert found == {1000 + n: [f"indicator--{n}"] for n in range(200)}


def test_too_many_senders_are_asked_to_come_back_and_none_is_lost(make_rig: Callable[..., Rig]) -> None:
    """Invariant 5: whatever the pressure, a 200 means stored."""
    rig = make_rig()
    rig.start()
    rig.accept()
    body = b"\n".join(b'{"x":"%b"}' % (b"x" * 60_000) for _ in range(200))
    answers: list[int] = []

    def send() -> None:
        for _ in range(3):
            answers.append(rig.post(body)[0])

    senders = [threading.Thread(target=send) for _ in range(10)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len(answers) == 30, "who is refused in the middle of a body is told so"
    assert set(answers) <= {200, 429}
    assert rig.stats().events == 200 * answers.count(200) > 0
    assert rig.process is not None
    assert most_memory(rig.process.pid) < 400 << 20


@pytest.mark.shared_data
def test_the_recordings_come_in_entirely(make_rig: Callable[..., Rig], shared_data: Path) -> None:
    """Every event of every recording is stored byte for byte, and found again after a restart."""
    rig = make_rig()
    rig.start()
    rig.accept()
    sender = Sender(f"http://127.0.0.1:{rig.port}", SECRET)
    sent: list[bytes] = []
    for path in sorted((shared_data / "events").glob("*.zip")):
        found = list(open_events(path, Limits()))
        sent += [one.raw for one in found if isinstance(one, Line)]
        sender.send(found, lambda _: None)
    sender.close()
    assert sender.outcome.accepted == len(sent) > 10_000
    assert sender.outcome.refused_total == 0
    assert {one.error.code for one in sender.outcome.problems} == {"detect.member_stray"}
    deadline = time.monotonic() + 60
    while any(rig.settings.events.glob("segments/*.half")) and time.monotonic() < deadline:
        time.sleep(0.05)  # the pace of polling
    rig.end()
    rig.start()
    rig.accept()
    assert rig.stats().events == len(sent)
    asked = 5000
    rows, problem = rig.search("", limit=asked)
    assert problem is None and len(rows) == asked
    assert {row.raw for row in rows} <= set(sent)
    assert [row.time for row in rows] == sorted((row.time for row in rows), reverse=True)


def test_what_is_sent_while_the_worker_is_killed_is_there_once(make_rig: Callable[..., Rig]) -> None:
    """Invariant 5, for a sender that sends again what nobody answered."""
    (port,) = free_ports(1)
    rig = make_rig(port=port)
    rig.start()
    rig.accept()
    sender = Sender(f"http://127.0.0.1:{port}", SECRET)
    lines = [Line("a", number, b'{"n":%d}' % number) for number in range(20_000)]
    is_under_way = threading.Event()

    def heard(_: float) -> None:
        is_under_way.set()

    sending = threading.Thread(target=sender.send, args=(lines, heard))
    sending.start()
    for _ in range(3):
        assert is_under_way.wait(30)
        rig.kill()
        is_under_way.clear()
        rig.start()
        rig.accept()
    sending.join(60)
    sender.close()
    assert (sender.outcome.accepted, sender.outcome.refused_total) == (20_000, 0)
    rows, problem = rig.search("", limit=10_000)
    assert problem is None and len(rows) == 10_000
    assert rig.stats().events == 20_000


@pytest.mark.long
@pytest.mark.shared_data
def test_the_logs_of_networks_and_unix_come_in_with_their_format_found(rig: Rig, shared_data: Path) -> None:
    sender = Sender(f"http://127.0.0.1:{rig.port}", SECRET)
    logs = LineLogs(datetime(2026, 11, 1, tzinfo=UTC))
    for name in ("eve/wrccdc-2018.json", "zeek-json/weird.json.gz", "zeek-tsv/weird.log.gz"):
        sender.send(open_events(shared_data / "network" / name, Limits(), None, logs), lambda _: None)
    for name in ("OpenSSH_2k.log", "Linux_2k.log", "Apache_2k.log", "Proxifier_2k.log"):
        sender.send(open_events(shared_data / "unix" / name, Limits(), None, logs), lambda _: None)
    sender.close()
    outcome = sender.outcome
    assert outcome.refused_total == outcome.unreadable_total == 0
    assert outcome.forms["syslog"] == 4_000
    assert min(outcome.forms["json"], outcome.forms["zeek"]) > 1_000
    assert (outcome.forms["weberror"], outcome.forms["proxifier"]) == (2_000, 2_000)
    assert rig.stats().events == outcome.accepted == outcome.forms.total()
    rows, _ = rig.search("program:sshd *invalid*", limit=1)
    assert orjson.loads(rows[0].raw)["event.original"].startswith("Dec 10 ")
