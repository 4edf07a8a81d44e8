"""What the text of a message may be."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.intake.listeners.conftest import network_source
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.listeners.messages import Sent, SyslogMessages
from istmo.detect.normalise import normalise
from istmo.detect.wire import WireSource
from istmo.settings import Limits

LIMITS = Limits()
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HEAD = b"<134>1 2026-03-02T09:00:00Z fw1 %b - - - "


def taken(message: bytes, source: WireSource | None = None) -> dict[str, object]:
    arrived = Arrivals(LIMITS)
    SyslogMessages(LIMITS).take(arrived, message, Sent(source or network_source(), "192.0.2.1", NOW))
    ((raw, _),) = arrived.events
    event: dict[str, object] = orjson.loads(raw)
    return event


def kinds(event: dict[str, object]) -> list[str]:
    return ["/".join(source) for source in normalise(event).logsources]


@pytest.mark.parametrize(
    ("program", "text", "logsource", "fields"),
    [
        (b"-", b"CEF:0|a|b|1|2|n|3|src=192.0.2.7 dst=192.0.2.8 dpt=23", "firewall//", {"dst_port": "23"}),
        (
            b"-",
            b"LEEF:1.0|a|b|1|2|src=192.0.2.7\tdst=192.0.2.8\tdstPort=23",
            "firewall//",
            {"dst_port": "23"},
        ),
        (
            b"-",
            b'date=2026-03-02 time=09:00:00 devname="fw1" devid="F" logid="1" type="traffic" srcip=192.0.2.7',
            "firewall/fortigate/traffic",
            {"src_ip": "192.0.2.7"},
        ),
        (
            b"suricata",
            b'@cee: {"event_type":"dns","timestamp":"2026-03-02T09:00:00+0000","flow_id":1,'
            b'"src_ip":"192.0.2.7","dns":{"type":"query","rrname":"a.example"}}',
            "dns//",
            {},
        ),
        (
            b"nginx",
            b'192.0.2.9 - - [02/Mar/2026:09:00:00 +0000] "GET /a HTTP/1.1" 200 1 "-" "c"',
            "webserver//",
            {"c-ip": "192.0.2.9"},
        ),
        (
            b"audispd",
            b'type=EXECVE msg=audit(1772442000.125:417): argc=2 a0="id" a1="-u"',
            "/linux/auditd",
            {"a0": "id"},
        ),
    ],
    ids=["cef", "leef", "pairs", "json", "web server", "auditd"],
)
def test_a_text_of_another_format_is_read_as_that(
    program: bytes, text: bytes, logsource: str, fields: dict[str, object]
) -> None:
    message = HEAD % program + text
    event = taken(message)
    assert any(one.startswith(logsource.rstrip("/")) or one == logsource for one in kinds(event))
    assert fields.items() <= normalise(event).fields.items()
    assert event["hostname"] == "fw1"
    assert event["event.original"] == message.decode()


def test_mere_text_stays_text() -> None:
    event = taken(HEAD % b"app" + b"a=b is not what pairs look like")
    assert event["message"] == "a=b is not what pairs look like"
    assert kinds(event) == ["/linux/syslog"]


def test_what_a_source_is_said_to_send_counts_more_than_what_it_looks_like() -> None:
    line = HEAD % b"app" + b"user=ana logid=1 a=b c=d"
    assert taken(line)["user"] == "ana"
    assert "user" not in taken(line, network_source(form="syslog"))
    assert taken(HEAD % b"app" + b'{"a":1}', network_source(form="json"))["a"] == 1


def test_structured_data_are_fields() -> None:
    line = b'<165>1 2026-03-02T09:00:00Z h p - m [exampleSDID@32473 iut="3" e="A \\"b\\]"][x@1 y="z"] text'
    event = taken(line)
    assert event["sd.exampleSDID@32473.iut"] == "3"
    assert event["sd.exampleSDID@32473.e"] == 'A "b]'
    assert event["sd.x@1.y"] == "z"
    assert (event["message"], event["msgid"]) == ("text", "m")


@pytest.mark.parametrize(
    ("line", "host", "program", "time"),
    [
        (b"<166>Mar 02 2026 08:59:00 fw1 : %ASA-6-302013: Built", "fw1", "ASA", "2026-03-02 08:59:00"),
        (b"<189>45: R1: *Mar  1 18:46:11.123: %LINK-3-UPDOWN: x", "R1", "LINK", "2026-03-01 18:46:11"),
        (b"<189>45: Mar  1 18:46:11 UTC: %SYS-5-C_I: x", "192.0.2.1", "SYS", "2026-03-01 18:46:11Z"),
    ],
)
def test_ciscos_heads_are_read(line: bytes, host: str, program: str, time: str) -> None:
    event = taken(line)
    assert (event["hostname"], event["program"], event["timestamp"]) == (host, program, time)


@given(st.binary(min_size=1).map(lambda data: data.strip(b"\r\n\0")).filter(bool))
def test_every_message_becomes_one_event_that_can_be_normalised(message: bytes) -> None:
    for source in (network_source(zone="America/Guatemala"), network_source(form="cef")):
        normalise(taken(message, source))
