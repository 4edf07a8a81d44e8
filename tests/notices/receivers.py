"""Who receives: a real HTTP listener and a real SMTP server, on loopback, each with what it was given."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hook:
    """A listener for webhooks. ``answers`` are given in turn, the last for ever."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=lambda: [204])


@contextmanager
def hook(trust: ssl.SSLContext | None = None) -> Iterator[Hook]:
    """A program that takes webhooks; by TLS with a certificate of its own."""
    told = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.got.append((dict(self.headers), body))
            status = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if trust:
            server.socket = trust.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        told.url = f"http{'s' if trust else ''}://127.0.0.1:{server.server_address[1]}/avisos"
        yield told
        server.shutdown()


@dataclass
class Mailbox:
    """A mail server's ear. ``refuses``: the reply to RCPT, where it takes none."""

    port: int = 0
    got: list[tuple[str, list[str], str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    was_sealed: list[bool] = field(default_factory=list)
    refuses: str = ""


@contextmanager
def mailbox(trust: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """A small SMTP server (RFC 5321) that offers STARTTLS and AUTH PLAIN where it has a certificate."""
    told = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")
            self.wfile.flush()

        def handle(self) -> None:
            sender, to, is_sealed = "", [], False
            self.say("220 prueba ESMTP")
            while line := self.rfile.readline(2000):
                text = line.decode().rstrip("\r\n")
                verb = text.split(" ")[0].upper()
                if verb == "EHLO":
                    self.say("250-prueba")
                    extra = ["AUTH PLAIN"] if is_sealed else ["STARTTLS"] if trust else []
                    for one in extra:
                        self.say(f"250-{one}")
                    self.say("250 SIZE 1000000")
                elif verb == "STARTTLS" and trust:
                    self.say("220 go on")
                    sealed = trust.wrap_socket(self.connection, server_side=True)
                    self.connection, is_sealed = sealed, True
                    self.rfile, self.wfile = sealed.makefile("rb"), sealed.makefile("wb")
                elif verb == "AUTH":
                    told.logins.append(text.rpartition(" ")[2])
                    self.say("235 welcome")
                elif verb == "MAIL":
                    sender = text
                    self.say("250 ok")
                elif verb == "RCPT":
                    if told.refuses:
                        self.say(told.refuses)
                    else:
                        to.append(text)
                        self.say("250 ok")
                elif verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(part)
                    told.got.append((sender, to, b"".join(lines).decode()))
                    told.was_sealed.append(is_sealed)
                    self.say("250 kept")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

        def finish(self) -> None:
            with suppress(OSError, ValueError):
                super().finish()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        told.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield told
        server.shutdown()
