"""What a follower does with the files that there are."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import orjson
import pytest
import zstandard

from istmo.detect.following import BookmarkFile
from istmo.detect.following.places import is_rotated
from istmo.errors import InvalidInput

from .conftest import Bench

SYSLOG = "Mar  1 09:00:00 web1 app: line {}\n"
CSV = "time,user,action\n2026-03-02 09:00:00,ana,login\n"
W3C = "#Software: x\n#Fields: date time c-ip\n2026-03-02 09:00:00 192.0.2.1\n"
ZEEK = "#separator \\x09\n#path\tdns\n#fields\tts\tquery\n#types\ttime\tstring\n1772442000.5\ta.example\n"
AUDIT = "type=SYSCALL msg=audit(1772442000.125:417): syscall=59\n"


def lines(count: int, first: int = 1) -> str:
    return "".join(SYSLOG.format(number) for number in range(first, first + count))


@pytest.mark.parametrize(
    ("first", "then", "fields"),
    [
        (CSV, "2026-03-02 09:00:05,eva,logout\n", {"user": "eva"}),
        (CSV.encode("utf-16"), "2026-03-02 09:00:05,eva,logout\n".encode("utf-16-le"), {"user": "eva"}),
        (W3C, "2026-03-02 09:00:05 192.0.2.2\n", {"c-ip": "192.0.2.2"}),
        (ZEEK, "1772442001.5\tb.example\n", {"_path": "dns", "query": "b.example"}),
    ],
)
def test_what_header_lines_said_is_known_after_a_restart(
    bench: Bench, first: str | bytes, then: str | bytes, fields: dict[str, str]
) -> None:
    bench.write("a.log", first)
    assert len(bench.settle()) == 1
    bench.kill()
    bench.write("a.log", then)
    bench.settle()
    assert len(bench.intake.data) == 2
    assert fields.items() <= bench.intake.data[1].items()


def test_a_line_is_sent_when_it_has_its_end(bench: Bench) -> None:
    bench.write("a.log", SYSLOG.format(1) + "Mar  1 09:00:01 web1 ap")
    assert len(bench.settle()) == 1
    bench.write("a.log", "p: line 2\n")
    assert bench.settle()[1] == "Mar  1 09:00:01 web1 app: line 2"


def test_the_last_line_of_a_file_that_is_gone_needs_no_end(bench: Bench) -> None:
    path = bench.write("a.log", lines(1) + SYSLOG.format(2).rstrip())
    bench.round()
    path.unlink()
    assert len(bench.settle()) == 2


def test_what_was_written_before_a_file_vanished_is_read_to_its_end(bench: Bench) -> None:
    path = bench.write("a.log", lines(1))
    bench.round()
    bench.write("a.log", lines(5, 2))
    path.unlink()
    assert len(bench.settle()) == 6


def test_an_event_of_several_lines_is_one_when_nothing_more_comes(bench: Bench) -> None:
    bench.write("audit.log", AUDIT + AUDIT.replace("SYSCALL", "CWD").replace("syscall=59", 'cwd="/"'))
    bench.round()
    assert bench.intake.texts == [], "the next record may belong to it"
    assert len(bench.settle()) == 1
    bench.kill()
    assert len(bench.settle()) == 1


def test_a_log_that_was_packed_while_nobody_looked_goes_on_where_it_was(bench: Bench) -> None:
    bench.wanted = [bench.logs / "app.log"]
    bench.write("app.log", lines(3))
    bench.settle()
    bench.kill()
    bench.write("app.log", lines(3, 4))
    bench.rotate("app.log")
    bench.pack("app.log.1")
    bench.write("app.log", lines(3, 7))
    assert sorted(bench.settle()) == sorted(lines(9).splitlines())


def test_what_was_rotated_before_anybody_followed_is_left(bench: Bench) -> None:
    bench.wanted = [bench.logs / "app.log"]
    bench.write("app.log.1", lines(3))
    bench.write("app.log", lines(3, 4))
    assert bench.settle() == lines(3, 4).splitlines()
    bench.pack("app.log.1")
    assert len(bench.settle()) == 3


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_packed_files_archives_and_arrays_are_read_once_and_whole(bench: Bench, pack: object) -> None:
    assert callable(pack)
    bench.write("a.log.packed", pack(lines(5000).encode()))
    with zipfile.ZipFile(bench.logs / "b.zip", "w") as archive:
        archive.writestr("b.json", b'{"n":1}\n' * 5000)
    bench.write("c.json", orjson.dumps([{"n": number} for number in range(5000)], option=orjson.OPT_INDENT_2))
    for number in range(12):
        bench.intake.fails += ["after", "before"][number % 2 :]
        bench.round()
        bench.kill()
        for _ in range(4):
            bench.round()
    assert len(bench.settle()) == 15_000
    bench.kill()
    assert len(bench.settle()) == 15_000


def test_a_file_that_is_no_log_is_told_once_and_keeps_no_other_waiting(bench: Bench) -> None:
    bench.write("a.bin", bytes(range(256)) * 8 + b"\n")
    bench.write("b.log", lines(2))
    bench.settle()
    bench.write("a.bin", bytes(range(256)) * 8 + b"\n")
    assert len(bench.settle()) == 2
    assert [one.error.code for one in bench.intake.problems] == ["detect.member_stray"]


def test_a_line_past_the_limit_is_passed_over_and_told(bench: Bench) -> None:
    bench.write("a.log", lines(1) + "x" * 5_000_000)
    bench.settle()
    bench.kill()
    bench.write("a.log", "x" * 5_000_000 + "\n" + lines(1, 2))
    assert bench.settle() == lines(2).splitlines()
    assert {one.error.code for one in bench.intake.problems} == {"detect.line_too_long"}


def test_a_copy_beside_a_log_that_goes_on_is_not_read_again(bench: Bench) -> None:
    bench.write("app.log", lines(3))
    bench.write("app.log.1", lines(3))
    bench.settle()
    bench.kill()
    bench.write("app.log", lines(3, 4))
    assert sorted(bench.settle()) == sorted(lines(6).splitlines())


def test_patterns_find_files_that_come_later(bench: Bench) -> None:
    bench.wanted = [bench.logs / "*.log"]
    bench.write("a.log", lines(1))
    bench.round()
    bench.write("b.log", lines(1, 2))
    bench.write("c.txt", lines(1, 3))
    assert bench.settle() == lines(2).splitlines()


def test_two_followers_do_not_share_their_bookmarks(tmp_path: Path) -> None:
    first, second = BookmarkFile(tmp_path / "b.json"), BookmarkFile(tmp_path / "b.json")
    first.load()
    with pytest.raises(InvalidInput) as told:
        second.load()
    assert told.value.code == "detect.follow_twice"
    first.close()
    assert second.load() == []
    second.close()


def test_bookmarks_that_cannot_be_read_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(b'{"version":2,"files":[]}')
    for body in (path.read_bytes(), b"nonsense"):
        path.write_bytes(body)
        kept = BookmarkFile(path)
        with pytest.raises(InvalidInput) as told:
            kept.load()
        assert (told.value.code, path.read_bytes()) == ("detect.bookmarks_unusable", body)
        kept.close()


def test_only_their_owner_reads_the_bookmarks(bench: Bench) -> None:
    bench.write("a.log", lines(1))
    bench.settle()
    assert bench.bookmarks.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "of", "is_it"),
    [
        ("app.log.1", "app.log", True),
        ("app.log.12.gz", "app.log", True),
        ("app.log-20260302.zst", "app.log", True),
        ("app-20260302.log.gz", "app.log", True),
        ("app.log.old", "app.log", True),
        ("app.log", "app.log", False),
        ("app-errors.log", "app.log", False),
        ("app.log.sample", "app.log", False),
    ],
)
def test_the_names_that_rotation_gives(name: str, of: str, is_it: bool) -> None:
    assert is_rotated(name, of) is is_it
