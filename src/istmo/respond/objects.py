"""The nouns of a case: its entries as they travel, and the case as it is read (protocol.md, "Cases").

An entry is immutable and owned by the node that wrote it. Its id is SHA-256 over the case's id and
the entry's bytes, so nobody can say one thing to one member and another to the next under one id;
16 random bytes inside keep the id from being guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Protocol

import msgspec

from istmo.model.markings import Tlp
from istmo.policy.decisions import Reason
from istmo.policy.principals import Principal

ENTRIES_A_CASE = 5_000
ENTRIES_AHEAD = 500
"""How many entries of one node are kept for a case whose opening has not come."""

LONGEST_TITLE: Final = 200
LONGEST_TEXT: Final = 20_000
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TITLE)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TEXT)]
Name = Annotated[str, msgspec.Meta(max_length=128)]
Member = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Hash = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Members = Annotated[tuple[Member, ...], msgspec.Meta(max_length=512)]


class Status(StrEnum):
    """How far the work is, from the most open to the most closed."""

    OPEN = "open"
    WORKING = "working"
    CONTAINED = "contained"
    CLOSED = "closed"


class Severity(StrEnum):
    """How bad it is; the levels of Sigma, from least to worst."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Author(msgspec.Struct, frozen=True):
    """Who wrote an entry: the member's identity id, and the person's name as written there.

    The name is shared with everyone on the case. It is that node's word: nothing here can check it.
    """

    node: Member
    name: Name = ""


class Marking(msgspec.Struct, frozen=True):
    """How far something quoted in a case may travel. ``audience`` None: it is the author's nation's own."""

    tlp: str
    origin: Member
    audience: Members | None = None

    @property
    def level(self) -> Tlp:
        found = Tlp.read(self.tlp)
        return Tlp.RED if found is None else found


class _Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    author: Author
    created: datetime
    """By the author's clock: shown, never used to decide."""
    nonce: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class Opening(_Entry, frozen=True, kw_only=True, tag="opening"):
    """What a case begins with. The case's id is derived from it, so there is exactly one."""

    title: Title
    severity: Severity
    tlp: str


class Note(_Entry, frozen=True, kw_only=True, tag="note"):
    """Something said."""

    text: Text


class Alert(_Entry, frozen=True, kw_only=True, tag="alert"):
    """An alert as it was when it was added."""

    alert: Id
    """Its id in the author's node."""
    title: Title
    level: Severity
    first: datetime | None = None
    last: datetime | None = None
    count: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    evidence: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=2_000)], ...], msgspec.Meta(max_length=20)
    ] = ()
    indicator: Id | None = None
    """STIX id of what it was about."""
    marking: Marking


class Object(_Entry, frozen=True, kw_only=True, tag="object"):
    """A shared object that belongs to the case, by its STIX id."""

    object: Id
    name: Annotated[str, msgspec.Meta(max_length=300)] = ""
    marking: Marking


class Task(_Entry, frozen=True, kw_only=True, tag="task"):
    """Something to be done."""

    text: Text


class TaskDone(_Entry, frozen=True, kw_only=True, tag="task_done"):
    """A task that was done."""

    task: Hash
    """The task's entry id."""


class StatusChange(_Entry, frozen=True, kw_only=True, tag="status"):
    status: Status


class SeverityChange(_Entry, frozen=True, kw_only=True, tag="severity"):
    severity: Severity


class OwnerChange(_Entry, frozen=True, kw_only=True, tag="owner"):
    """Who leads: a person by name in a member's node; a member alone; nobody."""

    owner: Author | None


class TitleChange(_Entry, frozen=True, kw_only=True, tag="title"):
    title: Title


class Share(_Entry, frozen=True, kw_only=True, tag="share"):
    """The author's node lets ``member`` read what it writes here. ``members``: all on the case, it too."""

    member: Member
    members: Members


Body = (
    Opening
    | Note
    | Alert
    | Object
    | Task
    | TaskDone
    | StatusChange
    | SeverityChange
    | OwnerChange
    | TitleChange
    | Share
)


def quoted_id(body: Body | None) -> str:
    """The id of the alert or object that an entry quotes; empty where it quotes none."""
    match body:
        case Alert(alert=found) | Object(object=found):
            return found
        case _:
            return ""


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an envelope of type ``case`` carries. ``follows`` stands beside the entry, not in it: it names
    only entries that all readers of this envelope may see, so it differs between copies."""

    v: int
    case: Id
    entry: msgspec.Raw
    follows: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=64)] = ()


@dataclass(frozen=True)
class CaseEntry:
    """One entry as a node holds it: what all copies that came say together."""

    id: str
    case: str
    body: Body | None
    """None once erased, and for whoever may not read it."""
    raw: bytes
    author: Author
    created: datetime
    follows: frozenset[str] = frozenset()
    tlp: Tlp = Tlp.CLEAR
    """The strictest of the envelopes that carried it and of what it says or quotes."""
    readers: frozenset[str] = frozenset()
    """Members known to have it: its author and the audiences of every copy that came here."""
    by: str = field(default="", compare=False)
    """``policy.told`` of who wrote it, where it was written in this node. No other node is told."""
    is_withheld: bool = field(default=False, compare=False)
    """Whoever asks may not read it: all that is left is its marking, when it was written and by whom."""

    @property
    def kind(self) -> str:
        if self.is_withheld:
            return "withheld"
        return "erased" if self.body is None else str(self.body.__struct_config__.tag)

    @property
    def marking(self) -> Marking | None:
        return self.body.marking if isinstance(self.body, (Alert, Object)) else None

    def withheld(self) -> CaseEntry:
        """What is told of it to whoever may not read it."""
        bare: frozenset[str] = frozenset()
        return replace(self, body=None, raw=b"", follows=bare, readers=bare, is_withheld=True)


@dataclass(frozen=True)
class Claim:
    """A value that an entry gave, and who gave it."""

    value: str
    entry: str
    author: Author


@dataclass(frozen=True)
class Register:
    """A field of the case. Several ``heads``: two nations changed it without knowing of each other."""

    value: str
    heads: tuple[Claim, ...]

    @property
    def is_disputed(self) -> bool:
        return len({head.value for head in self.heads}) > 1


@dataclass(frozen=True)
class Participant:
    """A member on the case. ``admitted_by``: the members whose entries it receives."""

    member: str
    admitted_by: frozenset[str]


@dataclass(frozen=True)
class TaskState:
    """A task and who did it."""

    entry: CaseEntry
    text: str
    done_by: tuple[CaseEntry, ...]

    @property
    def is_done(self) -> bool:
        return bool(self.done_by)


@dataclass(frozen=True)
class Case:
    """A case as the entries here make it."""

    id: str
    opener: str
    """Member whose node opened it; empty while the opening has not come."""
    title: str
    tlp: Tlp
    """The strictest of what is in it."""
    status: Register
    severity: Register
    owner: Register
    """``node`` or ``node/name``; empty: nobody."""
    participants: tuple[Participant, ...]
    tasks: tuple[TaskState, ...]
    timeline: tuple[CaseEntry, ...]
    """What counts, in an order that respects what follows what, alike in every node."""
    pending: tuple[CaseEntry, ...]
    """Came, but what it follows has not."""
    strangers: tuple[CaseEntry, ...]
    """Came, but nobody on the case has let its author in."""
    missing: frozenset[str]
    """Ids that are followed and have not come."""

    @property
    def is_invitation(self) -> bool:
        """Somebody shares the case with us, and the node that opened it has not agreed yet."""
        return not self.opener

    @property
    def members(self) -> frozenset[str]:
        return frozenset(one.member for one in self.participants)

    @property
    def version(self) -> str:
        """Another one whenever status, severity or owner was changed: an optimistic change is held to it."""
        heads = (head.entry for one in (self.status, self.severity, self.owner) for head in one.heads)
        return hashlib.sha256("\n".join(sorted(heads)).encode()).hexdigest()[:16]

    @property
    def is_disputed(self) -> bool:
        return self.status.is_disputed or self.severity.is_disputed or self.owner.is_disputed


@dataclass(frozen=True)
class CaseSummary:
    """A line of the list of cases."""

    id: str
    title: str
    status: str
    severity: str
    owner: str
    opener: str
    tlp: Tlp
    members: frozenset[str]
    entries: int
    pending: int
    is_disputed: bool
    created: datetime
    updated: datetime
    by: str
    """``policy.told`` of who opened it, where it was opened in this node."""


@dataclass(frozen=True)
class Refusal:
    """An entry that a member may not see, and why."""

    entry: str
    kind: str
    title: str
    member: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class SharePlan:
    """What sharing would send: who will see it, what cannot go, what waits for other nations."""

    member: str
    allowed: bool
    reasons: tuple[Reason, ...]
    sends: tuple[CaseEntry, ...]
    refused: tuple[Refusal, ...]
    others: Mapping[str, int] = field(default_factory=dict)
    """Entries by their author's member: each nation decides about its own."""
    seen: str = ""
    """The newest entry of this node, whatever it is: who confirms says that this is what they have seen."""
    new: frozenset[str] = frozenset()
    """What of it was written after the entry that the asker named as seen."""


@dataclass(frozen=True)
class AlertSnapshot:
    """An alert at this moment, for a case. ``audience`` None: made of this nation's own knowledge alone."""

    id: str
    title: str
    level: str
    evidence: tuple[str, ...]
    indicator: str | None
    tlp: Tlp
    origin: str
    audience: frozenset[str] | None
    first: datetime | None = None
    last: datetime | None = None
    count: int = 0


@dataclass(frozen=True)
class ObjectSnapshot:
    """A shared object, as far as a case needs it."""

    id: str
    name: str
    tlp: Tlp
    origin: str
    audience: frozenset[str]


@dataclass(frozen=True)
class Findable:
    """An alert or an object that could be added to a case. ``told``: its kind, or where it was seen."""

    id: str
    title: str
    tlp: Tlp
    level: str = ""
    told: str = ""
    at: datetime | None = None


class AlertSource(Protocol):
    """Where alerts come from; wired in ``node.py``."""

    def find_alerts(self, principal: Principal, words: str, limit: int) -> Sequence[Findable]:
        """Alerts that the asker may read and that have every word. Raises NotAllowed."""
        ...

    def alert_snapshot(self, principal: Principal, alert_id: str) -> AlertSnapshot:
        """The alert as it is now. Raises NotFound where there is none that the asker may see."""
        ...


class ObjectSource(Protocol):
    """Where shared objects come from; wired in ``node.py``."""

    def find_objects(self, principal: Principal, words: str, limit: int) -> Sequence[Findable]:
        """Objects that the asker may read and that have every word. Raises NotAllowed."""
        ...

    def object_snapshot(self, principal: Principal, object_id: str) -> ObjectSnapshot:
        """The object as it is now. Raises NotFound where there is none that the asker may see."""
        ...
