"""One file that is being followed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from istmo.detect.following.batches import MOST_LINES, READ, Batch, State, next_batch, read_size
from istmo.detect.following.bookmarks import Bookmark, new_bookmark
from istmo.detect.following.content import Content, digest, is_known, open_content, printed
from istmo.detect.following.places import Place
from istmo.detect.reading import Found, Line, LineLogs, name_of, open_events
from istmo.errors import IstmoError
from istmo.settings import Limits

QUIET: Final = 3
"""Rounds without any change, after which what is open is complete, and a packed file is not being written."""
_COMPARED: Final = 64 << 10
_ARCHIVES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"ElfFile\0")
_ARRAY: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*\[\s*(?:[{\["\]]|$)')


class Tail:
    """A file, opened, and its bookmark. It keeps the file whatever becomes of its name."""

    def __init__(self, place: Place, content: Content, limits: Limits) -> None:
        self.path, self.content = place.path, content
        self.device, self.inode = place.device, place.inode
        self.mark = new_bookmark(name_of(place.path), place.device, place.inode)
        self.is_gone = False
        self.quiet = 0
        self._limits = limits
        self._seen = (-1, -1)
        self._changed = place.changed
        self._is_at_end = False
        self._events: Iterator[Found] | None = None
        """Of an archive, the events that have not been read yet, and those that nobody acknowledged:"""
        self._held: Batch | None = None

    def look(self, place: Place | None) -> None:
        """What the file is now; None where no name of it is left."""
        seen = self._seen
        if place is not None:
            self.path, self._changed, self.is_gone = place.path, place.changed, False
            seen = (place.size, place.changed)
        else:
            if not self.is_gone:  # the last line may be complete now
                self.is_gone, self._seen = True, (-1, -1)
            seen = (self.content.size(), self._changed)
        if seen == self._seen:
            self.quiet = min(self.quiet + 1, QUIET)
        else:
            self.quiet, self._seen, self._is_at_end = 0, seen, False
            self._events = self._held = None

    @property
    def changed(self) -> int:
        """When it was last written, in nanoseconds."""
        return self._changed

    @property
    def is_finished(self) -> bool:
        """No name is left, and all has been read."""
        return self.is_gone and self.quiet >= QUIET and self._is_at_end

    def is_replaced(self) -> bool:
        """Whether what was read is no longer what stands there: it was truncated, or written anew."""
        if self.content.is_packed or self.is_archive():
            return self.mark.done_size >= 0 and self.mark.done_size != self.content.size()
        return not is_known(self.mark, self.content)

    def begin_anew(self) -> Bookmark:
        """Another life of the same file; the bookmark of the one that has ended."""
        ended = self.mark
        self.mark = new_bookmark(ended.place, self.device, self.inode)
        self._is_at_end, self._events, self._held = False, None, None
        return ended

    def is_like(self, other: Tail) -> tuple[bool, int]:
        """Whether two files say the same for as far as both go, and how many bytes were compared."""
        ours, theirs = self.content.read(0, _COMPARED), other.content.read(0, _COMPARED)
        length = min(len(ours), len(theirs))
        if not length:  # one that is empty, and stays so, has been truncated
            return self.quiet < QUIET, 0
        if len(ours) < len(theirs) or (
            not other.content.is_packed and self.content.size() < other.content.size()
        ):
            return False, 0  # a copy is never longer than what it was made of
        return ours[:length] == theirs[:length], length

    def next(self, form: str, now: datetime) -> Batch | None:
        """What is to be sent next, and the bookmark after it; None where there is nothing to do yet.

        Raises OSError, and IstmoError for what is no log or cannot be unpacked.
        """
        mark = self.mark
        if self._is_at_end or (mark.done_size >= 0 and mark.done_size == self.content.size()):
            self._is_at_end = True
            return None
        if self.content.is_packed and self.quiet < QUIET and not self.is_gone:
            return None
        if self.is_archive():
            return self._of_archive(form, now)
        size = read_size(self._limits)
        data = self.content.read(mark.offset, size)
        is_last = len(data) < size
        is_whole = is_last and (self.content.is_packed or (self.is_gone and self.quiet >= QUIET))
        is_quiet = is_last and self.quiet >= QUIET
        written = datetime.fromtimestamp(self._changed / 1e9, UTC)
        state = State(min(now, written), form, is_quiet=is_quiet, is_whole=is_whole)
        batch = next_batch(msgspec.structs.replace(mark, place=name_of(self.path)), data, state, self._limits)
        if batch.after.offset == mark.offset:
            # nothing whole yet: looked at again when it changes, or once it has been quiet
            self._is_at_end = is_quiet or (is_whole and self.content.is_packed) or not data
            if self._is_at_end and self.content.is_packed:
                return Batch((), msgspec.structs.replace(mark, done_size=self.content.size()))
            return None
        after = printed(mark, batch.after, data, self.content)
        # truncated while it was read: the next round begins with what stands there now
        return Batch(batch.found, after) if is_known(mark, self.content) else None

    def accept(self, batch: Batch) -> None:
        """The node has acknowledged it."""
        self.mark, self._held = batch.after, None

    def adopt(self, mark: Bookmark) -> None:
        """It holds what was read elsewhere until now: go on from there."""
        self.mark = msgspec.structs.replace(
            mark, place=self.mark.place, device=self.device, inode=self.inode, done_size=-1
        )

    def pass_over(self) -> None:
        """All that it holds counts as read. Raises as ``next`` does."""
        offset = 0
        while data := self.content.read(offset, READ):
            offset += len(data)
        head, tail = self.content.around(offset)
        self.mark = msgspec.structs.replace(
            self.mark,
            offset=offset,
            head=digest(head),
            head_size=len(head),
            tail=digest(tail),
            tail_size=len(tail),
            done_size=self.content.size(),
        )

    def give_up(self) -> None:
        """Nothing in it can be read as it is now."""
        self.mark = msgspec.structs.replace(self.mark, done_size=self.content.size())
        self._is_at_end = True

    def close(self) -> None:
        """Let go of the file."""
        self.content.close()

    def is_archive(self) -> bool:
        """Whether it makes sense as a whole alone: an archive, a Windows event log, an array of lines."""
        if self.content.is_packed:
            return False
        head = self.content.read(0, 256)
        return head.startswith(_ARCHIVES) or _ARRAY.match(head) is not None

    def _of_archive(self, form: str, now: datetime) -> Batch | None:
        if self.quiet < QUIET:
            return None
        if self._held is not None:
            return self._held
        mark = self.mark
        if self._events is None:
            found = open_events(self.path, self._limits, None, LineLogs(now, form))
            self._events = _after(found, mark.offset)
        batch: list[Found] = []
        size = events = 0
        for one in self._events:
            batch.append(one)
            if isinstance(one, Line):
                size += len(one.raw)
                events += 1
            if size >= READ or events >= MOST_LINES:
                break
        else:
            mark = msgspec.structs.replace(mark, done_size=self.content.size())
        self._held = Batch(tuple(batch), msgspec.structs.replace(mark, offset=mark.offset + events))
        return self._held


def open_tail(place: Place, limits: Limits) -> Tail | None:
    """A file to follow; None where it is another one by now. Raises OSError."""
    content, told = open_content(place.path, limits)
    if (told.st_dev, told.st_ino) != (place.device, place.inode):
        content.close()
        return None
    return Tail(place, content, limits)


def holds(tail: Tail, mark: Bookmark) -> bool:
    """Whether a file is the one that a bookmark tells of."""
    try:
        if tail.is_archive():
            return not mark.head and mark.done_size in (-1, tail.content.size())
        return is_known(mark, tail.content)
    except (OSError, IstmoError):
        return False


def _after(found: Iterator[Found], events: int) -> Iterator[Found]:
    """What comes after so many events; problems before it were told."""
    for _ in islice((one for one in found if isinstance(one, Line)), events):
        pass
    return found


def name_of_mark(mark: Bookmark) -> str:
    """The file's name, without its folder."""
    return Path(mark.place).name
