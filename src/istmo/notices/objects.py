"""The nouns: a cause, a way by which somebody is told, a notice, and what leaves the node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from istmo.identity.objects import Account
from istmo.model.markings import Tlp
from istmo.settings import Settings


class Kind(StrEnum):
    """What people may be told of."""

    ALERT = "alert"
    ASSIGNED = "assigned"
    CASE = "case"
    PEER = "peer"
    ENTRY = "entry"
    SOURCE = "source"
    DOCTOR = "doctor"
    DISK = "disk"
    JOB = "job"
    TEST = "test"


KINDS: Final = tuple(kind for kind in Kind if kind is not Kind.TEST)
LEVELS: Final = ("informational", "low", "medium", "high", "critical")
"""Of alerts, the least first (Sigma's)."""
CONSOLE: Final = "console"


@dataclass(frozen=True)
class Cause:
    """Something that happened. ``person``: the account that it concerns alone, where there is one."""

    id: int
    kind: Kind
    subject: str
    person: str
    at: datetime


@dataclass(frozen=True)
class Family:
    """What several subjects have in common, of which somebody is told as of one while it is unread."""

    key: str
    title: str
    path: str


@dataclass(frozen=True)
class Heading:
    """What a notice is about, for somebody who may know of it. ``words``: a title of the catalogue."""

    title: str
    tlp: Tlp
    path: str
    level: str = ""
    words: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    family: Family | None = None


class Subjects(Protocol):
    """What the other rooms say of the subject of a notice."""

    def headings(
        self, people: Iterable[Account], kind: Kind, subjects: Iterable[str]
    ) -> Mapping[str, Mapping[str, Heading]]:
        """By subject and then by account id, for those of ``people`` who may know of it at this moment:
        policy is asked."""
        ...


@dataclass(frozen=True)
class Plan:
    """What somebody wants to be told of, and when. Of the console only ``kinds`` and ``level`` count."""

    kinds: frozenset[Kind]
    level: str = "high"
    """Alerts from this level on."""
    notifier: str = CONSOLE
    address: str = ""
    quiet: str = ""
    """``22:00-06:00`` in the recipient's zone; empty: never."""
    wakes: bool = True
    """Whether a critical alert is told at once, quiet hours or not."""
    every: int = 0
    """Minutes between two messages: what happens meanwhile comes together."""


@dataclass(frozen=True)
class Way:
    """How one person is told: a plan of theirs, and how it went the last time."""

    id: str
    account: str
    plan: Plan
    nonce: str
    """What the secret of a webhook is derived from, with the node's key."""
    is_on: bool
    created: datetime
    sent: datetime | None
    tried: datetime | None
    problem: tuple[str, Mapping[str, Any]] | None
    version: int


@dataclass(frozen=True)
class Notice:
    """One line of somebody's list in the console. What it says is asked for anew each time it is shown."""

    id: int
    kind: Kind
    subject: str
    at: datetime
    read: datetime | None
    number: int = 1
    """How many things of one family it tells of; ``subject`` is the latest of them."""


@dataclass(frozen=True)
class Shown:
    """A notice as its owner may see it; ``heading`` None: they may know of it no longer."""

    notice: Notice
    heading: Heading | None

    @property
    def family(self) -> Family | None:
        """What it tells several things of, where they are several."""
        return self.heading.family if self.heading and self.notice.number > 1 else None


@dataclass(frozen=True)
class Letter:
    """One thing that waits to be told by a way."""

    id: int
    kind: Kind
    subject: str
    level: str
    at: datetime


@dataclass(frozen=True)
class Line:
    """What of one thing leaves the node. Without a title: only that there is something, and where."""

    kind: Kind
    at: datetime
    link: str
    title: str = ""
    level: str = ""
    tlp: str = ""


Say = Callable[..., str]


@dataclass(frozen=True)
class Parcel:
    """One message, as a notifier is given it.

    ``key`` is the same each time that the same message is tried again: receivers drop what they have.
    """

    key: str
    address: str
    secret: str = field(repr=False)
    node: str
    url: str
    at: datetime
    lines: tuple[Line, ...]
    more: int
    """Things that had no room in it."""
    language: str
    when: Callable[[datetime], str] = field(repr=False)
    """An instant in the recipient's zone."""
    say: Say = field(repr=False)
    """A text of the catalogue in the recipient's language."""


class Notifier(Protocol):
    """A way out of the node: an entry point of the group ``istmo.notifiers``, made without arguments."""

    name: str
    has_secret: bool
    """Whether messages are signed with a secret that the receiver is given."""

    def check(self, address: str, settings: Settings) -> str:
        """The address as it is kept. Raises InvalidInput for one that will not do."""
        ...

    def send(self, parcel: Parcel, settings: Settings) -> None:
        """Hand it over, within seconds. Raises IstmoError where that is not certain."""
        ...
