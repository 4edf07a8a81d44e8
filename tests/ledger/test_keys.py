"""Keys: made once, kept to their owner, and a damaged file is said to be damaged."""

from __future__ import annotations

import contextlib
import re
import ssl
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from istmo.errors import Conflict, InvalidInput, NotFound
from istmo.ledger import keys


@pytest.fixture
def folder(tmp_path):
    keys.create(tmp_path / "keys", url="https://csirt.example:8443")
    return tmp_path / "keys"


def test_what_was_made_is_what_is_loaded(folder):
    first, second = keys.load(folder), keys.load(folder)
    assert first.public == second.public
    assert keys.verify(second.public, b"message", first.sign(b"message"))
    assert second.open(keys.seal(b"plain", [first.age_recipient])) == b"plain"


def test_every_file_is_its_owner_s_alone(folder):
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in keys.FILES} == {0o600}


def test_keys_are_never_overwritten(folder):
    with pytest.raises(Conflict, match=r"ledger\.keys_exist"):
        keys.create(folder)


@pytest.mark.parametrize("name", keys.FILES)
def test_a_damaged_file_is_named(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InvalidInput) as found:
        keys.load(folder)
    assert (found.value.code, found.value.params["file"]) == ("ledger.keys_damaged", str(path))


@pytest.mark.parametrize("name", keys.FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(NotFound) as found:
        keys.load(folder)
    assert (found.value.code, found.value.params["file"]) == ("ledger.keys_missing", str(folder / name))


def test_keys_that_others_can_read_are_refused(folder):
    (folder / keys.SIGNING).chmod(0o640)
    with pytest.raises(InvalidInput, match=r"ledger\.keys_exposed"):
        keys.load(folder)


def test_a_tls_key_of_another_certificate_is_damaged(folder, tmp_path):
    keys.create(tmp_path / "other")
    (folder / keys.TLS_KEY).write_bytes((tmp_path / "other" / keys.TLS_KEY).read_bytes())
    with pytest.raises(InvalidInput, match=r"ledger\.keys_damaged"):
        keys.load(folder)


def test_the_certificate_names_the_host_and_serves_tls(folder):
    loaded = keys.load(folder)
    certificate = x509.load_pem_x509_certificate(loaded.certificate_pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["csirt.example", "localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(loaded.tls_certificate, loaded.tls_key)


def handshake(server: keys.NodeKeys, trust: ssl.SSLContext, host: str) -> None:
    """A real TLS handshake between a server with ``server``'s certificate and a client, in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.tls_certificate, server.tls_key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=host)
    serving = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, serving):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert client.getpeercert()


def test_only_the_one_certificate_is_trusted_and_only_for_its_names(folder, tmp_path):
    own, other = keys.load(folder), keys.create(tmp_path / "other")
    handshake(own, own.tls_trust(), "csirt.example")
    handshake(own, own.tls_trust(), "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(other, own.tls_trust(), "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(own, own.tls_trust(), "elsewhere.example")
    with pytest.raises(InvalidInput, match=r"ledger\.bad_certificate"):
        keys.trust_only(b"no certificate")


def test_nothing_secret_shows(folder):
    """Invariant 7: what is printed or logged of the keys opens nothing."""
    told = repr(keys.load(folder)) + str(keys.load(folder))
    assert "AGE-SECRET-KEY" not in told
    assert "PRIVATE KEY" not in told
    assert "_signing" not in told


@given(st.binary(min_size=32, max_size=32))
def test_a_fingerprint_can_be_read_aloud(public):
    assert re.fullmatch(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){5}", keys.fingerprint(public))


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_junk_is_no_signature(public, signature):
    assert not keys.verify(public, b"message", signature)


def test_a_bad_recipient_key_is_said(folder):
    with pytest.raises(InvalidInput, match=r"ledger\.bad_recipient_key"):
        keys.seal(b"x", ["age1nonsense"])


def test_what_is_sealed_to_others_does_not_open(folder, tmp_path):
    other = keys.create(tmp_path / "other")
    with pytest.raises(InvalidInput, match=r"ledger\.sealed_to_others"):
        keys.load(folder).open(keys.seal(b"x", [other.age_recipient]))
    with pytest.raises(InvalidInput, match=r"ledger\.sealed_to_others"):
        other.open(b"not an age file")
