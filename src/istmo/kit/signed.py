"""Signed requests: HTTP message signatures (RFC 9421) with Ed25519, in one strict profile.

Every request between nodes, and every request of the local command line to its own node, is signed
with the node's key. What is covered: ``@method``, ``@authority``, ``@path``, ``@query`` and, where
there is a body, ``content-digest`` (RFC 9530, sha-256). ``docs/protocol.md`` ("Signed requests") is
the exact form.

A request is fresh because its nonce begins with a *challenge* that the receiver itself gave out in
the last five minutes of its own clock, and because the receiver remembers each nonce that long. So a
sender's clock decides nothing: ``created`` is compared, and a difference is reported, never refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

import httpx
import orjson

from istmo.clock import Clock, SystemClock
from istmo.errors import InvalidInput, RateLimited, Unauthenticated
from istmo.ledger import keys as node_keys
from istmo.ledger.keys import NodeKeys

LABEL: Final = "istmo"
TAG: Final = "istmo"
MAX_AGE: Final = 300
"""Seconds for which a challenge is good, at most; also what ``expires`` adds to ``created``."""
STALE: Final = "signed.stale"

_WINDOW = MAX_AGE // 2
_NONCES = 20_000
_HEADER_LIMIT = 2_000
_COVERED = ("@method", "@authority", "@path", "@query")
_DIGEST = "content-digest"
_INPUT = re.compile(
    rf'{LABEL}=(\(((?:"[@a-z-]+"(?: (?=")|(?=\))))*)\)((?:;[a-z]+=(?:"[!#-\[\]-~]*"|\d{{1,15}}))+))'
)
_PARAMETER = re.compile(r';([a-z]+)=(?:"([^"]*)"|(\d+))')
_SIGNATURE = re.compile(rf"{LABEL}=:([A-Za-z0-9+/]{{86}}==):")
_SHA256 = re.compile(r"(?:^|,)[ \t]*sha-256=:([A-Za-z0-9+/]{43}=):[ \t]*(?=,|$)")
_PARAMETERS = frozenset({"created", "expires", "nonce", "keyid", "alg", "tag"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Presented:
    """A request as it came. ``headers`` by lower-case name; ``url`` absolute, host as in ``Host``."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Proven:
    """Whose key signed a request, with which nonce, and by how much the signer's clock differs."""

    keyid: str
    nonce: str
    skew: float
    """Seconds by which the signer's clock is ahead of ours (negative: behind), to about one second."""


def sign(
    keys: NodeKeys, method: str, url: str, body: bytes, *, challenge: str, clock: Clock
) -> dict[str, str]:
    """The headers that sign a request: ``Signature-Input``, ``Signature`` and, with a body, its digest."""
    created = int(clock.now().timestamp())
    covered, headers = list(_COVERED), {}
    if body:
        covered.append(_DIGEST)
        headers["Content-Digest"] = digest_of(body)
    listed = " ".join(f'"{one}"' for one in covered)
    parameters = (
        f"({listed});created={created};expires={created + MAX_AGE}"
        f';nonce="{challenge}.{secrets.token_urlsafe(16)}";keyid="{keys.keyid}";alg="ed25519";tag="{TAG}"'
    )
    base = _base(covered, parameters, method, url, headers.get("Content-Digest", ""))
    headers["Signature-Input"] = f"{LABEL}={parameters}"
    headers["Signature"] = f"{LABEL}=:{base64.b64encode(keys.sign(base)).decode('ascii')}:"
    return headers


def digest_of(body: bytes) -> str:
    """``Content-Digest`` of a body (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


class Verifier:
    """Checks signed requests for one node: its challenges and the nonces it has seen. Thread-safe.

    ``clock.monotonic`` alone decides about freshness. A restart forgets nonces and challenges
    together: an old request is then stale.
    """

    def __init__(self, clock: Clock, *, nonces: int = _NONCES) -> None:
        self._clock, self._most = clock, nonces
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._seen: dict[tuple[int, str], set[str]] = {}

    def challenge(self) -> str:
        """What the nonce of a request made now must begin with."""
        return self._challenge(self._window())

    def verify(self, request: Presented, key_of: Callable[[str], bytes | None]) -> Proven:
        """Whose request this is. ``key_of`` gives the raw public key of a key id, or None.

        Raises InvalidInput ``signed.malformed``; Unauthenticated ``signed.unknown_key``,
        ``signed.bad_signature``, ``signed.bad_digest``, ``signed.replayed``, or ``signed.stale`` with
        the ``challenge`` to sign anew with; RateLimited ``signed.too_many``.
        """
        covered, parameters = _check_headers(request, key_of)
        keyid, nonce = parameters["keyid"], parameters["nonce"]
        if request.body and _DIGEST not in covered:
            raise InvalidInput("signed.malformed", part="content-digest")
        if _DIGEST in covered and not _is_digest_of(request.headers.get(_DIGEST, ""), request.body):
            raise Unauthenticated("signed.bad_digest")
        self._check_fresh(keyid, nonce)
        return Proven(keyid, nonce, int(parameters["created"]) - self._clock.now().timestamp())

    def signer(self, request: Presented, key_of: Callable[[str], bytes | None]) -> str:
        """The key id that signed a request's headers, its body not looked at: whether to read that at all.

        It proves neither the body nor that the request is fresh: ``verify`` does. Raises InvalidInput
        ``signed.malformed``; Unauthenticated ``signed.unknown_key``, ``signed.bad_signature``.
        """
        covered, parameters = _check_headers(request, key_of)
        if _DIGEST not in covered:
            raise InvalidInput("signed.malformed", part="content-digest")
        return parameters["keyid"]

    def _check_fresh(self, keyid: str, nonce: str) -> None:
        now = self._window()
        given = nonce.partition(".")[0].encode("ascii")
        window = next(
            (one for one in (now, now - 1) if hmac.compare_digest(self._challenge(one).encode(), given)), None
        )
        if window is None:
            raise Unauthenticated(STALE, challenge=self._challenge(now))
        with self._lock:
            for old in [key for key in self._seen if key[0] < now - 1]:
                del self._seen[old]
            seen = self._seen.setdefault((window, keyid), set())
            if nonce in seen:
                raise Unauthenticated("signed.replayed")
            if len(seen) >= self._most:
                raise RateLimited("signed.too_many", retry_after=_WINDOW)
            seen.add(nonce)

    def _window(self) -> int:
        return int(self._clock.monotonic() // _WINDOW)

    def _challenge(self, window: int) -> str:
        made = hmac.digest(self._secret, str(window).encode("ascii"), "sha256")[:16]
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode("ascii")


class SignedAuth(httpx.Auth):
    """Signs each request of an ``httpx`` client with a node's key.

    The first request to a node learns its challenge from the refusal and is sent once more. Thread-safe.
    """

    def __init__(self, keys: NodeKeys, clock: Clock | None = None) -> None:
        self._keys, self._clock = keys, clock or SystemClock()
        self._challenges: dict[str, str] = {}

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign, send; where the node answers that our challenge is stale, sign and send once more."""
        body = request.read()
        place = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
        self._sign(request, body, self._challenges.get(place, ""))
        response = yield request
        if response.status_code != 401:
            return
        response.read()
        challenge = _challenge_in(response.content)
        if challenge:
            self._challenges[place] = challenge
            self._sign(request, body, challenge)
            yield request

    def _sign(self, request: httpx.Request, body: bytes, challenge: str) -> None:
        headers = sign(
            self._keys, request.method, str(request.url), body, challenge=challenge, clock=self._clock
        )
        for name, value in headers.items():
            request.headers[name] = value


def nonce_of(headers: Mapping[str, str]) -> str:
    """The nonce in the headers of a signed request; empty when there is none."""
    found = re.search(r';nonce="([^"]*)"', headers.get("signature-input", ""))
    return found[1] if found else ""


def _challenge_in(body: bytes) -> str:
    """The challenge in a refusal ``signed.stale``; empty where the refusal is of another kind."""
    try:
        error = orjson.loads(body)["error"]
        challenge = error["params"]["challenge"] if error["code"] == STALE else ""
    except (ValueError, KeyError, TypeError):
        return ""
    return challenge if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(challenge)) else ""


def _read(headers: Mapping[str, str]) -> tuple[list[str], str, dict[str, str], bytes]:
    """Covered components, the raw signature parameters, the parameters, the signature."""
    given, signature = headers.get("signature-input", ""), headers.get("signature", "")
    found = _INPUT.fullmatch(given) if len(given) <= _HEADER_LIMIT else None
    if found is None:
        raise InvalidInput("signed.malformed", part="signature-input")
    covered = [one.strip('"') for one in found[2].split(" ")] if found[2] else []
    if len(set(covered)) != len(covered) or set(covered) - {_DIGEST} != set(_COVERED):
        raise InvalidInput("signed.malformed", part="components")
    pairs = [(one[1], one[2] if one[3] is None else one[3]) for one in _PARAMETER.finditer(found[3])]
    parameters = dict(pairs)
    if len(parameters) != len(pairs) or set(parameters) != _PARAMETERS:
        raise InvalidInput("signed.malformed", part="parameters")
    numbers = {one[1] for one in _PARAMETER.finditer(found[3]) if one[3] is not None}
    if numbers != {"created", "expires"}:
        raise InvalidInput("signed.malformed", part="parameters")
    if not 0 < int(parameters["expires"]) - int(parameters["created"]) <= MAX_AGE:
        raise InvalidInput("signed.malformed", part="expires")
    if parameters["alg"] != "ed25519" or parameters["tag"] != TAG or len(parameters["nonce"]) > 128:
        raise InvalidInput("signed.malformed", part="parameters")
    signed = _SIGNATURE.fullmatch(signature)
    if signed is None:
        raise InvalidInput("signed.malformed", part="signature")
    return covered, found[1], parameters, base64.b64decode(signed[1])


def _check_headers(
    request: Presented, key_of: Callable[[str], bytes | None]
) -> tuple[list[str], dict[str, str]]:
    """Covered components and parameters, proven to be signed by a known key."""
    covered, raw, parameters, signature = _read(request.headers)
    keyid = parameters["keyid"]
    public = key_of(keyid)
    if public is None or not hmac.compare_digest(node_keys.keyid(public), keyid):
        raise Unauthenticated("signed.unknown_key", keyid=keyid[:64])
    digest = request.headers.get(_DIGEST, "")
    if not node_keys.verify(public, _base(covered, raw, request.method, request.url, digest), signature):
        raise Unauthenticated("signed.bad_signature")
    return covered, parameters


def _base(covered: list[str], parameters: str, method: str, url: str, digest: str) -> bytes:
    """The signature base (RFC 9421, 2.5)."""
    parts = urlsplit(url)
    authority = parts.netloc.rpartition("@")[2].lower()
    values = {
        "@method": method.upper(),
        "@authority": authority.removesuffix(_DEFAULT_PORTS.get(parts.scheme, "\0")),
        # Servers differ in how much of the path they decode: both sides sign the one normal form.
        "@path": quote(unquote(parts.path), safe="/:@!$&'()*+,;=~-._") or "/",
        "@query": f"?{parts.query}",
        _DIGEST: digest,
    }
    lines = [f'"{name}": {values[name]}' for name in covered]
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode("utf-8")


def _is_digest_of(digest: str, body: bytes) -> bool:
    found = _SHA256.findall(digest)
    if len(found) != 1:
        return False
    try:
        return hmac.compare_digest(base64.b64decode(found[0]), hashlib.sha256(body).digest())
    except binascii.Error:
        return False
