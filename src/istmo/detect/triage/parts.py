"""What a hunt looks through, in parts that processes may share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from istmo.detect.reading import Members, files_in, member_sizes, name_of
from istmo.errors import InvalidInput, IstmoError, NotFound

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
        shown = name_of(path) if name else ""
        if name and path.is_dir():
            refused: list[Path] = []
            inside = files_in(path, refused.append)
            parts += [part for one in inside for part in _parts(one)]
            for one in refused:
                tell(name_of(one), InvalidInput("detect.folder_unreadable", folder=name_of(one)))
            if not inside and not refused:
                tell(shown, NotFound("detect.hunt_empty_folder", folder=shown))
        elif name and path.exists():
            parts += _parts(path)
        else:
            tell(shown, NotFound("detect.no_such_file", file=shown))
    return parts


def is_among(path: Path, names: Sequence[str]) -> bool:
    """Whether a file that is to be written is one of those that are looked through, by whatever name."""
    if not path.exists():
        return False
    here = path.resolve()
    for given in (Path(name).resolve() for name in names if name and name != STDIN):
        if given.is_dir():
            has_names = path.stat().st_nlink > 1
            if here.is_relative_to(given) or (
                has_names and any(one.samefile(here) for one in files_in(given, lambda _: None))
            ):
                return True
        elif given.exists() and given.samefile(here):
            return True
    return False


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
