"""What the region's machine interface answers: charter, peers and invitations as plain JSON, in words."""

from __future__ import annotations

from typing import cast

from istmo.errors import IstmoError
from istmo.federation.charter import Charter
from istmo.federation.objects import Invitation, Problem
from istmo.federation.reconciliation import Reconciliation, refusal_words
from istmo.federation.records import Joining
from istmo.federation.service import Federation
from istmo.federation.shapes import (
    CharterShape,
    InvitationShape,
    JoiningShape,
    OwnNode,
    PeerProblem,
    PeerReport,
)
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import instants


def told_charter(charter: Charter, federation: Federation) -> CharterShape:
    """A charter, for a program."""
    names = {one.id: one.name for one in charter.members}
    return {
        "id": charter.region,
        "name": charter.name,
        "version": charter.version,
        "created": instants.format(charter.created),
        "expires": instants.format(charter.expires),
        "has_expired": charter.expires < federation.clock.now(),
        "threshold": charter.threshold,
        "signers": [{"member": one, "name": names[one]} for one in charter.signers],
        "members": [
            {"member": one.id, "name": one.name, "country": one.country, "kind": one.kind}
            for one in charter.members
        ],
    }


def told_self(federation: Federation) -> OwnNode:
    """This node as the region sees it."""
    me = federation.region.myself()
    return {
        "member": me.id,
        "name": federation.name_of(me.id),
        "country": me.country,
        "url": me.url,
        "fingerprint": me.fingerprint,
    }


def told_invitation(one: Invitation) -> InvitationShape:
    """An invitation without its code."""
    return {
        "id": one.id,
        "name": one.name,
        "state": one.state,
        "created": instants.format(one.created),
        "expires": instants.format(one.expires),
        "expected_fingerprint": one.fingerprint or None,
        "member": one.member.id if one.member else None,
        "fingerprint": one.member.fingerprint if one.member else None,
        "country": one.member.country if one.member else None,
        "url": one.member.url if one.member else None,
    }


def told_joining(joining: Joining, asker: Asker, catalogue: Catalogue) -> JoiningShape:
    """This node's own request to join."""
    return {
        "state": joining.state,
        "url": joining.url,
        "inviter": joining.inviter["member"],
        "asked": instants.format(joining.created),
        "problem": told_problem(joining.problem, asker, catalogue),
    }


def told_peer(found: Reconciliation, asker: Asker, catalogue: Catalogue) -> PeerReport:
    """A peer's reconciliation; codes get their words in the asker's language."""
    report = cast("PeerReport", found.to_json())
    report["problem"] = told_problem(found.link.problem, asker, catalogue)
    for refusal in (*report["refusals_there"], *report["refusals_here"]):
        refusal["message"] = refusal_words(catalogue, asker.language, refusal["code"], refusal["sequence"])
    return report


def told_problem(problem: Problem | None, asker: Asker, catalogue: Catalogue) -> PeerProblem | None:
    """What stands in the way; in words where the catalogue has some."""
    if problem is None:
        return None
    told = cast("PeerProblem", problem.to_json())
    if not catalogue.has(asker.language, f"error.{told['code']}"):
        return told
    words = catalogue.error(asker.language, IstmoError(told["code"], **told["params"]))
    return {**told, "message": words.message, "remedy": words.remedy}
