"""Rounds over the files that are followed: what is new is sent, and then the bookmark moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from istmo.clock import Clock
from istmo.detect.following.bookmarks import Bookmark, BookmarkFile
from istmo.detect.following.content import digest
from istmo.detect.following.places import Place, base_name, is_related, places_of
from istmo.detect.following.tails import Tail, holds, name_of_mark, open_tail
from istmo.detect.reading import FileProblem, Found, Line, name_of
from istmo.errors import InvalidInput, IstmoError
from istmo.settings import Limits

PAUSE: Final = 1.0
"""Seconds between two rounds."""
LONGEST_PAUSE: Final = 30.0
"""Between two tries while the node takes nothing."""
BATCHES: Final = 8
"""Of one file in one round, so that a large one does not keep the others waiting."""
_KEPT: Final = 2000
"""Bookmarks of files that are no longer there."""

Send = Callable[[Sequence[Found], str], object]
"""Sends events under a name; returns once they are acknowledged, and raises IstmoError otherwise."""
Tell = Callable[[IstmoError | None], object]
"""Hears what keeps the follower from its work, once, and None when it is well again."""


class Follower:
    """Follows files until it is told to stop."""

    def __init__(
        self,
        wanted: Iterable[Path],
        kept: BookmarkFile,
        send: Send,
        limits: Limits,
        clock: Clock,
        form: str = "",
    ) -> None:
        """Raises InvalidInput where the bookmarks cannot be used."""
        self._wanted = tuple(wanted)
        self._kept, self._send, self._limits, self._clock, self._form = kept, send, limits, clock, form
        self._hidden = frozenset({kept.path, kept.lock, kept.path.with_name(kept.path.name + ".new")})
        self._idle = {mark.id: mark for mark in kept.load()}
        """Bookmarks of files that are not being read: from the last time, or of lives that have ended."""
        self._tails: dict[tuple[int, int], Tail] = {}
        self._refused: set[tuple[int, int]] = set()
        """Files that cannot be opened, and what is wrong with others: told once."""
        self._wrong: set[tuple[str, str]] = set()
        self._is_first = not self._idle

    def round(self) -> bool:
        """Look at every file once. Whether more is waiting to be read already.

        Raises IstmoError where the node did not take what it was sent, or the bookmarks could not be
        written: the next round goes on from what was acknowledged.
        """
        places = {(one.device, one.inode): one for one in places_of(self._wanted, self._hidden)}
        is_changed = self._look(places)
        is_changed |= self._find(places)
        self._is_first = False
        if is_changed:  # a file's name for itself is on disk before anything is sent under it
            self._save()
        is_more = False
        for tail in sorted(self._tails.values(), key=lambda one: one.changed):
            is_more |= self._read(tail)
        finished = [key for key, tail in self._tails.items() if tail.is_finished]
        for key in finished:
            tail = self._tails.pop(key)
            self._idle[tail.mark.id] = tail.mark
            tail.close()
        return is_more

    def run(self, stop: threading.Event, tell: Tell, pause: float = PAUSE) -> None:
        """Rounds until ``stop`` is set. What a node does not take is kept, and tried again."""
        told, waiting = "", pause
        while not stop.is_set():
            try:
                is_more = self.round()
            except IstmoError as error:
                if told != error.code:
                    tell(error)
                told = error.code
                stop.wait(waiting)
                waiting = min(waiting * 2, LONGEST_PAUSE)
                continue
            if told:
                tell(None)
            told, waiting = "", pause
            if not is_more:
                stop.wait(pause)

    def close(self) -> None:
        """Let go of all files; the bookmarks are on disk already."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()
        self._kept.close()

    def _look(self, places: dict[tuple[int, int], Place]) -> bool:
        """What became of the files that are known. Whether a bookmark is new."""
        is_changed = False
        for key, tail in self._tails.items():
            tail.look(places.get(key))
            # a clock's tick later, since two changes within one look like one
            if tail.quiet < 2 and tail.is_replaced():
                ended = tail.begin_anew()
                self._idle[ended.id] = ended
                is_changed = True
        return is_changed

    def _find(self, places: dict[tuple[int, int], Place]) -> bool:
        """Take up files that are new: by their bookmark, by that of what they copy, or from the start.

        Those that are known by their inode come first, so that nobody else takes their bookmark.
        """
        new: list[Tail] = []
        for key, place in places.items():
            if key in self._tails or (tail := self._opened(place)) is None:
                continue
            marks = [one for one in self._idle.values() if (one.device, one.inode) == key]
            known = max((one for one in marks if holds(tail, one)), key=lambda one: one.offset, default=None)
            if known is not None and known.offset:
                self._take_up(tail, known)
                continue
            if known is not None:  # nothing was read of it: another file may have its inode by now
                tail.mark = known
            new.append(tail)
        is_changed = False
        new.sort(key=lambda tail: is_related(tail.path.name, base_name(tail.path.name)))  # copies after logs
        for tail in new:
            if self._is_first and places[tail.device, tail.inode].is_sibling:
                self._pass_over(tail)
            else:
                named = tail.mark.id
                if not self._settle(tail):
                    tail.close()  # and looked at again in the next round
                    continue
                self._idle.pop(named, None)
            self._tails[tail.device, tail.inode] = tail
            is_changed = True
        return is_changed

    def _opened(self, place: Place) -> Tail | None:
        key = (place.device, place.inode)
        try:
            tail = open_tail(place, self._limits)
        except OSError as error:
            if key not in self._refused:
                self._refused.add(key)
                detail = error.strerror or type(error).__name__
                told = InvalidInput("detect.file_unreadable", file=name_of(place.path), detail=detail)
                self._told(place.path, told)
            return None
        self._refused.discard(key)
        if tail is not None:
            tail.look(place)
        return tail

    def _take_up(self, tail: Tail, mark: Bookmark) -> None:
        del self._idle[mark.id]
        tail.mark = mark
        self._tails[tail.device, tail.inode] = tail

    def _pass_over(self, tail: Tail) -> None:
        """What was rotated before anybody followed it; known, should it be packed later."""
        try:
            tail.pass_over()
        except (OSError, IstmoError):
            tail.give_up()

    def _settle(self, tail: Tail) -> bool:
        """Settle where a new file begins. False while it may be a copy of one that is still being read.

        Rotation by copying leaves a copy beside the file, which is truncated then: until that has
        happened nobody knows what of the copy will have been read.
        """
        name = tail.path.name
        live = [one for one in self._tails.values() if is_related(name, one.path.name)]
        try:
            like = [one.is_like(tail) for one in live]
            compared = max((length for is_like, length in like if is_like), default=-1)
            marks = [
                one for one in self._idle.values() if one.head_size and is_related(name, name_of_mark(one))
            ]
            found = max((one for one in marks if holds(tail, one)), key=lambda one: one.offset, default=None)
            if found is not None and compared < found.offset:
                del self._idle[found.id]
                tail.adopt(found)
                return True
        except (OSError, IstmoError):
            return not live
        return compared < 0

    def _read(self, tail: Tail) -> bool:
        """Send what is new of a file; whether there is more."""
        for _ in range(BATCHES):
            try:
                batch = tail.next(self._form, self._clock.now())
            except (OSError, IstmoError) as error:
                self._give_up(tail, error)
                return False
            if batch is None:
                return False
            if batch.found:
                self._send(batch.found, _key(tail.mark, batch.found))
            tail.accept(batch)
            self._save()
        return True

    def _give_up(self, tail: Tail, error: OSError | IstmoError) -> None:
        """A file that cannot be read is told once, and left until it changes."""
        if isinstance(error, OSError):
            detail = error.strerror or type(error).__name__
            error = InvalidInput("detect.file_unreadable", file=name_of(tail.path), detail=detail)
        if (tail.mark.id, error.code) not in self._wrong:
            self._wrong.add((tail.mark.id, error.code))
            self._told(tail.path, error)
        tail.give_up()
        self._save()

    def _told(self, path: Path, error: IstmoError) -> None:
        """A problem of one file goes with the events: it keeps no other file waiting."""
        self._send([FileProblem(name_of(path), 0, error)], "")

    def _save(self) -> None:
        while len(self._idle) > _KEPT:
            del self._idle[next(iter(self._idle))]
        self._kept.save([*self._idle.values(), *(tail.mark for tail in self._tails.values())])


def _key(mark: Bookmark, found: Sequence[Found]) -> str:
    """What a batch is called, however often it is sent.

    Its first event is part of the name: a file that was truncated while nobody answered brings others.
    """
    first = next((one.raw for one in found if isinstance(one, Line)), b"")
    return f"{mark.id}:{mark.offset}:{digest(first)}"
