"""Static files: compressed once, kept by browsers for ever (their names carry their hash)."""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import Any

from litestar import Request, Response, get

from istmo.errors import NotFound
from istmo.kit.access import PUBLIC
from istmo.kit.pages import faces_of


@lru_cache(maxsize=64)
def _squeezed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


@get("/static/{name:str}", opt=PUBLIC, include_in_schema=False)
async def static_file(request: Request[Any, Any, Any], name: str) -> Response[bytes]:
    """One file of the console, under its hashed name."""
    asset = faces_of(request).assets.get(name)
    if asset is None:
        raise NotFound("web.no_page")
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": asset.etag,
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == asset.etag:
        return Response(b"", status_code=304, headers=headers)
    content = asset.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = _squeezed(content), "gzip"
    return Response(content, media_type=asset.media_type, headers=headers)


routes = [static_file]
