"""Sending what files hold to a node's intake port, a batch after another."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import msgspec
import orjson

from istmo.detect.intake.arrivals import UNREADABLE
from istmo.detect.intake.texts import text_event
from istmo.detect.reading import FileProblem, Found, Line
from istmo.errors import Unavailable
from istmo.kit.client import NodeAnswered, bearer, checked_url

BATCH_BYTES: Final = 1 << 20
BATCH_LINES: Final = 2000
TOKEN: Final = "ISTMO_SOURCE_TOKEN"  # noqa: S105 - the name of a variable, no secret
NAMED: Final = 1000
"""Refused lines and problems that the outcome names; the rest are counted."""
PATIENCE: Final = 60.0
"""Seconds that a busy node is asked again."""
_FRESH_SECONDS: Final = 10.0
_PAUSE: Final = 0.25
_BUSY: Final = frozenset({429, 503})


@dataclass
class Outcome:
    """What became of the events. Each of the lists names the first thousand."""

    accepted: int = 0
    doubled: int = 0
    """Of the accepted, those that were stored already: they were sent before, and not answered."""
    forms: Counter[str] = field(default_factory=Counter)
    """Events sent, by the format that they came in."""
    unreadable_total: int = 0
    unreadable: list[dict[str, Any]] = field(default_factory=list)
    """Lines that are kept as mere text."""
    refused_total: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)


class Sender:
    """One source of one intake port."""

    def __init__(self, url: str, secret: str, *, verify: Any = True, is_fresh: bool = False) -> None:
        """``is_fresh``: the token was made a moment ago, so it may take a moment until it is known.

        Raises InvalidInput for an address that is none, or a token that cannot be one.
        """
        self.url = url
        self._http = httpx.Client(
            base_url=checked_url(url),
            headers={"Authorization": bearer(secret, TOKEN)},
            timeout=httpx.Timeout(120.0, connect=5.0),
            verify=verify,
            trust_env=False,
        )
        self._fresh_until = time.monotonic() + _FRESH_SECONDS if is_fresh else 0.0
        self.outcome = Outcome()
        self._held: list[Line] = []
        self._held_bytes = 0
        self._was_answered = False

    def send(self, found: Iterable[Found], done: Callable[[float], None]) -> Outcome:
        """Everything of ``found``; ``done`` hears how many lines were dealt with.

        Raises NodeAnswered with the node's own words where it takes no more, Unavailable where
        none answers; what was accepted until then is stored, and in ``outcome``.
        """
        for one in with_marks(found):
            if isinstance(one, FileProblem):
                if len(self.outcome.problems) < NAMED:
                    self.outcome.problems.append(one)
                continue
            if self._held and (
                self._held_bytes + len(one.raw) > BATCH_BYTES or len(self._held) >= BATCH_LINES
            ):
                self._post(done)
            self._held.append(one)
            self._held_bytes += len(one.raw)
            self.outcome.forms[one.form] += 1
        if self._held:
            self._post(done)
        return self.outcome

    def send_once(self, found: Iterable[Found], key: str) -> list[FileProblem]:
        """One batch under a name of the caller's, which brings the same events whenever it is used again.

        Returns what could not be read. Raises as ``send`` does, at once: whether it was stored nobody knows.
        """
        lines: list[Line] = []
        problems: list[FileProblem] = []
        for one in with_marks(found):
            if isinstance(one, FileProblem):
                problems.append(one)
            else:
                lines.append(one)
        if lines:
            self._note(self._answer(_body(lines), key, 0.0), lines)
        self.outcome.forms.update(line.form for line in lines)
        self.outcome.problems += problems[: NAMED - len(self.outcome.problems)]
        return problems

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _post(self, done: Callable[[float], None]) -> None:
        lines, self._held, self._held_bytes = self._held, [], 0
        self._note(self._answer(_body(lines), uuid.uuid4().hex, PATIENCE), lines)
        done(len(lines))

    def _note(self, answer: dict[str, Any], lines: list[Line]) -> None:
        outcome = self.outcome
        outcome.accepted += answer["accepted"]
        outcome.doubled += answer["doubled"]
        outcome.refused_total += answer["refused_total"]
        outcome.unreadable_total += answer["unreadable_total"]
        _name(outcome.refused, answer["refused"], lines)
        _name(outcome.unreadable, answer["unreadable"], lines)

    def _answer(self, body: bytes, key: str, patience: float) -> dict[str, Any]:
        """What became of a batch, sent again under the same key for as long as nobody says."""
        deadline = time.monotonic() + patience
        while True:
            try:
                response = self._http.post("/api/v1/events", content=body, headers={"Idempotency-Key": key})
                answer: dict[str, Any] = orjson.loads(response.content)
            except (httpx.TransportError, orjson.JSONDecodeError):
                if not self._was_answered or time.monotonic() >= deadline:
                    raise Unavailable(
                        "detect.ingest_no_answer", url=self.url, accepted=self.outcome.accepted
                    ) from None
                time.sleep(_PAUSE)  # it was there before: perhaps it starts again
                continue
            self._was_answered = True
            if "accepted" in answer:  # 200, or 400 where every line of this batch was refused
                return answer
            now = time.monotonic()
            is_busy = response.status_code in _BUSY and now < deadline
            is_new = response.status_code == 401 and now < self._fresh_until
            if not (is_busy or is_new):
                error = answer["error"]
                raise NodeAnswered(response.status_code, error["code"], error["message"], error["remedy"])
            time.sleep(float(response.headers.get("Retry-After", 1)) if is_busy else 0.05)


def with_marks(found: Iterable[Found]) -> Iterator[Found]:
    """Lines as they are to be sent: JSON as it is, others as what was read of them with the line beside it.

    A line that its log's format does not know is sent as text, marked; the problem is told as well.
    """
    strange: tuple[str, int] | None = None
    for one in found:
        if isinstance(one, FileProblem):
            strange = (one.place, one.line) if one.error.code == "detect.line_other_form" else None
            yield one
            continue
        if one.data is None:
            yield one
            continue
        event = text_event(one.data, one.raw)
        if strange == (one.place, one.number):
            event[UNREADABLE] = "line_other_form"
        yield msgspec.structs.replace(one, raw=orjson.dumps(event), data=None)


def _body(lines: list[Line]) -> bytes:
    raws = [line.raw for line in lines]
    # An element of an array may stand on several lines: as an array it stays one event.
    is_plain = all(b"\n" not in raw for raw in raws)
    return b"\n".join(raws) if is_plain else b"[" + b",".join(raws) + b"]"


def _name(named: list[dict[str, Any]], told: list[dict[str, Any]], lines: list[Line]) -> None:
    for one in told[: NAMED - len(named)]:
        line = lines[one["line"] - 1]
        named.append({"place": line.place, "line": line.number, "code": one["code"]})
