"""The outer door: who is asking, and whether they may come to this route at all.

One guard runs before every handler. Three ways to be known: a session cookie, an API token
(``Authorization: Bearer``), a request signed by a node's key (RFC 9421). Behind the door, each service
asks policy about the thing itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from litestar import Request
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.enums import RequestEncodingType
from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers import BaseRouteHandler

from istmo.errors import InvalidInput, NotAllowed, Unauthenticated
from istmo.kit import csrf, times
from istmo.kit.access import ACCESS, FIRST, KINDS
from istmo.kit.asking import Asker
from istmo.kit.i18n import negotiate
from istmo.kit.pages import Faces
from istmo.kit.signed import Presented
from istmo.kit.unread import announces_body
from istmo.policy.principals import Anonymous, Operator, Peer, Person, Principal, TokenHolder

SESSION: Final = "session"
VISIT: Final = "visit"
WATCHING: Final = "istmo-watching"
"""The header of what a page asks for by itself."""
LIVE: Final = "/api/v1/changes"
LANGUAGE: Final = "language"
ZONE: Final = "zone"
SCHEME: Final = "scheme"
SCHEMES: Final = ("light", "dark")
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
    ``signer`` looks at a signed request's headers alone, ``signature`` at all of it.
    """

    session: Callable[[str, bool], Person | None]
    token: Callable[[str, bool], TokenHolder | None]
    signer: Callable[[Presented], Principal]
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
        assert isinstance(connection, Request)
        request = connection
        self.greet(request.scope)
        _check_text(request)
        self._check_host(request)
        secret, by_cookie, principal, again = await self._who(request, handler)
        _put_in_place(request, principal, secret, again)
        # A token or a signature: no browser adds those by itself.
        is_browser = by_cookie or isinstance(principal, Anonymous)
        is_change = is_browser and request.method not in _SAFE
        if is_change:
            _check_origin(request)
        _check_access(request, handler, principal)
        # Last, for it may read the whole body: nobody whom the route does not admit gets that far.
        if is_change:
            await _check_form_token(request, secret, by_cookie)
        if _takes_form(handler):
            await request.form()  # with a reader of our own: what the framework reads itself has no words

    async def recognise(self, request: Request[Any, Any, Any]) -> None:
        """Put whose session it is in place, where no route came to ask: for an error page. Opens nothing."""
        token = request.cookies.get(self._faces.cookie(SESSION), "")
        if not token or not self._is_our_host(request):
            return
        person = await sync_to_thread(self._keepers.session, token, False)
        if person is not None:
            _put_in_place(request, person, token, None)

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
        scheme = cookies.get(faces.cookie(SCHEME), "")
        scheme = scheme if scheme in SCHEMES else ""
        scope["state"]["asker"] = Asker(Anonymous(), language, zone, address, "", path, scheme=scheme)

    def _check_host(self, request: Request[Any, Any, Any]) -> None:
        if not self._is_our_host(request):
            raise InvalidInput("web.wrong_host")

    def _is_our_host(self, request: Request[Any, Any, Any]) -> bool:
        parts = _split("//" + request.headers.get("host", ""))
        return parts is not None and (parts.hostname or "").lower() in self._hosts

    async def _who(
        self, request: Request[Any, Any, Any], handler: BaseRouteHandler
    ) -> tuple[str, bool, Principal, _Again | None]:
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
            return "", False, await self._signed(request, handler), None
        token = request.cookies.get(self._faces.cookie(SESSION), "")
        if token:
            # What a page asks for by itself while nobody is there keeps no session from ending.
            is_used = WATCHING not in request.headers and request.scope["path"] != LIVE
            person = await sync_to_thread(self._keepers.session, token, is_used)
            if person is not None:
                return token, True, person, _again(self._keepers.session, token, "web.sign_in_first")
        visit = request.cookies.get(self._faces.cookie(VISIT), "")
        if len(visit) < 32:
            visit = secrets.token_hex(16)
            request.scope["state"][NEW_VISIT] = visit
        return visit, False, Anonymous(), None

    async def _signed(self, request: Request[Any, Any, Any], handler: BaseRouteHandler) -> Principal:
        """Who signed. A body is read only for a key that we know, on a route that admits its holder."""
        signed = Presented(request.method, _url(request), dict(request.headers))
        if announces_body(signed.headers):
            holder = await sync_to_thread(self._keepers.signer, signed)
            _check_access(request, handler, holder)
            signed = replace(signed, body=await request.body())
        return await sync_to_thread(self._keepers.signature, signed)


def _put_in_place(
    request: Request[Any, Any, Any], principal: Principal, secret: str, again: _Again | None
) -> None:
    asker: Asker = request.scope["state"]["asker"]
    request.scope["state"]["asker"] = Asker(
        principal,
        asker.language,
        asker.zone,
        asker.address,
        csrf.token(secret),
        asker.path,
        again,
        asker.scheme,
    )


def _check_access(request: Request[Any, Any, Any], handler: BaseRouteHandler, principal: Principal) -> None:
    kind = handler.opt.get(ACCESS, "public" if request.method == "OPTIONS" else "nobody")
    if kind == "public":
        return
    if isinstance(principal, _ADMITTED.get(kind, ())):
        if isinstance(principal, Person) and principal.must_change and not handler.opt.get(FIRST):
            raise NotAllowed("web.password_first")
        return
    if isinstance(principal, Anonymous):
        raise Unauthenticated("web.sign_in_first")
    raise NotAllowed("web.not_for_you")


def _check_origin(request: Request[Any, Any, Any]) -> None:
    """A change must come from our own page: the browser's word for it."""
    site, origin = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "")
    # Our own pages send no referrer, so a browser writes "null" for their origin.
    parts = _split(origin)
    is_ours = bool(site) if origin == "null" else parts and parts.netloc == request.headers.get("host")
    if site not in ("", "same-origin", "none") or (origin and not is_ours):
        raise NotAllowed("web.other_site")


async def _check_form_token(request: Request[Any, Any, Any], secret: str, by_cookie: bool) -> None:
    """And the page's own token: a browser adds the cookie to any site's form by itself, never this."""
    is_form = request.headers.get("content-type", "").lower().startswith(_FORMS)
    if not (by_cookie or is_form):
        return
    given = request.headers.get(csrf.HEADER, "")
    if not given and is_form:
        given = str((await request.form()).get(csrf.FIELD, ""))
    if not csrf.is_valid(secret, given):
        raise NotAllowed("web.form_expired")


def _check_text(request: Request[Any, Any, Any]) -> None:
    """NUL names nothing, and PostgreSQL keeps no text that holds it: the same answer on every database."""
    if "\0" in request.scope["path"] or b"%00" in request.scope.get("query_string", b""):
        raise InvalidInput("web.bad_request")


def _takes_form(handler: BaseRouteHandler) -> bool:
    data = handler.parsed_data_field
    kind = getattr(data and data.kwarg_definition, "media_type", "")
    return kind in (RequestEncodingType.URL_ENCODED, RequestEncodingType.MULTI_PART)


def _split(url: str) -> SplitResult | None:
    """A URL in its parts; None where it is none."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


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
