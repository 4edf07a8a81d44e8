"""Who asks, and how to speak to them: what every handler receives as ``asker``."""

from __future__ import annotations

from dataclasses import dataclass

from istmo.policy.principals import Principal


@dataclass(frozen=True)
class Asker:
    """One request's asker."""

    principal: Principal
    language: str
    """``es`` or ``en``."""
    zone: str = "UTC"
    """IANA name of the zone in which times are shown."""
    address: str = ""
    """Network address the request came from: for lockout and the audit trail, never for trust."""
    csrf: str = ""
    """Token bound to the session: a form sends it back as ``csrf``, a script as ``X-CSRF``."""
    path: str = "/"
    """Where the request came to, with its query: what a sign-in or a change of language returns to."""
