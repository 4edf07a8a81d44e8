"""Errors as answers: JSON for programs, a page for people, in the asker's language. No detail leaks."""

from __future__ import annotations

import asyncio
import re
import secrets
import traceback
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import structlog
from litestar import Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.concurrency import sync_to_thread
from litestar.enums import MediaType, RequestEncodingType
from litestar.exceptions import HTTPException
from litestar.response.base import ASGIResponse

from istmo.errors import IstmoError, NotAllowed, NotFound, RateLimited, TooLarge, Unauthenticated
from istmo.kit import signed
from istmo.kit.asking import Asker
from istmo.kit.pages import Faces, back_to
from istmo.policy.principals import Anonymous
from istmo.web.bodies import SMALL_FORM
from istmo.web.routes import page_above

log = structlog.get_logger(__name__)

Recognise = Callable[[Any], Awaitable[None]]
"""Puts in place whose session a request belongs to, where it never came to the door."""

Denied = Callable[[Asker, str, str, IstmoError], None]
"""Writes a denial to the audit trail: asker, method, path, the denial."""

_ON_RECORD = frozenset({"federation.not_allowed", "detect.not_allowed", "identity.sign_in_failed"})
"""Denials that their room has written down itself: it is asked by others than people, too."""

_NO_DENIALS = frozenset({signed.STALE})
"""A signed request's first answer: the challenge to sign anew with."""

_MACHINE = ("/api/", "/federation/")
_NOT_TYPED = re.compile("password|secret|^(csrf|version|next|back|do|id|pick|change|upto)$")
"""Fields that nobody wrote, or that nobody is to read."""
_MOST_KEPT = 50
_BODY_SECONDS = 5.0


class Problems:
    """Exception handlers of one node's application."""

    def __init__(
        self, faces: Faces, greet: Callable[[Any], None], recognise: Recognise, denied: Denied
    ) -> None:
        self._faces = faces
        self._greet = greet
        self._recognise = recognise
        self._denied = denied

    def foreseen(self, request: Request[Any, Any, Any], error: IstmoError) -> Response[Any]:
        """An IstmoError: its words, its remedy, its status; a page asks nobody in particular to sign in."""
        asker = self._asker(request)
        is_page = self._is_page(request)
        # A part of a page that asks for itself anew is to show nothing else in its place.
        if is_page and request.method == "GET" and "hx-request" not in request.headers:
            if error.code == "web.sign_in_first":
                return back_to(request, _sign_in(asker.path))
            if error.code == "web.password_first":
                return back_to(request, "/account")
        background = None
        is_denial = isinstance(error, (NotAllowed, Unauthenticated))
        if is_denial and error.code not in _ON_RECORD | _NO_DENIALS:
            background = BackgroundTask(self._denied, asker, request.method, request.scope["path"], error)
        return self._answer(request, asker, error, background=background)

    def http(self, request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        """What the framework refused before a handler saw it: unknown path, wrong method, bad body."""
        status = error.status_code
        if status >= 500:
            return self.unforeseen(request, error)
        if status == 404:
            told: IstmoError = NotFound("web.no_page")
        elif status == 405:
            above = page_above(request.app, request.scope["path"])
            if request.method == "GET" and self._is_page(request) and above:
                return back_to(request, above)  # the address of a form's answer, asked for or loaded anew
            told = IstmoError("web.wrong_method")
        elif status == 413:
            told = TooLarge("web.body_too_large")
        else:
            told = IstmoError("web.bad_request")
        return self._answer(
            request, self._asker(request), told, status=status, extra=getattr(error, "headers", None)
        )

    def unforeseen(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        """A defect: logged with a reference, told without any detail."""
        reference = secrets.token_hex(4)
        # As text without local variables: those may hold a secret.
        trace = "".join(traceback.format_exception(error))
        log.error("request_failed", reference=reference, path=request.scope["path"], trace=trace)
        told = IstmoError("web.defect", reference=reference)
        return self._answer(request, self._asker(request), told, status=500, reference=reference)

    def _asker(self, request: Request[Any, Any, Any]) -> Asker:
        if "asker" not in request.scope["state"]:
            self._greet(request.scope)
        asker: Asker = request.scope["state"]["asker"]
        return asker

    async def _page(self, request: Request[Any, Any, Any], told: dict[str, str]) -> str:
        """The page, in the console of whoever is signed in: also where no route was reached to ask who."""
        if isinstance(self._asker(request).principal, Anonymous):
            try:
                await self._recognise(request)
            except Exception:  # what went wrong may be the very thing that would tell who asks
                log.exception("asker_not_recognised")
        asker, context = self._asker(request), {"kept": [], "sign_in": "", "back": "", "is_answer": False}
        if request.method == "POST":
            above = page_above(request.app, request.scope["path"])
            is_known = not isinstance(asker.principal, Anonymous)
            context = {
                "kept": await _typed(request),
                "sign_in": "" if is_known else _sign_in(above),
                "back": above if is_known else "",
                "is_answer": True,
            }
        return await sync_to_thread(self._faces.render, asker, "kit/error.html", {**told, **context})

    def _is_page(self, request: Request[Any, Any, Any]) -> bool:
        return not request.scope["path"].startswith(_MACHINE)

    def _answer(
        self,
        request: Request[Any, Any, Any],
        asker: Asker,
        error: IstmoError,
        *,
        status: int = 0,
        reference: str = "",
        background: BackgroundTask | None = None,
        extra: dict[str, str] | None = None,
    ) -> Response[Any]:
        words = self._faces.catalogue.error(asker.language, error)
        status = status or error.status
        headers = {name: value for name, value in (extra or {}).items() if name.lower() == "allow"}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, RateLimited) and "retry_after" in error.params:
            headers["Retry-After"] = str(max(1, round(float(error.params["retry_after"]))))
        if self._is_page(request):
            told = {"message": words.message, "remedy": words.remedy, "reference": reference}
            return _Page(
                lambda: self._page(request, told), status_code=status, headers=headers, background=background
            )
        body = {
            "error": {
                "code": error.code,
                "message": words.message,
                "remedy": words.remedy,
                "params": {name: _plain(value) for name, value in error.params.items()},
            }
        }
        return Response(
            body, status_code=status, media_type=MediaType.JSON, headers=headers, background=background
        )


def _sign_in(path: str) -> str:
    return "/sign-in?" + urlencode({"next": path})


async def _typed(request: Request[Any, Any, Any]) -> list[str]:
    """What a person wrote into the form that was not taken: it stands in the answer, so that nothing is lost.

    Only of small forms without files: whoever sends may be anybody.
    """
    size = request.headers.get("content-length", "")
    if request.content_type[0] != RequestEncodingType.URL_ENCODED or not size.isdecimal():
        return []
    if int(size) > SMALL_FORM:
        return []
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            sent = await request.form()
    except Exception:  # what cannot be read was told as such, or is no reason to tell nothing else
        return []
    fields = ((name, value) for name, value in sent.multi_items() if isinstance(value, str))
    return [value for name, value in fields if value.strip() and not _NOT_TYPED.search(name)][:_MOST_KEPT]


class _Page(Response[Any]):
    """A page that is made when it is sent, for an error's handler may wait for nothing."""

    def __init__(self, make: Callable[[], Awaitable[str]], **given: Any) -> None:
        super().__init__("", media_type=MediaType.HTML, **given)
        self._make = make

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:
        """An answer that writes itself, then sends itself."""
        return _Written(self._make, lambda text: self._written(text, request, given))

    def _written(self, text: str, request: Request[Any, Any, Any], given: dict[str, Any]) -> ASGIResponse:
        self.content = text
        return super().to_asgi_response(None, request, **given)


class _Written(ASGIResponse):
    def __init__(self, make: Callable[[], Awaitable[str]], answer: Callable[[str], ASGIResponse]) -> None:
        super().__init__()
        self._make, self._answer = make, answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Write, then send."""
        answer = self._answer(await self._make())
        await answer(scope, receive, send)


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return str(value)
