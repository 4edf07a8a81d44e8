"""The invitation code: what is written down, pasted or read aloud is read back, or refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.errors import InvalidInput
from istmo.federation.code import Code, invitation_id, is_fingerprint, new_code, same_fingerprint
from istmo.federation.statement import pae
from istmo.ledger.keys import fingerprint, verify

URLS = st.sampled_from(
    [
        "https://csirt.gob.gt",
        "https://csirt.gob.hn:8443",
        "http://127.0.0.1:8001",
        "https://[2001:db8::1]:443",
    ]
)
KEYS = st.binary(min_size=32, max_size=32)


@given(url=URLS, key=KEYS)
def test_for_all_codes_what_is_written_is_read(url: str, key: bytes) -> None:
    code = new_code(url, fingerprint(key))
    assert Code.decode(code.encode()) == code


@given(url=URLS, key=KEYS, spoil=st.sampled_from([" ", "-", "\n", "."]), lower=st.booleans())
def test_for_all_ways_to_write_it_the_code_is_read(url: str, key: bytes, spoil: str, lower: bool) -> None:
    code = new_code(url, fingerprint(key))
    text = code.encode().replace("-", spoil).replace("O", "0").replace("I", "1").replace("B", "8")
    assert Code.decode(text.lower() if lower else text) == code


@settings(max_examples=60)
@given(
    url=URLS, key=KEYS, place=st.integers(0, 200), letter=st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
)
def test_for_all_mistyped_letters_the_code_is_refused(url: str, key: bytes, place: int, letter: str) -> None:
    text = new_code(url, fingerprint(key)).encode().replace("-", "")
    place %= len(text) - 1  # the last letter may hold bits that mean nothing
    if text[place] == letter:
        return
    with pytest.raises(InvalidInput) as caught:
        Code.decode(text[:place] + letter + text[place + 1 :])
    assert caught.value.code == "federation.code_mistyped"


@given(st.text(max_size=300))
def test_for_all_texts_reading_a_code_ends_in_words(text: str) -> None:
    with pytest.raises(InvalidInput):
        Code.decode(text)


def test_a_code_to_a_plain_address_elsewhere_is_refused() -> None:
    code = new_code("http://192.0.2.7:8443", fingerprint(bytes(32)))
    with pytest.raises(InvalidInput) as caught:
        Code.decode(code.encode())
    assert caught.value.code == "federation.plain_http"


def test_the_proof_binds_the_request_and_the_public_half_alone_is_kept() -> None:
    code = new_code("https://csirt.gob.gt", fingerprint(bytes(32)))
    proof = code.prove(b"request")
    assert verify(code.public_key, pae("join-proof", b"request"), proof)
    assert not verify(code.public_key, pae("join-proof", b"another"), proof)
    assert code.id == invitation_id(code.public_key)
    assert code.secret.hex() not in repr(code)
    assert re.fullmatch(r"[0-9a-f]{16}", code.id)


def test_fingerprints_are_compared_as_people_write_them() -> None:
    text = fingerprint(b"k" * 32)
    assert same_fingerprint(text, text.lower().replace("-", " "))
    assert not same_fingerprint(text, fingerprint(b"x" * 32))
    assert not same_fingerprint("", "")
    assert is_fingerprint(text)
    assert not is_fingerprint("ABCD")
