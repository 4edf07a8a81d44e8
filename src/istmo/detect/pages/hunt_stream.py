"""A page's answer while it is found: lines of JSON, each with a piece of HTML and the place that it has.

``{"put": NAME, "html": …}`` takes the place of what stood there, ``{"add": NAME, "html": …}`` goes behind it,
``{"share": 0 … 100}`` is how far it is; an end that is ``failed`` tells why there is no answer. What a script
does with them is in ``kit/static/stream.js``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Final, TypeVar

import orjson
from litestar import Request
from litestar.response import Stream

from istmo.clock import Clock
from istmo.detect.api_lines import NDJSON, problem_told
from istmo.detect.wire import Problem
from istmo.errors import IstmoError
from istmo.kit.answering import heard
from istmo.kit.asking import Asker
from istmo.kit.pages import asker_of, faces_of

PATIENCE: Final = 10
"""Seconds for which a page without scripts waits: what was found until then is shown, and that said."""
LONG_PATIENCE: Final = 30
"""The same where a hunt by rules is waited for, which may take minutes."""
_Part = TypeVar("_Part")
Piece = dict[str, str | int]
Render = Callable[..., str]


def stream(request: Request[Any, Any, Any], pieces: Generator[Piece]) -> Stream:
    """Pieces as they come, for whoever asks."""
    return Stream(heard(_lines(pieces), asker_of(request)), media_type=NDJSON)


def _lines(pieces: Generator[Piece]) -> Generator[bytes]:
    with closing(pieces):
        for piece in pieces:
            yield orjson.dumps(piece) + b"\n"


def renderer(request: Request[Any, Any, Any], template: str) -> Render:
    """What makes a piece of a page: ``render(part, **context)``."""
    asker, faces = asker_of(request), faces_of(request)

    def render(part: str, **context: Any) -> str:
        return faces.render(asker, template, {"part": part, **context})

    return render


def problem_words(problem: Problem | None, request: Request[Any, Any, Any]) -> str:
    """Why an answer does not hold everything, and what to do."""
    if problem is None:
        return ""
    asker, catalogue = asker_of(request), faces_of(request).catalogue
    told = problem_told(problem, asker, catalogue)
    remedy = f"error.{problem.code}.remedy"
    more = catalogue.text(asker.language, remedy, **problem.params)
    return f"{told['text']} {more}" if told is not None else ""


def error_words(error: IstmoError, asker: Asker, request: Request[Any, Any, Any]) -> str:
    """An error in one paragraph."""
    words = faces_of(request).catalogue.error(asker.language, error)
    return f"{words.message} {words.remedy}".strip()


def patient(parts: Generator[_Part], clock: Clock, late: _Part, seconds: int = PATIENCE) -> Generator[_Part]:
    """The parts of an answer for as long as a page waits; then ``late``, which says so.

    An answer whose last part has come is whole, however late.
    """
    end = clock.monotonic() + seconds
    with closing(parts):
        for part in parts:
            yield part
            if clock.monotonic() > end and not _is_last(part):
                yield late
                return


def _is_last(part: object) -> bool:
    """Whether a part is known to be the last: rows of a search do not tell, what ends one does."""
    return bool(getattr(part, "done", isinstance(part, Problem)))
