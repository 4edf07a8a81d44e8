"""What a request carries: read from those alone who may send it, and refused in words when it is broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from web_site import HOST, Site, make_site

from istmo.clock import ManualClock
from istmo.kit import signed
from istmo.ledger import keys as node_keys
from istmo.ledger.keys import NodeKeys


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


@dataclass
class Sending:
    """A request whose body never ends; how much of it the application took, and what it answered."""

    site: Site
    method: str
    path: str
    headers: dict[str, str]
    piece: bytes = b"x" * 65_536
    pieces: int = 10_000
    leaves: bool = False
    """Whether the sender goes away after its pieces, in the middle of the body."""
    taken: int = 0
    status: int = 0
    answered: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def run(self) -> Sending:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in {
                    "Host": "127.0.0.1:8443",
                    "Transfer-Encoding": "chunked",
                    **self.headers,
                }.items()
            ],
            "client": ("192.0.2.7", 5),
            "server": ("127.0.0.1", 8443),
            "state": {},
        }
        asyncio.run(self.site.app(scope, self._receive, self._send))  # type: ignore[arg-type]
        return self

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])

    async def _receive(self) -> dict[str, Any]:
        if self.taken >= self.pieces:
            assert self.leaves, "the application went on reading"
            return {"type": "http.disconnect"}
        self.taken += 1
        return {"type": "http.request", "body": self.piece, "more_body": True}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.answered = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")


def signing(site: Site, keys: NodeKeys, path: str) -> dict[str, str]:
    """Headers of a request with a body, signed with a challenge that is in force."""
    challenge = site.node.federation.verifier.challenge()
    return signed.sign(keys, "POST", HOST + path, b"body", challenge=challenge, clock=site.clock)


class TestWhoseBodyIsRead:
    """A body may be as large as the route allows: of those alone who may come to the route."""

    def test_not_that_of_a_signature_without_form(self, whole: Site) -> None:
        sent = Sending(whole, "POST", "/api/v1/objects/publish", {"Signature-Input": "x"}).run()
        assert (sent.status, sent.code, sent.taken) == (400, "signed.malformed", 0)

    def test_not_that_of_a_key_nobody_knows(self, whole: Site, tmp_path: Path) -> None:
        stranger = node_keys.create(tmp_path / "stranger")
        headers = signing(whole, stranger, "/api/v1/objects/publish")
        sent = Sending(whole, "POST", "/api/v1/objects/publish", headers).run()
        assert (sent.status, sent.code, sent.taken) == (401, "signed.unknown_key", 0)

    def test_not_that_of_who_only_claims_a_known_key(self, whole: Site) -> None:
        headers = signing(whole, whole.node.keys, "/api/v1/elsewhere")
        sent = Sending(whole, "POST", "/api/v1/objects/publish", headers).run()
        assert (sent.status, sent.code, sent.taken) == (401, "signed.bad_signature", 0)

    def test_not_that_of_a_known_key_whose_holder_the_route_does_not_admit(self, whole: Site) -> None:
        headers = signing(whole, whole.node.keys, "/federation/v1/frames")
        sent = Sending(whole, "POST", "/federation/v1/frames", headers).run()
        assert (sent.status, sent.code, sent.taken) == (403, "web.not_for_you", 0)

    def test_of_a_known_key_as_much_as_the_route_allows(self, whole: Site) -> None:
        headers = signing(whole, whole.node.keys, "/api/v1/session")
        sent = Sending(whole, "POST", "/api/v1/session", headers).run()
        assert (sent.status, sent.code) == (413, "web.body_too_large")
        assert sent.taken == 2

    @pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
    def test_not_a_strangers_form_to_what_is_for_people(self, whole: Site, kind: str) -> None:
        sent = Sending(whole, "POST", "/api/v1/objects/publish", {"Content-Type": kind}).run()
        assert (sent.status, sent.code, sent.taken) == (401, "web.sign_in_first", 0)

    def test_of_a_stranger_as_much_as_a_name_and_a_password_take(self, whole: Site) -> None:
        for path in ("/sign-in", "/preferences", "/sign-out"):
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            sent = Sending(whole, "POST", path, kind).run()
            assert (sent.status, sent.taken) == (413, 2), path
