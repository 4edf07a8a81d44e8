"""Which fields of an event carry a property of an observable, and in which form its values compare.

For what the tables do not hold: comparisons other than "is that value". The names are those of the
plans (``tables`` knows values, this knows properties). One event stands for one observed-data.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from istmo.detect.indicators import values

Value = str | float
Fold = Callable[[str], Value | None]

MOST_VALUES: Final = 64
"""Values of one property in one event that are looked at."""
LONGEST_VALUE: Final = 1 << 16
"""Characters of a value that are compared; of a longer one the beginning."""

_HIVES: Final = {
    "hklm": "hkey_local_machine",
    "hkcu": "hkey_current_user",
    "hku": "hkey_users",
    "hkcr": "hkey_classes_root",
    "hkcc": "hkey_current_config",
    "\\registry\\machine": "hkey_local_machine",
    "\\registry\\user": "hkey_users",
}


def fold_text(text: str) -> str:
    """Text as it stands, NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def fold_name(text: str) -> str:
    """Text in which case says nothing."""
    return values.read_filename(text)


def fold_path(text: str) -> str:
    """A folder, without the stroke at its end."""
    return fold_name(text).rstrip("\\/") or text


def fold_key(text: str) -> str:
    """A registry key: Sysmon's and the kernel's short names of the hives written out."""
    low = fold_name(text).rstrip("\\")
    for short, whole in _HIVES.items():
        if low.startswith(short) and low[len(short) : len(short) + 1] in ("", "\\"):
            return whole + low[len(short) :]
    return low


def fold_mac(text: str) -> str:
    """A hardware address in lower case with colons, as STIX writes it."""
    return fold_name(text).replace("-", ":")


def fold_serial(text: str) -> str:
    """A certificate's serial number: hexadecimal digits alone."""
    return fold_name(text).replace(":", "").replace(" ", "").removeprefix("0x").lstrip("0")


def fold_number(text: str) -> float | None:
    """A number as logs write it: decimal, or hexadecimal with ``0x``."""
    try:
        if text[:2].lower() == "0x":
            return float(int(text[:34], 16))
        number = float(text[:40])
    except ValueError:
        return None
    return number if number == number and abs(number) < 1e300 else None


def fold_address(text: str) -> str | None:
    """An address in normal form."""
    text = text.strip("[]")
    four = values.read_ipv4(text)
    if four is not None:
        return values.ipv4_text(four)
    six = values.read_ipv6(text) if ":" in text else None
    if six is None:
        return None
    inner = values.mapped_ipv4(six)
    return values.ipv6_text(six) if inner is None else values.ipv4_text(inner)


def fold_domain(text: str) -> str | None:
    """A name that is no address."""
    name = values.read_domain(text.lstrip("\\"))
    if name is None or "." not in name or " " in name or fold_address(name) is not None:
        return None
    return name


def fold_url(text: str) -> str | None:
    read = values.read_url(text)
    return read[0] if read else None


def fold_email(text: str) -> str | None:
    return values.read_email(text.strip("<> "))


def fold_end(text: str) -> Value | None:
    """An end of a connection: an address or a name."""
    return fold_address(text) or fold_domain(text)


def fold_end_type(text: str) -> str | None:
    """What an end of a connection is, as STIX names it."""
    address = fold_address(text)
    if address is not None:
        return "ipv6-addr" if ":" in address else "ipv4-addr"
    return None if fold_domain(text) is None else "domain-name"


def fold_digest(kind: str) -> Fold:
    """One kind of digest, out of ``SHA256=…`` or bare."""

    def fold(text: str) -> str | None:
        name, equals, digits = text.strip().partition("=")
        found = values.read_hash(digits if equals else name)
        return found[1].hex() if found and found[0] == kind else None

    return fold


class Property(NamedTuple):
    """The fields that carry a property, and what is made of their text; ``None`` is no value of it."""

    fields: tuple[str, ...]
    fold: Fold = fold_text
    split: str = ""
    """Characters between several values in one field."""
    cut: str = ""
    """``folder`` or ``name``: the part of a path that counts beside nothing else; ``key`` both and
    the whole."""
    is_only_there: bool = False
    """Whether a value that the tables found counts in these fields alone (a side of a connection)."""


def _p(fields: str, fold: Fold = fold_text, **more: Any) -> Property:
    return Property(tuple(fields.split()), fold, **more)


_SOURCE: Final = """SourceIp SourceHostname SourceAddress src_ip src id.orig_h id_orig_h source.ip
    source.address
    source.domain client.ip c-ip ClientAddress IpAddress remote_addr sourceIPAddress"""
_DESTINATION: Final = """DestinationIp DestinationHostname DestAddress dst_ip dest_ip dst id.resp_h id_resp_h
    destination.ip destination.address destination.domain server.ip s-ip cs-host c-uri-host r-dns
    DestinationIpAddress RemoteAddress server_name sni"""
_NAMES: Final = "QueryName query rrname dns.question.name url.domain http_host host_header"
_ANSWERS: Final = "QueryResults answers answer rdata record_value dns.resolved_ip"
_IMAGES: Final = """Image NewProcessName ProcessName process.executable process.name OriginalFileName exe
    SourceImage CallerProcessName Application"""
_PARENTS: Final = "ParentImage ParentProcessName process.parent.executable process.parent.name"
_FILES: Final = """TargetFilename ImageLoaded file.path file.name FileName Filename filename FilePath fullpath
    FullPath TargetImage ObjectName RelativeTargetName name"""
_HASHES: Final = """Hashes Hash FileHash md5 sha1 sha256 sha512 MD5 SHA1 SHA256 SHA512 hash
    file.hash.md5 file.hash.sha1
    file.hash.sha256 process.hash.md5 process.hash.sha1 process.hash.sha256 fingerprint tls.fingerprint"""
_FROM: Final = "from From mailfrom sender SenderAddress email.from.address"
_TO: Final = "to To cc bcc rcptto recipient RecipientAddress email.to.address email.cc.address"

PROPERTIES: Final[Mapping[str, Property]] = {
    "address": _p(f"{_SOURCE} {_DESTINATION} {_ANSWERS}", fold_address, split=";, "),
    "domain": _p(f"{_NAMES} {_SOURCE} {_DESTINATION} {_ANSWERS}", fold_domain, split=";, "),
    "answers": _p(_ANSWERS, fold_end, split=";, ", is_only_there=True),
    "url": _p("url Url URL uri c-uri cs-uri url.full url.original http.url RemoteUrl HostUrl", fold_url),
    "email": _p(f"{_FROM} {_TO} UserPrincipalName user.email", fold_email, split=";, "),
    "email:from": _p(_FROM, fold_email, split=";, ", is_only_there=True),
    "email:to": _p(_TO, fold_email, split=";, ", is_only_there=True),
    "email:subject": _p("subject Subject email.subject"),
    "email:message_id": _p("message_id msg_id MessageId InternetMessageId email.message_id"),
    "email:body": _p("email.body mail_body"),
    "traffic:source": _p(_SOURCE, fold_end, is_only_there=True),
    "traffic:destination": _p(f"{_DESTINATION} {_NAMES}", fold_end, is_only_there=True),
    "traffic:source_type": _p(_SOURCE, fold_end_type),
    "traffic:destination_type": _p(f"{_DESTINATION} {_NAMES}", fold_end_type),
    "traffic:source_port": _p("SourcePort src_port id.orig_p id_orig_p source.port spt", fold_number),
    "traffic:destination_port": _p(
        "DestinationPort DestPort dst_port dest_port id.resp_p id_resp_p destination.port dpt", fold_number
    ),
    "traffic:protocol": _p(
        "Protocol proto protocol app_proto service network.transport network.protocol", fold_name, split=", "
    ),
    "traffic:source_bytes": _p("orig_bytes flow.bytes_toserver source.bytes cs-bytes", fold_number),
    "traffic:destination_bytes": _p("resp_bytes flow.bytes_toclient destination.bytes sc-bytes", fold_number),
    "http:method": _p("cs-method c-method method http.http_method http.request.method", fold_name),
    "http:host": _p("cs-host c-uri-host http_host http.hostname url.domain", fold_name),
    "http:value": _p("cs-uri c-uri cs-uri-stem uri http.url url.path url.original"),
    "http:agent": _p(
        "cs-user-agent c-useragent user_agent http_user_agent http.http_user_agent user_agent.original"
    ),
    "http:referer": _p("cs-referer cs-referrer referrer referer http.http_refer http.request.referrer"),
    "file": _p(f"{_FILES} {_IMAGES} {_PARENTS}", fold_name, cut="name"),
    "file:size": _p("file.size FileSize size fileinfo.size total_bytes", fold_number),
    "file:mime_type": _p("mime_type file.mime_type fileinfo.mimetype c-mime-type cs-mime-type", fold_name),
    "directory": _p(f"{_FILES} {_IMAGES} CurrentDirectory file.directory", fold_path, cut="folder"),
    "mutex": _p("Mutex MutexName mutex mutant ObjectName", fold_name),
    "process:image": _p(_IMAGES, fold_name, cut="name", is_only_there=True),
    "process:parent_image": _p(_PARENTS, fold_name, cut="name", is_only_there=True),
    "process:command_line": _p("CommandLine ProcessCommandLine process.command_line cmdline proctitle"),
    "process:parent_command_line": _p("ParentCommandLine process.parent.command_line"),
    "process:pid": _p("ProcessId NewProcessId process.pid pid", fold_number),
    "process:parent_pid": _p("ParentProcessId process.parent.pid ppid", fold_number),
    "process:cwd": _p("CurrentDirectory process.working_directory cwd", fold_path),
    "registry:key": _p("TargetObject ObjectName registry.path registry.key", fold_key, cut="key"),
    "registry:value_name": _p(
        "TargetObject ObjectValueName registry.path registry.value", fold_name, cut="name"
    ),
    "registry:data": _p("Details NewValue registry.data.strings"),
    "account": _p(
        "User SubjectUserName TargetUserName AccountName UserPrincipalName SubjectUserSid TargetUserSid"
        " TargetSid ParentUser SamAccountName SourceUser TargetUser user.name user.id user.email"
        " cs-username c-username username acct userIdentity.arn",
        fold_name,
        cut="account",
    ),
    "mac": _p("src_mac dst_mac ether.src_mac ether.dest_mac mac chaddr source.mac destination.mac", fold_mac),
    "certificate:serial": _p(
        "tls.serial certificate.serial serial CertSerialNumber tls.server.x509.serial_number", fold_serial
    ),
    "certificate:issuer": _p(
        "tls.issuerdn certificate.issuer issuer CertIssuerName tls.server.x509.issuer.distinguished_name"
    ),
    "certificate:subject": _p(
        "tls.subject certificate.subject CertSubject tls.server.x509.subject.distinguished_name"
    ),
    "service:name": _p("ServiceName service.name Service_Name", fold_name),
    "service:start": _p("StartType ServiceStartType", fold_name),
    "software:name": _p("Product software.name package.name ProductName", fold_name),
    "software:vendor": _p("Company software.vendor Provider", fold_name),
    "software:version": _p("FileVersion software.version package.version ProductVersion unparsed_version"),
    "as:number": _p("source.as.number destination.as.number as.number asn", fold_number),
    "as:name": _p("source.as.organization.name destination.as.organization.name as_org"),
    **{f"hash:{kind}": _p(_HASHES, fold_digest(kind), split=",") for kind in values.HASH_KINDS.values()},
}


def read_property(name: str, fields: Mapping[str, Any]) -> tuple[tuple[str, Value], ...]:
    """The values of a property in an event, each with its field."""
    found: dict[tuple[str, Value], None] = {}
    one = PROPERTIES[name]
    for field in one.fields:
        for text in _texts(fields, field):
            for part in _parts(one, text[:LONGEST_VALUE]):
                value = one.fold(part)
                if value is not None and value != "":
                    found[field, value] = None
                    if len(found) >= MOST_VALUES:
                        return tuple(found)
    return tuple(found)


def carries(property: str, field: str) -> bool:
    """Whether a value found in a field counts as that property's."""
    one = PROPERTIES[property]
    return not one.is_only_there or field in one.fields or field.rpartition(".")[2] in one.fields


def _texts(fields: Mapping[str, Any], name: str) -> Iterator[str]:
    held = fields.get(name)
    if held is None and "." in name:
        held = _inside(fields, name)
    for value in held[:MOST_VALUES] if isinstance(held, list) else (held,):
        if isinstance(value, str):
            yield value
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield str(value)


def _inside(fields: Mapping[str, Any], name: str) -> Any:
    """A dotted name in a nested event."""
    held: Any = fields
    for step in name.split("."):
        if not isinstance(held, Mapping):
            return None
        held = held.get(step)
    return held


def _parts(one: Property, text: str) -> Iterable[str]:
    if one.split:
        for mark in one.split[1:]:
            text = text.replace(mark, one.split[0])
        return text.split(one.split[0])
    if not one.cut:
        return (text,)
    path = text.replace("/", "\\") if one.cut != "key" else text
    folder, _, last = path.rpartition("\\")
    match one.cut:
        case "folder":
            return (text[: len(folder)],) if folder else ()
        case "name":
            return (text, last) if folder else (text,)
        case "key":
            return (text, folder) if folder else (text,)
        case _:  # an account with and without its domain
            return (text, last) if folder else (text,)
