"""Failed logons and what counts them: documents and events for tests of correlations in a running node."""

from __future__ import annotations

from typing import Any

FAILED_ID = "10000000-0000-4000-8000-000000000001"
MANY_ID = "20000000-0000-4000-8000-000000000001"
FILTER_ID = "30000000-0000-4000-8000-000000000001"

FAILED = f"""title: Inicio de sesión fallido
id: {FAILED_ID}
name: inicio_fallido
level: low
logsource: {{product: windows, service: security}}
detection:
  selection: {{EventID: 4625}}
  condition: selection
"""
MANY = f"""title: Muchos intentos fallidos
id: {MANY_ID}
level: high
correlation:
  type: event_count
  rules: [inicio_fallido]
  group-by: [TargetUserName]
  timespan: 300m
  condition: {{gte: 4}}
"""
FILTER = f"""title: Cuentas de servicio
id: {FILTER_ID}
logsource: {{product: windows, service: security}}
filter:
  rules: [{FAILED_ID}]
  service: {{TargetUserName|startswith: svc_}}
  condition: not service
"""
LISTED_ID = "10000000-0000-4000-8000-000000000002"
LISTED = f"""title: Acceso a un servidor que se cuida
id: {LISTED_ID}
level: high
logsource: {{product: windows, service: security}}
detection:
  selection: {{EventID: 4624, Computer|expand: '%Servidores%'}}
  condition: selection
"""


def failed(user: str, minute: int, number: int = 0, host: str = "DC-1") -> dict[str, Any]:
    """Security 4625 so many minutes after nine."""
    return logon(4625, user, minute, host) | {"RecordNumber": number}


def logon(event_id: int, user: str, minute: int, host: str = "DC-1") -> dict[str, Any]:
    """A logon, failed or not."""
    hours, minutes = divmod(minute, 60)
    return {
        "EventID": event_id,
        "Channel": "Security",
        "Computer": host,
        "Hostname": host,
        "EventTime": f"2026-03-02T{9 + hours:02}:{minutes:02}:00Z",
        "TargetUserName": user,
    }


def upload(*documents: str) -> bytes:
    """One YAML file."""
    return "---\n".join(documents).encode()
