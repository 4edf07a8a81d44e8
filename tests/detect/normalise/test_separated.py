"""Tables of values with a separator: the header is found by looking, and every record is an event."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.normalise import normalise
from istmo.detect.reading import FileProblem, Line, LineLogs, LogEvents, form_of, open_events
from istmo.settings import Limits

LIMITS = Limits()
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PLAIN = b"time,user,action\n2026-03-02 09:00:00,ana,login\n2026-03-02 09:00:05,,logout\n"


def read(body: bytes, path: Path, form: str = "") -> tuple[list[Line], list[FileProblem]]:
    path.write_bytes(body)
    found = list(open_events(path, LIMITS, None, LineLogs(NOW, form)))
    return [one for one in found if isinstance(one, Line)], [
        one for one in found if isinstance(one, FileProblem)
    ]


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (PLAIN, "csv"),
        (PLAIN.replace(b",", b";"), "csv"),
        (PLAIN.replace(b",", b"\t"), "csv"),
        (PLAIN.replace(b",", b"|"), "csv"),
        (b"\xef\xbb\xbf" + PLAIN, "csv"),
        (b"sep=;\n" + PLAIN.replace(b",", b";"), "csv"),
        (b'#TYPE Selected.Event\n"Id","Message"\n"4624","a\nb"\n"4625","c"\n', "csv"),
        (b"date,src_ip,dst_ip\n", "csv"),
        (b"2026-03-02,ana,login\n2026-03-03,eva,login\n", ""),
        (b"error,disk full,sda\nerror,disk full,sdb\n", ""),
        (b"Dear all, thank you\nBest wishes, Ana\n", ""),
        (b"first, we look\nthen, we leap, and that is all\n", ""),
    ],
)
def test_a_header_is_found_by_looking(head: bytes, form: str) -> None:
    assert form_of(head) == form


def test_each_record_is_an_event_by_the_headers_names(tmp_path: Path) -> None:
    lines, problems = read(PLAIN, tmp_path / "a.csv")
    assert problems == []
    assert [one.data for one in lines] == [
        {"time": "2026-03-02 09:00:00", "user": "ana", "action": "login"},
        {"time": "2026-03-02 09:00:05", "action": "logout"},
    ]
    assert [one.raw for one in lines] == PLAIN.splitlines()[1:]


def test_a_value_in_quotes_may_hold_separators_quotes_and_lines(tmp_path: Path) -> None:
    body = b'Id,Message,User\r\n1,"a ""b"", c\r\n\r\nd",ana\r\n2,x,eva\r\n'
    lines, problems = read(body, tmp_path / "a.csv")
    assert problems == []
    assert [one.data for one in lines] == [
        {"Id": "1", "Message": 'a "b", c\n\nd', "User": "ana"},
        {"Id": "2", "Message": "x", "User": "eva"},
    ]
    assert [one.number for one in lines] == [2, 5]


def test_what_powershell_writes_is_a_windows_event(tmp_path: Path) -> None:
    text = '"TimeCreated";"Event ID";"Channel"\r\n"2026-03-02 09:00:00";"4624";"Security"\r\n'
    lines, _ = read(text.replace("Event ID", "EventID").encode("utf-16"), tmp_path / "a.csv")
    assert lines[0].data is not None
    event = normalise(lines[0].data)
    assert (event.fields["EventID"], event.fields["Channel"]) == (4624, "Security")
    assert event.time == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_a_line_that_is_no_record_is_kept_and_told(tmp_path: Path) -> None:
    lines, problems = read(PLAIN + b"a,b,c,d\n(3 rows)\nmessage\n", tmp_path / "a.csv", "csv")
    assert [one.data for one in lines[2:]] == [
        {"message": "a,b,c,d"},
        {"message": "(3 rows)"},
        {"message": "message"},
    ]
    assert [(one.line, one.error.code) for one in problems] == [
        (4, "detect.line_other_form"),
        (5, "detect.line_other_form"),
        (6, "detect.line_other_form"),
    ]


def test_a_column_called_message_alone_is_no_strange_line(tmp_path: Path) -> None:
    lines, problems = read(b"time,message\n,hello\n", tmp_path / "a.csv", "csv")
    assert (lines[0].data, problems) == ({"time": "", "message": "hello"}, [])


def test_a_quote_that_nothing_closes_costs_its_own_lines_alone(tmp_path: Path) -> None:
    body = b"a,b\n" + b'1,"open\n' + b"2,x\n" * 600
    lines, _ = read(body, tmp_path / "a.csv", "csv")
    assert lines[-1].data == {"a": "2", "b": "x"}
    assert sum(one.raw.count(b"\n") + 1 for one in lines) == 601


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\0\ufeff", exclude_categories=["Cs"]), max_size=12
)


@given(
    rows=st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=8),
    separator=st.sampled_from(",;\t|"),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_what_a_writer_of_csv_wrote_is_read(rows: list[list[str]], separator: str, cuts: list[int]) -> None:
    """For all values: the writer is Python's own."""
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL)
    names = ["time", "user name", "action"]
    writer.writerow(names)
    writer.writerows(rows)
    body = written.getvalue().encode()
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    events = LogEvents("a", "csv", NOW, LIMITS.line_bytes)
    found = [one for start, end in pairwise(places) for one in events.feed(body[start:end])]
    found += events.finish()
    assert [one.data for one in found if isinstance(one, Line)] == [
        {name: value for name, value in zip(names, row, strict=True) if value} for row in rows if row != names
    ]
