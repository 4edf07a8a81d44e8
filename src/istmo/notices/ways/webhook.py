"""Notices to another program: an HTTP POST of JSON, signed with HMAC-SHA256.

``X-Istmo-Signature: t=SECONDS,v1=HEX`` is over ``SECONDS.BODY`` under the secret that the receiver was
given; ``Idempotency-Key`` is the same whenever the same message is tried again. No redirect is followed.

Only an administrator enters an address. Even so it is looked up once, every address that it has is held
against what the settings allow, and the connection goes to the very address that was looked at: a name
that points elsewhere a moment later changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx
import orjson

from istmo.errors import InvalidInput, Unavailable
from istmo.model import instants
from istmo.notices.objects import Parcel
from istmo.notices.ways.wording import headline
from istmo.settings import Settings

SECONDS: Final = 10.0
MOST_ADDRESSES: Final = 4
"""Of one name, that are tried."""
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(one)
    for one in (
        "192.0.0.0/24",  # RFC 6890: the protocols' own; some clouds tell their machines' secrets there
        "192.88.99.0/24",  # RFC 7526: relays that are no more
        "168.63.129.16/32",  # answers inside of one cloud alone, with its machines' secrets
        "fec0::/10",  # RFC 3879: private networks as they were before fc00::/7
        "3fff::/20",  # RFC 9637: for documents
    )
)
"""What not every version of Python's tables tells apart from the public."""


class WebhookNotifier:
    """``[notices]`` of the settings says whether private addresses are allowed."""

    name = "webhook"
    has_secret = True

    def check(self, address: str, settings: Settings) -> str:
        """An https address; plain http and private networks only where the settings allow them."""
        found = _read(address)
        if found.scheme == "http" and not settings.notices.private_addresses:
            raise InvalidInput("notices.webhook_plain")
        try:
            literal = ipaddress.ip_address(found.hostname or "")
        except ValueError:
            return address.strip()
        if not _is_allowed(str(literal), found.scheme, settings):
            raise InvalidInput("notices.webhook_private", host=str(literal))
        return address.strip()

    def send(self, parcel: Parcel, settings: Settings) -> None:
        """Raises Unavailable unless the receiver answered 2xx."""
        url = _read(self.check(parcel.address, settings))
        host = url.hostname or ""
        addresses = _look_up(url, settings)
        body = orjson.dumps(document_of(parcel))
        headers = {
            "Host": url.netloc.rpartition("@")[2],
            "Content-Type": "application/json",
            "User-Agent": "istmo",
            "Idempotency-Key": parcel.key,
            "X-Istmo-Signature": signature_of(parcel.secret, int(parcel.at.timestamp()), body),
        }
        try:
            with httpx.Client(
                verify=_trust(settings), timeout=SECONDS, follow_redirects=False, trust_env=False
            ) as client:
                status = _post(client, url, addresses, body, headers)
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            code = "notices.webhook_tls" if _is_about_tls(error) else "notices.webhook_away"
            raise Unavailable(code, host=host) from None
        if not 200 <= status < 300:
            raise Unavailable("notices.webhook_refused", host=host, status=status)


def _post(
    client: httpx.Client, url: SplitResult, addresses: Sequence[str], body: bytes, headers: dict[str, str]
) -> int:
    """The status of the answer. A name may have addresses that lead nowhere from here, as IPv6 often does:
    the next one is tried, as long as nothing was sent."""
    *others, last = addresses
    for address in others:
        try:
            return _post_to(client, url, address, body, headers)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if _is_about_tls(error):
                raise
    return _post_to(client, url, last, body, headers)


def _post_to(
    client: httpx.Client, url: SplitResult, address: str, body: bytes, headers: dict[str, str]
) -> int:
    target, name = httpx.URL(url.geturl()).copy_with(host=address), {"sni_hostname": url.hostname or ""}
    with client.stream("POST", target, content=body, headers=headers, extensions=name) as answer:
        return answer.status_code  # of the body nothing is read: it could be endless


def document_of(parcel: Parcel) -> dict[str, Any]:
    """What the receiver is sent."""
    return {
        "id": parcel.key,
        "node": parcel.node,
        "sent": instants.format(parcel.at),
        "more": parcel.more,
        "items": [
            {
                "kind": str(line.kind),
                "at": instants.format(line.at),
                "text": headline(parcel, line),
                "title": line.title or None,
                "level": line.level or None,
                "tlp": line.tlp or None,
                "link": line.link,
            }
            for line in parcel.lines
        ],
    }


def signature_of(secret: str, seconds: int, body: bytes) -> str:
    """What a receiver computes for itself and compares in constant time."""
    mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={mac}"


def _read(address: str) -> SplitResult:
    text = address.strip()
    try:
        found = urlsplit(text)
        is_good = found.scheme in ("https", "http") and bool(found.hostname) and found.port != 0
    except ValueError:
        is_good = False
    if not is_good or found.username or found.password or found.fragment or len(text) > 2000:
        raise InvalidInput("notices.bad_url")
    if not text.isascii() or not text.isprintable() or "\\" in text or " " in text:
        raise InvalidInput("notices.bad_url")
    return found


def _look_up(url: SplitResult, settings: Settings) -> list[str]:
    """The addresses to connect to, in this order; refused where any that the name has is not allowed."""
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise Unavailable("notices.webhook_away", host=host) from None
    if not found or not all(_is_allowed(one, url.scheme, settings) for one in found):
        raise Unavailable("notices.webhook_private", host=host)
    return list(dict.fromkeys(found))[:MOST_ADDRESSES]


def _is_allowed(address: str, scheme: str, settings: Settings) -> bool:
    """Public addresses by https always; others, and plain http to them alone, where the settings say so."""
    found: Any = ipaddress.ip_address(address.split("%")[0])
    found = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
    if found.is_multicast or found.is_unspecified or found.is_link_local:
        return False  # among the last is where clouds hand out their machines' secrets
    is_public = found.is_global and not found.is_reserved and not any(found in one for one in _NOT_PUBLIC)
    if is_public:
        return scheme == "https"
    return settings.notices.private_addresses


def _trust(settings: Settings) -> ssl.SSLContext:
    trust = ssl.create_default_context()
    if settings.notices.ca_file:
        trust.load_verify_locations(settings.notices.ca_file)
    return trust


def _is_about_tls(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
