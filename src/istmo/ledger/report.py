"""What a verification found: nothing, or each thing that is wrong, by entry or file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Progress = Callable[[int], None]
"""Told how many entries were checked since the last call."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. The words are in the catalogue under ``ledger.problem.<code>``.

    ``params`` always names the ``file`` or the ``entry`` (``origin/sequence``, or just the sequence).
    """

    code: str
    params: dict[str, Any]

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.params.items())
        return f"{self.code}: {told}"


@dataclass
class Report:
    """``size`` entries of the log of ``log`` were checked; ``root`` is what their tree comes to."""

    log: str = ""
    fingerprint: str = ""
    size: int = 0
    root: str = ""
    received: int = 0
    """Entries of other origins that were checked."""
    erased: int = 0
    sealed: int = 0
    """Bodies that are sealed and could not be opened here: their salt stays unchecked."""
    chains: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.problems

    @property
    def entries(self) -> int:
        """How many entries were checked, of every origin."""
        return self.size + self.received

    def add(self, code: str, **params: Any) -> None:
        """Note something that is wrong."""
        self.problems.append(Problem(code, params))

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "ok": self.is_good,
            "log": self.log,
            "fingerprint": self.fingerprint,
            "size": self.size,
            "root": self.root,
            "received": self.received,
            "erased": self.erased,
            "sealed": self.sealed,
            "chains": self.chains,
            "problems": [{"code": one.code, **one.params} for one in self.problems],
        }
