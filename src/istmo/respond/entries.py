"""Writing entries and reading those that came: the only place that knows their bytes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from istmo.errors import InvalidInput
from istmo.model.ids import is_id
from istmo.model.markings import Tlp, strictest, tlp_of
from istmo.respond.fold import Folded
from istmo.respond.objects import Alert, Body, CaseEntry, Object, Opening, Payload

TYPE = "case"
VERSION = 1
FOLLOWS_LIMIT = 64

_CASES = uuid.UUID("5f2c7a5e-6f0b-4f0e-9d3c-0d6f3f0a7c11")
_entry_decoder: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)
_payload_decoder = msgspec.json.Decoder(Payload)


@dataclass(frozen=True)
class Copy:
    """One envelope to be written: its payload, and everyone who may read it."""

    payload: bytes
    audience: frozenset[str]


def case_id(opening: bytes) -> str:
    """The id of the case that these bytes open (UUIDv5 over their SHA-256): nobody else can open it."""
    return f"x-istmo-case--{uuid.uuid5(_CASES, hashlib.sha256(opening).hexdigest())}"


def entry_id(case: str, raw: bytes) -> str:
    """SHA-256(case ‖ newline ‖ entry bytes), in hex."""
    return hashlib.sha256(case.encode() + b"\n" + raw).hexdigest()


def encode_body(body: Body) -> bytes:
    """The entry's bytes. Raises InvalidInput("respond.bad_entry") for text that is no Unicode."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        raise InvalidInput("respond.bad_entry", detail="U+D800") from None


def encode_payload(case: str, raw: bytes, follows: Iterable[str]) -> bytes:
    """The payload that carries an entry."""
    named = tuple(sorted(follows))[:FOLLOWS_LIMIT]
    return msgspec.json.encode(Payload(v=VERSION, case=case, entry=msgspec.Raw(raw), follows=named))


def decode_body(raw: bytes) -> Body:
    """An entry's bytes read. Raises InvalidInput("respond.bad_entry")."""
    if b"\\u0000" in raw:
        raise InvalidInput("respond.bad_entry", detail="U+0000")
    try:
        body = _entry_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidInput("respond.bad_entry", detail=str(error)[:200]) from None
    if body.created.tzinfo is None:
        raise InvalidInput("respond.bad_entry", detail="$.created")
    return body


def decode_payload(
    payload: bytes, origin: str, audience: Iterable[str], markings: Iterable[str]
) -> CaseEntry:
    """The entry in an envelope's payload.

    Raises InvalidInput ``respond.bad_entry`` (with the path of what is wrong), ``respond.not_its_author``
    where the entry names another node than the envelope's, ``respond.wrong_case`` for an opening under
    an id that is not its own.
    """
    try:
        read = _payload_decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidInput("respond.bad_entry", detail=str(error)[:200]) from None
    if read.v != VERSION or not is_id(read.case, "x-istmo-case"):
        raise InvalidInput("respond.bad_entry", detail="$.v" if read.v != VERSION else "$.case")
    raw = bytes(read.entry)
    body = decode_body(raw)
    if body.author.node != origin:
        raise InvalidInput("respond.not_its_author", author=body.author.node, origin=origin)
    if isinstance(body, Opening) and (case_id(raw) != read.case or read.follows):
        raise InvalidInput("respond.wrong_case", case=read.case)
    return CaseEntry(
        id=entry_id(read.case, raw),
        case=read.case,
        body=body,
        raw=raw,
        author=body.author,
        created=body.created,
        follows=frozenset(read.follows),
        readers=frozenset(audience) | {origin},
        tlp=strictest(tlp_of(markings), level_of(body)),
    )


def level_of(body: Body) -> Tlp:
    """The marking that an entry says or quotes, whatever carries it; CLEAR where it names none."""
    match body:
        case Opening(tlp=label):
            found = Tlp.read(label)
            return Tlp.RED if found is None else found
        case Alert(marking=marking) | Object(marking=marking):
            return marking.level
        case _:
            return Tlp.CLEAR


def open_with(body: Opening, me: str) -> tuple[str, Copy]:
    """A new case's id and its first envelope, for this node alone."""
    raw = encode_body(body)
    case = case_id(raw)
    return case, Copy(encode_payload(case, raw, ()), frozenset({me}))


def compose(folded: Folded, body: Body, me: str, audience: frozenset[str]) -> list[Copy]:
    """The envelopes of a new entry: usually one.

    A copy names as followed only what all its readers may see (a reference is withheld with what it
    refers to), so members who see different parts of the case get copies that differ in that alone.
    """
    raw = encode_body(body)
    groups: dict[frozenset[str], set[str]] = {}
    for member in sorted(audience - {me}) or [me]:
        seen = folded.heads(lambda one, member=member: member in one.readers)  # type: ignore[misc]
        groups.setdefault(frozenset(one.id for one in seen), set()).add(member)
    return [
        Copy(encode_payload(folded.id, raw, follows), frozenset(members | {me}))
        for follows, members in groups.items()
    ]


def reissue(folded: Folded, me: str, member: str, leave_out: frozenset[str]) -> list[Copy]:
    """This node's own entries again, for a new reader: the same bytes and ids, a wider audience.

    What others wrote is theirs to pass on. What is left out is stepped over: an entry then follows
    what that one followed.
    """
    mine = [one for one in folded.order if one.author.node == me and one.body is not None]
    sent = {one.id for one in mine if member not in one.readers and one.id not in leave_out}
    copies = []
    for one in mine:
        if one.id not in sent:
            continue
        audience = one.readers | {member, me}

        def is_seen(other: CaseEntry, audience: frozenset[str] = audience) -> bool:
            known = other.readers | {member} if other.id in sent else other.readers
            return audience <= known

        below = [] if isinstance(one.body, Opening) else folded.heads(is_seen, below=one.id)
        payload = encode_payload(folded.id, one.raw, (other.id for other in below))
        copies.append(Copy(payload, audience))
    return copies
