"""What a sender asks over HTTP and what it is answered, without the server's own types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qs

import orjson

from istmo.errors import InvalidInput, IstmoError, NotFound
from istmo.kit.i18n import Told

if TYPE_CHECKING:
    from istmo.detect.intake.desk import Desk

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

JSON: Final = b"application/json"
MOST_PARAMETERS: Final = 50


class MethodNotAllowed(IstmoError):
    """The path exists; the method does not."""

    status = 405


@dataclass(frozen=True)
class Request:
    """One request whose body has not been read yet."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case; of several of one name the last."""
    address: str
    """Where it came from; ``""`` where the server does not know."""
    receive: Receive
    certificate: str = ""
    """SHA-256 of the client's certificate, lower-case hex, where the connection has one."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the ``{names}`` of the route stand for."""
    admitted: list[str] = field(default_factory=list)
    """The source that sends it, once it is known: what is then refused is counted as its own."""

    def asks(self, name: str) -> str:
        """The last value of a parameter of the query; ``""`` where it is not there.

        Raises InvalidInput for a query of too many parameters.
        """
        try:
            return parse_qs(self.query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS).get(
                name, [""]
            )[-1]
        except ValueError:
            raise InvalidInput("detect.too_many_parameters", limit=MOST_PARAMETERS) from None


@dataclass(frozen=True)
class Reply:
    """An answer. Its length and what every answer carries are added by the port."""

    status: int
    body: bytes = b""
    type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def json_reply(status: int, data: Any, *headers: tuple[bytes, bytes]) -> Reply:
    """An answer in JSON."""
    return Reply(status, orjson.dumps(data), headers=headers)


Handler = Callable[["Desk", Request], Awaitable[Reply]]


class Door(Protocol):
    """One way of sending events: its paths, and how it says no in its senders' own words."""

    @property
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """By method and path; ``{name}`` in a path stands for one part of it, whatever it is."""

    def refuse(self, error: IstmoError, told: Told) -> Reply:
        """The answer to an error; ``told`` are its words in the sender's language."""


class Router:
    """Finds the door and the handler of a request."""

    def __init__(self, doors: tuple[Door, ...]) -> None:
        self._plain: dict[str, dict[str, tuple[Door, Handler]]] = {}
        self._shapes: dict[tuple[str, ...], dict[str, tuple[Door, Handler]]] = {}
        for door in doors:
            for (method, path), handler in door.routes.items():
                table: dict[Any, dict[str, tuple[Door, Handler]]] = self._plain
                place: Any = path
                if "{" in path:
                    table, place = self._shapes, tuple(path.split("/")[1:])
                table.setdefault(place, {})[method] = (door, handler)

    def find(self, method: str, path: str) -> tuple[Door | None, Handler | None, dict[str, str]]:
        """The door whose path it is, the handler, and what the path names.

        A path of no door has neither; a method that its door does not know has no handler.
        """
        if path != "/":  # Fluent Bit asks for "/_bulk/" where a pipeline follows
            path = path.removesuffix("/")
        methods = self._plain.get(path)
        parts: dict[str, str] = {}
        if methods is None:
            methods, parts = self._by_shape(path)
        if not methods:
            return None, None, {}
        if method in methods:
            return *methods[method], parts
        return next(iter(methods.values()))[0], None, parts

    def _by_shape(self, path: str) -> tuple[dict[str, tuple[Door, Handler]] | None, dict[str, str]]:
        asked = path.split("/")[1:]
        for shape, methods in self._shapes.items():
            if len(shape) != len(asked):
                continue
            parts = {
                name[1:-1]: part for name, part in zip(shape, asked, strict=True) if name.startswith("{")
            }
            is_same = all(
                name == part for name, part in zip(shape, asked, strict=True) if not name.startswith("{")
            )
            # A part that begins with "_" is the protocol's own word, never somebody's name.
            if is_same and all(part and not part.startswith("_") for part in parts.values()):
                return methods, parts
        return None, {}


def no_handler(door: Door | None, method: str) -> IstmoError:
    """Why a request has no handler."""
    if door is None:
        return NotFound("detect.no_such_path")
    return MethodNotAllowed("detect.method_not_allowed", method=method[:20])
