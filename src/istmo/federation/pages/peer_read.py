"""The members of the region, and what passed between one of them and this node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response, get

from istmo.federation.links import LIVE
from istmo.federation.reconciliation import INCOMPLETE, Reconciliation, refusal_words
from istmo.federation.service import Federation
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import faces_of, page, with_query
from istmo.policy.actions import Action

STATES: Final = ("away", "incomplete")
"""What members may be looked for by: those out of reach, those with something undelivered."""


@get("/peers", opt=PEOPLE, sync_to_thread=True)
def peer_list(request: Request[Any, Any, Any], asker: Asker, federation: Federation) -> Response[Any]:
    """Everybody in the region, with the state of the link and whether all has arrived."""
    return show_region(request, asker, federation, Form())


@get("/peers/{id:str}", opt=PEOPLE, sync_to_thread=True)
def peer_page(
    request: Request[Any, Any, Any], id: str, asker: Asker, federation: Federation, catalogue: Catalogue
) -> Response[Any]:
    """One member: reconciliation both ways, lag, the last problem and its remedy, fingerprints."""
    return show_peer(request, id, asker, federation, catalogue, Form())


def show_peer(
    request: Request[Any, Any, Any],
    id: str,
    asker: Asker,
    federation: Federation,
    catalogue: Catalogue,
    form: Form,
) -> Response[Any]:
    """The page of a member, with what was typed into ``form`` when something stood against it."""
    report = federation.reconciliation(asker.principal, id)
    return page(
        request,
        "federation/peer.html",
        form=form,
        json_path=f"/api/v1/peers/{id}/reconciliation",
        report=report,
        is_member=id in federation.members(),
        may_manage=faces_of(request).may(asker.principal, Action.PEER_MANAGE),
        why=lambda one: refusal_words(catalogue, asker.language, one.code, one.sequence),
        own_fingerprint=federation.keys.fingerprint,
    )


def show_region(
    request: Request[Any, Any, Any],
    asker: Asker,
    federation: Federation,
    form: Form,
    code: str = "",
    taken: Any = None,
) -> Response[Any]:
    """The page of the region.

    ``code`` is an invitation's one-time code, shown this once; ``taken`` what a carried file brought.
    """
    may_manage = faces_of(request).may(asker.principal, Action.PEER_MANAGE)
    peers = federation.peers(asker.principal)
    chosen = {name: request.query_params.get(name, "")[:200] for name in ("q", "state")}
    return page(
        request,
        "federation/peers.html",
        form=form,
        json_path="/api/v1/peers",
        # Where this page lives, also where it answers a form: its parts are fetched anew from there.
        live_path=with_query("/peers", **chosen),
        charter=federation.charter(asker.principal),
        peers=[one for one in peers if _is_wanted(one, chosen)],
        total=len(peers),
        chosen=chosen,
        states=STATES,
        joining=federation.joining(asker.principal),
        invitations=federation.invitations(asker.principal) if may_manage else [],
        own_fingerprint=federation.keys.fingerprint,
        may_manage=may_manage,
        code=code,
        taken=taken,
    )


def _is_wanted(report: Reconciliation, chosen: Mapping[str, str]) -> bool:
    words = chosen["q"].casefold().split()
    told = f"{report.member.name} {report.member.country}".casefold()
    match chosen["state"]:
        case "away":
            is_so = report.state != LIVE
        case "incomplete":
            is_so = report.standing == INCOMPLETE
        case _:
            is_so = True
    return is_so and all(word in told for word in words)


routes = [peer_list, peer_page]
