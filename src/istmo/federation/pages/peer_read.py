"""The members of the region, and what passed between one of them and this node."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from istmo.federation.reconciliation import refusal_words
from istmo.federation.service import Federation
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import faces_of, page
from istmo.policy.actions import Action


@get("/peers", opt=PEOPLE, sync_to_thread=True)
def peer_list(request: Request[Any, Any, Any], asker: Asker, federation: Federation) -> Response[Any]:
    """Everybody in the region, with the state of the link and whether all has arrived."""
    return show_region(request, asker, federation, Form())


@get("/peers/{id:str}", opt=PEOPLE, sync_to_thread=True)
def peer_page(
    request: Request[Any, Any, Any], id: str, asker: Asker, federation: Federation, catalogue: Catalogue
) -> Response[Any]:
    """One member: reconciliation both ways, lag, the last problem and its remedy, fingerprints."""
    report = federation.reconciliation(asker.principal, id)
    return page(
        request,
        "federation/peer.html",
        report=report,
        why=lambda one: refusal_words(catalogue, asker.language, one.code, one.sequence),
        own_fingerprint=federation.keys.fingerprint,
    )


def show_region(
    request: Request[Any, Any, Any], asker: Asker, federation: Federation, form: Form, code: str = ""
) -> Response[Any]:
    """The page of the region. ``code`` is an invitation's one-time code, shown this once."""
    may_manage = faces_of(request).may(asker.principal, Action.PEER_MANAGE)
    return page(
        request,
        "federation/peers.html",
        form=form,
        charter=federation.charter(asker.principal),
        peers=federation.peers(asker.principal),
        joining=federation.joining(asker.principal),
        invitations=federation.invitations(asker.principal) if may_manage else [],
        own_fingerprint=federation.keys.fingerprint,
        may_manage=may_manage,
        code=code,
    )


routes = [peer_list, peer_page]
