"""Askers, and what they are answered: status, headers and body, byte for byte."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace

import httpx
import orjson
import pytest

from istmo.clock import ManualClock
from istmo.kit import csrf
from istmo.kit.signed import SignedAuth
from istmo.ledger.keys import NodeKeys

VISIT = "5" * 32
PEOPLE = frozenset({"public", "people"})
PEERS = frozenset({"public", "peer"})


@dataclass(frozen=True)
class Question:
    """One request, the same to both nodes."""

    method: str
    path: str
    content_type: str = ""
    content: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.content[:200].decode(errors='replace')}"


@dataclass(frozen=True)
class Answer:
    """What came back, what may differ taken out."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass
class Asker:
    """A third: how it makes itself known."""

    name: str
    auth: Callable[[ManualClock], httpx.Auth] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    """By what the node calls them: ``session``, ``visit``."""
    opens: frozenset[str] = frozenset({"public"})
    """Which kinds of route the outer door opens to it. Behind those that stay shut it asks for less."""
    only_reads: bool = False
    frames: bytes = b""
    """Frames of its own that it posts, after all else."""
    signs_in: bool = False
    """Whether it tries the doors with passwords: slow by design, so one asker does."""
    secret: str = VISIT
    """What the forms that it sends are bound to."""


def by_session(name: str, token: str) -> Asker:
    return Asker(f"{name} by session", cookies={"session": token}, secret=token, opens=PEOPLE)


def by_token(name: str, secret: str) -> Asker:
    headers = {"Authorization": f"Bearer {secret}"}
    return Asker(f"{name} by token", headers=headers, opens=PEOPLE, only_reads=True)


def by_key(name: str, keys: NodeKeys) -> Asker:
    return Asker(name, auth=lambda clock: SignedAuth(keys, clock))


def ask(
    asker: Asker,
    url: str,
    cookie_name: Callable[[str], str],
    questions: Iterable[Question],
    clock: ManualClock,
) -> list[Answer]:
    """Put every question in turn; time moves by the same step after each, so that no budget runs out."""
    cookie = "; ".join(f"{cookie_name(name)}={value}" for name, value in asker.cookies.items())
    headers = {"Accept-Encoding": "identity", "Accept-Language": "es", **asker.headers}
    if cookie:
        headers["Cookie"] = cookie
    answers = []
    auth = asker.auth(clock) if asker.auth else None
    plain = ssl.SSLContext(
        ssl.PROTOCOL_TLS_CLIENT
    )  # never used: loading the real one takes longer than asking
    with httpx.Client(
        base_url=url, headers=headers, auth=auth, trust_env=False, timeout=20, verify=plain
    ) as http:
        if auth:
            http.get("/federation/v1/charters")  # pages do not tell the challenge to sign with
        for question in questions:
            sent = {"Content-Type": question.content_type} if question.content_type else {}
            if question.method not in ("GET", "HEAD") and "session" in asker.cookies:
                sent["X-CSRF"] = csrf.token(asker.secret)
            http.cookies.clear()
            with http.stream(
                question.method, question.path, headers=sent, content=question.content
            ) as response:
                body = _first_words(response) if _is_stream(response) else response.read()
            assert response.status_code != 500, f"{asker.name}: {question}: {body!r}"
            answers.append(Answer(response.status_code, _headers(response), mask(question, body)))
            clock.advance(0.5)
    return answers


def _is_stream(response: httpx.Response) -> bool:
    return response.headers.get("content-type", "").startswith("text/event-stream")


def _first_words(response: httpx.Response) -> bytes:
    """A stream up to its first silence: the feed's first heartbeat, the changes' first comment."""
    body = b""
    for chunk in response.iter_raw():
        body += chunk
        if b'"kind":"heartbeat"' in body or b": listening" in body:
            break
    return body


# --- what may differ ---------------------------------------------------------------------------------

DATE = frozenset({"date"})
"""The one header that may differ: the server's own clock, in seconds."""

_BODY_LENGTH = frozenset({"content-length"})
"""The length of a body in which something was masked."""


def _headers(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    raw = [(name.decode().lower(), value.decode("latin-1")) for name, value in response.headers.raw]
    masked = DATE | (_BODY_LENGTH if response.request.url.path.startswith(LOG_SIZE) else frozenset())
    return tuple((name, value) for name, value in raw if name not in masked)


LOG_SIZE = ("/api/v1/ledger/checkpoint", "/api/v1/ledger/entries/")
"""Answers that state the size and the root of the log: docs/protocol.md, "What leaks"."""


def mask(question: Question, body: bytes) -> bytes:
    """Take out the size of the log, which every member may know: its checkpoint, wherever it stands.

    Nothing else is masked. Times are the same because the clock is; nonces, because chance is.
    """
    if question.path.startswith(LOG_SIZE) and body.startswith(b"{"):
        found = orjson.loads(body)
        for name in ("size", "root", "checkpoint", "proof"):  # a proof leads up to the checkpoint
            found.pop(name, None)
        return orjson.dumps(found)
    if question.path.endswith("/retract"):  # the place of a new entry in the log
        body = re.sub(rb'("retractions?":\[?\{"sequence":)\d+', rb"\1(size)", body)
    # A heartbeat carries the checkpoint; its signature (the 88 letters before) is over it.
    return re.sub(
        rb'data: [A-Za-z0-9+/=]{88} (\{(?:(?!\n).)*?"kind":"heartbeat"(?:(?!\n).)*?)"checkpoint":"[^"]*"',
        rb'data: (signature) \1"checkpoint":(checkpoint)',
        body,
    )


FROZEN = (
    "istmo.kit.csrf",
    "istmo.kit.signed",
    "istmo.web.admission",
    "istmo.web.problems",
    "istmo.respond.writing",
    "istmo.identity.service",
)
"""Modules that ask for chance while a question is answered."""


def freeze_chance(patch: pytest.MonkeyPatch) -> None:
    """The same nonces in the same order, from now on: what two nodes answer alike is then alike."""
    count = [0]

    def next_bytes(size: int = 32) -> bytes:
        count[0] += 1
        return count[0].to_bytes(size, "big")

    fixed = SimpleNamespace(
        token_bytes=next_bytes,
        token_hex=lambda size=16: next_bytes(size).hex(),
        token_urlsafe=lambda size=16: next_bytes(size).hex(),
    )
    for name in FROZEN:
        patch.setattr(f"{name}.secrets", fixed)
