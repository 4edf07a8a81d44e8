"""Passwords: argon2id with parameters that an old machine bears, and rules that stop the commonest.

19 MiB, two passes, one lane is the OWASP minimum; a check takes about 40 ms on one core. At most two
checks run at once, so that a flood of sign-ins cannot take the machine's memory.
"""

from __future__ import annotations

import secrets
import threading
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from istmo.errors import InvalidInput

SHORTEST, LONGEST = 12, 256
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is read wrongly aloud: no i, l, o, 0, 1
_GROUPS, _GROUP = 5, 5

_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_turns = threading.BoundedSemaphore(2)


def hash_password(password: str) -> str:
    """The argon2id hash, with its salt and parameters, as text."""
    with _turns:
        return _hasher.hash(_normal(password))


def is_right(password: str, hashed: str) -> bool:
    """Whether ``password`` is the one hashed. Takes the same time either way."""
    with _turns:
        try:
            return _hasher.verify(hashed, _normal(password[:LONGEST]))
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(hashed: str) -> bool:
    """Whether ``hashed`` was made with other parameters than today's."""
    return _hasher.check_needs_rehash(hashed)


@cache
def hash_of_nobody() -> str:
    """A hash that no password fits: checked where the account does not exist, so that time tells nothing."""
    return hash_password(secrets.token_urlsafe(32))


def generate_password() -> str:
    """A random password of about 123 bits that can be read aloud: ``k7xwm-…`` in five groups."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))


def check_password(password: str, name: str) -> None:
    """Raises InvalidInput when it is too short, too long, among the commonest, or the name itself."""
    length = len(_normal(password))
    if length < SHORTEST:
        raise InvalidInput("identity.password_too_short", shortest=SHORTEST)
    if length > LONGEST:
        raise InvalidInput("identity.password_too_long", longest=LONGEST)
    folded = _normal(password).casefold()
    # "Guatemala2026!" is "guatemala" to whoever guesses: digits and signs around a word are tried first.
    if _stems(folded) & _commonest() or len(set(folded)) < 5 or _is_run(folded):
        raise InvalidInput("identity.password_common")
    stems = _stems(_normal(name).casefold())
    # A word that is short by itself, as of a random password with many digits, says nothing of the name.
    held = [(stem, word) for stem in stems for word in _stems(folded) if len(stem) >= 3 and stem in word]
    if any(len(word.replace(stem, "")) < 6 for stem, word in held):
        raise InvalidInput("identity.password_is_name")


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _stems(folded: str) -> frozenset[str]:
    """The words that a password may be made of: as written, with look-alikes undone, said once."""
    inner = folded.strip("".join(one for one in set(folded) if not one.isalpha()))
    words = {_letters(inner), _letters(inner.translate(_LOOKALIKES))}
    return frozenset(word[: _period(word)] for word in words if word)


_LOOKALIKES = str.maketrans("013457@$", "oleastas")


def _letters(text: str) -> str:
    return "".join(one for one in text if one.isalpha())


def _period(word: str) -> int:
    """How long the piece is that ``word`` repeats: 8 for "passwordpassword"."""
    return (word + word).find(word, 1)


def _is_run(text: str) -> bool:
    """Whether it counts up or down all along: ``abcdef…``, ``9876543210987``."""
    modulus = 10 if text.isdecimal() else 1 << 32
    return len({(ord(after) - ord(before)) % modulus for before, after in pairwise(text)}) == 1


@cache
def _commonest() -> frozenset[str]:
    lines = (Path(__file__).parent / "commonest.txt").read_text("utf-8").splitlines()
    return frozenset().union(*(_stems(line.casefold()) for line in lines if not line.startswith("#")))
