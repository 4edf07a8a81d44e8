"""What a request carries: read from those alone who may send it, and refused in words when it is broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from litestar._parsers import parse_url_encoded_form_data
from web_site import HOST, Site, make_site

from istmo.clock import ManualClock
from istmo.kit import signed
from istmo.ledger import keys as node_keys
from istmo.ledger.keys import NodeKeys


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    clock = ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    site = make_site(tmp_path_factory.mktemp("node"), clock, rooms=None)
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


def test_no_form_is_kept_after_its_answer(whole: Site) -> None:
    """A thousand forms of strangers would fill the memory, and each holds a password."""
    before = parse_url_encoded_form_data.cache_info().misses
    with whole.client() as client:
        whole.sign_in(client)
        headers = {"X-CSRF": client.get("/api/v1/me").json()["csrf"]}
        assert client.post("/preferences", data={"language": "en"}, headers=headers).status_code == 200
        assert client.post("/sign-in", data={"name": "x", "csrf": "x"}).status_code == 403
    assert parse_url_encoded_form_data.cache_info().misses == before


BROKEN_JSON = {
    "not UTF-8": b'{"a":"\xff"}',
    "a key that is not UTF-8": b'{"\xff":1}',
    "too deep": b"[" * 200_000,
    "too deep and short": b'{"a":' * 9_000,
    "half a character": b'{"name":"\\ud800","password":"x"}',
    "no JSON": b"{",
    "NUL": b'{"name":"\\u0000","password":"x"}',
    "NUL in a key": b'{"\\u0000":"x"}',
}

BROKEN_FORMS = {
    "not UTF-8": b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n\xff\r\n--b--\r\n',
    "no charset": b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n'
    b"Content-Type: text/plain; charset=nope\r\n\r\nx\r\n--b--\r\n",
    "a charset that is none of text": b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n'
    b"Content-Type: text/plain; charset=rot13\r\n\r\nx\r\n--b--\r\n",
    "a header that is not UTF-8": b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n',
    "no end": b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\nx',
    "no name": b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
    "no part": b"nothing",
    "nothing": b"",
}


@pytest.mark.parametrize("content", BROKEN_JSON.values(), ids=list(BROKEN_JSON))
@pytest.mark.parametrize("language", ["es", "en"])
def test_json_that_cannot_be_read_is_refused_in_words(whole: Site, content: bytes, language: str) -> None:
    with whole.client(**{"accept-language": language, "content-type": "application/json"}) as client:
        answer = client.post("/api/v1/session", content=content[:60_000])
    assert answer.status_code == 400
    told = answer.json()["error"]
    assert told["code"] == "web.bad_request"
    assert told["message"] == whole.node.catalogue.text(language, "error.web.bad_request")
    assert told["remedy"] == whole.node.catalogue.text(language, "error.web.bad_request.remedy")


@pytest.mark.parametrize(
    "path",
    [
        "/federation/v1/join",
        "/api/v1/objects/publish",
        "/api/v1/objects/preview",
        "/api/v1/rules",
        "/api/v1/cases",
    ],
)
@pytest.mark.parametrize("content", BROKEN_JSON.values(), ids=list(BROKEN_JSON))
def test_nor_is_it_a_defect_on_any_other_route(whole: Site, path: str, content: bytes) -> None:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token(whole)}"}
    if path == "/federation/v1/join":
        del headers["authorization"]
    with whole.client(**headers) as client:
        assert 400 <= client.post(path, content=content[:60_000]).status_code < 500


@pytest.mark.parametrize("content", BROKEN_FORMS.values(), ids=list(BROKEN_FORMS))
def test_a_form_that_cannot_be_read_is_refused_in_words(whole: Site, content: bytes) -> None:
    with whole.client(**{"content-type": "multipart/form-data; boundary=b"}) as client:
        for path in ("/sign-in", "/preferences", "/sign-out", "/api/v1/session", "/federation/v1/join"):
            answer = client.post(path, content=content)
            assert answer.status_code in (400, 403), path
            assert "⟦" not in answer.text


@pytest.mark.parametrize("content", BROKEN_FORMS.values(), ids=list(BROKEN_FORMS))
def test_nor_does_a_token_help_a_form_with_a_file_that_cannot_be_read(whole: Site, content: bytes) -> None:
    secret = token(whole)
    kind = {"content-type": "multipart/form-data; boundary=b", "authorization": f"Bearer {secret}"}
    with whole.client(**kind) as client:
        assert client.post("/publish", content=content).status_code in (200, 400, 422)


def token(site: Site) -> str:
    with site.client() as client:
        site.sign_in(client)
        account = site.node.identity.session(client.cookies[site.cookie("session")]).account  # type: ignore[union-attr]
    until = site.clock.now() + timedelta(days=1)
    return site.node.identity.create_token(account.person, "guion", ["read", "publish"], until)[1]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "[::1"),
        ("Host", "\x7f[]"),
        ("Origin", "http://[::1"),
        ("Origin", "http://[x]"),
        ("Origin", "//℀"),
    ],
)
def test_a_header_that_names_no_place_is_refused(whole: Site, header: str, value: str) -> None:
    with whole.client() as client:
        answer = client.post("/api/v1/session", json={}, headers={header: value.encode("utf-8")})
        assert answer.status_code == (400 if header == "Host" else 403)
        assert client.get("/sign-in", headers={header: value.encode("utf-8")}).status_code in (200, 400)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/session", "application/json"),
        ("/federation/v1/join", "application/octet-stream"),
        ("/sign-in", "application/x-www-form-urlencoded"),
        ("/sign-in", "multipart/form-data; boundary=b"),
        ("/api/v1/session", "multipart/form-data; boundary=b"),
    ],
)
def test_a_sender_that_leaves_in_the_middle_is_no_defect(whole: Site, path: str, kind: str) -> None:
    with structlog.testing.capture_logs() as lines:
        sent = Sending(
            whole, "POST", path, {"Content-Type": kind}, piece=b"--b\r\nContent-", pieces=2, leaves=True
        ).run()
    assert sent.status == 400
    assert lines == []
