"""What every answer carries: no foreign code, no framing, no guessing of types, no referrer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar.datastructures import MutableScopeHeaders

from istmo.kit.pages import Faces
from istmo.web.admission import NEW_VISIT, VISIT

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""Content-Security-Policy: nothing inline, no eval, nothing from elsewhere."""

_ALWAYS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


def header_hook(faces: Faces) -> Callable[[Any, Any], Awaitable[None]]:
    """A ``before_send`` hook: it also reaches the answers that never came to a handler."""

    async def add(message: Any, scope: Any) -> None:
        if message["type"] != "http.response.start":
            return
        headers = MutableScopeHeaders.from_message(message)
        for name, value in _ALWAYS.items():
            headers[name] = value
        if faces.is_secure:
            headers["strict-transport-security"] = "max-age=31536000"
        if "cache-control" not in headers:
            headers["cache-control"] = "no-store"
        visit = scope.get("state", {}).get(NEW_VISIT)
        if visit and "html" in headers.get("content-type", ""):
            headers.add("set-cookie", faces.bake(VISIT, visit).to_header(header=""))

    return add
