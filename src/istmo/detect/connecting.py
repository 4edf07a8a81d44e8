"""How a sender is set up for this node: copy-ready, with the address under which the node is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from istmo.settings import Settings

TOKEN_HERE: Final = "TOKEN"  # noqa: S105 - stands where a person puts theirs
CERTIFICATE_HERE: Final = "istmo-tls.crt"
_WINLOGBEAT: Final = "C:/Program Files/Winlogbeat"
_CHANNELS: Final = (
    "Security",
    "System",
    "Application",
    "Microsoft-Windows-Sysmon/Operational",
    "Microsoft-Windows-PowerShell/Operational",
)
"""What rules for Windows look at most; a channel that a machine does not have is passed over."""
_EVERYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104


@dataclass(frozen=True)
class Address:
    """Where senders find the intake."""

    scheme: str
    host: str
    """Without brackets."""
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine comes there."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class Example:
    """One way of sending; its title is in the catalogue under ``console.source.connect.<name>``."""

    name: str
    file: str
    """Where the text belongs; ``""`` for a command."""
    text: str


def address_for_senders(settings: Settings, intake: str = "") -> Address:
    """``intake`` is where the worker really listens (``host:port``), where it is there.

    An intake that listens everywhere is reached by the name that the node's own address has.
    """
    host, port = settings.intake_host, settings.intake_port
    if intake.rpartition(":")[2].isdigit():
        port = int(intake.rpartition(":")[2])
    if host in _EVERYWHERE:
        host = urlsplit(settings.url).hostname or "localhost"
    return Address("https" if settings.tls == "own" else "http", host, port)


def examples(address: Address, token: str = TOKEN_HERE) -> list[Example]:
    """How each kind of sender is told."""
    return [make(address, token) for make in _EXAMPLES]


def _curl(address: Address, token: str) -> Example:
    trust = f"--cacert {CERTIFICATE_HERE} " if address.scheme == "https" else ""
    text = (
        f"""printf '{{"message": "istmo"}}\\n' | curl -sS {trust}--data-binary @- \\\n"""
        f"  -H 'Authorization: Bearer {token}' \\\n"
        f"  {address.url}/api/v1/events"
    )
    return Example("curl", "", text)


def _filebeat(address: Address, token: str) -> Example:
    lines = _beats(address, token, f"/etc/filebeat/{CERTIFICATE_HERE}")
    return Example("filebeat", "/etc/filebeat/filebeat.yml", "\n".join(lines))


def _winlogbeat(address: Address, token: str) -> Example:
    lines = ["winlogbeat.event_logs:", *(f"  - name: {one}" for one in _CHANNELS)]
    lines += _beats(address, token, f"{_WINLOGBEAT}/{CERTIFICATE_HERE}")
    return Example("winlogbeat", f"{_WINLOGBEAT}/winlogbeat.yml", "\n".join(lines))


def _beats(address: Address, token: str, certificate: str) -> list[str]:
    lines = [
        "output.elasticsearch:",
        f'  hosts: ["{address.url}"]',
        '  username: "istmo"',
        f'  password: "{token}"',
    ]
    if address.scheme == "https":
        lines.append(f'  ssl.certificate_authorities: ["{certificate}"]')
    return [*lines, "setup.ilm.enabled: false", "setup.template.enabled: false"]


def _rsyslog(address: Address, token: str) -> Example:
    is_tls = address.scheme == "https"
    trust = f'\n       tls.cacert="/etc/rsyslog.d/{CERTIFICATE_HERE}"' if is_tls else ""
    text = f"""\
module(load="omelasticsearch")
template(name="istmo" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="hostname" name="hostname" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="appname" name="app-name" format="jsonf")
  property(outname="procid" name="procid" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
action(type="omelasticsearch" template="istmo"
       server="{address.url.rpartition(":")[0]}" serverport="{address.port}"{trust}
       uid="istmo" pwd="{token}"
       searchIndex="syslog" searchType="" bulkmode="on" maxbytes="8m"
       queue.type="linkedList" queue.filename="istmo" queue.saveOnShutdown="on"
       action.resumeRetryCount="-1")"""
    return Example("rsyslog", "/etc/rsyslog.d/60-istmo.conf", text)


_EXAMPLES: Final[tuple[Callable[[Address, str], Example], ...]] = (
    _curl,
    _filebeat,
    _winlogbeat,
    _rsyslog,
)
