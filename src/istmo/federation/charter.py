"""The charter: who belongs to a region, signed, each version by enough signers of the one before.

The rules are those of TUF's root role (The Update Framework, 5.3): a version follows exactly the one
before it, is signed by a threshold of the signers of that one *and* of its own, and never goes back.
The signed form is a DSSE envelope with several signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson

from istmo.errors import Conflict, InvalidInput, IstmoError, TooLarge
from istmo.federation.objects import MEMBER, Member
from istmo.federation.statement import pae
from istmo.ledger.keys import NodeKeys, keyid, verify
from istmo.model import instants

KIND = "charter"
PAYLOAD_TYPE = "application/vnd.istmo.charter+json"
LIFETIME = timedelta(days=730)
LIMIT = 1 << 20
MEMBERS_LIMIT = 512
_VERSION = 1


@dataclass(frozen=True)
class Charter:
    """One version of a region's charter."""

    region: str
    """The region's id, a UUID that never changes."""
    name: str
    version: int
    created: datetime
    expires: datetime
    threshold: int
    signers: tuple[str, ...]
    """Member ids."""
    members: tuple[Member, ...]
    previous: str | None
    """SHA-256 of the payload of the version before, hexadecimal; None for the first."""
    payload: bytes = field(default=b"", repr=False)
    signatures: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    """(key id, signature) pairs."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(one.id for one in self.members)

    def member(self, id: str) -> Member | None:
        return next((one for one in self.members if one.id == id), None)

    def encode(self) -> bytes:
        """The signed charter as JSON bytes: what is stored, shared and fetched."""
        signatures = [{"keyid": key, "sig": _b64(sig)} for key, sig in self.signatures]
        return orjson.dumps(
            {"payload": _b64(self.payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
        )

    @classmethod
    def decode(cls, raw: bytes) -> Charter:
        """Read a signed charter. **No signature is verified yet**: see ``check_anchor``, ``check_next``.

        Raises InvalidInput ``federation.bad_charter`` naming the ``part``, TooLarge.
        """
        if len(raw) > LIMIT:
            raise TooLarge("federation.statement_too_large", size=len(raw), limit=LIMIT)
        try:
            outer = orjson.loads(raw)
            payload = base64.b64decode(outer["payload"], validate=True)
            signatures = tuple(
                (str(one["keyid"]), base64.b64decode(one["sig"], validate=True))
                for one in outer["signatures"]
            )
            found = orjson.loads(payload)
            right_type = outer["payloadType"] == PAYLOAD_TYPE
        except (binascii.Error, ValueError, KeyError, TypeError):
            raise _bad("form") from None
        if not right_type or not isinstance(found, dict) or len(signatures) > MEMBERS_LIMIT:
            raise _bad("form")
        charter = replace(_read(found), payload=payload, signatures=signatures)
        _check_sense(charter)
        return charter

    def sign(self, keys: NodeKeys) -> Charter:
        """The same charter with one more signature."""
        payload = self.payload or _payload(self)
        made = (keys.keyid, keys.sign(pae(KIND, payload)))
        rest = tuple(one for one in self.signatures if one[0] != keys.keyid)
        return replace(self, payload=payload, signatures=(*rest, made))


def found(name: str, founder: Member, now: datetime) -> Charter:
    """The first version, not yet signed: one member, who is the one signer."""
    charter = Charter(
        str(uuid4()), name, 1, now, now + LIFETIME, 1, (founder.id,), (founder,), None
    )  # fmt: skip
    _check_sense(charter)
    return charter


def amend(charter: Charter, members: Iterable[Member], now: datetime) -> Charter:
    """The next version with other members, not yet signed. Signers who left are signers no more."""
    kept = tuple(sorted(members, key=lambda one: (one.joined, one.id)))
    ids = {one.id for one in kept if one.kind == MEMBER}
    signers = tuple(one for one in charter.signers if one in ids)
    made = replace(
        charter,
        version=charter.version + 1,
        created=now,
        expires=now + LIFETIME,
        threshold=min(charter.threshold, len(signers)),
        signers=signers,
        members=kept,
        previous=charter.digest,
        payload=b"",
        signatures=(),
    )
    _check_sense(made)
    return made


def check_anchor(charter: Charter) -> None:
    """A charter that is trusted for another reason must still be signed by enough of its own signers."""
    _check_threshold(charter, charter)


def check_next(current: Charter, new: Charter) -> None:
    """Whether ``new`` may follow ``current``.

    Raises Conflict ``federation.charter_version`` (not the next number), InvalidInput
    ``federation.charter_other_region``, ``federation.charter_fork`` (follows another text),
    ``federation.charter_signatures`` or ``federation.charter_key_changed``.
    """
    if new.region != current.region:
        raise InvalidInput("federation.charter_other_region", name=new.name)
    if new.version != current.version + 1:
        raise Conflict("federation.charter_version", version=new.version, known=current.version)
    if new.previous is None or not hmac.compare_digest(new.previous, current.digest):
        raise InvalidInput("federation.charter_fork", version=new.version)
    for member in new.members:
        before = current.member(member.id)
        if before is not None and before.signing_key != member.signing_key:
            raise InvalidInput("federation.charter_key_changed", name=member.name)
    _check_threshold(new, current)
    _check_threshold(new, new)


def _check_threshold(charter: Charter, by: Charter) -> None:
    """Enough of the signers of ``by`` have signed ``charter``, each with the key that ``by`` gives."""
    good = 0
    given = dict(charter.signatures)
    for id in by.signers:
        member = by.member(id)
        signature = given.get(keyid(member.signing_key)) if member else None
        if member and signature and verify(member.signing_key, pae(KIND, charter.payload), signature):
            good += 1
    if good < by.threshold:
        raise InvalidInput(
            "federation.charter_signatures", version=charter.version, found=good, needed=by.threshold
        )


def _check_sense(charter: Charter) -> None:
    """What no signature can make right."""
    ids = [one.id for one in charter.members]
    keys = [one.signing_key for one in charter.members]
    may_sign = {one.id for one in charter.members if one.kind == MEMBER}
    if not 1 <= len(ids) <= MEMBERS_LIMIT or len(set(ids)) != len(ids) or len(set(keys)) != len(keys):
        raise _bad("members")
    if not charter.signers or len(set(charter.signers)) != len(charter.signers):
        raise _bad("signers")
    if not set(charter.signers) <= may_sign:
        raise _bad("signers")
    if not 1 <= charter.threshold <= len(charter.signers):
        raise _bad("threshold")
    if not 1 <= len(charter.name) <= 200:
        raise _bad("name")
    if (charter.version == 1) != (charter.previous is None):
        raise _bad("previous")


def _payload(charter: Charter) -> bytes:
    return orjson.dumps(
        {
            "v": _VERSION,
            "region": charter.region,
            "name": charter.name,
            "version": charter.version,
            "created": instants.format(charter.created),
            "expires": instants.format(charter.expires),
            "threshold": charter.threshold,
            "signers": list(charter.signers),
            "members": [one.to_json() for one in charter.members],
            "previous": charter.previous,
        }
    )


def _read(found: dict[str, Any]) -> Charter:
    if found.get("v") != _VERSION:
        raise _bad("v")
    try:
        members = tuple(Member.from_json(one) for one in found["members"])
        previous = found["previous"]
        if previous is not None and (not isinstance(previous, str) or len(previous) != 64):
            raise _bad("previous")
        if type(found["version"]) is not int or type(found["threshold"]) is not int:
            raise _bad("version")
        if not all(isinstance(one, str) for one in found["signers"]):
            raise _bad("signers")
        return Charter(
            region=str(UUID(found["region"])),
            name=_text(found["name"]),
            version=found["version"],
            created=instants.parse(_text(found["created"])),
            expires=instants.parse(_text(found["expires"])),
            threshold=found["threshold"],
            signers=tuple(found["signers"]),
            members=members,
            previous=previous,
        )
    except IstmoError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _bad("form") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _bad("form")
    return value


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bad(part: str) -> InvalidInput:
    return InvalidInput("federation.bad_charter", part=part)
