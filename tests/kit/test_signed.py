"""Signed requests: what we sign others can verify, what others sign we can, and nothing else passes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import http_message_signatures as oracle
import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.clock import ManualClock, SystemClock
from istmo.errors import InvalidInput, IstmoError, RateLimited, Unauthenticated
from istmo.kit import signed
from istmo.ledger import keys as node_keys

URL = "http://127.0.0.1:8443/federation/v1/feed?after=3"
COVERED = ("@method", "@authority", "@path", "@query")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> node_keys.NodeKeys:
    return node_keys.create(tmp_path_factory.mktemp("signed") / "keys")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> node_keys.NodeKeys:
    return node_keys.create(tmp_path_factory.mktemp("other") / "keys")


@pytest.fixture
def verifier(clock: ManualClock) -> signed.Verifier:
    return signed.Verifier(clock)


def present(keys, verifier, clock, *, method="GET", url=URL, body=b"", challenge=None) -> signed.Presented:
    headers = signed.sign(
        keys,
        method,
        url,
        body,
        challenge=verifier.challenge() if challenge is None else challenge,
        clock=clock,
    )
    return signed.Presented(method, url, {name.lower(): value for name, value in headers.items()}, body)


def known(*keys: node_keys.NodeKeys):
    table = {one.keyid: one.public for one in keys}
    return table.get


def refusal(call) -> str:
    with pytest.raises(IstmoError) as caught:
        call()
    return caught.value.code


def test_a_signed_request_names_its_key(keys, verifier, clock) -> None:
    proven = verifier.verify(present(keys, verifier, clock), known(keys))
    assert proven.keyid == keys.keyid
    assert abs(proven.skew) <= 1


def test_a_body_is_covered_by_its_digest(keys, verifier, clock) -> None:
    request = present(keys, verifier, clock, method="POST", body=b'{"count":3}')
    assert verifier.verify(request, known(keys)).keyid == keys.keyid
    again = present(keys, verifier, clock, method="POST", body=b'{"count":3}')
    changed = signed.Presented(again.method, again.url, again.headers, b'{"count":4}')
    assert refusal(lambda: verifier.verify(changed, known(keys))) == "signed.bad_digest"


def test_a_body_without_a_covered_digest_is_refused(keys, verifier, clock) -> None:
    request = present(keys, verifier, clock, method="POST")
    with_body = signed.Presented(request.method, request.url, request.headers, b"unsigned")
    assert refusal(lambda: verifier.verify(with_body, known(keys))) == "signed.malformed"


@pytest.mark.parametrize(
    "change",
    [
        lambda r: signed.Presented("DELETE", r.url, r.headers, r.body),
        lambda r: signed.Presented(r.method, r.url.replace("8443", "8444"), r.headers, r.body),
        lambda r: signed.Presented(r.method, r.url.replace("feed", "acks"), r.headers, r.body),
        lambda r: signed.Presented(r.method, r.url.replace("after=3", "after=0"), r.headers, r.body),
    ],
    ids=["method", "authority", "path", "query"],
)
def test_what_is_covered_cannot_be_changed(keys, verifier, clock, change) -> None:
    request = present(keys, verifier, clock)
    assert refusal(lambda: verifier.verify(change(request), known(keys))) == "signed.bad_signature"


def test_a_stranger_and_a_borrowed_key_id_are_refused(keys, other, verifier, clock) -> None:
    request = present(other, verifier, clock)
    assert refusal(lambda: verifier.verify(request, known(keys))) == "signed.unknown_key"
    assert refusal(lambda: verifier.verify(request, lambda _: keys.public)) == "signed.unknown_key"
    borrowed = {k: v.replace(other.keyid, keys.keyid) for k, v in request.headers.items()}
    forged = signed.Presented(request.method, request.url, borrowed, b"")
    assert refusal(lambda: verifier.verify(forged, known(keys))) == "signed.bad_signature"


def test_a_replayed_request_is_refused(keys, verifier, clock) -> None:
    request = present(keys, verifier, clock)
    verifier.verify(request, known(keys))
    assert refusal(lambda: verifier.verify(request, known(keys))) == "signed.replayed"


def test_a_replay_is_refused_for_as_long_as_its_challenge_lives(keys, verifier, clock) -> None:
    request = present(keys, verifier, clock)
    verifier.verify(request, known(keys))
    codes = set()
    for _ in range(60):
        clock.advance(10)
        codes.add(refusal(lambda: verifier.verify(request, known(keys))))
    assert codes == {"signed.replayed", "signed.stale"}


def test_a_request_is_stale_after_five_minutes_of_the_receivers_clock(keys, verifier, clock) -> None:
    request = present(keys, verifier, clock)
    clock.advance(signed.MAX_AGE + 1)
    with pytest.raises(Unauthenticated) as caught:
        verifier.verify(request, known(keys))
    assert caught.value.code == "signed.stale"
    renewed = present(keys, verifier, clock, challenge=caught.value.params["challenge"])
    verifier.verify(renewed, known(keys))


def test_a_restart_forgets_challenges_with_nonces(keys, verifier, clock) -> None:
    request = present(keys, verifier, clock)
    verifier.verify(request, known(keys))
    assert refusal(lambda: signed.Verifier(clock).verify(request, known(keys))) == "signed.stale"


@settings(max_examples=20, deadline=None)
@given(seconds=st.integers(-10_000_000, 10_000_000))
def test_for_all_skews_the_request_passes_and_the_skew_is_told(keys, seconds: int) -> None:
    ours = ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    theirs = ManualClock(ours.now() + timedelta(seconds=seconds))
    verifier = signed.Verifier(ours)
    proven = verifier.verify(present(keys, verifier, theirs), known(keys))
    assert abs(proven.skew - seconds) <= 1


def test_nonces_of_one_key_are_bounded_and_others_go_on(keys, other, clock) -> None:
    verifier = signed.Verifier(clock, nonces=5)
    for _ in range(5):
        verifier.verify(present(keys, verifier, clock), known(keys, other))
    with pytest.raises(RateLimited):
        verifier.verify(present(keys, verifier, clock), known(keys, other))
    verifier.verify(present(other, verifier, clock), known(keys, other))


def test_forged_requests_use_up_no_memory(keys, other, clock) -> None:
    verifier = signed.Verifier(clock, nonces=1)
    for _ in range(5):
        request = present(keys, verifier, clock)
        forged = signed.Presented("DELETE", request.url, request.headers, b"")
        assert refusal(lambda request=forged: verifier.verify(request, known(keys))) == "signed.bad_signature"
    verifier.verify(present(keys, verifier, clock), known(keys))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"@method" ', ""),
        ('"@query"', '"@query" "@query"'),
        ('"@query"', '"@query" "x-more"'),
        (';alg="ed25519"', ""),
        (';alg="ed25519"', ';alg="hmac-sha256"'),
        (';tag="istmo"', ';tag="other"'),
        (';tag="istmo"', ';tag="istmo";tag="istmo"'),
        ("istmo=(", "sig=("),
        (";created=", ';created="1";x='),
        (";expires=", ";expires=9"),
    ],
)
def test_any_other_form_is_malformed(keys, verifier, clock, old: str, new: str) -> None:
    request = present(keys, verifier, clock)
    headers = dict(request.headers)
    headers["signature-input"] = headers["signature-input"].replace(old, new)
    assert headers != request.headers
    with pytest.raises(InvalidInput):
        verifier.verify(signed.Presented("GET", URL, headers, b""), known(keys))


@settings(max_examples=60, deadline=None)
@given(given_input=st.text(max_size=200), signature=st.text(max_size=120))
def test_for_all_headers_the_answer_is_an_istmo_error(keys, given_input: str, signature: str) -> None:
    request = signed.Presented("GET", URL, {"signature-input": given_input, "signature": signature})
    with pytest.raises(InvalidInput):
        signed.Verifier(SystemClock()).verify(request, known(keys))


# --- the library as a second opinion -----------------------------------------------------------


def _resolver(keys: node_keys.NodeKeys) -> oracle.MappingKeyResolver:
    return oracle.MappingKeyResolver(
        public_keys={keys.keyid: keys.signing_key.public_key()}, private_keys={keys.keyid: keys.signing_key}
    )


PATHS = st.text("abcXYZ019-_.~/:@!$&'()*+,;=", max_size=30).map(lambda text: "/" + text)
QUERIES = st.text("abc019-_.~/?:@!$&()*+,;=%20", max_size=20).map(lambda text: text.replace("%", "%20"))


@settings(max_examples=60, deadline=None)
@given(
    path=PATHS,
    query=QUERIES,
    body=st.binary(max_size=50),
    host=st.sampled_from(["csirt.example", "[::1]:80"]),
)
def test_for_all_requests_the_library_accepts_our_signature(keys, path, query, body, host) -> None:
    url = f"https://{host}{path}" + (f"?{query}" if query else "")
    request = httpx.Request("POST", "https://x/", content=body)
    request.url = _Raw(url)  # type: ignore[assignment]  # as it stands, without httpx's own normal form
    headers = signed.sign(keys, "POST", url, body, challenge="c", clock=SystemClock())
    for name, value in headers.items():
        request.headers[name] = value
    verifier = oracle.HTTPMessageVerifier(
        signature_algorithm=oracle.algorithms.ED25519, key_resolver=_resolver(keys)
    )
    found = verifier.verify(request, expect_tag="istmo", require_components=COVERED, body=body)
    assert found[0].parameters["keyid"] == keys.keyid


@settings(max_examples=60, deadline=None)
@given(path=PATHS, query=QUERIES, body=st.binary(max_size=50))
def test_for_all_requests_we_accept_the_librarys_signature(keys, path, query, body) -> None:
    clock = SystemClock()
    verifier = signed.Verifier(clock)
    url = f"http://127.0.0.1:8443{path}" + (f"?{query}" if query else "")
    request = httpx.Request("POST", "https://x/", content=body)
    request.url = _Raw(url)  # type: ignore[assignment]
    signer = oracle.HTTPMessageSigner(
        signature_algorithm=oracle.algorithms.ED25519, key_resolver=_resolver(keys)
    )
    now = clock.now()
    signer.sign(
        request,
        key_id=keys.keyid,
        created=now,
        expires=now + timedelta(seconds=60),
        nonce=f"{verifier.challenge()}.abc",
        label="istmo",
        tag="istmo",
        covered_component_ids=COVERED,
        body=body or None,
    )
    presented = signed.Presented("POST", url, {k.lower(): v for k, v in request.headers.items()}, body)
    assert verifier.verify(presented, known(keys)).keyid == keys.keyid


class _Raw(str):
    """A URL that the library reads exactly as written."""


# --- over a real socket ------------------------------------------------------------------------


@pytest.fixture
def server(keys: node_keys.NodeKeys, tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A small HTTP server that admits this node's key and tells how each request ended."""
    verifier, told = signed.Verifier(SystemClock()), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            url = f"http://{self.headers['host']}{self.path}"
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                verifier.verify(signed.Presented("POST", url, headers, body), known(keys))
                status, answer = 200, {"ok": True}
                told.append("ok")
            except IstmoError as error:
                status, answer = error.status, {"error": {"code": error.code, "params": error.params}}
                told.append(error.code)
            content = orjson.dumps(answer)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", told
    running.shutdown()
    running.server_close()
    thread.join(5)


def test_the_client_learns_the_challenge_once_and_then_signs_at_once(keys, server) -> None:
    url, told = server
    with httpx.Client(auth=signed.SignedAuth(keys), trust_env=False) as client:
        for number in range(3):
            answer = client.post(f"{url}/a%20b/{number}?q=ñ&x=%20", content=b"body")
            assert answer.status_code == 200
    assert told == ["signed.stale", "ok", "ok", "ok"]


def test_the_client_with_a_strange_key_is_told_so(other, server) -> None:
    url, told = server
    with httpx.Client(auth=signed.SignedAuth(other), trust_env=False) as client:
        assert client.post(url).status_code == 401
    assert told == ["signed.unknown_key"]
