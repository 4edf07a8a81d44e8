"""Static files under names that carry their hash: a browser may keep them for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent / "static"
PREFIX = "/static/"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """One static file, held in memory. ``etag`` is quoted, as the header wants it."""

    content: bytes
    media_type: str
    etag: str


class Assets:
    """The files of a folder, by hashed name (``app.0123456789.css``)."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._served: dict[str, Asset] = {}
        self._paths: dict[str, str] = {}
        for path in sorted(folder.rglob("*")):
            if path.suffix not in _TYPES:
                continue
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:10]
            served = f"{path.stem}.{digest}{path.suffix}"
            self._served[served] = Asset(content, _TYPES[path.suffix], f'"{digest}"')
            self._paths[path.name] = PREFIX + served

    def path(self, name: str) -> str:
        """Where a page finds ``app.css``. Raises KeyError: a page that names a file we lack is a defect."""
        return self._paths[name]

    def get(self, served: str) -> Asset | None:
        """The file under its hashed name; None when there is no such file or it has changed since."""
        return self._served.get(served)
