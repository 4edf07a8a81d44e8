"""Where a person's hunts keep what they worked out: rules as read, and as compiled."""

from __future__ import annotations

import os
from pathlib import Path

from istmo.detect.sigma.kept import KeptFiles


def kept_folder() -> Path | None:
    """A folder of this person's alone; None where this machine has no safe place for it."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "istmo"
        KeptFiles(folder)
    except (OSError, RuntimeError):
        return None
    return folder


def kept_files() -> KeptFiles | None:
    """The files in it."""
    folder = kept_folder()
    return None if folder is None else KeptFiles(folder)
