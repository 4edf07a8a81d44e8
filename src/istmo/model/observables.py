"""Object paths of STIX 2.1 (section 6) that events carry, and how a value of each is compared.

One event stands for one observed-data. Which fields of an event carry a property is the matcher's
business (``detect.indicators.properties`` has a reader for each name here); a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple


class Sort(Enum):
    """How values of a property are compared."""

    TERM = "term"
    """A value with a normal form of its own, looked up in the matcher's tables."""
    NAME = "name"
    """Text in which case says nothing: files, registry keys, accounts."""
    TEXT = "text"
    """Text, letter by letter (NFC)."""
    NUMBER = "number"


class Property(NamedTuple):
    """One property by the name that the matcher knows. ``term`` is the kind of its terms."""

    name: str
    sort: Sort
    term: str = ""


_HASHES: Final = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA1": "sha1",
    "SHA-256": "sha256",
    "SHA256": "sha256",
    "SHA-512": "sha512",
    "SHA512": "sha512",
}
_FILES: Final = (
    (("file",), "file"),
    (("process", "image_ref"), "process:image"),
    (("process", "binary_ref"), "process:image"),
    (("process", "parent_ref", "image_ref"), "process:parent_image"),
    (("process", "parent_ref", "binary_ref"), "process:parent_image"),
)
_HASHED: Final = (("file",), ("process", "image_ref"), ("process", "binary_ref"), ("artifact",))

_TERMS: Final = {
    "ipv4-addr:value": ("address", "ipv4"),
    "ipv6-addr:value": ("address", "ipv6"),
    "domain-name:value": ("domain", "domain"),
    "domain-name:resolves_to_refs.*.value": ("answers", "host"),
    "url:value": ("url", "url"),
    "artifact:url": ("url", "url"),
    "email-addr:value": ("email", "email"),
    "email-message:from_ref.value": ("email:from", "email"),
    "email-message:sender_ref.value": ("email:from", "email"),
    "email-message:to_refs.*.value": ("email:to", "email"),
    "email-message:cc_refs.*.value": ("email:to", "email"),
    "email-message:bcc_refs.*.value": ("email:to", "email"),
    "network-traffic:src_ref.value": ("traffic:source", "host"),
    "network-traffic:dst_ref.value": ("traffic:destination", "host"),
}

_OTHERS: Final = {
    Sort.NAME: {
        "directory:path": "directory",
        "file:parent_directory_ref.path": "directory",
        "process:image_ref.parent_directory_ref.path": "directory",
        "file:mime_type": "file:mime_type",
        "artifact:mime_type": "file:mime_type",
        "mutex:name": "mutex",
        "process:cwd": "process:cwd",
        "windows-registry-key:key": "registry:key",
        "windows-registry-key:values.*.name": "registry:value_name",
        "user-account:user_id": "account",
        "user-account:account_login": "account",
        "user-account:display_name": "account",
        "process:creator_user_ref.user_id": "account",
        "process:creator_user_ref.account_login": "account",
        "windows-registry-key:creator_user_ref.account_login": "account",
        "network-traffic:protocols.*": "traffic:protocol",
        "network-traffic:src_ref.type": "traffic:source_type",
        "network-traffic:dst_ref.type": "traffic:destination_type",
        "mac-addr:value": "mac",
        "network-traffic:src_ref.resolves_to_refs.*.value": "mac",
        "x509-certificate:serial_number": "certificate:serial",
        "process:extensions.windows-service-ext.service_name": "service:name",
        "process:extensions.windows-service-ext.display_name": "service:name",
        "process:extensions.windows-service-ext.start_type": "service:start",
        "network-traffic:extensions.http-request-ext.request_method": "http:method",
        "network-traffic:extensions.http-request-ext.request_header.Host": "http:host",
        "software:name": "software:name",
        "software:vendor": "software:vendor",
    },
    Sort.TEXT: {
        "process:command_line": "process:command_line",
        "process:parent_ref.command_line": "process:parent_command_line",
        "windows-registry-key:values.*.data": "registry:data",
        "email-message:subject": "email:subject",
        "email-message:message_id": "email:message_id",
        "email-message:body": "email:body",
        "software:version": "software:version",
        "x509-certificate:issuer": "certificate:issuer",
        "x509-certificate:subject": "certificate:subject",
        "network-traffic:extensions.http-request-ext.request_value": "http:value",
        "network-traffic:extensions.http-request-ext.request_header.User-Agent": "http:agent",
        "network-traffic:extensions.http-request-ext.request_header.Referer": "http:referer",
        "autonomous-system:name": "as:name",
    },
    Sort.NUMBER: {
        "file:size": "file:size",
        "process:pid": "process:pid",
        "process:parent_ref.pid": "process:parent_pid",
        "network-traffic:src_port": "traffic:source_port",
        "network-traffic:dst_port": "traffic:destination_port",
        "network-traffic:src_byte_count": "traffic:source_bytes",
        "network-traffic:dst_byte_count": "traffic:destination_bytes",
        "autonomous-system:number": "as:number",
    },
}


PLACED: Final = frozenset(
    {
        "answers",
        "email:from",
        "email:to",
        "process:image",
        "process:parent_image",
        "traffic:source",
        "traffic:destination",
    }
)
"""Properties of which a value counts in their own fields alone: a side of a connection, a sender. Others
count wherever they are found."""


def _way(text: str) -> tuple[str, ...]:
    type, _, rest = text.partition(":")
    return (type, *rest.split("."))


PROPERTIES: Final[Mapping[tuple[str, ...], Property]] = {
    **{_way(path): Property(name, Sort.TERM, kind) for path, (name, kind) in _TERMS.items()},
    **{(*way, "name"): Property(name, Sort.TERM, "filename") for way, name in _FILES},
    **{
        (*way, "hashes", name): Property(f"hash:{kind}", Sort.TERM, kind)
        for way in (*_HASHED, ("x509-certificate",))
        for name, kind in _HASHES.items()
    },
    **{_way(path): Property(name, sort) for sort, found in _OTHERS.items() for path, name in found.items()},
}
"""By object path; ``*`` stands for any index. A ``host`` is an address or a domain, as the value is."""


def find_property(path: tuple[str, ...]) -> Property | None:
    """The property at an object path; a numbered place in a list counts as any place."""
    found = PROPERTIES.get(path)
    if found is None:
        loose = tuple("*" if step.isdecimal() else step for step in path)
        found = PROPERTIES.get(loose)
    return found
