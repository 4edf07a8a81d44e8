"""Events that are sealed: nothing of them on the disk in clear, nothing lost for want of a key."""

from __future__ import annotations

import base64
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from istmo.clock import SystemClock
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder, folder_of
from istmo.detect.eventstore.follow import Follower
from istmo.detect.eventstore.frames import FRAME_BYTES, FrameReader, FrameWriter, Index
from istmo.detect.eventstore.health import look_at
from istmo.detect.eventstore.log import Batch, EventLog
from istmo.detect.eventstore.resting import Shelf
from istmo.detect.eventstore.rewriting import remove_superseded, rewrite, tidy
from istmo.detect.eventstore.sealing import NO_KEYS, Keys, SealedAway, id_of, make_key_file, read_keys
from istmo.detect.search.counting import CountingFinder, Counts
from istmo.detect.search.find import Finder
from istmo.detect.search.hunt import Hunter
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position, WireIndicator
from istmo.errors import Conflict, InvalidInput, IstmoError, Unavailable
from istmo.settings import Retention, Settings, load_settings, save_settings

from .conftest import KEY, OTHER

END = Position(1 << 40, 0)
SEALS = Keys([KEY])
CANARY = "canario-9f2c41"
EVENTS = 300


def fill(root: Path, keys: Keys, *, close: bool = True) -> EventFolder:
    """Three segments, of which two are closed or wait to be."""
    log = EventLog(root, SystemClock(), keys)
    for start in range(0, EVENTS, EVENTS // 3):
        numbers = range(start, start + EVENTS // 3)
        events = [orjson.dumps({"n": n, "CommandLine": f"{CANARY} {n}", "User": CANARY}) for n in numbers]
        log.ask_rotation()
        append(log, events)
    for segment in log.segments_to_close() if close else ():
        close_segment(log.folder, segment)
    log.close()
    return log.folder


def append(log: EventLog, events: list[bytes]) -> None:
    answered = threading.Event()
    problems: list[IstmoError | None] = []
    log.append(
        Batch("s", [(raw, None) for raw in events], lambda told: (problems.append(told), answered.set()))
    )
    assert answered.wait(20)
    assert problems == [None]


def found(folder: EventFolder, query: str = "") -> tuple[int, bool]:
    """How many events, and whether that is all."""
    finder = Finder(folder, parse_query(query), 10_000, END, 60)
    return sum(len(rows) for rows in finder.rows()), not finder.unreadable


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


CLEAR = (CANARY.encode(), b'{"id":', b"\x28\xb5\x2f\xfd", b"PAR1", b"CommandLine")
"""The event itself, a stored line, a zstd frame, a Parquet file, a name in an index."""


def clear_text(root: Path, act: Callable[[], object]) -> set[bytes]:
    """What of ``CLEAR`` some file below ``root`` holds while and after ``act`` runs."""
    seen: set[bytes] = set()

    def look() -> None:
        for path in root.rglob("*"):
            try:
                raw = path.read_bytes() if path.is_file() else b""
            except FileNotFoundError:
                continue
            seen.update(one for one in CLEAR if one in raw)

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*given: Any, **named: Any) -> Any:
            look()
            return real(*given, **named)

        return acted

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)  # where DuckDB would put what does not fit into memory
        for name in ("rename", "unlink"):
            patch.setattr(Path, name, before(getattr(Path, name)))
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, before(getattr(os, name)))
        act()
    look()
    return seen


def test_nothing_of_an_event_is_on_the_disk_in_clear_at_any_moment(tmp_path: Path, keys: Keys) -> None:
    root = tmp_path / "data"
    root.mkdir()

    def live() -> None:
        folder = fill(root / "events", keys)
        assert found(folder, f"User:{CANARY}") == (EVENTS, True)
        olds = folder.closed()
        rewrite(folder, olds, {})
        remove_superseded(folder, olds)

    seen = clear_text(root, live)
    assert seen == (set() if keys.first else set(CLEAR)), "the plain form shows that the look is a good one"


@pytest.mark.parametrize("query", ["", f"User:{CANARY}", CANARY, "n:>=0", "id:1-7"])
def test_a_search_finds_the_same_sealed_or_not(tmp_path: Path, query: str) -> None:
    plain, sealed = fill(tmp_path / "plain", NO_KEYS), fill(tmp_path / "sealed", SEALS)
    assert found(sealed, query) == found(plain, query)
    assert found(sealed, query)[0] in (EVENTS, 1)


def test_sealed_events_are_counted_by_their_columns(tmp_path: Path) -> None:
    counting = CountingFinder(fill(tmp_path, SEALS), parse_query("n:>=10"), Counts("user", 5, 0), END, 60)
    *_, last = counting.tallies()
    assert (last.total, last.values) == (EVENTS - 10, [(CANARY, EVENTS - 10)])


def test_frames_and_columns_open_nowhere_but_where_they_belong(tmp_path: Path) -> None:
    folder = fill(tmp_path, SEALS)
    first, second = folder.closed()
    with FrameReader(folder.raw_path(first), SEALS) as reader:
        assert reader.lines(0)
    shutil.copy(folder.raw_path(first), folder.raw_path(second))
    with pytest.raises(ValueError, match="where it belongs"):
        FrameReader(folder.raw_path(second), SEALS)
    assert found(folder) == (EVENTS * 2 // 3, False)
    assert look_at(tmp_path, SEALS).lost == [folder.raw_path(second).name]


def test_a_frame_does_not_stand_for_another(tmp_path: Path) -> None:
    path = tmp_path / "00000001.raw.zst"
    line = b"y" * FRAME_BYTES + b"\n"
    with path.open("wb") as file:
        writer = FrameWriter(file, SEALS.sealer(path.name))
        for number in range(3):
            writer.add(line, Position(1, number))  # each is a frame, and as long as the others
        writer.finish(Index(writer.frames, 3, 0, 0, [], [], [], 0, {}, 0, b""))
    size = writer.frames[0].packed
    raw = path.read_bytes()
    path.write_bytes(raw[size : 2 * size] + raw[:size] + raw[2 * size :])
    with FrameReader(path, SEALS) as reader:
        for number in (0, 1):
            with pytest.raises(ValueError, match=f"frame {number}"):
                reader.lines(number)
        assert reader.lines(2) == [line]


def test_columns_of_another_segment_are_not_believed(tmp_path: Path) -> None:
    folder = fill(tmp_path, SEALS)
    first, second = folder.closed()
    shutil.copy(folder.columns_path(first), folder.columns_path(second))
    assert found(folder, f"User:{CANARY}") == (EVENTS, True), "the lines answer"
    assert look_at(tmp_path, SEALS, every_event=True).slow == [folder.columns_path(second).name]


@pytest.mark.parametrize("is_closed", [False, True], ids=["in the write-ahead", "closed"])
def test_a_damaged_record_costs_itself_alone_and_is_told(tmp_path: Path, is_closed: bool) -> None:
    log = EventLog(tmp_path, SystemClock(), SEALS)
    for number in range(3):
        append(log, [b'{"n":%d,"User":"u","DestinationIp":"192.0.2.7"}' % number])
    log.ask_rotation()
    append(log, [b"{}"])
    path = log.folder.wal_path(1)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    if is_closed:
        close_segment(log.folder, 1)
    log.close()
    for query in ("User:u", "192.0.2.7", "n:<9"):
        assert found(log.folder, query) == (2, False)
    hunter = Hunter(
        log.folder, [WireIndicator("indicator--1", [("ipv4", "192.0.2.7")])], {"indicator--1": END}, 0, 60
    )
    assert [hit.event_id for hit in hunter.hits()] == ["1-0", "1-2"]
    assert hunter.unreadable
    counting = CountingFinder(log.folder, parse_query("User:u"), Counts("user", 5, 0), END, 60)
    *_, last = counting.tallies()
    assert (last.total, bool(counting.unreadable)) == (2, True)


@pytest.mark.parametrize("keys", [NO_KEYS, Keys([OTHER])], ids=["no key", "another key"])
def test_what_cannot_be_opened_is_told_and_nothing_of_it_goes(tmp_path: Path, keys: Keys) -> None:
    root = tmp_path / "events"
    fill(root, SEALS)
    EventLog(root, SystemClock(), SEALS).close()
    log = EventLog(root, SystemClock(), SEALS)
    log.ask_rotation()
    append(log, [b'{"n":1}'])
    log.close()
    before = contents(root)
    folder = EventFolder(root, keys)
    health = look_at(root, keys, every_event=True)
    assert (health.lost, health.slow) == ([], [])
    assert health.shut == ["00000003.ndjson", "00000004.ndjson", "00000001.raw.zst", "00000002.raw.zst"]
    assert found(folder) == (0, False)
    log = EventLog(root, SystemClock(), keys)
    assert not log.repairs
    assert log.shelf.shut() == folder.closed()
    append(log, [b'{"n":2}'])
    for segment in (3, 4):
        with pytest.raises(SealedAway):
            close_segment(folder, segment)
    with pytest.raises(SealedAway):
        rewrite(folder, folder.closed()[:1], {})
    tidy(folder)
    follower = Follower(log, Position())
    assert [event.raw for event in next(iter(follower.next, None)).events] == [b'{"n":2}'], "it reads on"
    follower.close()
    log.close()
    after = contents(root)
    assert {name: after[name] for name in before} == before
    assert found(EventFolder(root, Keys([KEY, OTHER]))) == (EVENTS + 2, True), "with the key all is there"


def test_a_later_writing_that_cannot_be_opened_does_not_cost_the_earlier_one(tmp_path: Path) -> None:
    folder = fill(tmp_path, NO_KEYS)
    olds = folder.closed()
    rewrite(EventFolder(tmp_path, SEALS), olds, {})
    tidy(folder)
    assert folder.superseded() == olds
    tidy(EventFolder(tmp_path, SEALS))
    assert folder.superseded() == []


@pytest.mark.parametrize(
    "keys",
    [Keys([OTHER, KEY]), Keys([KEY], is_sealing=False)],
    ids=["with another key", "no more"],
)
def test_what_rests_is_sealed_anew_as_is_wanted_now(tmp_path: Path, keys: Keys) -> None:
    fill(tmp_path, SEALS)
    log = EventLog(tmp_path, SystemClock(), keys)
    append(log, [b'{"n":1}'])
    assert log.segments_to_close() == [3], "what is open goes on in a file of its own"
    assert found(log.folder) == (EVENTS + 1, True)
    close_segment(log.folder, 3)
    for old in log.folder.closed():
        rewrite(log.folder, [old], {})
    tidy(log.folder)
    shelf = Shelf(log.folder)
    assert {one.key for one in shelf.all()} == {keys.first}
    log.close()
    kept = Keys([OTHER]) if keys.first else NO_KEYS
    assert found(EventFolder(tmp_path, kept)) == (EVENTS + 1, True), "the old key is not needed any more"


def test_a_plain_store_is_sealed_from_the_next_event_on(tmp_path: Path) -> None:
    fill(tmp_path, NO_KEYS)
    log = EventLog(tmp_path, SystemClock(), SEALS)
    append(log, [b'{"n":1}'])
    assert log.head.events == EVENTS + 1
    assert b'{"n":1}' not in log.folder.wal_path(4).read_bytes()
    log.close()
    assert found(log.folder) == (EVENTS + 1, True)


def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    made = make_key_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (key,) = read_keys(path)
    assert (len(key), id_of(key).hex()) == (32, made)
    before = path.read_bytes()
    with pytest.raises(Conflict) as refused:
        make_key_file(path)
    assert refused.value.code == "detect.seal_key_exists"
    assert path.read_bytes() == before
    with pytest.raises(Unavailable):
        make_key_file(tmp_path / "none" / "keys")


def test_of_several_keys_the_first_seals_and_all_open(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b"# new\n%b\n\n%b\r\n" % (base64.b64encode(OTHER), base64.b64encode(KEY)))
    keys = Keys(read_keys(path))
    assert keys.first == id_of(OTHER)
    assert id_of(KEY) in keys
    with keys.handed_over() as descriptor:
        again = Keys.take_over(os.dup(descriptor))
    assert again.first == keys.first
    piece = SEALS.opener("f", id_of(KEY)).seal(b"piece", b"p")
    assert again.opener("f", id_of(KEY)).open(piece, b"p") == b"piece"
    assert KEY.decode() not in repr(keys) + repr(vars(again.opener("f", id_of(KEY))))


@pytest.mark.parametrize("text", [b"", b"# no key\n", b"AAAA\n", b"not base64!\n", b"\xff" * 44])
def test_a_file_without_a_key_is_refused_by_line(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text)
    with pytest.raises(InvalidInput) as refused:
        read_keys(path)
    assert refused.value.params == {"file": str(path), "line": 1}


def test_whoever_asks_for_sealed_events_never_gets_plain_ones(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "Prueba", "HN", retention=Retention(key_file="k", seal=False))
    save_settings(settings)
    assert load_settings(tmp_path) == settings
    with pytest.raises(Unavailable):
        folder_of(settings)
    make_key_file(tmp_path / "k")
    assert folder_of(settings).keys.first == b""
    assert folder_of(Settings(tmp_path, "P", "HN", retention=Retention(key_file="k"))).keys.first
    (tmp_path / "istmo.toml").write_text('name = "P"\ncountry = "HN"\n[events]\nseal = "yes"\n')
    with pytest.raises(InvalidInput) as refused:
        load_settings(tmp_path)
    assert refused.value.params["field"] == "seal"
