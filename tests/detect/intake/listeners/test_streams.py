"""Syslog and GELF over connections."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import orjson
import pytest

from detect.intake.listeners.conftest import Rig, network_source
from istmo.clock import ManualClock
from istmo.detect.wire import WireSource
from istmo.settings import Limits

SSHD = b"<34>Mar  2 09:00:01 web1 sshd[8]: Failed password for root from 203.0.113.7 port 22 ssh2"


def counted(*messages: bytes) -> bytes:
    return b"".join(b"%d %b" % (len(one), one) for one in messages)


@pytest.mark.parametrize(
    "stream",
    [SSHD + b"\n" + SSHD + b"\n", counted(SSHD, SSHD), SSHD + b"\0" + SSHD + b"\0", SSHD + b"\r\n" + SSHD],
    ids=["lines", "counted", "nul", "the last line without its end"],
)
def test_a_message_comes_in_whichever_way_it_is_framed(rig: Rig, stream: bytes) -> None:
    rig.start()
    rig.send("syslog_tcp", stream)
    event, again = rig.events(2)
    assert event == again
    assert event["program"] == "sshd"
    assert event["timestamp"] == "2026-03-02 09:00:01"
    assert event["event.original"] == SSHD.decode()


def test_a_connection_stays_open_and_what_comes_is_stored_at_once(rig: Rig) -> None:
    rig.start()
    with rig.connect("syslog_tcp") as connection:
        for number in range(1, 4):
            connection.sendall(SSHD + b"\n")
            assert len(rig.events(number)) == number


def test_a_message_of_several_lines_stays_one(rig: Rig) -> None:
    rig.start()
    rig.send("syslog_tcp", counted(b"<11>1 2026-03-02T09:00:00Z app1 java 7 - - first\n  at A.b\n  at C.d"))
    (event,) = rig.events(1)
    assert event["message"] == "first\n  at A.b\n  at C.d"


def test_gelf_over_a_connection_ends_with_a_nul(rig: Rig) -> None:
    rig.start()
    message = b'{"version":"1.1","host":"web1","short_message":"x","_n":1.50}'
    rig.send("gelf_tcp", message + b"\0" + message + b"\0")
    event, again = rig.events(2)
    assert event == again
    assert (event["message"], event["n"]) == ("x", 1.5)


def test_who_is_in_no_sources_network_is_hung_up_on_and_counted(rig: Rig, clock: ManualClock) -> None:
    rig.start(network_source(addresses=["192.0.2.0/24"]))
    with rig.connect("syslog_tcp") as connection, pytest.raises(ConnectionError):
        while True:
            connection.sendall(SSHD + b"\n")
    rig.until(lambda: rig.do(lambda: (told := rig.denials.take()) and told.params["n"]))
    assert rig.log.head.events == 0


def test_the_smallest_network_that_holds_an_address_counts(rig: Rig) -> None:
    wide = network_source(id="wide", digest=b"2" * 32)
    rig.start(wide, network_source(id="near", addresses=["127.0.0.1/32"]))
    rig.send("syslog_tcp", SSHD)
    rig.events(1)
    assert rig.do(rig.sources.take_counts)[0].id == "near"


def test_a_source_that_is_taken_away_sends_no_more_on_an_open_connection(rig: Rig) -> None:
    rig.start()
    with rig.connect("syslog_tcp") as connection:
        connection.sendall(SSHD + b"\n")
        rig.events(1)
        rig.do(lambda: rig.sources.replace([]))
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(SSHD + b"\n")
    assert rig.log.head.events == 1


@pytest.mark.parametrize("limits", [Limits(line_bytes=2_000)])
@pytest.mark.parametrize("is_counted", [True, False])
def test_an_over_long_message_is_skipped_and_counted_and_the_next_is_taken(
    rig: Rig, is_counted: bool
) -> None:
    rig.start()
    long = b"<34>" + b"x" * 300_000
    rig.send("syslog_tcp", counted(long, SSHD) if is_counted else long + b"\n" + SSHD + b"\n")
    (event,) = rig.events(1)
    assert event["program"] == "sshd"
    assert rig.refused("detect.line_too_long") == {"detect.line_too_long": 1}


def test_where_the_count_is_lost_the_rest_is_kept_as_text_and_the_connection_ends(rig: Rig) -> None:
    rig.start()
    with rig.connect("syslog_tcp") as connection:
        connection.sendall(counted(SSHD) + b"no count here")
        assert connection.recv(10) == b""
    assert [one["message"] for one in rig.events(2)][1] == "no count here"
    assert "detect.framing_lost" in rig.refused("detect.framing_lost")


def test_who_stops_in_the_middle_of_a_message_is_not_waited_for_for_ever(
    rig: Rig, clock: ManualClock
) -> None:
    rig.start()
    with rig.connect("syslog_tcp") as connection:
        connection.sendall(counted(SSHD) + b"900 <34>half")
        rig.events(1)
        clock.advance(61)
        assert connection.recv(10) == b""
    assert "half" in rig.events(2)[1]["message"]


def test_tcp_waits_while_the_disk_is_full_and_nothing_is_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.start()
    monkeypatch.setattr("istmo.detect.eventstore.log.has_room", lambda *_: False)
    number = 0
    with rig.connect("syslog_tcp") as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        connection.settimeout(0.5)
        message = b"<13>Mar  2 09:00:01 web1 app: " + b"x" * 8_000
        rest = b""
        try:
            while True:
                rest = rest or b"%b %d\n" % (message, number := number + 1)
                rest = rest[connection.send(rest) :]
        except TimeoutError:
            pass  # the window has closed
        assert rig.log.is_full
        monkeypatch.undo()
        connection.settimeout(20)
        connection.sendall(rest)
    said = [int(one["message"].rpartition(" ")[2]) for one in rig.events(number)]
    assert said == list(range(1, number + 1))


def test_a_source_past_its_rate_is_read_more_slowly(rig: Rig, clock: ManualClock) -> None:
    rig.start(network_source(rate=10))
    with rig.connect("syslog_tcp") as connection:
        connection.sendall(SSHD + b"\n")
        rig.events(1)
        wait = rig.do(lambda: rig.listeners._rates.take(network_source(rate=10), 19))
        assert wait == pytest.approx(1.0)


def test_only_a_known_sender_gets_into_memory(rig: Rig) -> None:
    rig.start(network_source(scopes=[]))
    rig.send("syslog_udp", SSHD)
    rig.until(lambda: rig.do(lambda: (told := rig.denials.take()) and told.params["problem"]))
    assert rig.log.head.events == 0


def test_times_are_completed_with_the_zone_of_their_source(rig: Rig) -> None:
    from istmo.detect.normalise import normalise

    source: WireSource = network_source(zone="America/Guatemala")
    rig.start(source)
    rig.send("syslog_tcp", SSHD + b"\n<34>1 2026-03-02T09:00:01+01:00 web1 app - - - x\n")
    without, with_zone = rig.events(2)
    assert without["istmo.zone"] == "America/Guatemala"
    assert normalise(without).time == datetime(2026, 3, 2, 15, 0, 1, tzinfo=UTC)
    assert not normalise(without).is_time_assumed
    assert "istmo.zone" not in with_zone


def test_json_over_a_connection_is_kept_byte_for_byte(rig: Rig) -> None:
    rig.start()
    line = b'{"event_type":"alert","n":1.50}'
    rig.send("syslog_tcp", line + b"\n")
    rig.events(1)
    assert b'"event":' + line in rig.log.folder.wal_path(1).read_bytes()
    assert orjson.loads(line) == rig.events(1)[0]


def test_what_is_on_its_way_when_the_node_stops_is_still_taken(rig: Rig) -> None:
    rig.start()
    with rig.connect("syslog_tcp") as connection:
        connection.sendall(SSHD + b"\n")
        rig.events(1)
        rig.ask_to_stop()
        assert connection.recv(10) == b""  # this is how a sender learns of it
        connection.sendall(SSHD + b"\n" + SSHD)
    rig.wait_stopped()
    assert rig.log.head.events == 3
