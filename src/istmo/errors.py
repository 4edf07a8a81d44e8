"""One family of errors.

An error carries a code and parameters. The words that a person reads live in the
catalogue under ``error.<code>`` (what happened) and ``error.<code>.remedy`` (what to do);
what a machine reads is the code, the parameters and the HTTP status of the class.
"""

from __future__ import annotations

from typing import Any, ClassVar


class IstmoError(Exception):
    """Something that the program foresaw and can explain.

    ``code`` names the catalogue entry (``room.subject_problem``); ``params`` fill its
    placeholders and must never hold a secret or anything the reader may not see.
    """

    status: ClassVar[int] = 400

    def __init__(self, code: str, /, **params: Any) -> None:
        self.code = code
        self.params = params
        super().__init__(code, params)

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.params.items())
        return f"{self.code}({told})"


class InvalidInput(IstmoError):
    """What came in cannot be used; the caller can mend it."""

    status = 400


class Unauthenticated(IstmoError):
    """Nobody we know is asking."""

    status = 401


class NotAllowed(IstmoError):
    """The asker is known and may not do this. Never used where existence itself is secret."""

    status = 403


class NotFound(IstmoError):
    """No such thing, or none that the asker may know of: the two answers are the same."""

    status = 404


class Conflict(IstmoError):
    """Somebody else changed it first, or it exists already."""

    status = 409


class TooLarge(IstmoError):
    """Past a stated limit of size, depth or count."""

    status = 413


class RateLimited(IstmoError):
    """Too much, too fast: try again after ``retry_after`` seconds (a parameter)."""

    status = 429


class Unavailable(IstmoError):
    """A part of the node is not there just now (worker restarting, disk full)."""

    status = 503
