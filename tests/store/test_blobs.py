"""Blobs: named by content, whole or absent, verified when read."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.errors import NotFound, TooLarge, Unavailable
from istmo.store.blobs import Blobs, DamagedBlob


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", limit=1 << 20)


def files(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in blobs.folder.rglob("*") if path.is_file())


@given(st.lists(st.binary(max_size=300), max_size=8))
@settings(max_examples=30, deadline=None)
def test_what_is_put_is_got_under_its_own_hash(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    blobs = Blobs(tmp_path_factory.mktemp("blobs"))
    whole = b"".join(chunks)
    name = blobs.put_stream(iter(chunks))
    assert name == hashlib.sha256(whole).hexdigest() == blobs.put(whole)
    assert blobs.get(name) == whole
    assert list(blobs.names()) == [name]


def test_a_changed_byte_is_found_when_read_and_named(blobs: Blobs) -> None:
    name, other = blobs.put(b"evidence"), blobs.put(b"else")
    (blobs.folder / name[:2] / name).write_bytes(b"evidencf")
    with pytest.raises(DamagedBlob):
        blobs.get(name)
    assert blobs.damaged() == [name]
    assert blobs.get(other) == b"else"


def test_putting_it_again_mends_a_damaged_blob(blobs: Blobs) -> None:
    name = blobs.put(b"evidence")
    (blobs.folder / name[:2] / name).write_bytes(b"")
    assert blobs.put(b"evidence") == name
    assert blobs.get(name) == b"evidence"


def test_too_large_leaves_nothing_behind(blobs: Blobs) -> None:
    with pytest.raises(TooLarge):
        blobs.put_stream(b"x" * 1000 for _ in range(2000))
    assert files(blobs) == []


def test_a_source_that_breaks_leaves_nothing_behind(blobs: Blobs) -> None:
    def source() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(Unavailable):
        blobs.put_stream(source())
    assert files(blobs) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64])
def test_a_name_that_is_none_is_not_found(blobs: Blobs, name: str) -> None:
    with pytest.raises(NotFound):
        blobs.get(name)


def test_a_deleted_blob_is_gone(blobs: Blobs) -> None:
    name = blobs.put(b"to be erased")
    blobs.delete(name)
    blobs.delete(name)
    assert not blobs.has(name)


def test_what_a_crash_left_half_written_is_cleared_at_the_start(blobs: Blobs) -> None:
    (blobs.folder / ".partial-abc").write_bytes(b"half")
    assert files(Blobs(blobs.folder)) == []


def test_a_full_disk_is_told_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys; from pathlib import Path; from istmo.store.blobs import Blobs;"
        "from istmo.errors import Unavailable\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "blobs = Blobs(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "try:\n    blobs.put(b'x' * 10000)\nexcept Unavailable as error:\n    print(error.code)\n"
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "b")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "store.disk_full"
    assert not [path for path in (tmp_path / "b").rglob("*") if path.is_file()]


def test_two_who_put_the_same_at_once_both_succeed(blobs: Blobs) -> None:
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            for number in range(20):
                blobs.put(bytes([number]) * 1000)
            os._exit(0)
        pids.append(pid)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
    assert len(list(blobs.names())) == 20
    assert blobs.damaged() == []
