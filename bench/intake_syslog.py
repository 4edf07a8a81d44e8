"""Syslog over TCP into a real worker, on one core: messages a second, from the first octet to all on disk.

``python bench/intake_syslog.py [--messages 200000] [--connections 4]`` prints a line for each way of framing
and kind of message, and beside it the floor: the same octets read from a socket and thrown away.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from measure import finish

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from peers.conftest import Receiver

RFC5424 = (
    "<34>1 2026-03-02T09:00:{:02}.125Z web{} sshd {} - - Failed password for u{} from 203.0.113.7 port {}"
)
RFC3164 = "<34>Mar  2 09:00:{:02} web{} sshd[{}]: Failed password for u{} from 203.0.113.7 port {}"
CEF = "<13>Mar  2 09:00:{:02} fw{} CEF:0|a|b|1|{}|n{}|3|src=203.0.113.7 spt={} dst=198.51.100.4 dpt=23"
KINDS = {"RFC 5424": RFC5424, "RFC 3164": RFC3164, "CEF": CEF}


def stream(form: str, number: int, *, is_counted: bool) -> bytes:
    """A connection's octets; no two messages are the same."""
    made = (form.format(one % 60, one % 50, one, one % 997, one % 65_536).encode() for one in range(number))
    if is_counted:
        return b"".join(b"%d %b" % (len(one), one) for one in made)
    return b"".join(one + b"\n" for one in made)


def send(port: int, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(data)


def floor(data: bytes) -> float:
    """Seconds to read the octets and split them at newlines, in a process that does nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = threading.Thread(target=send, args=(listener.getsockname()[1], data))
        sender.start()
        connection, _ = listener.accept()
        began, lines = time.perf_counter(), 0
        with connection:
            while piece := connection.recv(65_536):
                lines += len(piece.split(b"\n"))
        sender.join()
        return time.perf_counter() - began


def measure(form: str, messages: int, connections: int, *, is_counted: bool) -> tuple[float, float]:
    """(seconds, CPU seconds of the worker) until all messages are on disk."""
    with tempfile.TemporaryDirectory(prefix="istmo-bench-") as folder:
        receiver = Receiver(Path(folder) / "d")
        receiver.listen()
        try:
            assert receiver.process is not None
            os.sched_setaffinity(receiver.process.pid, {0})
            data = stream(form, messages // connections, is_counted=is_counted)
            senders = [
                threading.Thread(target=send, args=(receiver.syslog_tcp, data)) for _ in range(connections)
            ]
            began = time.perf_counter()
            for sender in senders:
                sender.start()
            wanted = messages // connections * connections
            while receiver.stats().events < wanted:
                time.sleep(0.05)
            took = time.perf_counter() - began
            for sender in senders:
                sender.join()
            ticks = Path(f"/proc/{receiver.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            return took, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        finally:
            receiver.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="10,000 messages")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.quick:
        asked.messages = 10_000
    result: dict[str, Any] = {"messages": asked.messages, "connections": asked.connections}
    ratios: list[float] = []
    for name, form in KINDS.items():
        bare = asked.messages / floor(stream(form, asked.messages, is_counted=False))
        for is_counted in (True, False):
            took, used = measure(form, asked.messages, asked.connections, is_counted=is_counted)
            rate = asked.messages / took
            way = "counted" if is_counted else "lines"
            ratios.append(bare / rate)
            result[f"{name}, {way}"] = {
                "per_s": round(rate),
                "cpu_us": round(used / asked.messages * 1e6, 1),
                "bare_socket_per_s": round(bare),
            }
    finish(
        result, asked.json, f"ratio: a bare socket takes {min(ratios):.0f} to {max(ratios):.0f} times as many"
    )


if __name__ == "__main__":
    main()
