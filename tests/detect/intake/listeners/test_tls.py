"""Senders over TLS: by a certificate that is theirs alone, whoever signed it, or by their address."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from detect.intake.listeners.conftest import Rig, network_source
from istmo.detect.intake.pinning import fingerprint_of, leaf_of

MESSAGE = b"<34>Mar  2 09:00:01 web1 sshd[8]: Accepted\n"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Holder:
    """Somebody with a self-signed certificate and its key."""

    def __init__(self, folder: Path, name: str, days: int = 30) -> None:
        self.certificate, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        key = ec.generate_private_key(ec.SECP256R1())
        called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(called)
            .issuer_name(called)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.fingerprint = fingerprint_of(made.public_bytes(serialization.Encoding.DER))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    node = Holder(tmp_path, "node")
    return node.certificate, node.key


def secure(
    rig: Rig, holder: Holder | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if holder is not None:
        context.load_cert_chain(holder.certificate, holder.key)
    return context.wrap_socket(rig.connect("syslog_tls"))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_holder_of_a_registered_certificate_is_its_source(
    rig: Rig, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    holder = Holder(tmp_path, "web1")
    rig.start(network_source(addresses=[], certificate=holder.fingerprint))
    for _ in range(2):
        with secure(rig, holder, version) as connection:
            connection.sendall(MESSAGE)
    assert len(rig.events(2)) == 2


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("days", [30, -1], ids=["unknown", "expired"])
def test_another_certificate_is_turned_away_even_from_a_known_network(
    rig: Rig, tmp_path: Path, version: ssl.TLSVersion, days: int
) -> None:
    stranger = Holder(tmp_path, "stranger", days)
    registered = stranger.fingerprint if days < 0 else Holder(tmp_path, "web1").fingerprint
    rig.start(network_source(certificate=registered))
    with pytest.raises(OSError):  # noqa: SIM117 - TLS 1.3 tells a client only when it reads
        with secure(rig, stranger, version) as connection:
            connection.sendall(MESSAGE)
            while connection.recv(100):
                pass
            raise ConnectionError
    assert rig.log.head.events == 0
    if days > 0:
        told = rig.do(rig.denials.take)
        assert told.params["problem"] == "detect.certificate_unknown"


def test_without_a_certificate_the_address_tells(rig: Rig) -> None:
    rig.start()
    with secure(rig, None) as connection:
        connection.sendall(MESSAGE)
    assert rig.events(1)[0]["program"] == "sshd"


def test_a_certificate_that_was_taken_away_opens_nothing_though_it_was_trusted_before(
    rig: Rig, tmp_path: Path
) -> None:
    holder = Holder(tmp_path, "web1")
    rig.start(network_source(certificate=holder.fingerprint))
    with secure(rig, holder) as connection:
        connection.sendall(MESSAGE)
        rig.events(1)
        rig.do(lambda: rig.sources.replace([network_source()]))
        with pytest.raises(OSError):
            while True:
                connection.sendall(MESSAGE)
    with pytest.raises(OSError), secure(rig, holder) as connection:
        while True:
            connection.sendall(MESSAGE)
    assert rig.log.head.events == 1


def test_plain_text_at_the_tls_port_is_no_message(rig: Rig) -> None:
    rig.start()
    with rig.connect("syslog_tls") as connection:
        connection.sendall(MESSAGE)
        try:
            while connection.recv(100):
                pass
        except ConnectionError:
            pass
    assert rig.log.head.events == 0


@pytest.mark.parametrize(
    "message", [b"", b"\x0b\0\0", b"\x0b\0\0\x04\xff\0\0\1", b"\x0b\0\0\x09\0\0\0\x05\0\0\x09ab"]
)
@pytest.mark.parametrize("is_newest", [True, False])
def test_a_handshake_message_that_is_cut_short_holds_no_certificate(message: bytes, is_newest: bool) -> None:
    assert leaf_of(message, is_newest=is_newest) == b""
