from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.clock import ManualClock, SystemClock
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import Closed
from istmo.detect.eventstore.follow import Follower
from istmo.detect.eventstore.frames import FrameReader
from istmo.detect.eventstore.lines import StoredEvent, compose, parse, read_event
from istmo.detect.eventstore.log import Batch, EventLog
from istmo.detect.eventstore.sealing import NO_KEYS, Keys
from istmo.detect.eventstore.wal import WriteAhead
from istmo.detect.wire import Position
from istmo.errors import Conflict, IstmoError, RateLimited, Unavailable
from istmo.settings import Limits

BEGINNING = Position()
PLAIN = pytest.mark.parametrize("keys", [NO_KEYS], ids=["plain"])

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
json_objects = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8), json_values, max_size=5
)


def append(log: EventLog, *events: dict[str, Any], source: str = "test") -> None:
    """Append and wait for the answer; raises what the log answers."""
    answered = threading.Event()
    problems: list[IstmoError | None] = []

    def answer(problem: IstmoError | None) -> None:
        problems.append(problem)
        answered.set()

    log.append(Batch(source, [(orjson.dumps(event), event) for event in events], answer))
    assert answered.wait(20)
    if problems[0]:
        raise problems[0]


def everything(log: EventLog, start: Position = BEGINNING) -> list[StoredEvent]:
    follower = Follower(log, start)
    found: list[StoredEvent] = []
    while block := follower.next():
        found += block.events
    follower.close()
    return found


@pytest.fixture
def open_log(tmp_path: Path, keys: Keys) -> Iterator[Callable[..., EventLog]]:
    opened: list[EventLog] = []

    def do_open(**how: Any) -> EventLog:
        log = EventLog(tmp_path / "events", SystemClock(), keys, **how)
        opened.append(log)
        return log

    yield do_open
    for log in opened:
        if log._writer.is_alive():
            log.close()


@given(json_objects, st.text(st.characters(exclude_categories=["Cs"]), max_size=10), st.booleans())
def test_a_line_gives_back_the_very_bytes_that_came(event: dict[str, Any], source: str, pretty: bool) -> None:
    came = json.dumps(event, ensure_ascii=False, separators=(" , ", " : ") if pretty else None).encode()
    raw, data = read_event(came, Limits())
    assert raw == came.strip()
    assert data == orjson.loads(came)
    line = compose(3, 7, 1_700_000_000_000_000, orjson.dumps(source), raw)
    back = parse(line)
    assert (back.id, back.received, back.source, back.raw) == ("3-7", 1_700_000_000_000_000, source, came)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"a": "\xff"}', "detect.line_not_utf8"),
        (b'{"a": 1', "detect.line_not_json"),
        (b"[1, 2]", "detect.line_not_object"),
        (b'{"a": NaN}', "detect.line_not_json"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "detect.line_too_deep"),
        (b"[" * 100_000, "detect.line_too_deep"),
        (b'{"a":"' + b"x" * (1 << 20) + b'"}', "detect.line_too_long"),
    ],
)
def test_what_is_no_event_is_refused_by_name(line: bytes, code: str) -> None:
    with pytest.raises(IstmoError) as found:
        read_event(line, Limits())
    assert found.value.code == code


def test_brackets_inside_text_are_not_depth() -> None:
    read_event(orjson.dumps({"a": "{[" * 500}), Limits())


def test_events_come_back_in_order_and_from_any_position(open_log: Callable[..., EventLog]) -> None:
    log = open_log(segment_bytes=2_000)
    for number in range(100):
        append(log, {"n": number}, {"n": number + 0.5})
    found = everything(log)
    assert [event.data["n"] for event in found] == [n / 2 for n in range(200)]
    assert len({event.id for event in found}) == 200
    assert log.head.events == 200
    assert log.head.position.segment > 3
    for place in (0, 1, 57, 199):
        segment, line = map(int, found[place].id.split("-"))
        assert [e.id for e in everything(log, Position(segment, line))] == [e.id for e in found[place:]]


def test_a_follower_reads_the_same_from_memory_and_from_disk(open_log: Callable[..., EventLog]) -> None:
    log = open_log()
    follower = Follower(log, Position())
    live: list[StoredEvent] = []
    for number in range(20):
        append(log, {"n": number})
        block = follower.next()
        assert block is not None
        live += block.events
    assert follower.next() is None
    log.close()
    again = open_log()
    assert [(e.id, e.raw, e.received) for e in everything(again)] == [(e.id, e.raw, e.received) for e in live]


def test_the_log_goes_on_where_it_was_after_a_restart(open_log: Callable[..., EventLog]) -> None:
    log = open_log()
    append(log, {"n": 1})
    head = log.head.position
    log.close()
    log = open_log()
    assert log.head.position == head
    append(log, {"n": 2})
    assert [event.id for event in everything(log)] == ["1-0", "1-1"]


@PLAIN
def test_a_second_process_is_kept_out(open_log: Callable[..., EventLog]) -> None:
    open_log()
    with pytest.raises(Conflict):
        open_log()


def test_a_torn_tail_is_cut_at_every_byte_and_told(tmp_path: Path) -> None:
    """Invariant 5: what was acknowledged is whole, wherever the crash fell."""
    lines = [compose(1, n, 5, b'"s"', orjson.dumps({"text": "línea\n" * n})) for n in range(4)]
    whole = b"".join(lines)
    ends = [len(b"".join(lines[:n])) for n in range(5)]
    for at in range(len(whole) + 1):
        path = tmp_path / "00000001.ndjson"
        path.write_bytes(whole[:at])
        wal = WriteAhead(path)
        wal.close()
        kept = max(end for end in ends if end <= at)
        assert path.read_bytes() == whole[:kept]
        assert wal.lines == ends.index(kept)
        assert (wal.repaired.cut if wal.repaired else 0) == at - kept


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 5))
def test_any_rubbish_behind_the_last_whole_line_is_cut(
    tmp_path_factory: pytest.TempPathFactory, rubbish: bytes, count: int
) -> None:
    whole = b"".join(compose(1, n, 5, b'"s"', b'{"n":%d}' % n) for n in range(count))
    path = tmp_path_factory.mktemp("wal") / "00000001.ndjson"
    path.write_bytes(whole + rubbish)
    wal = WriteAhead(path)
    wal.append(compose(1, count, 5, b'"s"', b"{}"), 1)
    wal.close()
    assert path.read_bytes() == whole + compose(1, count, 5, b'"s"', b"{}")


@PLAIN
def test_a_damaged_line_in_the_middle_costs_no_other(open_log: Callable[..., EventLog]) -> None:
    """Invariant 8: one bad event stops no other."""
    log = open_log()
    for number in range(5):
        append(log, {"n": number})
    path = log.folder.wal_path(1)
    log.close()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\x00" * (len(lines[2]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    log = open_log(segment_bytes=1)
    assert not log.repairs
    assert [event.data["n"] for event in everything(log)] == [0, 1, 3, 4]
    append(log, {"n": 5})
    close_segment(log.folder, 1)
    assert [event.data["n"] for event in everything(log)] == [0, 1, 3, 4, 5]
    assert everything(log)[2].id == "1-3"


def test_a_closed_segment_holds_every_line_as_it_was(open_log: Callable[..., EventLog]) -> None:
    log = open_log(segment_bytes=900_000)
    for number in range(40):
        append(log, *({"n": number * 100 + k, "CommandLine": "x" * 300} for k in range(100)))
    before = [(e.id, e.raw, e.source, e.received) for e in everything(log)]
    assert len(before) == 4000
    follower = Follower(log, Position())
    first = follower.next()
    assert first is not None
    assert log.segments_to_close()
    for segment in log.segments_to_close():
        close_segment(log.folder, segment)
    assert log.segments_to_close() == []
    assert [(e.id, e.raw, e.source, e.received) for e in everything(log)] == before
    rest = list(first.events)
    while block := follower.next():  # it had the file open that is now gone
        rest += block.events
    assert [event.id for event in rest] == [one[0] for one in before]
    with FrameReader(log.folder.raw_path(Closed(1, 1)), log.folder.keys) as reader:
        assert len(reader.index.frames) > 1
    assert log.head.events == 4000
    log.close()
    assert open_log().head.events == 4000


def test_a_half_closed_segment_is_closed_again(open_log: Callable[..., EventLog]) -> None:
    log = open_log(segment_bytes=10)
    append(log, {"n": 1})
    append(log, {"n": 2})
    wal = log.folder.wal_path(1).read_bytes()
    for name in ("00000001.raw.7.half", "00000001.rows.7.half", "00000001.columns.7.half"):
        (log.folder.segments / name).write_bytes(b"half")
    close_segment(log.folder, 1)
    log.folder.wal_path(1).write_bytes(wal)  # as if the crash had come before the file was removed
    log.close()
    log = open_log()
    assert [event.data["n"] for event in everything(log)] == [1, 2]
    assert log.segments_to_close() == [1]
    close_segment(log.folder, 1)
    assert [event.data["n"] for event in everything(log)] == [1, 2]
    assert sorted(path.name for path in log.folder.segments.iterdir()) == [
        "00000001.parquet",
        "00000001.raw.zst",
    ]


@PLAIN
def test_two_processes_may_close_the_same_segment(open_log: Callable[..., EventLog]) -> None:
    """A worker was killed, its closing goes on, and the next worker closes as well."""
    log = open_log(segment_bytes=10)
    append(log, *({"n": n} for n in range(2000)))
    append(log, {"n": 2000})
    program = "import sys; from pathlib import Path\n"
    program += "from istmo.detect.eventstore.closing import close_segment\n"
    program += "from istmo.detect.eventstore.folder import EventFolder\n"
    program += "sys.stdin.readline(); close_segment(EventFolder(Path(sys.argv[1])), 1)"
    command = [sys.executable, "-c", program, str(log.folder.root)]
    closing = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(3)]
    for process in closing:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    statuses = [process.wait(60) for process in closing]
    for process in closing:
        assert process.stdin is not None
        process.stdin.close()
    assert 0 in statuses
    assert log.segments_to_close() == []
    assert [event.data["n"] for event in everything(log)] == list(range(2001))
    assert list(log.folder.segments.glob("*.half")) == []


def test_a_segment_grows_old(tmp_path: Path, clock: ManualClock) -> None:
    log = EventLog(tmp_path / "events", clock, segment_seconds=60)
    append(log, {"n": 1})
    clock.advance(61)
    append(log, {"n": 2})
    assert log.segments_to_close() == [1]
    log.close()


@PLAIN
def test_too_much_at_once_is_asked_to_come_back(open_log: Callable[..., EventLog]) -> None:
    log = open_log()
    gate, entered = threading.Event(), threading.Event()

    def hold(_: IstmoError | None) -> None:
        entered.set()
        gate.wait(20)

    log.append(Batch("a", [(b"{}", None)], hold))
    assert entered.wait(20)
    big = Batch("a", [(b'{"a":"' + b"x" * (40 << 20) + b'"}', None)], lambda _: None)
    log.append(big)
    with pytest.raises(RateLimited):
        log.append(Batch("a", big.events, lambda _: None))
    gate.set()


def test_a_write_that_fails_in_an_unforeseen_way_costs_itself(
    open_log: Callable[..., EventLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log()

    def exhausted(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(WriteAhead, "append", exhausted)
        with pytest.raises(Unavailable):
            append(log, {"n": 1})
    append(log, {"n": 2})
    assert [event.data for event in everything(log)] == [{"n": 2}]
