"""The region for programs (``/api/v1/peers``), and the wire between nodes (``/federation/v1``)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Request, delete, get, post
from litestar.concurrency import sync_to_thread
from litestar.params import FromQuery, RawBody
from litestar.response import Stream

from istmo.errors import InvalidInput
from istmo.federation.answers import (
    told_charter,
    told_invitation,
    told_joining,
    told_peer,
    told_problem,
    told_self,
)
from istmo.federation.objects import Cursor, Problem
from istmo.federation.service import Federation
from istmo.federation.shapes import (
    CharterShape,
    FramesTaken,
    InvitationList,
    InvitationMade,
    InvitationWithdrawn,
    JoiningShape,
    PeerList,
    PeerReport,
)
from istmo.kit.access import PEER, PEOPLE, PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.kit.members import member_named
from istmo.kit.openapi import BYTES, operation_with_answer, operation_with_body
from istmo.kit.signed import nonce_of

_SMALL_BODY = 64 << 10
_FRAMES_BODY = 16 << 20
FILE_BODY = 256 << 20


FramesOperation = operation_with_body(
    "A file as the member's node wrote it: one frame a line.",
    {"application/octet-stream": BYTES},
)


class NewRegion(msgspec.Struct, forbid_unknown_fields=True):
    """A region to found."""

    name: str


class NewInvitation(msgspec.Struct, forbid_unknown_fields=True):
    """Whom to invite; with the fingerprint of its key, if that is known, it joins at once."""

    name: str
    fingerprint: str = ""


class Code(msgspec.Struct, forbid_unknown_fields=True):
    """An invitation's one-time code."""

    code: str


class Fingerprint(msgspec.Struct, forbid_unknown_fields=True):
    """A fingerprint as the other side has read it out."""

    fingerprint: str


# --- for people and programs of this node -------------------------------------------------------


@get("/api/v1/peers", opt=PEOPLE, tags=["peers"], sync_to_thread=True)
def list_peers(asker: Asker, federation: Federation, catalogue: Catalogue) -> PeerList:
    """The region, this node in it, and every other member with its reconciliation."""
    items = [told_peer(one, asker, catalogue) for one in federation.peers(asker.principal)]
    charter = federation.charter(asker.principal)
    joining = federation.joining(asker.principal)
    return {
        "region": told_charter(charter, federation) if charter else None,
        "self": told_self(federation),
        "joining": told_joining(joining, asker, catalogue) if joining else None,
        "items": items,
        "next": None,
        "total": len(items),
    }


@post("/api/v1/peers/region", opt=PEOPLE, tags=["peers"], status_code=201, sync_to_thread=True)
def found_region(asker: Asker, federation: Federation, data: NewRegion) -> CharterShape:
    """Found a region with this node as its first member."""
    return told_charter(federation.found(asker.principal, data.name), federation)


@get("/api/v1/peers/invitations", opt=PEOPLE, tags=["peers"], sync_to_thread=True)
def list_invitations(asker: Asker, federation: Federation) -> InvitationList:
    """Invitations, the newest first; never their codes."""
    items = [told_invitation(one) for one in federation.invitations(asker.principal)]
    return {"items": items, "next": None, "total": len(items)}


@post("/api/v1/peers/invitations", opt=PEOPLE, tags=["peers"], status_code=201, sync_to_thread=True)
def invite(asker: Asker, federation: Federation, data: NewInvitation) -> InvitationMade:
    """Invite a node. The code is told here, once."""
    invitation, code = federation.invite(asker.principal, data.name, data.fingerprint)
    return {**told_invitation(invitation), "code": code}


@delete(
    "/api/v1/peers/invitations/{invitation:str}",
    opt=PEOPLE,
    tags=["peers"],
    status_code=200,
    sync_to_thread=True,
)
def withdraw(asker: Asker, federation: Federation, invitation: str) -> InvitationWithdrawn:
    """Withdraw an invitation that nobody has used."""
    federation.withdraw(asker.principal, invitation)
    return {"withdrawn": invitation}


@post("/api/v1/peers/accept", opt=PEOPLE, tags=["peers"], status_code=200, sync_to_thread=True)
def accept(asker: Asker, federation: Federation, catalogue: Catalogue, data: Code) -> JoiningShape:
    """Use an invitation's code: ``joined``, or ``pending`` until the other side has confirmed."""
    return told_joining(federation.accept(asker.principal, data.code), asker, catalogue)


@post("/api/v1/peers/{member:str}/confirm", opt=PEOPLE, tags=["peers"], status_code=200, sync_to_thread=True)
def confirm(asker: Asker, federation: Federation, member: str, data: Fingerprint) -> CharterShape:
    """Let a pending member in, its fingerprint compared by a person."""
    return told_charter(federation.confirm(asker.principal, member, data.fingerprint), federation)


@delete("/api/v1/peers/{member:str}", opt=PEOPLE, tags=["peers"], status_code=200, sync_to_thread=True)
def remove(asker: Asker, federation: Federation, names: dict[str, str], member: str) -> CharterShape:
    """Remove a member, by id or name, from the region."""
    removed = federation.remove(asker.principal, member_named(names, member))
    return told_charter(removed, federation)


@get("/api/v1/peers/{member:str}/reconciliation", opt=PEOPLE, tags=["peers"], sync_to_thread=True)
def reconciliation(
    asker: Asker, federation: Federation, catalogue: Catalogue, names: dict[str, str], member: str
) -> PeerReport:
    """What is due, what arrived, what was refused and why, in both directions."""
    found = federation.reconciliation(asker.principal, member_named(names, member))
    return told_peer(found, asker, catalogue)


@get(
    "/api/v1/peers/{member:str}/frames",
    opt=PEOPLE,
    tags=["peers"],
    sync_to_thread=True,
    operation_class=operation_with_answer("One frame a line.", {"application/octet-stream": BYTES}),
)
def export_frames(asker: Asker, federation: Federation, names: dict[str, str], member: str) -> Stream:
    """A file to carry to a peer: everything of ours that it has not acknowledged."""
    headers = {"Content-Disposition": 'attachment; filename="istmo-frames.txt"'}
    lines = federation.export(asker.principal, member_named(names, member))
    return Stream(lines, media_type="application/octet-stream", headers=headers)


@post(
    "/api/v1/peers/frames",
    opt=PEOPLE,
    operation_class=FramesOperation,
    tags=["peers"],
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=FILE_BODY,
)
def import_frames(asker: Asker, federation: Federation, catalogue: Catalogue, body: RawBody) -> FramesTaken:
    """Take in a file that was carried here."""
    peer, taken = federation.import_file(asker.principal, body.split(b"\n"))
    problem = taken.problem
    told = Problem(problem.code, problem.params) if problem else None
    return {
        "member": peer.id,
        "name": peer.name,
        "new": taken.new,
        "repeated": taken.repeated,
        "refused": [{"sequence": sequence, "code": code} for sequence, code in taken.refused],
        "count": taken.cursor.count,
        "problem": told_problem(told, asker, catalogue),
    }


# --- between nodes ------------------------------------------------------------------------------


@get("/federation/v1/hello", opt=PUBLIC, include_in_schema=False, sync_to_thread=True)
def hello(federation: Federation, nonce: FromQuery[str]) -> dict[str, str]:
    """Who this node is, signed over the asker's nonce."""
    if not 0 < len(nonce) <= 128:
        raise InvalidInput("federation.bad_statement")
    return {"statement": federation.hello(nonce)}


@post(
    "/federation/v1/join",
    opt=PUBLIC,
    include_in_schema=False,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=_SMALL_BODY,
)
def join(federation: Federation, body: RawBody) -> dict[str, str]:
    """A request to join, with the proof that its maker holds an invitation's code."""
    return {"statement": federation.answer_join(body)}


@get("/federation/v1/feed", opt=PEER, include_in_schema=False)
async def feed(
    request: Request[Any, Any, Any],
    asker: Asker,
    federation: Federation,
    after: FromQuery[int] = 0,
    sequence: FromQuery[int] = 0,
    head: FromQuery[str] = "",
) -> Stream:
    """What is meant for the peer that asks, after its cursor, for as long as it listens."""
    cursor = _cursor(after, sequence, head)
    gzip = "gzip" in request.headers.get("accept-encoding", "")
    session = nonce_of(request.headers)
    opened = await sync_to_thread(federation.open_feed, asker.principal, cursor, session, gzip)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if gzip:
        headers["Content-Encoding"] = "gzip"
    stopping = request.app.state.get("stopping")
    return Stream(opened.stream(stopping), media_type="text/event-stream", headers=headers)


@post(
    "/federation/v1/acks",
    opt=PEER,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=256 << 10,
)
async def acknowledge(asker: Asker, federation: Federation, body: RawBody) -> dict[str, bool]:
    """How far the peer holds our chain to it, and what of it it refused; answered once on disk."""
    await asyncio.wrap_future(federation.acknowledge(asker.principal, body))
    return {"acknowledged": True}


@post(
    "/federation/v1/frames",
    opt=PEER,
    include_in_schema=False,
    status_code=200,
    sync_to_thread=True,
    request_max_body_size=_FRAMES_BODY,
)
def take_frames(asker: Asker, federation: Federation, body: RawBody) -> dict[str, Any]:
    """Frames of a peer that cannot be reached; the answer is the acknowledgement."""
    return federation.take_frames(asker.principal, body)


@get("/federation/v1/charters", opt=PEER, include_in_schema=False, sync_to_thread=True)
def charters(asker: Asker, federation: Federation, after: FromQuery[int] = 0) -> dict[str, Any]:
    """Signed charters past a version."""
    return {"charters": federation.charters(asker.principal, max(0, after))}


def _cursor(after: int, sequence: int, head: str) -> Cursor:
    try:
        raw = bytes.fromhex(head) if head else bytes(32)
    except ValueError:
        raise InvalidInput("federation.bad_frame", part="head") from None
    if min(after, sequence) < 0 or max(after, sequence) >= 1 << 53 or len(raw) != 32:
        raise InvalidInput("federation.bad_frame", part="cursor")
    return Cursor(after, sequence, raw)


routes = [
    list_peers,
    found_region,
    list_invitations,
    invite,
    withdraw,
    accept,
    confirm,
    remove,
    reconciliation,
    export_frames,
    import_frames,
    hello,
    join,
    feed,
    acknowledge,
    take_frames,
    charters,
]
