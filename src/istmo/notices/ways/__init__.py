"""The ways out of the node: notifiers found through entry points of the group ``istmo.notifiers``.

Those that come with istmo stand in the same list, by the same kind of entry, so that they are there
whatever a packager has done to the metadata; a plugin's is one more entry point in its own package.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import structlog

from istmo.errors import InvalidInput
from istmo.notices.objects import Notifier

log = structlog.get_logger(__name__)

GROUP: Final = "istmo.notifiers"
BUILT_IN: Final = (
    EntryPoint("mail", "istmo.notices.ways.mail:MailNotifier", GROUP),
    EntryPoint("webhook", "istmo.notices.ways.webhook:WebhookNotifier", GROUP),
)


@cache
def notifiers() -> dict[str, Notifier]:
    """Every notifier by its name. One that cannot be loaded is logged and costs no other."""
    found: dict[str, Notifier] = {}
    for entry in (*BUILT_IN, *entry_points(group=GROUP)):
        if entry.name in found:
            continue
        try:
            found[entry.name] = entry.load()()
        except Exception:
            log.exception("notifier_not_loaded", name=entry.name, value=entry.value)
    return found


def notifier_named(name: str) -> Notifier:
    """Raises InvalidInput("notices.no_notifier")."""
    found = notifiers().get(name)
    if found is None:
        raise InvalidInput("notices.no_notifier", name=name[:32], known=sorted(notifiers()))
    return found
