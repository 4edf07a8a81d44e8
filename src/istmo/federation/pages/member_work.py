"""Removing a member, and taking in a file that somebody carried here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, post

from istmo.errors import IstmoError
from istmo.federation.api import FILE_BODY
from istmo.federation.pages.peer_read import show_peer, show_region
from istmo.federation.service import Federation
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, SentWithFile, one, upload
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import back_to, told


@post("/peers/{id:str}/remove", opt=PEOPLE, sync_to_thread=True)
def remove(
    request: Request[Any, Any, Any],
    id: str,
    data: Sent,
    asker: Asker,
    federation: Federation,
    catalogue: Catalogue,
) -> Response[Any]:
    """Nothing further is meant for a member. Its name is typed: nobody removes a nation by a slip."""
    report = federation.reconciliation(asker.principal, id)
    form = Form({"name": one(data, "name")})
    if form.values["name"].casefold() != report.member.name.strip().casefold():
        form.problems["name"] = catalogue.text(asker.language, "region.remove.other_name")
        return show_peer(request, id, asker, federation, catalogue, form)
    try:
        federation.remove(asker.principal, id)
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form.problems["name"] = " ".join(told(request, error))
        return show_peer(request, id, asker, federation, catalogue, form)
    return back_to(request, "/peers", notice="region.notice.removed", name=report.member.name)


@dataclass(frozen=True)
class TakenFile:
    """What a carried file brought; ``problem``: where it ended before its end, in words."""

    name: str
    new: int
    repeated: int
    refused: int
    problem: str


@post("/peers/frames", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=FILE_BODY)
def take_file(
    request: Request[Any, Any, Any], data: SentWithFile, asker: Asker, federation: Federation
) -> Response[Any]:
    """A carried file: what it brought is told on the page."""
    form = Form()
    try:
        peer, taken = federation.import_file(asker.principal, upload(data, "file").split(b"\n"))
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form.problems["file"] = " ".join(told(request, error))
        return show_region(request, asker, federation, form)
    problem = " ".join(told(request, taken.problem)) if taken.problem else ""
    found = TakenFile(peer.name, taken.new, taken.repeated, len(taken.refused), problem)
    return show_region(request, asker, federation, form, taken=found)


routes = [remove, take_file]
