"""``istmo ingest --follow``: files and folders, for as long as the command runs."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from istmo.clock import SystemClock
from istmo.detect.following import BookmarkFile, Follower
from istmo.detect.ingesting import NAMED, TOKEN, Outcome, Sender
from istmo.detect.reading import Found
from istmo.errors import InvalidInput, IstmoError
from istmo.kit.cli import Teller, told_of
from istmo.settings import Limits


def follow(
    teller: Teller,
    paths: Sequence[str],
    url: str,
    verify: Any,
    limits: Limits,
    form: str,
    bookmarks: Path | None,
) -> Outcome:
    """Send what is written to the files until a signal ends it; what became of it all.

    Raises InvalidInput without a source's own token: one that ends by itself is of no use here.
    """
    secret = os.environ.get(TOKEN, "")
    if not secret:
        raise InvalidInput("detect.follow_no_token", variable=TOKEN)
    kept = bookmarks or default_bookmarks()
    with suppress(OSError):  # where it cannot be made, loading says why
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _allow_many_files()
    sender = Sender(url, secret, verify=verify)
    shown: set[tuple[str, str]] = set()

    def send(found: Sequence[Found], key: str) -> None:
        for problem in sender.send_once(found, key):
            what = (problem.place, problem.error.code)
            if what not in shown and len(shown) < NAMED:
                shown.add(what)
                teller.note("detect.follow.problem", place=problem.place, message=_said(problem.error))

    def tell(error: IstmoError | None) -> None:
        if error is None:
            teller.note("detect.follow.well_again")
        else:
            teller.note("detect.follow.waiting", message=_said(error))

    stop = threading.Event()
    try:
        follower = Follower(
            [Path(path) for path in paths], BookmarkFile(kept), send, limits, SystemClock(), form
        )
        teller.note("detect.follow.started", file=str(kept))
        try:
            with _ended_by_signals(stop):
                follower.run(stop, tell)
        finally:
            follower.close()
    finally:
        sender.close()
    return sender.outcome


def default_bookmarks() -> Path:
    """Where bookmarks are where nobody says: XDG_STATE_HOME, else ``~/.local/state``."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "istmo", "bookmarks.json")


def _said(error: IstmoError) -> str:
    words = told_of(error)
    return " ".join(part for part in (words["message"], words["remedy"]) if part)


def _allow_many_files() -> None:
    """Every file that is followed stays open, so that it is read to its end whatever becomes of its name."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """The first signal ends what is being done in good order; a second one ends it at once."""

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        for one, handler in before.items():
            signal.signal(one, handler)

    before: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
