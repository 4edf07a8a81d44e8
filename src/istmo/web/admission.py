"""The outer door: who is asking, and whether they may come to this route at all.

One guard runs before every handler. Three ways to be known: a session cookie, an API token
(``Authorization: Bearer``), a request signed by a node's key (RFC 9421). Behind the door, each service
asks policy about the thing itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from litestar import Request
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers import BaseRouteHandler

from istmo.errors import InvalidInput, NotAllowed, Unauthenticated
from istmo.kit import csrf, times
from istmo.kit.access import ACCESS, KINDS
from istmo.kit.asking import Asker
from istmo.kit.i18n import negotiate
from istmo.kit.pages import Faces
from istmo.kit.signed import Presented
from istmo.policy.principals import Anonymous, Operator, Peer, Person, Principal, TokenHolder

SESSION: Final = "session"
VISIT: Final = "visit"
LANGUAGE: Final = "language"
ZONE: Final = "zone"
NEW_VISIT: Final = "new_visit"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
_ADMITTED: dict[str, tuple[type, ...]] = {
    "people": (Person, TokenHolder, Operator),
    "peer": (Peer,),
    "operator": (Operator,),
}

_Again = Callable[[], Principal]


@dataclass(frozen=True)
class Keepers:
    """Who knows the asker: by session token, by API token, by signature. Each may touch the database.

    The flag says whether the secret is used: merely looking whether it is good keeps no session alive.
    """

    session: Callable[[str, bool], Person | None]
    token: Callable[[str, bool], TokenHolder | None]
    signature: Callable[[Presented], Principal]


class Door:
    """The guard of one node's application."""

    def __init__(self, faces: Faces, keepers: Keepers) -> None:
        self._faces = faces
        self._keepers = keepers
        settings = faces.settings
        own = urlsplit(settings.url).hostname or ""
        self._hosts = {own.lower(), settings.host.lower(), "127.0.0.1", "localhost", "::1"}
        self._languages = settings.languages

    async def admit(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Find out who asks, then open or refuse. Raises Unauthenticated, NotAllowed or InvalidInput."""
        request = Request[Any, Any, Any](connection.scope, connection.receive, connection.send)
        self.greet(request.scope)
        self._check_host(request)
        secret, by_cookie, principal, again = await self._who(request)
        asker: Asker = request.scope["state"]["asker"]
        request.scope["state"]["asker"] = Asker(
            principal, asker.language, asker.zone, asker.address, csrf.token(secret), asker.path, again
        )
        if request.method not in _SAFE:
            await self._check_origin(request, principal, secret, by_cookie)
        kind = handler.opt.get(ACCESS, "public" if request.method == "OPTIONS" else "nobody")
        if kind == "public" or isinstance(principal, _ADMITTED.get(kind, ())):
            return
        if isinstance(principal, Anonymous):
            raise Unauthenticated("web.sign_in_first")
        raise NotAllowed("web.not_for_you")

    def greet(self, scope: Any) -> None:
        """Put an anonymous asker in place: language, zone, address. Serves error pages too."""
        request = Request[Any, Any, Any](scope)
        cookies, faces = request.cookies, self._faces
        language = negotiate(
            cookies.get(faces.cookie(LANGUAGE)), request.headers.get("accept-language"), self._languages
        )
        zone = cookies.get(faces.cookie(ZONE), "")
        if not zone or not times.zone(zone):
            zone = faces.zone
        query = scope.get("query_string", b"").decode("latin-1")
        path = scope["path"] + (f"?{query}" if query else "")
        address = request.client.host if request.client else ""
        scope["state"]["asker"] = Asker(Anonymous(), language, zone, address, "", path)

    def _check_host(self, request: Request[Any, Any, Any]) -> None:
        name = (urlsplit("//" + request.headers.get("host", "")).hostname or "").lower()
        if name not in self._hosts:
            raise InvalidInput("web.wrong_host")

    async def _who(self, request: Request[Any, Any, Any]) -> tuple[str, bool, Principal, _Again | None]:
        """The secret that forms are bound to, whether a cookie spoke, who asks, and how to ask that again."""
        authorization = request.headers.get("authorization", "")
        if authorization:
            scheme, _, value = authorization.partition(" ")
            holder = None
            if scheme.lower() == "bearer" and value:
                holder = await sync_to_thread(self._keepers.token, value.strip(), True)
            if holder is None:
                raise Unauthenticated("web.token_unknown")
            return "", False, holder, _again(self._keepers.token, value.strip(), "web.token_unknown")
        if "signature-input" in request.headers:
            signed = Presented(request.method, _url(request), dict(request.headers), await request.body())
            return "", False, await sync_to_thread(self._keepers.signature, signed), None
        token = request.cookies.get(self._faces.cookie(SESSION), "")
        if token:
            person = await sync_to_thread(self._keepers.session, token, True)
            if person is not None:
                return token, True, person, _again(self._keepers.session, token, "web.sign_in_first")
        visit = request.cookies.get(self._faces.cookie(VISIT), "")
        if len(visit) < 32:
            visit = secrets.token_hex(16)
            request.scope["state"][NEW_VISIT] = visit
        return visit, False, Anonymous(), None

    async def _check_origin(
        self, request: Request[Any, Any, Any], principal: Principal, secret: str, by_cookie: bool
    ) -> None:
        """A change must come from our own page: the browser's word for it, and the page's own token."""
        if not by_cookie and not isinstance(principal, Anonymous):
            return  # a token or a signature: no browser adds those by itself
        site, origin = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "")
        # Our own pages send no referrer, so a browser writes "null" for their origin.
        is_ours = urlsplit(origin).netloc == request.headers.get("host") if origin != "null" else bool(site)
        if site not in ("", "same-origin", "none") or (origin and not is_ours):
            raise NotAllowed("web.other_site")
        is_form = request.headers.get("content-type", "").lower().startswith(_FORMS)
        if not (by_cookie or is_form):
            return
        given = request.headers.get(csrf.HEADER, "")
        if not given and is_form:
            given = str((await request.form()).get(csrf.FIELD, ""))
        if not csrf.is_valid(secret, given):
            raise NotAllowed("web.form_expired")


def _again(find: Callable[[str, bool], Principal | None], secret: str, code: str) -> _Again:
    def look() -> Principal:
        found = find(secret, False)
        if found is None:
            raise Unauthenticated(code)
        return found

    return look


def _url(request: Request[Any, Any, Any]) -> str:
    """The URL as it was signed. The path has been decoded by now: a "?" in it must not end it anew."""
    scope = request.scope
    query = scope.get("query_string", b"").decode("latin-1")
    path = quote(scope["path"]) + (f"?{query}" if query else "")
    return f"{scope['scheme']}://{request.headers.get('host', '')}{path}"


def check_access_declared(handlers: list[tuple[str, BaseRouteHandler]]) -> None:
    """Deny by default: refuse to start when a route does not say who may come to it."""
    silent = sorted(path for path, handler in handlers if handler.opt.get(ACCESS) not in KINDS)
    if silent:
        raise ImproperlyConfiguredException(f"routes that do not declare their access: {', '.join(silent)}")
