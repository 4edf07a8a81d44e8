"""What the OpenAPI document cannot read off a handler: raw bodies, and answers that are no JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)

BYTES: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
TEXT: Final = Schema(type=OpenAPIType.STRING)


def operation_with_body(description: str, media: Mapping[str, Schema]) -> type[Operation]:
    """For a handler's ``operation_class``: its body, by media type."""

    @dataclass
    class WithBody(Operation):
        """An operation whose body is told here."""

        def __post_init__(self) -> None:
            self.request_body = RequestBody(_content(media), description=description, required=True)

    return WithBody


def operation_with_both(
    description: str, media: Mapping[str, Schema], answer: str, answer_media: Mapping[str, Schema]
) -> type[Operation]:
    """For a handler's ``operation_class``: its body, and what its 200 answers, by media type."""

    @dataclass
    class WithBoth(Operation):
        """An operation whose body and answer are told here."""

        def __post_init__(self) -> None:
            self.request_body = RequestBody(_content(media), description=description, required=False)
            told = OpenAPIResponse(answer, content=_content(answer_media))
            self.responses = {**(self.responses or {}), "200": told}

    return WithBoth


def operation_with_answer(description: str, media: Mapping[str, Schema]) -> type[Operation]:
    """For a handler's ``operation_class``: what its 200 answers, by media type."""

    @dataclass
    class WithAnswer(Operation):
        """An operation whose answer is told here."""

        def __post_init__(self) -> None:
            told = OpenAPIResponse(description, content=_content(media))
            self.responses = {**(self.responses or {}), "200": told}

    return WithAnswer


def _content(media: Mapping[str, Schema]) -> dict[str, OpenAPIMediaType]:
    return {name: OpenAPIMediaType(schema=schema) for name, schema in media.items()}
