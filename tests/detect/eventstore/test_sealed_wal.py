"""A sealed write-ahead file keeps what a plain one keeps: what was acknowledged, wherever a crash fell."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.detect.eventstore.lines import compose
from istmo.detect.eventstore.sealed_wal import DAMAGED, RECORD_BYTES, Record, records
from istmo.detect.eventstore.sealing import NO_KEYS, Keys, SealedAway
from istmo.detect.eventstore.wal import WriteAhead, WriteAheadReader

from .conftest import KEY, OTHER

SEALS = Keys([KEY])
NAME = "00000001.ndjson"


def line(number: int, size: int = 0) -> bytes:
    return compose(1, number, 5, b'"s"', b'{"text":"%b"}' % (b"x" * size))


def write(path: Path, *blocks: list[bytes], keys: Keys = SEALS) -> None:
    wal = WriteAhead(path, keys)
    for block in blocks:
        wal.append(b"".join(block), len(block))
    wal.close()


def read(path: Path, start: int = 0, keys: Keys = SEALS) -> list[bytes]:
    reader = WriteAheadReader(path, start, keys)
    found: list[bytes] = []
    while lines := reader.read(size=1000):
        found += lines
        assert reader.line == start + len(found)
    reader.close()
    return found


def records_of(path: Path) -> list[Record]:
    with path.open("rb") as file:
        return list(records(file.fileno()))


@given(
    st.lists(
        st.lists(st.integers(0, 400) | st.integers(RECORD_BYTES - 99, RECORD_BYTES + 99), max_size=4),
        max_size=5,
    ),
    st.integers(0, 21),
)
@settings(max_examples=40)
def test_lines_come_back_from_any_line_on(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], start: int
) -> None:
    path = tmp_path_factory.mktemp("wal") / NAME
    numbers = iter(range(100))
    blocks = [[line(next(numbers), size) for size in block] for block in sizes]
    write(path, *filter(None, blocks))
    whole = [one for block in blocks for one in block]
    assert read(path, min(start, len(whole))) == whole[min(start, len(whole)) :]
    again = WriteAhead(path, SEALS)
    assert (again.lines, again.repaired) == (len(whole), None)
    again.close()


@pytest.mark.parametrize("keys", [SEALS, NO_KEYS, Keys([OTHER])], ids=["key", "no key", "another key"])
def test_a_torn_tail_is_cut_at_every_byte_with_or_without_the_key(tmp_path: Path, keys: Keys) -> None:
    """Invariant 5: what was acknowledged is whole, wherever the crash fell."""
    path = tmp_path / NAME
    write(path, *([line(2 * n), line(2 * n + 1)] for n in range(3)))
    whole = path.read_bytes()
    ends = [0, *(record.end for record in records_of(path))]
    assert ends[-1] == len(whole)
    for at in range(len(whole) + 1):
        path.write_bytes(whole[:at])
        wal = WriteAhead(path, keys)
        wal.close()
        kept = max(end for end in ends if end <= at)
        assert path.read_bytes() == whole[:kept]
        assert wal.lines == 2 * ends.index(kept)
        assert (wal.repaired.cut if wal.repaired else 0) == at - kept


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 3))
def test_any_rubbish_behind_the_last_whole_record_is_cut(
    tmp_path_factory: pytest.TempPathFactory, rubbish: bytes, count: int
) -> None:
    path = tmp_path_factory.mktemp("wal") / NAME
    path.touch()
    write(path, *([line(n)] for n in range(count)))
    with path.open("ab") as file:
        file.write(rubbish)
    write(path, [line(count)])
    assert read(path) == [line(n) for n in range(count + 1)]


@pytest.mark.parametrize("number", [0, 1])
def test_a_damaged_record_costs_itself_alone_at_every_byte(tmp_path: Path, number: int) -> None:
    path = tmp_path / NAME
    blocks = [[line(2 * n), line(2 * n + 1)] for n in range(3)]
    write(path, *blocks)
    whole = path.read_bytes()
    expected = [one for block in blocks for one in block]
    expected[2 * number : 2 * number + 2] = [DAMAGED, DAMAGED]
    record = records_of(path)[number]
    for at in range(record.offset, record.end):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            assert read(path) == expected, at
        except SealedAway:
            pytest.fail(f"damage at {at} is taken for a key that is not there")
        wal = WriteAhead(path, SEALS)
        wal.append(line(6), 1)
        wal.close()
        assert (wal.repaired, wal.lines) == (None, 7)
        assert read(path, 4) == [line(4), line(5), line(6)]


def test_records_open_nowhere_but_where_they_belong(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write(path, *([line(n)] for n in range(3)))
    whole = path.read_bytes()
    first, second, third = (whole[one.offset : one.end] for one in records_of(path))
    assert len(first) == len(second)
    path.write_bytes(second + first + third)
    assert read(path) == [DAMAGED, line(1), line(2)], "one that comes too late is none"
    path.write_bytes(first + first + third)
    assert read(path) == [line(0), DAMAGED, line(2)]
    other = tmp_path / "00000002.ndjson"
    other.write_bytes(whole)
    assert read(other) == [DAMAGED] * 3, "nor in another segment"


def test_a_key_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write(path, [line(0)])
    before = path.read_bytes()
    for keys in (NO_KEYS, Keys([OTHER])):
        with pytest.raises(SealedAway):
            read(path, keys=keys)
        wal = WriteAhead(path, keys)
        assert (wal.lines, wal.repaired, wal.is_as_wanted) == (1, None, False)
        wal.close()
    assert path.read_bytes() == before


def test_what_comes_before_a_missing_key_is_read(tmp_path: Path) -> None:
    path = tmp_path / NAME
    write(path, [line(0)])
    write(path, [line(1)], keys=Keys([OTHER]))
    reader = WriteAheadReader(path, keys=SEALS)
    assert reader.read() == [line(0)]
    with pytest.raises(SealedAway):
        reader.read()
    reader.close()


def test_a_reader_sees_what_is_sealed_after_it_has_begun(tmp_path: Path) -> None:
    path = tmp_path / NAME
    wal = WriteAhead(path, SEALS)
    reader = WriteAheadReader(path, keys=SEALS)
    assert reader.read() == []
    wal.append(line(0), 1)
    reach = wal.size
    wal.append(line(1), 1)
    assert reader.read(reach) == [line(0)]
    assert reader.read(reach) == []
    assert reader.read(wal.size) == [line(1)]
    reader.close()
    wal.close()
