"""The node examines itself while it runs: ``istmo doctor``'s checks, side by side and bounded in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from istmo.detect.api_kept import kept_json
from istmo.detect.api_rule_work import list_rules
from istmo.detect.api_saved_hunts import list_hunts
from istmo.detect.api_source import list_sources
from istmo.doctor import CHECKS, Finding, check_running, is_healthy, look_at_running
from istmo.errors import Conflict
from istmo.federation import api as federation_api
from istmo.kit.asking import Asker
from istmo.policy.actions import Action
from istmo.policy.principals import Principal
from istmo.web import node_api
from istmo.web.permitting import require

if TYPE_CHECKING:
    from istmo.node import Node

log = structlog.get_logger(__name__)

SECONDS: Final = 8.0
"""For the whole of it: a check that has not ended by then is told as late, and ends by itself."""


@dataclass(frozen=True)
class Examination:
    """What was found, and when."""

    at: datetime
    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        return is_healthy(self.findings)

    def count(self, state: str) -> int:
        """Findings of one state."""
        return sum(one.state == state for one in self.findings)


class Examining:
    """One node's examinations: one at a time, of which the last is kept."""

    def __init__(self, node: Node, seconds: float = SECONDS) -> None:
        self._node, self._seconds = node, seconds
        self._turn = threading.Lock()
        self._last: Examination | None = None
        self._late: set[str] = set()
        """Checks of an earlier examination that still run: begun once more they would pile up."""

    def last(self, principal: Principal) -> Examination | None:
        """The last examination; None before the first. Raises NotAllowed."""
        require(principal, Action.NODE_MANAGE, self._node.federation.context())
        return self._last

    def examine(self, asker: Asker) -> Examination:
        """Examine now. Raises NotAllowed, Conflict("web.examining") while another examination runs."""
        require(asker.principal, Action.NODE_MANAGE, self._node.federation.context())
        if not self._turn.acquire(blocking=False):
            raise Conflict("web.examining")
        try:
            self._last = Examination(self._node.clock.now(), tuple(self._look(asker)))
            return self._last
        finally:
            self._turn.release()

    def _look(self, asker: Asker) -> Iterable[Finding]:
        settings, answers = self._node.settings, self._answers(asker)
        wanted: dict[str, Callable[[], Iterable[Finding]]] = {
            "running": partial(look_at_running, settings, answers)
        }
        for one in CHECKS:
            if one is not check_running:
                wanted[one.__name__.removeprefix("check_")] = partial(one, settings)
        pool = ThreadPoolExecutor(len(wanted), thread_name_prefix="examining")
        begun = {name: pool.submit(_all, check) for name, check in wanted.items() if name not in self._late}
        found: list[Finding] = []
        wait(begun.values(), timeout=self._seconds)
        pool.shutdown(wait=False)
        for name in wanted:
            answer = begun.get(name)
            if answer is None or not answer.done():
                self._late.add(name)
                if answer is not None:  # called at once where it has ended since
                    answer.add_done_callback(partial(self._came_late, name))
                found.append(Finding(name, "late", "late"))
            elif error := answer.exception():
                log.error("check_failed", check=name, error=repr(error))
                found.append(Finding(name, "bad", "failed"))
            else:
                found += answer.result()
        return found

    def _came_late(self, name: str, _: Future[list[Finding]]) -> None:
        self._late.discard(name)

    def _answers(self, asker: Asker) -> Callable[..., Any]:
        """What the node's own API answers to this asker, without a way over the network."""
        node, detect = self._node, self._node.detect
        words = node.catalogue
        answers: dict[str, Callable[[], Any]] = {
            "/api/v1/node": lambda: node_api.node.fn(
                asker, node.settings, node.federation, node.intel, detect, node.clock
            ),
            "/api/v1/events/kept": lambda: kept_json(detect.kept(asker.principal)),
            "/api/v1/rules": lambda: list_rules.fn(asker, detect, words, node.clock, slow=True),
            "/api/v1/hunts": lambda: list_hunts.fn(asker, detect, words, failing=True),
            "/api/v1/sources": lambda: list_sources.fn(asker, detect, words, node.settings, node.clock),
            "/api/v1/peers": lambda: federation_api.list_peers.fn(asker, node.federation, words),
            "/api/v1/jobs/dead": lambda: node_api.list_dead_jobs.fn(asker, node.store, node.federation),
        }
        return lambda path, **_: answers[path]()


def _all(check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    return list(check())
