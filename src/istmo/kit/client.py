"""Speaking to a node from outside the web process: commands, the demo, the region tests.

Two ways in: the node's own key (whoever can read it is the node's operator, so nothing secret needs
to rest in another file), or an API token for a node elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import httpx
import orjson

from istmo.errors import InvalidInput, IstmoError, Unavailable
from istmo.kit import signed
from istmo.ledger import keys as node_keys
from istmo.settings import Settings

Body = Mapping[str, Any] | bytes | None
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
LONG_WORK = httpx.Timeout(1800.0, connect=5.0)
"""For what a node may work on for minutes: a release of rules, a hundred thousand objects."""


class NodeAnswered(IstmoError):
    """The node refused: its own words, in the asker's language, are in the parameters."""

    def __init__(self, status: int, code: str, message: str, remedy: str) -> None:
        super().__init__("node.answered", status=status, code=code, message=message, remedy=remedy)


class NodeClient:
    """A node's JSON API. Raises NodeAnswered with the node's own words, Unavailable where none answers."""

    def __init__(
        self,
        url: str,
        *,
        auth: httpx.Auth | None = None,
        headers: Mapping[str, str] | None = None,
        verify: Any = True,
    ) -> None:
        self.url = url.rstrip("/")
        self.verify = verify
        self._http = httpx.Client(
            base_url=self.url,
            auth=auth,
            headers=dict(headers or {}),
            timeout=TIMEOUT,
            verify=verify,
            trust_env=False,
        )

    @classmethod
    def by_key(cls, settings: Settings, *, language: str = "en") -> NodeClient:
        """The local node, by the key in its data folder."""
        keys = node_keys.load(settings.keys)
        scheme = "https" if settings.tls == "own" else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
        return cls(
            f"{scheme}://{host}:{settings.port}",
            auth=signed.SignedAuth(keys),
            headers={"Accept-Language": language},
            verify=keys.tls_trust() if settings.tls == "own" else True,
        )

    @classmethod
    def by_token(cls, url: str, token: str, *, language: str = "en") -> NodeClient:
        """A node elsewhere, by an API token."""
        if not token:
            raise InvalidInput("cli.no_token", url=url)
        authorization = bearer(token, "ISTMO_TOKEN")
        return cls(checked_url(url), headers={"Authorization": authorization, "Accept-Language": language})

    def get(self, path: str, **query: Any) -> Any:
        """GET; the decoded JSON. Query values that are None are left out."""
        return self.call("GET", path, None, query)

    def post(self, path: str, body: Body = None, **query: Any) -> Any:
        """POST a JSON document, or bytes as they are."""
        return self.call("POST", path, body, query)

    def post_long(self, path: str, body: Body = None, **query: Any) -> Any:
        """POST what the node may work on for minutes."""
        return self.call("POST", path, body, query, LONG_WORK)

    def delete(self, path: str) -> Any:
        """DELETE; the decoded JSON, if there is any."""
        return self.call("DELETE", path, None, {})

    def call(
        self,
        method: str,
        path: str,
        body: Body,
        query: Mapping[str, Any],
        timeout: httpx.Timeout = TIMEOUT,
    ) -> Any:
        """One request and its decoded answer."""
        content, headers = _encode(body)
        params = {name: value for name, value in query.items() if value is not None}
        try:
            answer = self._http.request(
                method, path, content=content, headers=headers, params=params, timeout=timeout
            )
        except httpx.TransportError as error:
            raise Unavailable("cli.no_answer", url=self.url, detail=type(error).__name__) from None
        return read_answer(answer)

    def raw(self, path: str, **query: Any) -> bytes:
        """GET; the bytes as they came."""
        try:
            answer = self._http.get(path, params=query)
        except httpx.TransportError as error:
            raise Unavailable("cli.no_answer", url=self.url, detail=type(error).__name__) from None
        if answer.is_error:
            raise refusal(answer)
        return answer.content

    def stream(self, path: str, **query: Any) -> Iterator[Any]:
        """GET newline JSON, a decoded line at a time, as it arrives."""
        return self._stream("GET", path, None, query)

    def stream_post(self, path: str, body: Body, **query: Any) -> Iterator[Any]:
        """POST, and newline JSON back."""
        return self._stream("POST", path, body, query)

    def _stream(self, method: str, path: str, body: Body, query: Mapping[str, Any]) -> Iterator[Any]:
        content, headers = _encode(body)
        params = {name: value for name, value in query.items() if value is not None}
        try:
            with self._http.stream(method, path, content=content, headers=headers, params=params) as answer:
                if answer.is_error:
                    answer.read()
                    raise refusal(answer)
                for line in answer.iter_lines():
                    if line.strip():
                        yield _read_json(line, answer)
        except httpx.TransportError as error:
            raise Unavailable("cli.no_answer", url=self.url, detail=type(error).__name__) from None

    @contextmanager
    def events(self, path: str) -> Iterator[Iterator[tuple[str, str]]]:
        """GET a server-sent stream: pairs of (event, data) until the caller leaves."""
        with self._http.stream("GET", path, timeout=httpx.Timeout(None, connect=5.0)) as answer:
            if answer.is_error:
                answer.read()
                raise refusal(answer)
            yield _server_sent(answer.iter_lines())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> NodeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _encode(body: Body) -> tuple[bytes | None, dict[str, str]]:
    if body is None:
        return None, {}
    if isinstance(body, bytes):
        return body, {"Content-Type": "application/octet-stream"}
    try:
        return orjson.dumps(body), {"Content-Type": "application/json"}
    except orjson.JSONEncodeError:
        raise InvalidInput("cli.not_utf8") from None


def checked_url(url: str) -> str:
    """The address of a node, as given. Raises InvalidInput("cli.not_an_address")."""
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL:
        raise InvalidInput("cli.not_an_address", url=url) from None
    if read.scheme not in ("http", "https") or not read.host or (read.port or 0) > 65535:
        raise InvalidInput("cli.not_an_address", url=url)
    return url


def bearer(token: str, variable: str) -> str:
    """The Authorization header of a token. Raises InvalidInput("cli.bad_token"), naming its variable."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidInput("cli.bad_token", variable=variable)
    return f"Bearer {token}"


def read_answer(answer: httpx.Response) -> Any:
    """The decoded JSON of an answer, if there is any. Raises what ``refusal`` makes of an error."""
    if answer.is_error:
        raise refusal(answer)
    return _read_json(answer.content, answer) if answer.content else None


def _read_json(content: bytes | str, answer: httpx.Response) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Unavailable("cli.strange_answer", url=str(answer.url), status=answer.status_code) from None


def refusal(answer: httpx.Response) -> IstmoError:
    """The node's own words where it refused; Unavailable where somebody else answered in its place."""
    try:
        told = cast("dict[str, Any]", orjson.loads(answer.content))["error"]
        return NodeAnswered(answer.status_code, told["code"], told["message"], told.get("remedy", ""))
    except (ValueError, KeyError, TypeError):
        return Unavailable("cli.strange_answer", url=str(answer.url), status=answer.status_code)


def _server_sent(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    event, data = "message", []
    for line in lines:
        if line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield event, "\n".join(data)
            event, data = "message", []
