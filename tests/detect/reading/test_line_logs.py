"""Logs of lines: their format is found, every line is an event or told, and nothing is lost between."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.normalise import normalise
from istmo.detect.reading import FORMS, FileProblem, Line, LineLogs, LogEvents, form_of, open_events
from istmo.settings import Limits

LIMITS = Limits()
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SYSLOG = b"Mar  1 09:00:00 web1 sshd[24200]: Invalid user op from 192.0.2.9\n"
COMBINED = b'192.0.2.9 - - [02/Mar/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 12 "-" "curl"\n'
APACHE = b"[Sun Dec 04 04:47:44 2005] [error] mod_jk child workerEnv in error state 6\n"
PROXIFIER = b"[10.30 16:49:06] chrome.exe *64 - www.example:443 open through proxy px.example:5070 HTTPS\n"
AUDIT = b"type=SYSCALL msg=audit(1772442000.125:417): syscall=59\n"
JSON = b'{"n":1}\n'


def read(path: Path, form: str = "") -> tuple[list[Line], list[FileProblem]]:
    found = list(open_events(path, LIMITS, None, LineLogs(NOW, form)))
    return (
        [one for one in found if isinstance(one, Line)],
        [one for one in found if isinstance(one, FileProblem)],
    )


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (SYSLOG, "syslog"),
        (b"-- Logs begin at some time --\n" + SYSLOG, "syslog"),
        (COMBINED * 2 + SYSLOG, "combined"),
        (APACHE, "weberror"),
        (PROXIFIER, "proxifier"),
        (AUDIT, "auditd"),
        (b"\xef\xbb\xbf#Software: IIS\n#Fields: a b\n", "w3c"),
        (b"noise\n#separator \\x09\n", "zeek"),
        (JSON, "json"),
        (b'not json\n{"n":1}\n', "json"),
        (b'[\n  {\n "a": "Mar  1 09:00:00 web1 sshd: x"\n}\n]', "json"),
        (b'{"message": "x logid=1 a=1 b=2 c=3 d=4"}', "json"),
        (SYSLOG * 3 + b'{"n":1}\n', "syslog"),
        (b"", "json"),
        (b"# Read me\n\n[a link] and {one line}\n", ""),
    ],
)
def test_the_first_lines_tell_the_form(head: bytes, form: str) -> None:
    assert form_of(head) == form


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_what_windows_tools_write_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    for text, form in (("Mar  1 09:00:00 web1 sshd[8]: ñandú\r\n", "syslog"), ('{"n": "ñandú"}\r\n', "json")):
        path.write_bytes(mark + (text * 20_000).encode(encoding))
        lines, problems = read(path)
        assert ({one.form for one in lines}, len(lines), problems) == ({form}, 20_000, [])
        assert "ñandú".encode() in lines[-1].raw
    path.write_bytes(path.read_bytes()[:-1])
    assert len(read(path)[0]) == 20_000, "half a character at the end costs no more than itself"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_log_is_read_plain_or_packed(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "auth.log"
    path.write_bytes(pack(SYSLOG + b"\n" + b"no syslog at all\n" + SYSLOG))
    lines, problems = read(path)
    assert [(one.number, one.form) for one in lines] == [(1, "syslog"), (3, "syslog"), (4, "syslog")]
    assert [(one.line, one.error.code, one.form) for one in problems] == [
        (3, "detect.line_other_form", "syslog")
    ]
    assert lines[1].data == {"message": "no syslog at all"}, "what has no form is still searched as text"
    assert lines[0].raw == SYSLOG.strip()


def test_somebody_may_say_the_form(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"seen 192.0.2.9 there\n")
    lines, problems = read(path)
    assert (lines, [one.error.code for one in problems]) == ([], ["detect.form_unknown"])
    assert "text" in problems[0].error.params["forms"]
    (line,), problems = read(path, "text")
    assert (line.data, problems) == ({"message": "seen 192.0.2.9 there"}, [])
    path.write_bytes(SYSLOG)
    (line,), (problem,) = read(path, "combined")
    assert (problem.error.params["form"], set(line.data or {})) == ("combined", {"message"})


def test_a_year_that_a_line_leaves_out_is_not_after_the_file_was_written(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.write_bytes(SYSLOG)
    os.utime(path, (datetime(2011, 5, 1, tzinfo=UTC).timestamp(),) * 2)
    (line,), _ = read(path)
    assert line.data is not None
    assert line.data["timestamp"] == "2011-03-01 09:00:00"


def test_records_that_are_one_event_are_told_by_their_first_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    second = AUDIT.replace(b":417", b":418")
    path.write_bytes(AUDIT + AUDIT.replace(b"SYSCALL", b"CWD") + b"what is this\n" + second + second)
    lines, problems = read(path)
    assert [(one.number, one.raw.count(b"\n")) for one in lines] == [(3, 0), (1, 1), (4, 1)]
    assert [one.line for one in problems] == [3]


def test_long_lines_are_cut_or_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.write_bytes(SYSLOG.strip() + b"x" * 70_000 + b"\n" + SYSLOG.strip() + b"x" * LIMITS.line_bytes)
    lines, problems = read(path)
    assert [one.number for one in lines] == [1]
    assert [(one.line, one.error.code) for one in problems] == [
        (1, "detect.line_cut"),
        (2, "detect.line_too_long"),
    ]


def test_without_being_asked_for_logs_none_are_read(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.write_bytes(SYSLOG)
    (found,) = open_events(path, LIMITS)
    assert isinstance(found, FileProblem)
    assert found.error.code == "detect.member_stray"


def test_programs_are_no_logs(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x7fELF\0\0 Mar" + bytes(range(256)))
    assert [one.error.code for one in read(path)[1]] == ["detect.member_stray"]


def test_a_message_without_a_tag_is_a_message() -> None:
    for text, program in (("syslogd 1.4.1: restart.", "syslogd"), (" -- root[2421]: ROOT LOGIN", "--")):
        events = LogEvents("a", "syslog", NOW, LIMITS.line_bytes)
        (line,) = events.feed(f"Mar  1 09:00:00 web1 {text}\n".encode())
        assert isinstance(line, Line)
        assert line.data is not None
        assert (line.data["hostname"], line.data["program"]) == ("web1", program)


def test_proxifier_tells_program_host_and_how_it_ended() -> None:
    events = LogEvents("a", "proxifier", NOW, LIMITS.line_bytes)
    close = b"[2026.03.01 16:49:07] a b.exe - [2001:db8::1]:443 close, 1 bytes sent, 2 bytes (1 KB) received, lifetime <1 sec\n"  # noqa: E501
    first, second = (one.data for one in events.feed(PROXIFIER + close) if isinstance(one, Line))
    assert first is not None
    assert second is not None
    event = normalise(first)
    assert (event.fields["Image"], event.fields["DestinationHostname"]) == ("chrome.exe", "www.example")
    assert (event.time, event.is_time_assumed) == (datetime(2025, 10, 30, 16, 49, 6, tzinfo=UTC), True)
    assert (second["target_host"], second["sent"], second["received"]) == ("[2001:db8::1]", 1, 2)


@given(
    form=st.sampled_from([one for one in FORMS if one != "json"]),
    data=st.lists(
        st.sampled_from([SYSLOG, COMBINED, APACHE, PROXIFIER, AUDIT, JSON, b"\n", b"#Fields: a b\n"])
    ),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_every_line_is_an_event_a_header_or_told_however_it_comes(
    form: str, data: list[bytes], cuts: list[int]
) -> None:
    whole = b"".join(data)
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    events = LogEvents("a", form, NOW, LIMITS.line_bytes)
    found = [one for start, end in pairwise(places) for one in events.feed(whole[start:end])]
    found += events.finish()
    at_once = LogEvents("a", form, NOW, LIMITS.line_bytes)
    again = [*at_once.feed(whole), *at_once.finish()]
    assert found == again or [str(one) for one in found] == [str(one) for one in again]
    given_lines = sum(one.raw.count(b"\n") + 1 for one in found if isinstance(one, Line))
    headers = sum(one.startswith(b"#") for one in data) if form in ("w3c", "zeek") else 0
    if form == "csv":  # the first line, and each that says the same again
        headers = data.count(next((one for one in data if one != b"\n"), b""))
    assert given_lines == sum(one != b"\n" for one in data) - headers


REAL = {
    "unix/OpenSSH_2k.log": ("syslog", 2000),
    "unix/Linux_2k.log": ("syslog", 2000),
    "unix/Apache_2k.log": ("weberror", 2000),
    "unix/Proxifier_2k.log": ("proxifier", 2000),
    "network/zeek-tsv/smb_mapping.log.gz": ("zeek", 393),
    "network/zeek-tsv/rdp.log.gz": ("zeek", 4122),
    "network/zeek-json/rdp.json.gz": ("json", 4122),
    "network/eve/wrccdc-2018.json": ("json", 207),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("file", REAL)
def test_real_logs_come_in_whole(file: str, shared_data: Path) -> None:
    lines, problems = read(shared_data / file)
    assert ({one.form for one in lines}, len(lines)) == ({REAL[file][0]}, REAL[file][1])
    assert problems == []
