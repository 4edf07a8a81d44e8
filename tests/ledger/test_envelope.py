"""Envelopes: one spelling only, read strictly, unknown fields kept."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as ReferenceEnvelope
from securesystemslib.signer import SSlibKey

from istmo.errors import InvalidInput, IstmoError, TooLarge
from istmo.ledger.envelope import HEADER_LIMIT, PAYLOAD_TYPE, Envelope, Header, must_seal, pae
from istmo.model.markings import Tlp

from .conftest import AMBER, MEMBERS

LIMIT = 1 << 20


def header(**more) -> Header:
    fields = {
        "origin": MEMBERS["gt"],
        "sequence": 7,
        "type": "stix",
        "audience": (MEMBERS["gt"], MEMBERS["hn"]),
        "markings": AMBER,
        "lane": "normal",
        "expires": None,
        "purpose": "",
        "created": datetime(2026, 3, 2, 9, tzinfo=UTC),
        "seal": "none",
    }
    return Header.of_body(b"s" * 32 + b"x", **(fields | more))


@pytest.fixture
def envelope(node_keys) -> Envelope:
    raw = header().encode()
    return Envelope(raw, node_keys["gt"].keyid, node_keys["gt"].sign(pae(raw)), b"s" * 32 + b"x")


def test_the_wire_form_gives_the_same_envelope(envelope):
    assert Envelope.decode(envelope.encode(), body_limit=LIMIT) == envelope
    erased = replace(envelope, body=None)
    assert Envelope.decode(erased.encode(), body_limit=LIMIT) == erased


def test_a_reference_implementation_of_dsse_agrees(envelope, node_keys):
    reference = ReferenceEnvelope.from_dict(envelope.to_json()["header"])
    assert reference.pae() == pae(envelope.header)
    key = SSlibKey.from_crypto(node_keys["gt"].signing_key.public_key(), envelope.keyid)
    assert reference.verify([key], 1) == {envelope.keyid: key}


def test_another_key_has_not_signed_it(envelope, node_keys):
    assert envelope.is_signed_by(node_keys["gt"].public)
    assert not envelope.is_signed_by(node_keys["hn"].public)
    forged = replace(envelope, keyid=node_keys["hn"].keyid)
    assert not forged.is_signed_by(node_keys["hn"].public)


@given(st.data())
def test_no_other_bytes_are_the_same_envelope(node_keys, data):
    """Invariant 3: a relay that changes a byte is found, even where JSON would not mind."""
    key = node_keys["gt"]
    first = header().encode()
    good = Envelope(first, key.keyid, key.sign(pae(first)), b"s" * 32 + b"x")
    raw = bytearray(good.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        read = Envelope.decode(bytes(raw), body_limit=LIMIT)
        read.check_body(Header.decode(read.header))
    except IstmoError:
        return
    assert not read.is_signed_by(key.public)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda j: j | {"more": 1},
        lambda j: {"body": j["body"], "header": j["header"]},
        lambda j: {"header": j["header"]},
        lambda j: j | {"body": 5},
        lambda j: j | {"body": j["body"][:-1]},
        lambda j: j | {"header": j["header"] | {"payloadType": "text/plain"}},
        lambda j: j | {"header": j["header"] | {"signatures": []}},
        lambda j: j | {"header": j["header"] | {"signatures": j["header"]["signatures"] * 2}},
        lambda j: j | {"header": j["header"] | {"signatures": [{"keyid": "x", "sig": ""}]}},
        lambda j: [j],
    ],
)
def test_other_forms_are_refused(envelope, spoil):
    raw = json.dumps(spoil(envelope.to_json()), separators=(",", ":")).encode()
    with pytest.raises(InvalidInput, match=r"ledger\.bad_envelope"):
        Envelope.decode(raw, body_limit=LIMIT)


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"\xff", b"[" * 5000, b'{"a":1,"a":1}', b"NaN", b'{"header":NaN}']
)
def test_junk_is_refused_in_words(junk):
    with pytest.raises(InvalidInput, match=r"ledger\.bad_envelope"):
        Envelope.decode(junk, body_limit=LIMIT)


def test_spaces_and_padding_are_refused(envelope):
    for raw in (
        json.dumps(envelope.to_json()).encode(),
        envelope.encode() + b"\n",
        b" " + envelope.encode(),
    ):
        with pytest.raises(InvalidInput, match=r"ledger\.bad_envelope"):
            Envelope.decode(raw, body_limit=LIMIT)


def test_a_body_past_the_limit_is_refused(envelope):
    big = replace(envelope, body=bytes(200_000))
    with pytest.raises(TooLarge, match=r"ledger\.body_too_large"):
        Envelope.decode(big.encode(), body_limit=1000)
    with pytest.raises(TooLarge, match=r"ledger\.body_too_large"):
        Envelope.decode(b" " * 10_000_000, body_limit=1000)


def test_unknown_fields_of_a_header_survive():
    raw = header(extra={"erases": {"origin": "x", "sequence": 3}, "future": [1]}).encode()
    read = Header.decode(raw)
    assert read.extra == {"erases": {"origin": "x", "sequence": 3}, "future": [1]}
    assert read.encode() == raw


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("origin", "identity--x"),
        ("origin", "indicator--11111111-1111-4111-8111-111111111111"),
        ("sequence", 0),
        ("sequence", "1"),
        ("sequence", True),
        ("sequence", 1 << 60),
        ("type", "Stix"),
        ("type", ""),
        ("audience", []),
        ("audience", [MEMBERS["hn"], MEMBERS["gt"]]),
        ("audience", [MEMBERS["gt"], MEMBERS["gt"]]),
        ("audience", "everyone"),
        ("audience", ["*"]),
        ("markings", ["TLP:RED"]),
        ("markings", None),
        ("lane", "slow"),
        ("expires", "tomorrow"),
        ("purpose", 5),
        ("purpose", "x" * 201),
        ("created", None),
        ("seal", "pgp"),
        ("body_sha256", "ABC"),
        ("body_size", -1),
    ],
)
def test_a_wrong_field_is_named(name, value):
    """Invariant 2 among them: an empty audience, or one that is no list of members, is nobody."""
    found = json.loads(header().encode()) | {name: value}
    with pytest.raises(InvalidInput) as refused:
        Header.decode(json.dumps(found).encode())
    assert (refused.value.code, refused.value.params) == ("ledger.bad_header", {"field": name})


@pytest.mark.parametrize("name", [one for one in json.loads(header().encode()) if one != "v"])
def test_a_missing_field_is_named(name):
    found = json.loads(header().encode())
    del found[name]
    with pytest.raises(InvalidInput) as refused:
        Header.decode(json.dumps(found).encode())
    assert refused.value.params == {"field": name}


@pytest.mark.parametrize("version", [0, 2, "1", True, None])
def test_another_version_is_refused_by_name(version):
    found = json.loads(header().encode()) | {"v": version}
    with pytest.raises(InvalidInput) as refused:
        Header.decode(json.dumps(found).encode())
    assert (refused.value.code, refused.value.params["known"]) == ("ledger.unknown_version", 1)


def test_a_header_past_the_limit_is_refused():
    with pytest.raises(TooLarge, match=r"ledger\.header_too_large"):
        Header.decode(b" " * (HEADER_LIMIT + 1))


@given(st.binary(max_size=200))
def test_junk_headers_are_refused_in_words(junk):
    with pytest.raises(IstmoError):
        Header.decode(junk)


def test_what_must_be_sealed():
    """Invariant 2: a marking that nobody knows counts as the strictest."""
    assert not must_seal((Tlp.CLEAR.marking_id,))
    assert not must_seal(AMBER)
    assert must_seal((Tlp.AMBER_STRICT.marking_id,))
    assert must_seal((Tlp.RED.marking_id,))
    assert must_seal(())
    assert must_seal((*AMBER, "marking-definition--00000000-0000-4000-8000-000000000000"))


def test_the_payload_type_is_what_is_signed():
    assert pae(b"{}") == b"DSSEv1 33 application/vnd.istmo.header+json 2 {}"
    assert base64.b64encode(PAYLOAD_TYPE.encode())
