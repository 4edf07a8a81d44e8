"""Settings of sources: what may be given, what is refused and why, and what the worker is told of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.incoming import Incoming
from istmo.detect.objects_source import Sent, SourceSettings
from istmo.detect.records import sources as records
from istmo.detect.service.source_settings import changed, read_certificate, read_networks
from istmo.detect.wire import Counted, PutSources, SourceCount, Synced
from istmo.errors import Conflict, InvalidInput, IstmoError, NotAllowed, NotFound
from istmo.identity import audit
from istmo.kit.i18n import Catalogue

from .room import ADMINISTRATOR, ANALYST, OBSERVER, Peer, Room
from .test_link import _in_thread

CATALOGUE = Catalogue(strict=True)
EVERYTHING: dict[str, Any] = {
    "networks": ["10.1.0.0/16", "192.0.2.7"],
    "certificate": "AB:" * 31 + "CD",
    "form": "syslog",
    "zone": "America/Tegucigalpa",
    "rate": 500,
    "silent_after": "15m",
}
EMPTY_PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


def certificate() -> tuple[str, str, str]:
    """A certificate as PEM, its SHA-256, and its private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cortafuegos")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=900))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    return pem, made.fingerprint(hashes.SHA256()).hex(), private.decode()


# --- what may be given -----------------------------------------------------------------------


def test_a_source_is_made_with_settings_and_changed_one_by_one(room: Room) -> None:
    made, secret = room.detect.create_source(ADMINISTRATOR, "proxy", settings=EVERYTHING)
    expected = SourceSettings(
        ("10.1.0.0/16", "192.0.2.7/32"), "ab" * 31 + "cd", "syslog", "America/Tegucigalpa", 500, 900
    )
    assert made.settings == expected
    assert room.detect.read_source(ANALYST, made.id).settings == expected
    after = room.detect.change_source(ADMINISTRATOR, made.id, {"silent_after": 0, "networks": ["none"]})
    assert (after.settings.silent_after, after.settings.networks) == (0, ())
    assert after.settings.zone == "America/Tegucigalpa", "what is not named stays"
    with room.store.read() as connection:
        trail = audit.lines(connection)
        kept = records.valid_digests(connection, room.clock.now())
    assert [one.subject for one in trail] == [
        f"{made.id} change networks silent_after", f"{made.id} create"
    ]  # fmt: skip
    assert len(kept) == 1, "its token stays"
    assert secret not in str(trail)


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("networks", ["10.1.2.3/16"], "detect.source_network_host"),
        ("networks", ["0.0.0.0/0"], "detect.source_network_wide"),
        ("networks", ["::/0"], "detect.source_network_wide"),
        ("networks", ["fe80::1%eth0"], "detect.source_network"),
        ("networks", ["10.1.2.256"], "detect.source_network"),
        ("networks", ["nodo.example"], "detect.source_network"),
        ("networks", [f"10.0.{n}.0/24" for n in range(33)], "detect.source_networks"),
        ("certificate", "ab" * 31, "detect.source_certificate"),
        ("certificate", "zz" * 32, "detect.source_certificate"),
        ("certificate", EMPTY_PEM, "detect.source_certificate"),
        ("certificate", "x" * 100_000, "detect.source_certificate"),
        ("form", "evtx", "detect.source_form"),
        ("zone", "America/Macondo", "detect.source_zone"),
        ("zone", "../../etc/passwd", "detect.source_zone"),
        ("zone", "America", "detect.source_zone"),
        ("rate", -1, "detect.source_rate"),
        ("rate", "muchos", "detect.source_rate"),
        ("rate", 10**7, "detect.source_rate"),
        ("silent_after", 5, "detect.source_silent_after"),
        ("silent_after", "1 mes", "detect.source_silent_after"),
        ("silent_after", "91d", "detect.source_silent_after"),
        ("silent_after", -900, "detect.source_silent_after"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("language", ["es", "en"])
def test_what_is_no_good_is_refused_with_a_reason(setting: str, value: Any, code: str, language: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        changed(SourceSettings(), {setting: value})
    assert refused.value.code == code
    words = CATALOGUE.error(language, refused.value)
    assert words.message and words.remedy


def test_a_certificate_is_known_by_its_fingerprint_however_it_is_given() -> None:
    pem, digest, private = certificate()
    colons = ":".join(digest[at : at + 2] for at in range(0, 64, 2)).upper()
    for given_ in (
        pem,
        f"Subject: x\n{pem}\n",
        digest,
        colons,
        f"SHA256 Fingerprint={colons}",
        f" {digest} ",
    ):
        assert read_certificate(given_) == digest
    with pytest.raises(InvalidInput) as refused:
        read_certificate(private)
    assert refused.value.code == "detect.source_certificate_key"
    assert private.splitlines()[1] not in str(refused.value)


@given(st.ip_addresses(), st.integers(1, 128))
def test_every_network_that_is_one_is_kept_in_its_one_form(address: Any, length: int) -> None:
    network = ip_network((address, min(length, address.max_prefixlen)), strict=False)
    assert read_networks([str(network)]) == (str(network),)
    assert read_networks([network.exploded, str(network)]) == (str(network),)
    assert read_networks([str(address)]) == (str(ip_network(address)),)


@given(st.dictionaries(st.sampled_from(list(EVERYTHING)), st.text(max_size=60)))
def test_whatever_is_given_is_taken_or_refused_in_words(changes: dict[str, str]) -> None:
    given_ = {name: [text] if name == "networks" else text for name, text in changes.items()}
    try:
        found = changed(SourceSettings(), given_)
    except IstmoError as error:
        assert CATALOGUE.error("es", error).remedy
    else:
        kept = {name: getattr(found, name) for name in EVERYTHING}
        assert changed(SourceSettings(), kept) == found, "what is kept is taken again as it is"


# --- whose it is -----------------------------------------------------------------------------


def test_what_a_source_is_known_by_is_its_own(room: Room) -> None:
    first, _ = room.detect.create_source(ADMINISTRATOR, "uno", settings=EVERYTHING)
    second, _ = room.detect.create_source(ADMINISTRATOR, "dos", settings={"networks": ["10.1.2.0/24"]})
    for changes, code in (
        ({"networks": ["10.1.0.0/16"]}, "detect.source_network_taken"),
        ({"certificate": EVERYTHING["certificate"]}, "detect.source_certificate_taken"),
    ):
        with pytest.raises(Conflict) as refused:
            room.detect.change_source(ADMINISTRATOR, second.id, changes)
        assert (refused.value.code, refused.value.params["name"]) == (code, "uno")
        with pytest.raises(Conflict):
            room.detect.create_source(ADMINISTRATOR, "tres", settings=changes)
    assert [one.name for one in room.detect.sources(ANALYST)] == ["dos", "uno"], "nothing half made"
    room.detect.change_source(ADMINISTRATOR, first.id, EVERYTHING)  # its own is no conflict
    room.detect.revoke_source(ADMINISTRATOR, first.id)
    room.detect.change_source(ADMINISTRATOR, second.id, {"networks": ["10.1.0.0/16"]})


def test_who_may_not_manage_sources_changes_none(room: Room) -> None:
    made, _ = room.detect.create_source(ADMINISTRATOR, "proxy")
    for who in (ANALYST, OBSERVER):
        with pytest.raises(NotAllowed):
            room.detect.change_source(who, made.id, {"rate": 5})
        with pytest.raises(NotAllowed):
            room.detect.change_source(who, "x-istmo-source--0", {"rate": 5})
    with pytest.raises(NotAllowed):
        room.detect.read_source(OBSERVER, made.id)
    with pytest.raises(NotFound):
        room.detect.read_source(ANALYST, "x-istmo-source--0")
    room.detect.revoke_source(ADMINISTRATOR, made.id)
    with pytest.raises(NotFound):
        room.detect.change_source(ADMINISTRATOR, made.id, {"rate": 5})


def test_the_worker_is_told_how_a_source_is_known_and_read(linked: Room) -> None:
    peer = Peer(linked)
    peer.expect(Synced)
    made: list[str] = []

    def make() -> None:
        source, _ = linked.detect.create_source(ADMINISTRATOR, "proxy", settings=EVERYTHING)
        made.append(source.id)

    with _in_thread(make):
        (told,) = peer.expect(PutSources).sources
    assert (told.addresses, told.certificate) == (["10.1.0.0/16", "192.0.2.7/32"], "ab" * 31 + "cd")
    assert (told.form, told.zone, told.rate) == ("syslog", "America/Tegucigalpa", 500)
    with _in_thread(lambda: linked.detect.change_source(ADMINISTRATOR, made[0], {"rate": "0"})):
        (told,) = peer.expect(PutSources).sources
    assert told.rate == 0


# --- what is counted -------------------------------------------------------------------------


def test_counts_add_up_by_reason(room: Room) -> None:
    made, _ = room.detect.create_source(ADMINISTRATOR, "proxy")
    first, now = room.clock.now(), room.clock.now() + timedelta(minutes=5)
    told = [
        Sent(made.id, 5, 0, first),
        Sent(made.id, 10, 2, now, 3, 1, {"detect.line_not_json": 3, "detect.line_too_long": 2}),
        Sent(made.id, 0, 1, None, 0, 0, {"detect.line_too_long": 1}),
        Sent("x-istmo-source--gone", 9, 9, now, 9, 9, {"detect.line_not_json": 9}),
    ]
    with room.store.write() as tx:
        records.count_events(tx.connection, told)
        records.set_lags(tx.connection, {made.id: -3_000_000})
    found = room.detect.read_source(ANALYST, made.id)
    assert (found.accepted, found.doubled, found.unreadable, found.refused) == (15, 1, 3, 3)
    assert found.reasons == {"detect.line_not_json": 3, "detect.line_too_long": 3}
    assert (found.first_event, found.last_event, found.lag) == (first, now, -3_000_000)


def test_reasons_are_bounded(room: Room) -> None:
    made, _ = room.detect.create_source(ADMINISTRATOR, "proxy")
    with room.store.write() as tx:
        for number in range(80):
            records.count_events(tx.connection, [Sent(made.id, 0, 1, None, reasons={f"detect.x{number}": 1})])
    assert len(room.detect.read_source(ANALYST, made.id).reasons) == records.MOST_REASONS


def test_the_last_hour_holds_nothing_that_the_sum_of_all_does_not(room: Room) -> None:
    source, _ = room.detect.create_source(ADMINISTRATOR, "Cortafuegos")
    stored = []

    def counted(_: object) -> None:
        stored.append(room.detect.read_source(ANALYST, source.id).accepted)

    incoming = Incoming(room.store, room.clock, room.stories, counted)
    incoming.put(Counted([SourceCount(source.id, 3_001, 0, 0)]))
    incoming.put(Counted([SourceCount(source.id, 3_000, 0, 0)]))
    incoming.close()
    incoming.run()
    assert stored == [6_001, 6_001]
