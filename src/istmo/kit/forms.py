"""Forms: what was sent, what is wrong with it, and the same form again with nothing lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body

from istmo.errors import InvalidInput

Sent = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]
"""The fields of a form, as a handler's ``data``."""

SentWithFile = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)]
"""The fields of a form that may carry a file (UploadFile)."""


@dataclass
class Form:
    """What a person typed and what is wrong with it.

    ``problems``: field → text beside it; ``general`` concerns the whole form, ``remedy`` says what to do.
    """

    values: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    general: str = ""
    remedy: str = ""


def one(sent: Mapping[str, Any], name: str, *, longest: int | None = None) -> str:
    """One field as text, whole: trimmed, line ends as ``\\n``, no NUL; empty when absent.

    ``longest`` is for what no person types: raises InvalidInput("kit.field_too_long") past it. What a
    person typed is read without it, so that the service refuses it and the form keeps it.
    """
    value = sent.get(name, "")
    if isinstance(value, list):
        value = value[0] if value else ""
    text = value if isinstance(value, str) else ""
    text = text.replace("\r\n", "\n").replace("\x00", "").strip()
    if longest is not None and len(text) > longest:
        raise InvalidInput("kit.field_too_long", field=name, limit=longest)
    return text


def several(sent: Mapping[str, Any], name: str) -> list[str]:
    """Every value of a field that may stand more than once (checkboxes)."""
    value = sent.get(name, [])
    found = value if isinstance(value, list) else [value]
    return [text.strip() for text in found if isinstance(text, str) and text.strip()]


def upload(sent: Mapping[str, Any], name: str) -> bytes:
    """The bytes of an uploaded file; empty when none was chosen."""
    value = sent.get(name)
    if not isinstance(value, UploadFile):
        return b""
    value.file.seek(0)
    return value.file.read()
