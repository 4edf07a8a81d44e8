"""What a request carries: read once, and told in the node's own errors.

The framework's readers let a few malformed bodies through as defects of the program. Nobody needs a
name to send such a body, so each is an answer of 400 here, without a traceback in the journal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import Request
from litestar.datastructures.multi_dicts import FormMultiDict
from litestar.enums import RequestEncodingType
from litestar.exceptions import ClientException, InternalServerException
from litestar.types import Empty
from litestar.utils.scope.state import ScopeState

from istmo.errors import InvalidInput

SMALL_FORM: Final = 64 << 10
"""Bytes of a form that anybody may send, known or not: a name, a password, a language."""


class Asked(Request[Any, Any, Any]):
    """One request. Its readers raise InvalidInput ``web.bad_request`` for what cannot be read."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces; a sender that leaves in the middle is nobody's defect (400, told to no one)."""
        try:
            async for piece in super().stream():
                yield piece
        except InternalServerException as error:
            raise ClientException(error.detail) from None

    async def json(self) -> Any:
        """The body as JSON: UTF-8, of a depth that can be read, and no NUL in any text of it."""
        try:
            value = await super().json()
        except (UnicodeError, RecursionError):
            raise InvalidInput("web.bad_request") from None
        # NUL names nothing, and PostgreSQL keeps no text that holds it. JSON can only say it escaped.
        if b"\\u0000" in await self.body() and _holds_nul(value):
            raise InvalidInput("web.bad_request")
        return value

    async def form(self) -> FormMultiDict:
        """The fields of a form.

        Read here, because the framework keeps the last thousand that it reads: passwords, and memory.
        """
        state = ScopeState.from_scope(self.scope)
        if self.content_type[0] == RequestEncodingType.URL_ENCODED and state.form is Empty:
            state.form = _fields(await self.body())
        try:
            return await super().form()
        except (ValueError, LookupError):  # not the charset that a part claims, or none that exists
            raise InvalidInput("web.bad_request") from None


def _fields(body: bytes) -> dict[str, Any]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in parse_qsl(body.decode("latin-1"), keep_blank_values=True):
        found[name].append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def _holds_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if "\0" in one:
                return True
        elif isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False
