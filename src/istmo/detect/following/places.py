"""Which files are meant: what was named, what patterns find, and what became of them by rotation."""

from __future__ import annotations

import glob
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from istmo.detect.reading import files_in

_BEFORE_NUMBER: Final = re.compile(
    r"(?:[-._]?(?:\d[\d\-_.T:]*|old|bak|prev))*(?:\.(?:gz|zst))?", re.ASCII | re.IGNORECASE
)
_ROTATED: Final = re.compile(rf"{_BEFORE_NUMBER.pattern}$", re.ASCII | re.IGNORECASE)
_PATTERN: Final = frozenset("*?[")


@dataclass(frozen=True)
class Place:
    """A file that is to be followed."""

    path: Path
    device: int
    inode: int
    size: int
    changed: int
    """When it was last written, in nanoseconds."""
    is_sibling: bool = False
    """Not named itself: what a file that was named had been before."""


def is_rotated(name: str, of: str) -> bool:
    """Whether rotation gives a file this name: ``app.log.1``, ``app-20260302.log.gz`` of ``app.log``."""
    if name == of:
        return False
    stem, dot, suffix = of.rpartition(".")
    if name.startswith(of) and _BEFORE_NUMBER.fullmatch(name[len(of) :]):
        return True
    if not (dot and stem and name.startswith(stem)):
        return False
    rest = name[len(stem) :]
    for packed in ("", ".gz", ".zst"):
        end = f".{suffix}{packed}"
        if rest.endswith(end) and _BEFORE_NUMBER.fullmatch(rest[: len(rest) - len(end)]):
            return True
    return False


def is_related(name: str, other: str) -> bool:
    """Whether a file may be a copy of another one: its name comes from rotation, and they are of one log."""
    base = base_name(name)
    return name not in (base, other) and base == base_name(other)


def base_name(name: str) -> str:
    """The name of a log before any rotation: ``app.log`` of ``app-20260302.log.2.gz``."""
    name = _ROTATED.sub("", name, count=1)
    stem, dot, suffix = name.rpartition(".")
    return f"{_ROTATED.sub('', stem, count=1)}{dot}{suffix}" if stem else name


def places_of(wanted: Iterable[Path], hidden: frozenset[Path]) -> list[Place]:
    """Every file there is now, each once, those that were written longest ago first."""
    found: dict[tuple[int, int], Place] = {}
    for path, is_sibling in _paths(wanted):
        if path in hidden:
            continue
        try:
            told = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(told.st_mode):
            place = Place(path, told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, is_sibling)
            found.setdefault((place.device, place.inode), place)
    return sorted(found.values(), key=lambda place: (place.changed, str(place.path)))


def _paths(wanted: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    siblings: list[Path] = []
    for path in wanted:
        if path.is_dir():
            yield from ((inner, False) for inner in files_in(path, lambda _: None))
        elif _PATTERN & set(str(path)) and not path.exists():
            names = glob.glob(str(path), recursive=True)  # noqa: PTH207 - of any folder, and through links
            yield from ((Path(name), False) for name in sorted(names))
        else:
            yield path, False
            siblings.append(path)
    for path in siblings:
        try:
            beside = sorted(path.parent.iterdir())
        except OSError:
            continue
        yield from ((one, True) for one in beside if is_rotated(one.name, path.name))
