"""A member of the region that has turned: its real keys and its place in the charter, and none of its rules.

It takes the port of the node whose keys it has, answers every feed with whatever lines the test gives
it, and can post frames and signed requests as that member.
"""

from __future__ import annotations

import base64
import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson

from istmo.cli.demo.region import RunningNode
from istmo.federation import statement
from istmo.federation.frames import ENVELOPES, HEARTBEAT, KIND
from istmo.kit.signed import SignedAuth, nonce_of
from istmo.ledger import keys as node_keys
from istmo.ledger.envelope import Envelope, Header, commitment_of, pae
from istmo.model import instants
from istmo.model.markings import Tlp

AMBER = (Tlp.AMBER.marking_id,)


@dataclass
class Chain:
    """The delivery chain to one victim, as the attacker carries it on."""

    count: int
    sequence: int
    head: bytes


class Attacker:
    """Holds the keys of ``node``, which must have been stopped."""

    def __init__(self, node: RunningNode, victims: Iterable[RunningNode]) -> None:
        self._victims = {node_keys.load(one.settings.keys).keyid: one.settings.member for one in victims}
        self.keys = node_keys.load(node.settings.keys)
        self.member = node.settings.member
        self.port = node.settings.port
        self.chains: dict[str, Chain] = {}
        self.feeds: dict[str, queue.Queue[tuple[str, Any]]] = {}
        self.opened: dict[str, int] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Give the port back."""
        for feed in self.feeds.values():
            feed.put(("end", None))
        self._http.shutdown()
        self._http.server_close()

    def who(self, headers: dict[str, str]) -> str:
        """Which victim signed a request."""
        given = headers["signature-input"]
        return next(member for keyid, member in self._victims.items() if keyid in given)

    def take_over(self, victim: str) -> queue.Queue[tuple[str, Any]]:
        """The queue of a feed just opened; an older feed of the victim's is dead and ends."""
        older, newer = self.feeds.get(victim), queue.Queue[tuple[str, Any]]()
        self.feeds[victim] = newer
        if older is not None:
            while not older.empty():
                newer.put(older.get_nowait())
            older.put(("end", None))
        return newer

    # --- what it sends -----------------------------------------------------------------------

    def envelope(
        self, victim: str, type: str, payload: bytes, sequence: int, **fields: Any
    ) -> tuple[Envelope, bytes]:
        """An envelope that is signed well, whatever it says; and its commitment."""
        salt = os.urandom(32)
        values = {
            "origin": self.member,
            "sequence": sequence,
            "type": type,
            "audience": tuple(sorted({self.member, victim})),
            "markings": AMBER,
            "lane": "normal",
            "expires": None,
            "purpose": "",
            "created": datetime.now(UTC),
            "seal": "none",
            **fields,
        }
        header = Header.of_body(salt + payload, **values).encode()
        signed = Envelope(header, self.keys.keyid, self.keys.sign(pae(header)), salt + payload)
        return signed, commitment_of(salt, header)

    def item(self, victim: str, type: str, payload: bytes, **fields: Any) -> dict[str, Any]:
        """One delivery that continues the chain to ``victim``."""
        chain = self.chains[victim]
        sequence = chain.sequence + 1
        signed, commitment = self.envelope(victim, type, payload, fields.pop("sequence", sequence), **fields)
        chain.count, chain.sequence = chain.count + 1, sequence
        chain.head = hashlib.sha256(chain.head + commitment).digest()
        return {
            "number": chain.count,
            "sequence": sequence,
            "commitment": base64.b64encode(commitment).decode(),
            "envelope": signed.to_json(),
        }

    def frame(
        self,
        victim: str,
        *items: dict[str, Any],
        session: str,
        kind: str = ENVELOPES,
        chain: Chain | None = None,
    ) -> bytes:
        """A frame, signed."""
        chain = chain or self.chains[victim]
        value = {
            "v": 1,
            "kind": kind,
            "origin": self.member,
            "recipient": victim,
            "session": session,
            "created": instants.format(datetime.now(UTC)),
            "charter": 0,
            "chain": {"count": chain.count, "sequence": chain.sequence, "head": chain.head.hex()},
            "items": list(items),
            "checkpoint": "",
            "refused": [],
        }
        return statement.sign(self.keys, KIND, value)

    def heartbeat(self, victim: str, session: str) -> bytes:
        return self.frame(victim, session=session, kind=HEARTBEAT)

    def tell(self, victim: str, make: Callable[[str], Iterable[bytes]]) -> None:
        """Send ``make(session)``'s lines down the victim's open feed, now or when it opens one."""
        self.feeds.setdefault(victim, queue.Queue()).put(("lines", make))

    def send(self, victim: str, type: str, payload: bytes, **fields: Any) -> int:
        """One delivery down the feed; its sequence."""
        item = self.item(victim, type, payload, **fields)
        after = replace(self.chains[victim])  # as it stands after this item, whatever is made before it goes
        self.tell(victim, lambda session: [self.frame(victim, item, session=session, chain=after)])
        return int(item["sequence"])

    def ask(self, url: str, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        """A signed request as this member."""
        with httpx.Client(base_url=url, auth=SignedAuth(self.keys), trust_env=False, timeout=60) as http:
            return http.request(method, path, content=content)


def _handler(attacker: Attacker) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            return

        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            if path != "/federation/v1/feed":
                self._answer({"charters": []})
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            if "signature-input" not in headers:
                self._answer({"error": {"code": "signed.stale", "params": {"challenge": "x"}}}, 401)
                return
            self._feed(attacker.who(headers), nonce_of(headers), query)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self._answer({"acknowledged": 0})

        def _answer(self, value: dict[str, Any], status: int = 200) -> None:
            body = orjson.dumps(value)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _feed(self, victim: str, session: str, query: dict[str, list[str]]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            head = bytes.fromhex(query["head"][0])
            attacker.chains.setdefault(victim, Chain(int(query["after"][0]), int(query["sequence"][0]), head))
            feed = attacker.take_over(victim)
            attacker.opened[victim] = attacker.opened.get(victim, 0) + 1
            try:
                while True:
                    try:
                        what, make = feed.get(timeout=0.5)
                    except queue.Empty:
                        self.wfile.write(b": still here\n\n")
                        self.wfile.flush()
                        continue
                    if what == "end":
                        return
                    for line in make(session):
                        self.wfile.write(b"data: " + line + b"\n\n")
                    self.wfile.flush()
            except OSError:
                return  # the victim hung up

    return Handler
