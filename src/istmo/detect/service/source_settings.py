"""Settings of a source as people write them: checked, and in the one form in which they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_interface, ip_network
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from istmo.detect.objects_source import SourceSettings
from istmo.detect.reading import FORMS
from istmo.errors import InvalidInput
from istmo.kit.times import zone as zone_of
from istmo.model import durations

MOST_NETWORKS: Final = 32
HIGHEST_RATE: Final = 1_000_000
SHORTEST_SILENCE: Final = 60
LONGEST_SILENCE: Final = 90 * 86_400
LONGEST_PEM: Final = 16_384
NONE: Final = ("", "none", "ninguno", "ninguna", "nunca", "never")
"""What a person writes where a setting is to be taken away."""
_FINGERPRINT: Final = re.compile(
    r"(sha-?256\s?(fingerprint)?\s?[:=]\s?)?([0-9a-f]{2}(:?[0-9a-f]{2}){31})", re.IGNORECASE
)
_PEM: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]{1,16384}-----END CERTIFICATE-----", re.ASCII
)


def changed(settings: SourceSettings, changes: Mapping[str, Any]) -> SourceSettings:
    """The settings after some of them were given anew.

    Raises InvalidInput: ``detect.source_network``, ``_network_wide``, ``_network_host``, ``_networks``,
    ``_certificate``, ``_certificate_key``, ``_form``, ``_zone``, ``_rate``, ``_silent_after``.
    """
    read = {name: READERS[name](value) for name, value in changes.items()}
    return SourceSettings(**{**_as_given(settings), **read})


def read_networks(given: Iterable[str]) -> tuple[str, ...]:
    """Networks in CIDR; an address alone is a network of its own."""
    written = [one.strip() for text in given for one in re.split(r"[\s,;]+", text) if one.strip()]
    found = dict.fromkeys(_network(one) for one in written if one.lower() not in NONE)
    if len(found) > MOST_NETWORKS:
        raise InvalidInput("detect.source_networks", limit=MOST_NETWORKS)
    return tuple(found)


def _network(text: str) -> str:
    shown = text[:80]
    if "%" in text:  # a scope means something on one machine alone
        raise InvalidInput("detect.source_network", network=shown)
    try:
        found = ip_network(text, strict=False)
        interface = ip_interface(text)
    except ValueError:
        raise InvalidInput("detect.source_network", network=shown) from None
    if found.prefixlen == 0:
        raise InvalidInput("detect.source_network_wide", network=shown)
    if interface.ip != found.network_address:
        alone = str(ip_network(interface.ip))
        raise InvalidInput("detect.source_network_host", network=shown, wide=str(found), alone=alone)
    return str(found)


def read_certificate(given: str) -> str:
    """The SHA-256 of a certificate: as hex, with colons or without, or of a PEM."""
    text = given.strip()
    if text.lower() in NONE:
        return ""
    if found := _FINGERPRINT.fullmatch(text):
        return found[3].replace(":", "").lower()
    if "PRIVATE KEY" in text:
        raise InvalidInput("detect.source_certificate_key")
    pem = _PEM.search(text[: LONGEST_PEM * 2])
    if pem is None or len(pem[0]) > LONGEST_PEM:
        raise InvalidInput("detect.source_certificate")
    try:
        return x509.load_pem_x509_certificate(pem[0].encode()).fingerprint(SHA256()).hex()
    except ValueError:
        raise InvalidInput("detect.source_certificate") from None


def read_form(given: str) -> str:
    """A format of lines by its name; ``""`` to look at what comes."""
    text = given.strip().lower()
    if text in NONE or text == "auto":
        return ""
    if text not in FORMS:
        raise InvalidInput("detect.source_form", form=given[:40], forms=sorted(FORMS))
    return text


def read_zone(given: str) -> str:
    """A time zone by its IANA name."""
    text = given.strip()
    if text.lower() in NONE:
        return ""
    if len(text) > 64 or zone_of(text) is None:
        raise InvalidInput("detect.source_zone", zone=text[:64])
    return text


def read_rate(given: int | str) -> int:
    """Events a second, a whole number; 0 for no bound."""
    text = str(given).strip()
    if text.lower() in NONE:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > HIGHEST_RATE:
        raise InvalidInput("detect.source_rate", rate=text[:40], limit=HIGHEST_RATE)
    return int(text)


def read_silent_after(given: int | str) -> int:
    """Seconds, or a length of time as people write it; 0 for never."""
    text = str(given).strip()
    if text.lower() in NONE or text == "0":
        return 0
    seconds = given if isinstance(given, int) else durations.parse(text)
    if seconds is None or not SHORTEST_SILENCE <= seconds <= LONGEST_SILENCE:
        bounds = {"least": durations.format(SHORTEST_SILENCE), "most": durations.format(LONGEST_SILENCE)}
        raise InvalidInput("detect.source_silent_after", given=text[:40], **bounds)
    return seconds


READERS: Final[Mapping[str, Any]] = {
    "networks": read_networks,
    "certificate": read_certificate,
    "form": read_form,
    "zone": read_zone,
    "rate": read_rate,
    "silent_after": read_silent_after,
}
"""By the name of the setting."""


def _as_given(settings: SourceSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in READERS}
