"""Speaking to one peer over HTTP: signed by our key, trusting exactly its certificate.

A peer with TLS of its own is known by the SHA-256 of its certificate in the charter: that very
certificate is then the only one trusted. A peer behind a proxy is ordinary web TLS. Plain http goes to
loopback and nowhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import ssl
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from istmo.clock import Clock
from istmo.errors import InvalidInput, IstmoError, RateLimited, TooLarge, Unavailable
from istmo.federation.objects import check_url, is_loopback
from istmo.kit.signed import SignedAuth, nonce_of
from istmo.ledger.keys import NodeKeys

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0
_ANSWER_LIMIT = 16 << 20
_CHUNK = 64 << 10


class PeerAnswered(IstmoError):
    """The peer refused: ``code`` is its own error code, ``status`` its HTTP status."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__("federation.peer_refused", status=status, answer=code[:64])
        self.answer_code = code
        self.answer_status = status


class PeerClient:
    """Connections to one peer. Calls raise PeerAnswered, or Unavailable where nothing answers."""

    def __init__(self, url: str, certificate: str, keys: NodeKeys, clock: Clock) -> None:
        check_url(url)
        self.url = url.rstrip("/")
        self._certificate = certificate
        self._auth = SignedAuth(keys, clock)
        self._http: httpx.Client | None = None
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._is_cut = False

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._http is None:
                parts = urlsplit(self.url)
                verify: Any = True
                if parts.scheme == "https" and self._certificate:
                    pem, found = certificate_of(self.url)
                    if not hmac.compare_digest(found, self._certificate):
                        raise InvalidInput("federation.wrong_certificate", url=self.url)
                    verify = trust_exactly(pem)
                self._http = client(self.url, verify)
                self._http.auth = self._auth
            return self._http

    def post(self, path: str, body: bytes) -> dict[str, Any]:
        """POST bytes, signed; the JSON answer."""
        return answer_of(self._client(), "POST", path, body, trace=self._trace)

    def get(self, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        """GET, signed; the JSON answer."""
        return answer_of(self._client(), "GET", path, None, query, trace=self._trace)

    def open_feed(self, query: Mapping[str, Any], silence: float) -> FeedReading:
        """Open the peer's feed; ``silence`` seconds without a byte mean that the link is dead."""
        http = self._client()
        headers = {"Accept": "text/event-stream"}
        # On one machine there is no wire to save.
        headers["Accept-Encoding"] = "identity" if is_loopback(urlsplit(self.url).hostname or "") else "gzip"
        timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, read=silence)
        request = http.build_request(
            "GET",
            "/federation/v1/feed",
            params=query,
            headers=headers,
            timeout=timeout,
            extensions={"trace": self._trace},
        )
        with _explained(self.url):
            response = http.send(request, stream=True, auth=self._auth)
        if response.is_error:
            with _explained(self.url):
                response.read()
            response.close()
            raise _refusal(response)
        return FeedReading(response, nonce_of(response.request.headers))

    def cut(self) -> None:
        """End whatever is under way, from any thread, and begin nothing new: the node stops."""
        self._is_cut = True
        for one in list(self._sockets):
            _shut(one)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Remember each connection as it is made (httpcore's trace), so that ``cut`` finds it."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            made = info["return_value"].get_extra_info("socket")
            if made is not None:
                self._sockets.add(made)
                if self._is_cut:
                    _shut(made)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = None


class FeedReading:
    """An open feed: ``events`` yields what comes."""

    def __init__(self, response: httpx.Response, session: str) -> None:
        self._response = response
        self.session = session

    def events(self, limit: int) -> Iterator[list[bytes]]:
        """The ``data`` of the events that came together, as bytes. Raises TooLarge past ``limit``."""
        buffer = bytearray()
        try:
            for chunk in self._chunks():
                buffer += chunk
                if len(buffer) > limit + _CHUNK and b"\n" not in chunk:
                    raise TooLarge("federation.statement_too_large", size=len(buffer), limit=limit)
                if b"\n" not in chunk:
                    continue
                *lines, rest = bytes(buffer).split(b"\n")
                buffer = bytearray(rest)
                yield [line[6:] for line in lines if line.startswith(b"data: ")]
        except httpx.HTTPError as error:
            raise Unavailable("federation.link_cut", detail=type(error).__name__) from None

    def _chunks(self) -> Iterator[bytes]:
        """The body, decoded in small steps: a bomb is met by the limit, not by the memory."""
        if self._response.headers.get("content-encoding", "identity") != "gzip":
            yield from self._response.iter_raw()
            return
        unzip = zlib.decompressobj(wbits=31)
        try:
            for chunk in self._response.iter_raw():
                step = unzip.decompress(chunk, _CHUNK)
                yield step
                while unzip.unconsumed_tail:
                    yield unzip.decompress(unzip.unconsumed_tail, _CHUNK)
        except zlib.error:
            raise InvalidInput("federation.bad_statement") from None

    def close(self) -> None:
        self._response.close()


def client(url: str, verify: Any) -> httpx.Client:
    """An HTTP client for one address: no proxies from the environment, no redirects."""
    return httpx.Client(
        base_url=url,
        verify=verify,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=4, keepalive_expiry=60),
    )


def answer_of(
    http: httpx.Client,
    method: str,
    path: str,
    body: bytes | None,
    query: Mapping[str, Any] | None = None,
    trace: Callable[[str, Mapping[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """One request and its JSON answer. Raises PeerAnswered, Unavailable, TooLarge."""
    headers = {"Content-Type": "application/octet-stream"} if body else {}
    with _explained(str(http.base_url)):
        extensions = {"trace": trace} if trace else {}
        request = http.build_request(
            method, path, content=body, params=query, headers=headers, extensions=extensions
        )
        response = http.send(request, stream=True)
        try:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > _ANSWER_LIMIT:
                    raise TooLarge("federation.statement_too_large", size=len(content), limit=_ANSWER_LIMIT)
        finally:
            response.close()
    if response.is_error:
        raise _refusal_in(response.status_code, bytes(content))
    try:
        found = orjson.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unavailable("federation.strange_answer", url=str(http.base_url))
    return found


def certificate_of(url: str) -> tuple[str, str]:
    """The certificate that answers at an https address: PEM, and its SHA-256 in hexadecimal."""
    parts = urlsplit(url)
    try:
        pem = ssl.get_server_certificate((parts.hostname or "", parts.port or 443), timeout=CONNECT_SECONDS)
    except OSError as error:
        raise Unavailable("federation.unreachable", url=url, detail=type(error).__name__) from None
    return pem, hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def trust_exactly(pem: str) -> ssl.SSLContext:
    """A TLS context that trusts one certificate and nothing else, whatever name it carries."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate itself is compared, its names mean nothing
    context.load_verify_locations(cadata=pem)
    return context


class _explained:  # noqa: N801  reads as a statement
    """Turn transport errors into Unavailable with the peer's address."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.HTTPError):
            raise Unavailable("federation.unreachable", url=self._url, detail=type(error).__name__) from error


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already
        one.shutdown(socket.SHUT_RDWR)


def _refusal(response: httpx.Response) -> IstmoError:
    return _refusal_in(response.status_code, response.content)


def _refusal_in(status: int, content: bytes) -> IstmoError:
    try:
        error = orjson.loads(content)["error"]
        code = str(error["code"])
    except (ValueError, KeyError, TypeError):
        return Unavailable("federation.strange_answer", url=f"HTTP {status}")
    if status == 429:
        wait = error.get("params", {}).get("retry_after", 5)
        return RateLimited("federation.peer_busy", retry_after=wait if isinstance(wait, (int, float)) else 5)
    return PeerAnswered(status, code)
