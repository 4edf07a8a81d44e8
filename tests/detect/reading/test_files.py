from __future__ import annotations

import gzip
import io
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from istmo.detect.reading import FileProblem, Found, Line, open_events, open_stream
from istmo.settings import Limits

LIMITS = Limits()
TWO = b'{"n":1}\n{"n":2}\n'


def told(found: list[Found]) -> tuple[list[bytes], list[str]]:
    lines = [one.raw for one in found if isinstance(one, Line)]
    return lines, [one.error.code for one in found if isinstance(one, FileProblem)]


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        TWO,
        b"\xef\xbb\xbf" + TWO,
        b'[{"n":1},\n {"n":2}]',
        gzip.compress(TWO, mtime=0),
        zstandard.compress(TWO),
        zstandard.compress(TWO[:10]) + zstandard.compress(TWO[10:]),
        zipped(**{"a.json": TWO}),
        zipped(**{"a.json.gz": gzip.compress(TWO, mtime=0)}),
        zipped(**{"../../etc/a.json": b'{"n":1}', "/b": b'{"n":2}'}),
    ],
)
def test_events_are_read_from_what_holds_them(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events"
    path.write_bytes(content)
    lines, problems = told(list(open_events(path, LIMITS)))
    assert ([line.removeprefix(b"\xef\xbb\xbf") for line in lines], problems) == (
        [b'{"n":1}', b'{"n":2}'],
        [],
    )
    assert [one.name for one in tmp_path.iterdir()] == ["events"]


def test_an_array_that_breaks_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b'[{"n":1},')
    assert told(list(open_events(path, LIMITS))) == ([b'{"n":1}'], ["detect.array_cut_short"])


def test_stray_members_are_passed_over_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(
        zipped(**{"a.json": TWO, "__MACOSX/._a.json": b"\0\5\x16", "README.md": b"# Read me", "x/": b""})
    )
    found = list(open_events(path, LIMITS))
    assert told(found) == ([b'{"n":1}', b'{"n":2}'], ["detect.member_stray"] * 2)
    assert [one.place for one in found if isinstance(one, FileProblem)] == [
        f"{path}!__MACOSX/._a.json",
        f"{path}!README.md",
    ]


def test_a_zip_bomb_is_refused_and_its_neighbour_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(**{"bomb.json": b"{" + b" " * (50 << 20), "good.json": TWO}))
    lines, problems = told(list(open_events(path, LIMITS)))
    assert lines[-2:] == [b'{"n":1}', b'{"n":2}']
    assert "detect.archive_bomb" in problems


def test_a_zstandard_bomb_is_refused_and_one_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zst"
    path.write_bytes(zstandard.compress(TWO + b" " * (50 << 20)))
    assert [one.error.code for one in open_events(path, LIMITS) if isinstance(one, FileProblem)] == [
        "detect.archive_bomb"
    ]
    path.write_bytes(zstandard.compress(TWO * 1000)[:-5])
    assert [one.error.code for one in open_events(path, LIMITS) if isinstance(one, FileProblem)] == [
        "detect.archive_unreadable"
    ]


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(TWO + b" " * (50 << 20), mtime=0))
    assert "detect.archive_bomb" in told(list(open_events(path, LIMITS)))[1]


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(**{f"{n}.json": b"{}" for n in range(20)}))
    assert told(list(open_events(path, replace(LIMITS, archive_members=10)))) == (
        [],
        ["detect.archive_members"],
    )


def test_an_encrypted_member_is_told(tmp_path: Path) -> None:
    content = bytearray(zipped(**{"a.json": TWO}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert told(list(open_events(path, LIMITS))) == ([], ["detect.member_encrypted"])


def test_damaged_archives_are_told_and_what_was_whole_is_kept(tmp_path: Path) -> None:
    for name, content in {
        "a.zip": zipped(**{"a.json": TWO})[:-30],
        "b.gz": gzip.compress(TWO * 1000, mtime=0)[:-10],
        "c.gz": b"\x1f\x8bnot really",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        lines, problems = told(list(open_events(path, LIMITS)))
        assert problems == ["detect.archive_unreadable"], name
        assert name != "b.gz" or len(lines) > 1000


def test_what_is_no_log_at_all_is_one_problem_not_thousands(tmp_path: Path) -> None:
    path = tmp_path / "a.evtx"
    noise = bytes(range(256)).replace(b"{", b"").replace(b"[", b"") * 10_000
    for content, code in ((b"MZ" + noise, "not_evtx"), (b"ElfFile\0" + noise, "evtx_damaged")):
        path.write_bytes(content)
        assert told(list(open_events(path, LIMITS))) == ([], [f"detect.{code}"])


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b'{"n":2}')
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.json").write_bytes(b'{"n":1}')
    assert told(list(open_events(tmp_path, LIMITS))) == ([b'{"n":1}', b'{"n":2}'], [])
    assert told(list(open_events(tmp_path / "none", LIMITS))) == ([], ["detect.no_such_file"])


def test_a_zip_from_a_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    content = zipped(**{"a.json": TWO * 5000})

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as file:
        assert len(told(list(open_stream(file, "-", LIMITS)))[0]) == 10_000
    thread.join()


def test_a_line_of_two_gigabytes_takes_no_memory_and_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.write(b'{"n":1}\n{"huge":"')
        file.seek(2 << 30, os.SEEK_CUR)  # a hole in the file: read as two gigabytes of zeros
        file.write(b'"}\n{"n":2}\n')

    def peak_while(read: Callable[[], list[Found]]) -> tuple[list[Found], int]:
        before = _resident()
        found = read()
        return found, _resident() - before

    found, grown = peak_while(lambda: list(open_events(path, LIMITS)))
    assert told(found) == ([b'{"n":1}', b'{"n":2}'], ["detect.line_too_long"])
    assert [one.line for one in found if isinstance(one, FileProblem)] == [2]
    assert grown < 64 << 20


def _resident() -> int:
    """The most memory that this process ever had resident, in bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) << 10


@pytest.mark.shared_data
def test_every_recording_is_read_whole(shared_data: Path) -> None:
    count = 0
    for path in sorted((shared_data / "events").glob("*.zip")):
        found = list(open_events(path, LIMITS))
        lines, problems = told(found)
        count += len(lines)
        assert set(problems) <= {"detect.member_stray"}, path.name
        with zipfile.ZipFile(path) as archive:
            strays = [name for name in archive.namelist() if name.startswith("__MACOSX")]
            whole = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
            assert len(problems) == len(strays)
            assert len(lines) == sum(sum(map(bool, archive.read(name).split(b"\n"))) for name in whole)
    assert count > 10_000
