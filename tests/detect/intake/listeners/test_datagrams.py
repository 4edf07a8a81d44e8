"""Syslog and GELF as datagrams."""

from __future__ import annotations

import gzip
import random
import socket
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.intake.listeners.conftest import HERE, Rig, network_source
from istmo.clock import ManualClock
from istmo.detect.intake.listeners.chunks import MOST_OPEN, SECONDS, Chunks
from istmo.errors import InvalidInput, TooLarge
from istmo.settings import Limits

GELF = b'{"version":"1.1","host":"web1","short_message":"Corrupted MAC on input","_application_name":"sshd"}'
LIMITS = Limits()


def chunked(message: bytes, size: int, name: bytes = b"8 octets") -> list[bytes]:
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return [b"\x1e\x0f" + name + bytes([at, len(parts)]) + part for at, part in enumerate(parts)]


@pytest.mark.parametrize(
    "datagram",
    [
        b"<34>Mar  2 09:00:01 web1 sshd[8]: Accepted\n",
        b"<34>1 2026-03-02T09:00:01Z web1 sshd 8 - - \xef\xbb\xbfAccepted\0",
        b"\xef\xbb\xbfMar  2 09:00:01 web1 sshd[8]: Accepted",
    ],
    ids=["3164", "5424", "no priority"],
)
def test_a_datagram_is_a_message_whatever_ends_it(rig: Rig, datagram: bytes) -> None:
    rig.start()
    rig.send("syslog_udp", datagram)
    (event,) = rig.events(1)
    assert (event["hostname"], event["program"], event["message"]) == ("web1", "sshd", "Accepted")


def test_a_message_that_names_no_host_is_of_the_address_it_came_from(rig: Rig) -> None:
    rig.start()
    rig.send("syslog_udp", b"<13>just words")
    (event,) = rig.events(1)
    assert (event["hostname"], event["message"], event["facility"]) == (HERE, "just words", 1)


def test_a_sender_in_no_network_is_counted_and_not_kept(rig: Rig) -> None:
    rig.start(network_source(addresses=["192.0.2.0/24"]))
    rig.send("syslog_udp", b"<13>a")
    told = []
    rig.until(lambda: told or (told.append(one) if (one := rig.do(rig.denials.take)) else None))
    assert told[0].params["problem"] == "detect.address_unknown"
    assert rig.log.head.events == 0


def test_datagrams_past_a_sources_rate_are_counted(rig: Rig, clock: ManualClock) -> None:
    rig.start(network_source(rate=3))
    for _ in range(5):
        rig.send("syslog_udp", b"<13>a")
    assert rig.refused("detect.rate_exceeded") == {"detect.rate_exceeded": 2}
    assert len(rig.events(3)) == 3


def test_what_the_kernel_had_no_room_for_is_told(rig: Rig) -> None:
    rig.start()
    port = rig.listeners._datagrams["syslog_udp"]
    port._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    def flood() -> None:  # in the listeners' own thread: meanwhile they cannot read
        for _ in range(200):
            rig.send("syslog_udp", b"<13>" + b"x" * 1_000)

    rig.do(flood)
    rig.events(1)
    rig.send("syslog_udp", b"<13>last")  # the kernel tells of what was lost beside the next that was not
    rig.until(lambda: port.dropped)
    (notice,) = rig.do(rig.listeners.take_notices)
    assert notice.code == "detect.datagrams_dropped"
    assert notice.params["listener"] == "syslog_udp"
    rig.until(lambda: rig.log.head.events + int(notice.params["n"]) >= 201)


@pytest.mark.parametrize("pack", [lambda whole: whole, zlib.compress, gzip.compress])
def test_gelf_comes_whole_or_packed_and_in_chunks_in_any_order(rig: Rig, pack: object) -> None:
    assert callable(pack)
    rig.start()
    rig.send("gelf_udp", pack(GELF))
    pieces = chunked(pack(GELF), 20)
    random.Random(1).shuffle(pieces)
    for piece in [*pieces, pieces[0]]:
        rig.send("gelf_udp", piece)
    assert rig.events(2) == [rig.events(2)[0]] * 2
    assert rig.events(2)[0]["application_name"] == "sshd"


def test_chunks_that_do_not_come_in_time_are_given_up_and_counted(rig: Rig, clock: ManualClock) -> None:
    rig.start()
    first, *_ = chunked(GELF, 20)
    rig.send("gelf_udp", first)
    rig.send("gelf_udp", first[:11] + b"\0x")
    assert "detect.gelf_chunk" in rig.refused("detect.gelf_chunk")
    clock.advance(SECONDS + 1)
    assert rig.refused("detect.gelf_incomplete") == {"detect.gelf_incomplete": 1}


@given(st.binary(min_size=1, max_size=2_000), st.integers(17, 300), st.randoms())
def test_chunks_make_the_message_in_any_order(message: bytes, size: int, chance: random.Random) -> None:
    pieces = chunked(b"{" + message, size)
    chance.shuffle(pieces)
    chunks = Chunks(LIMITS)
    *before, last = [chunks.take(piece, HERE, 0.0) for piece in pieces]
    assert not any(before)
    assert last == b"{" + message


def test_senders_do_not_reach_into_one_anothers_messages() -> None:
    chunks = Chunks(LIMITS)
    first, second = chunked(GELF, len(GELF) // 2 + 1)
    assert chunks.take(first, "192.0.2.1", 0.0) is None
    assert chunks.take(second, "192.0.2.2", 0.0) is None
    assert chunks.take(second, "192.0.2.1", 0.0) == GELF


def test_memory_for_messages_that_never_end_is_bounded() -> None:
    chunks = Chunks(LIMITS)
    for number in range(MOST_OPEN + 5):
        chunks.take(b"\x1e\x0f" + number.to_bytes(8, "big") + b"\0\x02x", HERE, 0.0)
    assert chunks.take_given_up(0.0) == [HERE] * 5


def test_what_unpacks_to_too_much_and_what_is_packed_wrong_is_refused() -> None:
    chunks = Chunks(LIMITS)
    with pytest.raises(TooLarge):
        chunks.take(zlib.compress(b" " * (LIMITS.line_bytes + 1)), HERE, 0.0)
    with pytest.raises(InvalidInput):
        chunks.take(b"\x78\x9cxxxx", HERE, 0.0)
    with pytest.raises(InvalidInput):
        chunks.take(zlib.compress(GELF)[:-4], HERE, 0.0)


def test_times_of_receipt_are_the_nodes_own(rig: Rig, clock: ManualClock) -> None:
    assert clock.now() == datetime(2026, 3, 2, 9, tzinfo=UTC)
    rig.start()
    rig.send("syslog_udp", b"<34>Dec 31 23:59:59 web1 a: x")
    (event,) = rig.events(1)
    assert event["timestamp"] == "2025-12-31 23:59:59"
