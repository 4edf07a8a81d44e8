"""The shapes of what the region's machine interface answers, as the OpenAPI document tells them.

Times are RFC 3339 with ``Z``, words in the asker's language.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class _ProblemAlways(TypedDict):
    code: str
    params: dict[str, Any]
    at: str | None


class PeerProblem(_ProblemAlways, total=False):
    """What stands in the way, since when; in words where there are some."""

    message: str
    remedy: str


class _RefusalAlways(TypedDict):
    sequence: int
    code: str
    at: str


class PeerRefusal(_RefusalAlways, total=False):
    """An entry that a receiver would not take in, and why."""

    message: str


class PeerReport(TypedDict):
    """One peer, both directions: what is due, what arrived, what was refused, whether the heads agree."""

    member: str
    name: str
    country: str
    kind: str
    url: str
    fingerprint: str
    joined: str
    state: str
    listens: bool
    last_contact: str | None
    clock_skew_seconds: float | None
    has_skewed_clock: bool
    problem: PeerProblem | None
    sent: int
    acknowledged: int
    acknowledged_at: str | None
    sent_head_equal: bool | None
    refused_there: int
    refusals_there: list[PeerRefusal]
    stated: int | None
    received: int
    received_head_equal: bool | None
    refused_here: int
    refusals_here: list[PeerRefusal]
    complete: bool
    standing: Literal["complete", "incomplete", "unknown"]


class CharterSigner(TypedDict):
    """A member that may change the charter."""

    member: str
    name: str


class CharterMember(CharterSigner):
    """A member of the region; ``kind``: member or partner."""

    country: str
    kind: str


class CharterShape(TypedDict):
    """The charter in force."""

    id: str
    name: str
    version: int
    created: str
    expires: str
    has_expired: bool
    threshold: int
    signers: list[CharterSigner]
    members: list[CharterMember]


class OwnNode(TypedDict):
    """This node as the region sees it."""

    member: str
    name: str
    country: str
    url: str
    fingerprint: str


class JoiningShape(TypedDict):
    """This node's request to join a region. ``state``: joined, or pending until the other side confirms."""

    state: str
    url: str
    inviter: str
    asked: str
    problem: PeerProblem | None


class PeerList(TypedDict):
    """The region, this node in it, every other member with its reconciliation."""

    region: CharterShape | None
    self: OwnNode
    joining: JoiningShape | None
    items: list[PeerReport]
    next: None
    total: int


class InvitationShape(TypedDict):
    """An invitation, never its code; the invited node once it has shown itself."""

    id: str
    name: str
    state: str
    created: str
    expires: str
    expected_fingerprint: str | None
    member: str | None
    fingerprint: str | None
    country: str | None
    url: str | None


class InvitationMade(InvitationShape):
    """A new invitation with its one-time ``code``, told this once."""

    code: str


class InvitationList(TypedDict):
    """Every invitation, the newest first."""

    items: list[InvitationShape]
    next: None
    total: int


class InvitationWithdrawn(TypedDict):
    """Which invitation is good no more."""

    withdrawn: str


class RefusedFrame(TypedDict):
    """An entry of a carried file that was not taken in."""

    sequence: int
    code: str


class FramesTaken(TypedDict):
    """What a carried file brought; ``count`` entries of the member are here now."""

    member: str
    name: str
    new: int
    repeated: int
    refused: list[RefusedFrame]
    count: int
    problem: PeerProblem | None
