"""The machine interface of working on rules: found by what they do, switched many at once, tuned."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import QueryParameter

from istmo.clock import Clock
from istmo.detect.answers import rule_json
from istmo.detect.exceptions import FILE
from istmo.detect.objects import Rule
from istmo.detect.objects_rule import Exempted, RuleOrder
from istmo.detect.service import Detect
from istmo.detect.service.rules import HIT_DAYS, rule_filter, since_days
from istmo.detect.shapes_rule import ExceptionList, ExceptionShape, RuleList, RulesSwitched, TrialShape
from istmo.errors import InvalidInput
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.i18n import Catalogue
from istmo.model import instants


class SwitchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which rules, as in the list, and what they are to be. ``expected``: how many the asker knows of."""

    enabled: bool
    q: str = ""
    level: str = ""
    kind: str = ""
    only_enabled: bool | None = None
    slow: bool = False
    logsource: str = ""
    tag: str = ""
    author: str = ""
    hits: bool | None = None
    expected: int | None = None


class SwitchBackRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The change to take back: ``at`` as it was answered, and what it had made of the rules."""

    at: str
    enabled: bool


class ExceptionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """``field`` held against any of ``values`` so (equals, contains, startswith, endswith, cidr, re)."""

    name: str
    field: str
    values: list[str]
    reason: str
    operator: str = "equals"

    def read(self) -> Exempted:
        """As the service takes it."""
        return Exempted(self.name, self.field, self.operator, tuple(self.values), self.reason)


@get("/api/v1/rules", opt=PEOPLE, sync_to_thread=True)
def list_rules(
    asker: Asker,
    detect: Detect,
    catalogue: Catalogue,
    clock: Clock,
    q: str = "",
    level: str = "",
    kind: str = "",
    enabled: bool | None = None,
    slow: bool = False,
    logsource: str = "",
    tag: str = "",
    author: str = "",
    hits: bool | None = None,
    order: str = "title",
    cursor: str = "",
    limit: int = 50,
) -> RuleList:
    """Rules, correlations and filters (``kind``); ``logsource``: a product, category or service; ``slow``:
    those alone that were found to be; ``hits``: with matches in the last thirty days, or none; ``order``:
    ``title``, or first those with the most ``hits``, the highest ``cost``, the last ``updated``."""
    if order not in set(RuleOrder):
        raise InvalidInput("detect.unknown_filter", field="order", value=order[:40])
    now = clock.now()
    wanted = rule_filter(
        now,
        query=q,
        level=level,
        kind=kind,
        enabled=enabled,
        slow=slow,
        logsource=logsource,
        tag=tag,
        author=author,
        hits=hits,
    )
    found = detect.list_rules(asker.principal, wanted, order=RuleOrder(order), cursor=cursor, limit=limit)
    counts = detect.rule_hits(asker.principal, [one.id for one in found.items], since_days(now, HIT_DAYS))
    return {
        "items": [{**rule_json(one, asker, catalogue), "hits": counts.get(one.id, 0)} for one in found.items],
        "next": found.next,
        "total": found.total,
    }


@post("/api/v1/rules/switch", opt=PEOPLE, status_code=200, sync_to_thread=True)
def switch_rules(asker: Asker, detect: Detect, clock: Clock, data: SwitchRequest) -> RulesSwitched:
    """Switch on or off every rule that a filter finds, all in one."""
    wanted = rule_filter(
        clock.now(),
        query=data.q,
        level=data.level,
        kind=data.kind,
        enabled=data.only_enabled,
        slow=data.slow,
        logsource=data.logsource,
        tag=data.tag,
        author=data.author,
        hits=data.hits,
    )
    done = detect.switch_rules(asker.principal, wanted, data.enabled, expected=data.expected)
    return {"changed": done.number, "at": instants.format(done.at)}


@post("/api/v1/rules/switch/undo", opt=PEOPLE, status_code=200, sync_to_thread=True)
def switch_rules_back(asker: Asker, detect: Detect, clock: Clock, data: SwitchBackRequest) -> RulesSwitched:
    """Take back what the asker switched at a moment; what was changed since then stays."""
    number = detect.switch_rules_back(asker.principal, instants.parse(data.at), data.enabled)
    return {"changed": number, "at": instants.format(clock.now())}


@get("/api/v1/rules/{rule_id:str}/exceptions", opt=PEOPLE, sync_to_thread=True)
def list_exceptions(rule_id: str, asker: Asker, detect: Detect) -> ExceptionList:
    """The filters that name a rule, those that are switched off among them."""
    found = detect.exceptions_of(asker.principal, rule_id)
    return {"items": [exception_json(one) for one in found], "next": None, "total": len(found)}


@post("/api/v1/rules/{rule_id:str}/exceptions", opt=PEOPLE, status_code=201, sync_to_thread=True)
def add_exception(rule_id: str, asker: Asker, detect: Detect, data: ExceptionRequest) -> ExceptionShape:
    """Leave something out of a rule's matches from the next event on."""
    return exception_json(detect.add_exception(asker.principal, rule_id, data.read()))


@post("/api/v1/rules/{rule_id:str}/exceptions/try", opt=PEOPLE, status_code=200, sync_to_thread=True)
def try_exception(
    rule_id: str,
    asker: Asker,
    detect: Detect,
    clock: Clock,
    data: ExceptionRequest,
    days: Annotated[int, QueryParameter(ge=1, le=365)] = 7,
) -> TrialShape:
    """What an exception would have kept away of a rule's matches in the stored events of some days."""
    now = clock.now()
    found = detect.try_exception(asker.principal, rule_id, data.read(), since_days(now, days), now)
    before = found.before
    return {"matches": before.count, "away": found.away, "looked": before.looked, "cut": before.is_cut}


def exception_json(one: Rule) -> ExceptionShape:
    """An exception, for a program."""
    return {
        "id": one.id,
        "name": one.title,
        "reason": one.description,
        "author": one.author,
        "enabled": one.is_enabled,
        "made_here": one.file == FILE,
        "created": instants.format(one.imported),
        "text": one.text,
    }


routes = [list_rules, switch_rules, switch_rules_back, list_exceptions, add_exception, try_exception]
