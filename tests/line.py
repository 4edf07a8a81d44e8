"""The line between two nodes, as a program that the test can cut, and that can say again what it carried."""

from __future__ import annotations

import select
import socket
import threading


class Carried:
    """What becomes of the bytes of one connection: they are passed on as they are."""

    def asked(self, data: bytes) -> bytes:
        """Bytes from the side that dialled."""
        return data

    def answered(self, data: bytes) -> bytes:
        """Bytes from the side that was dialled."""
        return data


class Proxy:
    """A line between two nodes that can be cut: at once, after some bytes of answer, for a while."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.target: tuple[str, int] = ("", 0)
        self.cut_after: int | None = None
        """Bytes of answer after which the next connections are cut, each."""
        self.is_down = False
        self.cuts = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def carried(self) -> Carried:
        """What handles the bytes of a new connection."""
        return Carried()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.is_down:
                near.close()
                continue
            try:
                far = socket.create_connection(self.target, 5)
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        left, carried = self.cut_after, self.carried()
        with self._lock:
            self._open |= {near, far}
        try:
            while True:
                ready, _, _ = select.select([near, far], [], [], 30)
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    if one is near:
                        far.sendall(carried.asked(data))
                        continue
                    data = carried.answered(data)
                    if left is not None and len(data) >= left:
                        near.sendall(data[:left])
                        self.cuts += 1
                        return
                    left = None if left is None else left - len(data)
                    near.sendall(data)
        except OSError:
            return
        finally:
            with self._lock:
                self._open -= {near, far}
            near.close()
            far.close()

    def cut(self) -> None:
        """Cut every open connection."""
        with self._lock:
            for one in list(self._open):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def close(self) -> None:
        self._listener.close()
        self.cut()


class Recorder(Proxy):
    """A line that keeps what it carried and can say it again, to either side."""

    def __init__(self) -> None:
        self.times = 1
        """How often each event of a stream is passed on."""
        self.events: list[bytes] = []
        """The events with envelopes in them, as they were carried: HTTP chunks."""
        self.connections: list[_Recorded] = []
        self.replayed = 0
        self._is_replaying = False
        super().__init__()

    def carried(self) -> Carried:
        return _Recorded(self)

    def replay(self) -> None:
        """Let the next stream begin with all that the streams before it carried."""
        self._is_replaying = True

    def beginning(self) -> bytes:
        """What a new stream says first: nothing, or, once, the old events."""
        if not self._is_replaying or not self.events:
            return b""
        self._is_replaying = False
        self.replayed += len(self.events)
        return b"".join(self.events)

    def ask_again(self, path: str) -> list[int]:
        """Send the recorded requests for ``path`` anew, byte for byte; the statuses that they are given.

        Those alone that were answered: what a cut kept from arriving would arrive for the first time.
        """
        found = [
            (head, body)
            for one in self.connections
            for head, body in requests_in(bytes(one.said))[: one.answers]
            if head.split(b" ", 2)[1].split(b"?")[0] == path.encode() and b"signature-input:" in head.lower()
        ]
        statuses = []
        for head, body in found:
            with socket.create_connection(self.target, 10) as far:
                far.sendall(head + body)
                statuses.append(int(far.recv(65536).split(b" ", 2)[1]))
        return statuses


def requests_in(said: bytes) -> list[tuple[bytes, bytes]]:
    """The whole requests (head, body) in what one connection carried."""
    found = []
    while b"\r\n\r\n" in said:
        head, _, rest = said.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        if len(rest) < length:
            break
        found.append((head + b"\r\n\r\n", rest[:length]))
        said = rest[length:]
    return found


class _Recorded(Carried):
    """One connection: its requests are kept; where its answer is an event stream, so are its events."""

    def __init__(self, line: Recorder) -> None:
        self._line, self.said = line, bytearray()
        """All that the dialling side said."""
        self.answers = 0
        """Requests that an answer has begun to."""
        line.connections.append(self)
        self._held = b""
        self._is_stream = False

    def asked(self, data: bytes) -> bytes:
        self.said += data
        return data

    def answered(self, data: bytes) -> bytes:
        out = b""
        if not self._is_stream and data.startswith(b"HTTP/1.1 "):
            self.answers += 1
        if not self._is_stream:
            head, end, rest = data.partition(b"\r\n\r\n")
            if b"text/event-stream" not in head:
                return data
            self._is_stream = True
            out, data = head + end + self._line.beginning(), rest
        self._held += data
        while chunk := self._whole_chunk():
            if b'"kind":"envelopes"' in chunk:
                self._line.events.append(chunk)
                out += chunk * self._line.times
            else:
                out += chunk
        return out

    def _whole_chunk(self) -> bytes:
        """The next HTTP chunk, its size and its end with it, once all of it is there."""
        size, end, _ = self._held.partition(b"\r\n")
        length = len(size) + 2 + int(size, 16) + 2 if end else len(self._held) + 1
        if length > len(self._held):
            return b""
        chunk, self._held = self._held[:length], self._held[length:]
        return chunk
