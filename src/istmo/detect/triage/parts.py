"""What a hunt looks through, in parts that processes may share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from istmo.detect.reading import Members, member_sizes
from istmo.errors import IstmoError, NotFound

MEMBERS: Final = 24
"""Members of an archive that are one part of the work."""
STDIN: Final = "-"


@dataclass(frozen=True)
class Part:
    """A file, or some members of an archive. Without a path: standard input."""

    path: Path | None
    members: Members = None
    size: int = 0
    """Bytes, as they stand on the disk; of standard input nobody knows."""


def list_parts(names: Iterable[str], tell: Callable[[str, IstmoError], None]) -> list[Part]:
    """What there is to look through. Links out of a folder are not followed, and pipes in it not opened.

    ``tell`` hears of a name that leads nowhere, and of a folder that holds nothing.
    """
    parts: list[Part] = []
    for name in names:
        if name == STDIN:
            parts.append(Part(None))
            continue
        path = Path(name)
        before = len(parts)
        if path.is_dir():
            for one in sorted(path.rglob("*")):
                with suppress(OSError):
                    if one.is_file() and not one.is_symlink():
                        parts += _parts(one)
            if len(parts) == before:
                tell(name, NotFound("detect.hunt_empty_folder", folder=name))
        elif path.exists():
            parts += _parts(path)
        else:
            tell(name, NotFound("detect.no_such_file", file=name))
    return parts


def _parts(path: Path) -> list[Part]:
    sizes = member_sizes(path)
    if len(sizes) < 2:
        with suppress(OSError):
            return [Part(path, None, path.stat().st_size if path.is_file() else 0)]
        return [Part(path)]
    return [
        Part(path, (start, start + MEMBERS), sum(sizes[start : start + MEMBERS]))
        for start in range(0, len(sizes), MEMBERS)
    ]
