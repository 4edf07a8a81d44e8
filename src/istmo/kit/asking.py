"""Who asks, and how to speak to them: what every handler receives as ``asker``."""

from __future__ import annotations

from collections.abc import Callable

from istmo.policy.principals import Principal


class Asker:
    """One request's asker. A plain class, so that it is handed on as it is and never converted."""

    __slots__ = ("_again", "address", "csrf", "language", "path", "principal", "scheme", "zone")

    def __init__(
        self,
        principal: Principal,
        language: str,
        zone: str = "UTC",
        address: str = "",
        csrf: str = "",
        path: str = "/",
        again: Callable[[], Principal] | None = None,
        scheme: str = "",
    ) -> None:
        self.principal = principal
        self.language = language
        """``es`` or ``en``."""
        self.zone = zone
        """IANA name of the zone in which times are shown."""
        self.address = address
        """Network address of the request: for lockout and the audit trail, never for trust."""
        self.csrf = csrf
        """Token bound to the session: a form sends it back as ``csrf``, a script as ``X-CSRF``."""
        self.path = path
        """Where the request came to, with its query: what a sign-in returns to."""
        self.scheme = scheme
        """``light`` or ``dark`` where the person chose; empty: as the system does."""
        self._again = again

    def now(self) -> Principal:
        """Who asks, as of now: what an answer that takes long is measured by. May touch the database.

        Raises Unauthenticated when the session or the token is good no longer, or the account is shut out.
        """
        return self._again() if self._again else self.principal
