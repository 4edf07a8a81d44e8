"""Lines that are no JSON keep their very text."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.intake.texts import text_event
from istmo.detect.normalise import normalise
from istmo.detect.normalise.lines import line_reader

LINE = b"<34>Oct 11 22:14:15 web1 sshd[8]: Failed password for root from 203.0.113.7 port 22 ssh2"


def test_the_line_rests_beside_what_was_read_of_it_and_rules_see_the_same_fields() -> None:
    read = line_reader("syslog", datetime(2026, 3, 2, tzinfo=UTC)).read(LINE)
    assert read is not None
    event = text_event(read, LINE)
    assert event["event.original"] == LINE.decode()
    assert normalise(event).fields == normalise(read).fields
    assert normalise(event).logsources == normalise(read).logsources


@given(st.binary())
def test_no_byte_of_any_line_is_lost(line: bytes) -> None:
    event = text_event({"message": "of it"}, line)
    text = event.get("event.original", event["message"])
    assert text.encode(event.get("istmo.encoding", "utf-8")) == line or line == b"of it"
