"""What is looked at every so many seconds, in a thread of its own, whatever goes wrong once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from istmo.errors import Unavailable

log = structlog.get_logger(__name__)


class Ticking:
    """Calls ``look`` every ``seconds`` until ``stop``. What it raises is logged, and it goes on."""

    def __init__(self, name: str, seconds: float, look: Callable[[], None]) -> None:
        self._name, self._seconds, self._look = name, seconds, look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._look()
            except Unavailable as error:
                log.warning("not_looked_at", by=self._name, problem=error.code)
            except Exception:
                log.exception("not_looked_at", by=self._name)
