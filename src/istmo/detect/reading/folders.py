"""The files of a folder, and of the folders in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def files_in(folder: Path, tell: Callable[[Path], object]) -> list[Path]:
    """Every file, in a settled order. Links are not followed and what is neither file nor folder is left out.

    ``tell`` hears of each folder that cannot be read: what is in it nobody has seen.
    """
    found: list[Path] = []

    def refused(error: OSError) -> None:
        tell(Path(error.filename))

    for place, _, names in os.walk(folder, onerror=refused):
        for name in names:
            path = Path(place, name)
            try:
                if path.is_file() and not path.is_symlink():
                    found.append(path)
            except OSError:
                tell(path)
    return sorted(found)
