"""For templates: what an object and a type are called in the asker's language."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Request

from istmo.intel.naming import TYPES, name_of, type_words
from istmo.kit.asking import Asker
from istmo.kit.pages import faces_of


def names_shown(request: Request[Any, Any, Any], asker: Asker) -> dict[str, Any]:
    """``name_of(object)`` and ``type_of(type)``."""
    text = partial(faces_of(request).catalogue.text, asker.language)
    return {"name_of": lambda one: name_of(one, text), "type_of": lambda type: type_words(type, text)}


def types_offered(request: Request[Any, Any, Any], asker: Asker) -> list[tuple[str, str]]:
    """The types that a filter offers, with their words."""
    text = partial(faces_of(request).catalogue.text, asker.language)
    return [(one, type_words(one, text)) for one in TYPES]
