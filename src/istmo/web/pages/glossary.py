"""The glossary: every word that the console uses, in plain words, open to everybody."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from istmo.kit.access import PUBLIC
from istmo.kit.asking import Asker
from istmo.kit.glossary import PARTS
from istmo.kit.i18n import LANGUAGES, Catalogue
from istmo.kit.pages import page
from istmo.web.shapes import GlossaryShape


@get("/glossary", opt=PUBLIC, sync_to_thread=True)
def glossary_page(request: Request[Any, Any, Any], asker: Asker, catalogue: Catalogue) -> Response[Any]:
    """Terms by part, each with an anchor, so that help texts can point at it."""
    other = _other(asker)
    parts = [
        (part, [(id, catalogue.text(other, f"glossary.term.{id}")) for id in terms]) for part, terms in PARTS
    ]
    return page(request, "web/glossary.html", json_path="/api/v1/glossary", parts=parts, other=other)


@get("/api/v1/glossary", opt=PUBLIC, tags=["glossary"], sync_to_thread=True)
def read_glossary(asker: Asker, catalogue: Catalogue) -> GlossaryShape:
    """Every term in the asker's language; ``other`` is the word in the other one."""
    other = _other(asker)
    return {
        "items": [
            {
                "id": id,
                "part": part,
                "term": catalogue.text(asker.language, f"glossary.term.{id}"),
                "other": catalogue.text(other, f"glossary.term.{id}"),
                "means": catalogue.text(asker.language, f"glossary.means.{id}"),
            }
            for part, terms in PARTS
            for id in terms
        ],
    }


def _other(asker: Asker) -> str:
    return next(one for one in LANGUAGES if one != asker.language)


routes = [glossary_page]
api_routes = [read_glossary]
