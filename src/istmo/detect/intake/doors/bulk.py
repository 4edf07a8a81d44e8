"""Elasticsearch's ``_bulk``, and what its clients ask before they send.

Beats, Logstash, Vector, Fluent Bit, rsyslog and the official clients believe that they write to an index.
What they ask for around it (licence, templates, whether an index is there) is answered so that they go
on; nothing of it is kept. An event's ``_id`` is its name: sent again, it is not stored again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from istmo.detect.eventstore.lines import snug_json
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.asking import Handler, Reply, Request, json_reply
from istmo.detect.intake.desk import Desk
from istmo.errors import InvalidInput, IstmoError, TooLarge
from istmo.kit.i18n import Told

VERSION: Final = "8.19.0"
"""The version that clients are told: of the newest major one that all of the senders above still talk to."""
_PRODUCT: Final = (b"x-elastic-product", b"Elasticsearch")
"""Official clients send nothing to a server without it."""
_VENDOR: Final = "application/vnd.elasticsearch+json"
_KINDS: Final = frozenset({"index", "create"})
LONGEST_ID: Final = 512
LONGEST_INDEX: Final = 255
"""Bytes of an event's id, and of an index's name."""
_YIELD_LINES: Final = 2_000
_TYPES: Final = {401: "security_exception", 403: "security_exception", 404: "resource_not_found_exception"}
_TYPES_BUSY: Final = "es_rejected_execution_exception"


class Bulk:
    """Elasticsearch's protocol."""

    @property
    def routes(self) -> Mapping[tuple[str, str], Handler]:
        known: dict[tuple[str, str], Handler] = {}
        for path in ("/_bulk", "/{index}/_bulk", "/{index}/{type}/_bulk"):
            known["POST", path] = known["PUT", path] = take
        known["POST", "/{index}/_doc"] = take_one
        for path in ("/{index}/_doc/{id}", "/{index}/_create/{id}"):
            known["POST", path] = known["PUT", path] = take_one
        for path in ("/", "/{index}"):
            known["GET", path] = known["HEAD", path] = tell_version if path == "/" else tell_present
        known["PUT", "/{index}"] = acknowledge
        for path, answer in _TOLD.items():
            known["GET", path] = known["HEAD", path] = answer
        for kind in (
            "_template",
            "_index_template",
            "_component_template",
            "_ingest/pipeline",
            "_ilm/policy",
            "_data_stream",
        ):
            path = f"/{kind}/{{name}}"
            known["GET", path] = known["HEAD", path] = tell_present
            known["PUT", path] = known["POST", path] = acknowledge
        return known

    def refuse(self, error: IstmoError, told: Told) -> Reply:
        status = 503 if error.status == 507 else error.status  # clients know no 507, and would not come back
        kind = _TYPES_BUSY if status in (429, 503) else _TYPES.get(status, "parse_exception")
        cause = {"type": kind, "reason": f"{told.message} {told.remedy}".strip()}
        headers = [_PRODUCT]
        if error.status == 401:
            headers.append((b"www-authenticate", b'Basic realm="istmo", charset="UTF-8"'))
        answer = {"error": {"root_cause": [cause], **cause}, "status": status}
        return json_reply(status, answer, *headers)


async def take(desk: Desk, request: Request) -> Reply:
    """Store a body of actions and documents; answers for each in their order."""
    source = desk.admit(request)
    with desk.holding(request) as held:
        body = await desk.read_whole(request, held)
        index = request.parts.get("index", "")
        actions = _Actions(desk.arrivals(), index)
        for number, (line, document) in enumerate(_pairs(body)):
            actions.take(line, document)
            if number % _YIELD_LINES == _YIELD_LINES - 1:
                await asyncio.sleep(0)
        del body  # its events are copies
        doubled = await desk.store(source, actions.arrived, held)
    return _reply(request, b'{"took":0,"errors":%b,"items":[%b]}' % actions.items(doubled))


async def take_one(desk: Desk, request: Request) -> Reply:
    """Store one document."""
    source = desk.admit(request)
    index, name = request.parts["index"], request.parts.get("id", "")
    _check_name(index, name)
    arrived = desk.arrivals()
    with desk.holding(request) as held:
        body = await desk.read_whole(request, held)
        arrived.add(body, _key(index, name))
        doubled = await desk.store(source, arrived, held)
    status, told = _item(index, name, is_new=not doubled, is_create="_create" in request.path)
    return _reply(request, told, status)


async def tell_version(desk: Desk, request: Request) -> Reply:
    """What a client asks first."""
    desk.admit(request)
    told = {
        "name": "istmo",
        "cluster_name": "istmo",
        "cluster_uuid": "istmo",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    }
    return _reply(request, orjson.dumps(told))


async def tell_licence(desk: Desk, request: Request) -> Reply:
    """A licence under which clients send."""
    desk.admit(request)
    return _reply(request, orjson.dumps({"license": {"status": "active", "type": "basic", "mode": "basic"}}))


async def tell_health(desk: Desk, request: Request) -> Reply:
    """Whether events are taken."""
    desk.admit(request)
    desk.require_room()
    return _reply(request, orjson.dumps({"cluster_name": "istmo", "status": "green", "timed_out": False}))


async def tell_nodes(desk: Desk, request: Request) -> Reply:
    """To a client that looks for more nodes: there are none."""
    desk.admit(request)
    return _reply(request, orjson.dumps({"cluster_name": "istmo", "nodes": {}}))


async def tell_features(desk: Desk, request: Request) -> Reply:
    """What Logstash and Beats ask an installation for."""
    desk.admit(request)
    none = {"available": False, "enabled": False}
    return _reply(
        request, orjson.dumps({"license": {"status": "active", "type": "basic"}, "features": {"ilm": none}})
    )


async def tell_present(desk: Desk, request: Request) -> Reply:
    """An index or a template: it is there, so nobody needs to make it."""
    desk.admit(request)
    return _reply(request, b"{}")


async def acknowledge(desk: Desk, request: Request) -> Reply:
    """Something that a sender sets up: it may; there is nothing to keep."""
    desk.admit(request)
    with desk.holding(request) as held:
        await desk.read_whole(request, held)
    return _reply(request, b'{"acknowledged":true,"shards_acknowledged":true}')


_TOLD: Final[Mapping[str, Handler]] = {
    "/_license": tell_licence,
    "/_xpack": tell_features,
    "/_cluster/health": tell_health,
    "/_cat/health": tell_health,
    "/_nodes": tell_nodes,
    "/_nodes/http": tell_nodes,
}


@dataclass
class _Actions:
    """The actions of one body. What each is answered is known when all of it is stored."""

    arrived: Arrivals
    index: str
    _told: list[tuple[str, str, bool, bytes]] = field(default_factory=list)
    """Index, id, whether it was "create", and the answer where it is refused."""

    def take(self, line: bytes, document: bytes) -> None:
        """An action and its document."""
        kind, index, name = _action(line)
        index = index or self.index
        if kind not in _KINDS:
            raise InvalidInput("detect.bulk_action", action=kind[:40])
        refusal = b""
        try:
            _check_name(index, name)
            limit = self.arrived.limits.line_bytes
            if len(document) > limit:
                raise TooLarge("detect.line_too_long", limit=limit)
            self.arrived.add(document, _key(index, name))
        except IstmoError as error:
            if error.code == "detect.batch_too_large":
                raise
            self.arrived.refuse(error)
            index, name = index[:LONGEST_INDEX], name[:LONGEST_ID]
            is_named_wrong = error.code == "detect.bulk_name_too_long"
            of = "illegal_argument_exception" if is_named_wrong else "document_parsing_exception"
            cause = {"type": of, "reason": error.code}
            told = {kind: {"_index": index, "_id": name or None, "status": 400, "error": cause}}
            refusal = snug_json(told)
        self._told.append((index, name, kind == "create", refusal))

    def items(self, doubled: frozenset[int]) -> tuple[bytes, bytes]:
        """Whether any was refused, and the answers in their order."""
        answers, place, has_errors = [], 0, False
        for index, name, is_create, refusal in self._told:
            if refusal:
                has_errors = True
                answers.append(refusal)
                continue
            status, told = _item(index, name, is_new=place not in doubled, is_create=is_create)
            has_errors = has_errors or status >= 400
            answers.append(b'{"%b":%b}' % (b"create" if is_create else b"index", told))
            place += 1
        return b"true" if has_errors else b"false", b",".join(answers)


def _pairs(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Actions with their documents. Raises InvalidInput where a document is missing."""
    line = b""
    for piece in body.split(b"\n"):
        if not (piece := piece.strip(b" \t\r")):
            continue
        if not line:
            line = piece
            continue
        yield line, piece
        line = b""
    if line:
        raise InvalidInput("detect.bulk_cut_short")


@lru_cache(maxsize=1024)
def _known_action(line: bytes) -> tuple[str, str, str]:
    try:
        told = orjson.loads(line)
        ((kind, about),) = told.items()
        index, name = about.get("_index") or "", about.get("_id")
        name = "" if name is None else str(name)
    except (orjson.JSONDecodeError, AttributeError, ValueError):
        raise InvalidInput("detect.bulk_action", action=line[:40].decode("utf-8", "replace")) from None
    return str(kind), str(index), name


def _action(line: bytes) -> tuple[str, str, str]:
    """What is to be done, into which index, under which id."""
    return _known_action(line) if len(line) < 256 else _known_action.__wrapped__(line)


def _check_name(index: str, name: str) -> None:
    """Elasticsearch's own bounds: a longer id would have to be cut, and two might become one."""
    for text, limit in ((name, LONGEST_ID), (index, LONGEST_INDEX)):
        if len(text) > limit or (not text.isascii() and len(text.encode("utf-8", "replace")) > limit):
            raise InvalidInput("detect.bulk_name_too_long", limit=limit)


def _key(index: str, name: str) -> bytes:
    return f"{index}/{name}".encode() if name else b""


@lru_cache(maxsize=256)
def _plain_item(index: str) -> bytes:
    return _told_item(index, None, "created", 201)


def _item(index: str, name: str, *, is_new: bool, is_create: bool) -> tuple[int, bytes]:
    if is_new:
        return 201, _told_item(index, name, "created", 201) if name else _plain_item(index)
    if is_create:  # what clients take for "it is there already", and go on
        cause = {"type": "version_conflict_engine_exception", "reason": f"[{name}]: document already exists"}
        return 409, snug_json({"_index": index, "_id": name, "status": 409, "error": cause})
    return 200, _told_item(index, name, "updated", 200)


def _told_item(index: str, name: str | None, result: str, status: int) -> bytes:
    shards = {"total": 1, "successful": 1, "failed": 0}
    told: dict[str, Any] = {"_index": index, "_id": name, "_version": 1, "result": result, "_shards": shards}
    return snug_json(told | {"_seq_no": 0, "_primary_term": 1, "status": status})


def _reply(request: Request, body: bytes, status: int = 200) -> Reply:
    wanted = request.headers.get("accept", "")
    kind = b"application/json"
    if _VENDOR in wanted:
        _, _, with_ = wanted.partition("compatible-with=")
        version = with_[:1] if with_[:1] in ("7", "8", "9") else "8"
        kind = f"{_VENDOR};compatible-with={version}".encode()
    return Reply(status, body, kind, (_PRODUCT,))
