"""House invariant 5 at rest: wherever a crash falls, nothing acknowledged is lost and nothing is doubled.

The store is copied before each act that the file system is asked for (a name given, a file removed, a
sync); what a file held that was not synced yet is cut at many places besides. Each copy is what a machine
may come back with.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from istmo.clock import SystemClock
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.health import look_at
from istmo.detect.eventstore.lines import compose
from istmo.detect.eventstore.log import EventLog
from istmo.detect.eventstore.rewriting import remove_superseded, rewrite
from istmo.detect.eventstore.sealing import NO_KEYS, Keys
from istmo.detect.eventstore.wal import WriteAhead
from istmo.detect.search.find import Finder
from istmo.detect.search.query import parse_query
from istmo.detect.wire import Position

from .conftest import KEY

END = Position(1 << 40, 0)
CUTS = 1
SLOW = pytest.mark.parametrize(
    "keys",
    [pytest.param(NO_KEYS, id="plain"), pytest.param(Keys([KEY]), id="sealed", marks=pytest.mark.long)],
)
"""For what takes long: the sealed form then in the long run; a closing is tried in both each time."""
PLAIN = pytest.mark.parametrize("keys", [NO_KEYS], ids=["plain"])


def fill(root: Path, keys: Keys, *, closed: int, waiting: int) -> EventFolder:
    """Segments of two sources: closed ones, ones that wait to be closed, and the open one."""
    folder = EventFolder(root, keys)
    folder.create()
    for segment in range(1, closed + waiting + 2):
        lines = [
            compose(segment, line, line + 1, b'"even"' if line % 2 == 0 else b'"odd"', b'{"n":%d}' % line)
            for line in range(8)
        ]
        wal = WriteAhead(folder.wal_path(segment), keys)
        wal.append(b"".join(lines), len(lines))
        wal.close()
        if segment <= closed:
            close_segment(folder, segment)
    return folder


def everything(folder: EventFolder) -> Counter[str]:
    finder = Finder(folder, parse_query(""), 10_000, END, 60)
    found = Counter(row.event_id for rows in finder.rows() for row in rows)
    assert not finder.unreadable
    return found


def crashes(folder: EventFolder, act: Callable[[], object], keep: Path) -> Iterator[Path]:
    """What the disk may hold when the machine stops while ``act`` runs."""
    states: list[tuple[Path, set[str]]] = []
    synced: set[str] = set()
    done = {path.name for path in folder.root.rglob("*")}

    def note() -> None:
        state = keep / str(len(states))
        shutil.copytree(folder.root, state)
        states.append((state, set(synced)))

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*given: Any, **named: Any) -> Any:
            note()
            if real is real_fsync:
                synced.add(Path(f"/proc/self/fd/{given[0]}").readlink().name)
            return real(*given, **named)

        return act

    real_fsync = os.fsync
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", before(Path.rename))
        patch.setattr(Path, "unlink", before(Path.unlink))
        patch.setattr(os, "fsync", before(real_fsync))
        act()
    note()
    chance = random.Random(5)
    for state, whole in states:
        yield state
        for path in sorted(state.rglob("*.half")):
            if path.name in whole or path.name in done:
                continue
            raw = path.read_bytes()
            for _ in range(CUTS):
                path.write_bytes(raw[: chance.randrange(len(raw) + 1)])
                yield state
            path.write_bytes(raw)


def come_back(state: Path, copy: Path, keys: Keys) -> Counter[str]:
    """Open the store as the worker does and finish what waits; every event that is there then."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(state, copy)
    log = EventLog(copy, SystemClock(), keys)
    for segment in log.segments_to_close():
        close_segment(log.folder, segment)
    log.recount()
    counted = log.head.events
    log.close()
    assert not list(copy.rglob("*.half"))
    assert log.folder.superseded() == []
    health = look_at(copy, keys)
    assert (health.lost, health.slow, health.shut) == ([], [], [])
    found = everything(log.folder)
    assert counted == sum(found.values())
    return found


def test_a_closing_may_stop_anywhere(tmp_path: Path, keys: Keys) -> None:
    folder = fill(tmp_path / "events", keys, closed=1, waiting=1)
    before = everything(folder)
    assert (len(before), before.most_common(1)[0][1]) == (24, 1)
    for state in crashes(folder, lambda: close_segment(folder, 2), tmp_path / "states"):
        assert come_back(state, tmp_path / "back", keys) == before
    assert everything(folder) == before


@SLOW
def test_a_merge_may_stop_anywhere(tmp_path: Path, keys: Keys) -> None:
    folder = fill(tmp_path / "events", keys, closed=3, waiting=1)
    before = everything(folder)

    def merge() -> None:
        olds = folder.closed()
        rewrite(folder, olds, {})
        remove_superseded(folder, olds)

    for state in crashes(folder, merge, tmp_path / "states"):
        assert come_back(state, tmp_path / "back", keys) == before
    assert everything(folder) == before
    assert len(folder.closed()) == 1


@PLAIN
def test_a_writing_without_some_events_may_stop_anywhere(tmp_path: Path, keys: Keys) -> None:
    folder = fill(tmp_path / "events", keys, closed=2, waiting=0)
    before = everything(folder)
    old = folder.closed()[0]

    def let_go() -> None:
        rewrite(folder, [old], {old: frozenset({"odd"})})
        remove_superseded(folder, [old])

    kept = Counter({id: 1 for id in before if not (id.startswith("1-") and int(id[2:]) % 2)})
    for state in crashes(folder, let_go, tmp_path / "states"):
        assert come_back(state, tmp_path / "back", keys) in (before, kept)
    assert everything(folder) == kept


@PLAIN
def test_letting_go_of_whole_segments_may_stop_anywhere(tmp_path: Path, keys: Keys) -> None:
    folder = fill(tmp_path / "events", keys, closed=3, waiting=0)
    gone = folder.closed()[:2]
    before = everything(folder)
    kept = {id for id in before if not id.startswith(("1-", "2-"))}
    for state in crashes(folder, lambda: folder.remove(gone), tmp_path / "states"):
        shutil.rmtree(tmp_path / "back", ignore_errors=True)
        shutil.copytree(state, tmp_path / "back")
        found = everything(EventFolder(tmp_path / "back", keys))
        assert kept <= set(found) <= set(before)
        assert not look_at(tmp_path / "back", keys, every_event=True).lost
        assert max(found.values()) == 1
    assert set(everything(folder)) == kept


@SLOW
def test_columns_and_lines_that_are_cut_anywhere_are_told(tmp_path: Path, keys: Keys) -> None:
    """Doctor sees every byte: frames and index by their checksums, columns by theirs in the index."""
    folder = fill(tmp_path / "events", keys, closed=1, waiting=0)
    (closed,) = folder.closed()
    for path in (folder.raw_path(closed), folder.columns_path(closed)):
        raw = path.read_bytes()
        for place in range(0, len(raw), 41):
            path.write_bytes(raw[:place])
            health = look_at(folder.root, keys)
            assert path.name in (*health.lost, *health.slow), place
        for place in range(0, len(raw), 37):
            path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            health = look_at(folder.root, keys, every_event=True)
            assert path.name in (*health.lost, *health.slow), place
        path.write_bytes(raw)
