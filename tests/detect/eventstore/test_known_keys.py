"""What carries a name is stored once, over restarts too."""

from __future__ import annotations

import queue
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.clock import ManualClock
from istmo.detect.eventstore.known_keys import KnownKeys
from istmo.detect.eventstore.lines import compose, parse
from istmo.detect.eventstore.log import Batch, EventLog


def put(log: EventLog, *keys: bytes, source: str = "s") -> list[int]:
    """Append an event for each key; the places of those that had been there."""
    answers: queue.Queue[object] = queue.Queue()
    batch = Batch(source, [(b"{}", None) for _ in keys], answers.put, keys=keys)
    log.append(batch)
    assert answers.get(timeout=20) is None
    return batch.doubled


def test_a_name_counts_once_within_a_batch_and_after_it(tmp_path: Path, clock: ManualClock) -> None:
    log = EventLog(tmp_path, clock)
    assert put(log, b"a", b"", b"a", b"b", b"") == [2]
    assert put(log, b"b", b"c") == [0]
    assert put(log, b"a", source="other") == []
    assert log.head.events == 6
    log.close()


def test_a_batch_of_which_all_was_there_writes_nothing(tmp_path: Path, clock: ManualClock) -> None:
    log = EventLog(tmp_path, clock)
    put(log, b"a")
    head = log.head
    assert (put(log, b"a"), log.head) == ([0], head)
    log.close()


def test_names_are_known_again_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    log = EventLog(tmp_path, clock)
    put(log, b"a", 'ñ"\\,"event":'.encode())
    log.close()
    log = EventLog(tmp_path, clock)
    assert put(log, b"a", 'ñ"\\,"event":'.encode(), b"b") == [0, 1]
    log.close()


def test_names_of_a_failed_write_are_not_remembered(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(tmp_path, clock)
    monkeypatch.setattr("istmo.detect.eventstore.log.has_room", lambda folder, size: False)
    answers: queue.Queue[object] = queue.Queue()
    log.append(Batch("s", [(b"{}", None)], answers.put, keys=[b"a"]))
    assert answers.get(timeout=20) is not None
    monkeypatch.undo()
    assert put(log, b"a") == []
    log.close()


@given(st.text(), st.text())
@settings(max_examples=200)
def test_any_name_rests_in_a_line_that_is_read_back(source: str, key: str) -> None:
    source, key = (text.encode("utf-8", "replace").decode() for text in (source, key))
    line = compose(1, 2, 3, orjson.dumps(source), b'{"a":1}', orjson.dumps(key))
    assert (parse(line).source, parse(line).raw) == (source, b'{"a":1}')
    known = KnownKeys()
    assert known.add_stored(line)
    assert known.digest(orjson.dumps(source), orjson.dumps(key)) in known


def test_the_oldest_names_are_forgotten_first() -> None:
    known = KnownKeys(most=2)
    digests = [known.digest(b'"s"', b'"%d"' % number) for number in range(7)]
    for digest in digests:
        known.add([digest])
    assert [digest in known for digest in digests] == [False, False, False, True, True, True, True]
