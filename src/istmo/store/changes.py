"""What just happened: after a commit, each change is handed to those who asked.

This is a bell, not a queue: a listener that was away reads the tables or the log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Change:
    """``topic`` names the room and noun (``alert``, ``ledger``), ``subject`` the thing's id."""

    topic: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Change], None]


class Changes:
    """Listeners by topic. They run in the thread that committed and must return at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, tuple[Listener, ...]] = {}

    def subscribe(self, listener: Listener, *topics: str) -> Callable[[], None]:
        """Hear of ``topics`` (all of them when none is named); the result unsubscribes."""
        wanted = topics or ("*",)
        with self._lock:
            for topic in wanted:
                self._listeners[topic] = (*self._listeners.get(topic, ()), listener)

        def unsubscribe() -> None:
            with self._lock:
                for topic in wanted:
                    rest = tuple(one for one in self._listeners.get(topic, ()) if one is not listener)
                    self._listeners[topic] = rest

        return unsubscribe

    def publish(self, change: Change) -> None:
        """Tell every listener; one that fails is logged and does not stop the others."""
        for listener in (*self._listeners.get(change.topic, ()), *self._listeners.get("*", ())):
            try:
                listener(change)
            except Exception:
                log.exception("change_listener_failed", topic=change.topic, subject=change.subject)
