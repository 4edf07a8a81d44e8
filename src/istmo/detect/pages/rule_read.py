"""The rules of this node; one of them, its hits, and what it finds in stored events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from litestar import Request, Response, get

from istmo.clock import Clock
from istmo.detect.answers import unusable_text
from istmo.detect.attack import said_by
from istmo.detect.exceptions import said
from istmo.detect.objects import KINDS, LEVELS, RULE, Rule
from istmo.detect.objects_rule import RuleFilter, RuleOrder
from istmo.detect.pages.rule_text import shown_text
from istmo.detect.service import Detect
from istmo.detect.service.rules import HIT_DAYS, rule_filter, since_days
from istmo.detect.stories import from_micros
from istmo.detect.wire import RuleMatch
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import asker_of, faces_of, page, told
from istmo.kit.timeline import Bar, draw
from istmo.model import instants
from istmo.policy.actions import Action
from istmo.policy.principals import Principal

ROWS = 50
FILTERS = ("q", "kind", "level", "enabled", "logsource", "tag", "author", "hits")
SWITCHED = {"on": True, "off": False}
HITS: Final = {"yes": True, "no": False}
SLOW = "slow"
DAYS: Final = (1, 7, 30, 90)
"""Stretches of stored events that a rule is tried on."""


@get("/rules", opt=PEOPLE, sync_to_thread=True)
def rule_list(request: Request[Any, Any, Any], asker: Asker, detect: Detect, clock: Clock) -> Response[Any]:
    """Rules, correlations and filters, in the order that was chosen."""
    query, now = request.query_params, clock.now()
    chosen, cursor = chosen_of(query), query.get("cursor", "")[:300]
    asked = query.get("order", "")
    order = RuleOrder(asked) if asked in set(RuleOrder) else RuleOrder.TITLE
    found = detect.list_rules(
        asker.principal, filter_of(chosen, now), order=order, cursor=cursor or None, limit=ROWS
    )
    ids = [one.id for one in found.items]
    return page(
        request,
        "detect/rules.html",
        json_path=_json_path("/api/v1/rules", chosen, order),
        found=found,
        hits=detect.rule_hits(asker.principal, ids, since_days(now, HIT_DAYS)),
        chosen=chosen,
        is_filtered=any(chosen.values()),
        is_first=not cursor,
        order=str(order),
        orders=[str(one) for one in RuleOrder],
        kinds=KINDS,
        levels=[str(level) for level in reversed(LEVELS)],
        switched=(*SWITCHED, SLOW),
        parts=detect.logsource_parts(asker.principal),
        hit_choices=tuple(HITS),
        days=HIT_DAYS,
        chosen_query=urlencode({name: value for name, value in chosen.items() if value}),
        may_write=faces_of(request).may(asker.principal, Action.RULE_WRITE),
    )


@get("/rules/{id:str}", opt=PEOPLE, sync_to_thread=True)
def rule_page(request: Request[Any, Any, Any], id: str, detect: Detect) -> Response[Any]:
    """One rule: its text, hits, exceptions, what it is made of, why it is not in force where it is not."""
    return show_rule(request, id, detect)


@get("/rules/{id:str}/test", opt=PEOPLE, sync_to_thread=True)
def rule_test(
    request: Request[Any, Any, Any], id: str, asker: Asker, detect: Detect, clock: Clock, catalogue: Catalogue
) -> Response[Any]:
    """What the rule matches in the stored events of some days: bounded in time; it raises no alert."""
    rule, days, now = detect.read_rule(asker.principal, id), days_of(request.query_params), clock.now()
    start, form, tried, problem = now - timedelta(days=days), Form(), None, ""
    try:
        tried = detect.try_rule(asker.principal, id, start, now)
    except IstmoError as error:
        if error.status in (401, 403, 404):
            raise
        form.general, form.remedy = told(request, error)
    if tried is not None and tried.problem is not None:
        problem = catalogue.text(asker.language, f"error.{tried.problem.code}", **tried.problem.params)
    left = (
        []
        if tried is None
        else [catalogue.text(asker.language, one.key, **one.params) for one in tried.left_out]
    )
    return page(
        request,
        "detect/rule_test.html",
        form=form,
        status=200,
        rule=rule,
        days=days,
        choices=DAYS,
        tried=tried,
        problem=problem,
        left_out=left[:20],
        matches=[] if tried is None else [_match(one) for one in tried.matches],
        whole=f"/hunt/rules?{urlencode({'rule': rule.id})}",
    )


def show_rule(request: Request[Any, Any, Any], id: str, detect: Detect) -> Response[Any]:
    """The page of a rule."""
    asker, faces = asker_of(request), faces_of(request)
    who, now = asker.principal, faces.clock.now()
    rule = detect.read_rule(who, id)
    problem = "" if rule.problem is None else unusable_text(rule.problem, asker.language, faces.catalogue)
    hours = detect.rule_hits_by_hour(who, id, since_days(now, HIT_DAYS))
    bars = _by_day(hours, now) if hours else []
    title = faces.catalogue.text(asker.language, "console.rulework.hits.title", n=HIT_DAYS)
    line = 0 if rule.problem is None else rule.problem[1].get("line", 0)
    exceptions = detect.exceptions_of(who, id) if rule.kind == RULE else []
    return page(
        request,
        "detect/rule.html",
        json_path=f"/api/v1/rules/{quote(rule.id, safe='')}",
        rule=rule,
        attack=said_by(rule.tags),
        text=shown_text(rule.text, line if isinstance(line, int) else 0),
        problem=problem,
        correlations=detect.correlations_of(who, id),
        exceptions=[(one, said(one.text)) for one in exceptions if one.is_enabled],
        former=[one for one in exceptions if not one.is_enabled],
        chart=draw(bars, title=title, zone=asker.zone) if bars else "",
        bars=[one for one in bars if one.count],
        total=sum(one.count for one in bars),
        hit_days=HIT_DAYS,
        choices=DAYS,
        alerts=_queue(rule, status=""),
        waiting=_queue(rule, group="subject"),
        open_alerts=_open(detect, who, rule) if exceptions else 0,
        may_try=rule.kind == RULE and faces.may(who, Action.EVENT_SEARCH),
        may_write=faces.may(who, Action.RULE_WRITE),
    )


def chosen_of(given: Mapping[str, str]) -> dict[str, str]:
    """What a list is narrowed to, as the address or a form has it."""
    return {name: given.get(name, "")[:200].strip() for name in FILTERS}


def filter_of(chosen: Mapping[str, str], now: datetime) -> RuleFilter:
    """The same as a filter; what is not known of does not narrow."""
    return rule_filter(
        now,
        query=chosen["q"],
        kind=chosen["kind"] if chosen["kind"] in KINDS else "",
        level=chosen["level"] if chosen["level"] in set(LEVELS) else "",
        enabled=SWITCHED.get(chosen["enabled"]),
        slow=chosen["enabled"] == SLOW,
        logsource=chosen["logsource"],
        tag=chosen["tag"],
        author=chosen["author"],
        hits=HITS.get(chosen["hits"]),
    )


def days_of(given: Mapping[str, str]) -> int:
    """A stretch that a rule is tried on; a week unless said otherwise."""
    text = given.get("days", "")
    return int(text) if text in {str(one) for one in DAYS} else 7


def _json_path(path: str, chosen: Mapping[str, str], order: RuleOrder) -> str:
    told = {
        name: chosen[name] for name in ("q", "kind", "level", "logsource", "tag", "author") if chosen[name]
    }
    if chosen["enabled"] in SWITCHED:
        told["enabled"] = "true" if SWITCHED[chosen["enabled"]] else "false"
    elif chosen["enabled"] == SLOW:
        told["slow"] = "true"
    if chosen["hits"] in HITS:
        told["hits"] = "true" if HITS[chosen["hits"]] else "false"
    if order is not RuleOrder.TITLE:
        told["order"] = str(order)
    return f"{path}?{urlencode(told)}" if told else path


def _by_day(hours: list[tuple[datetime, int]], now: datetime) -> list[Bar]:
    """Counts of each of the last days, also of those without any."""
    first = since_days(now, HIT_DAYS)
    counts = [0] * (HIT_DAYS + 1)
    for hour, number in hours:
        counts[max(0, min(HIT_DAYS, (hour - first).days))] += number
    return [Bar(first + timedelta(days=at), number) for at, number in enumerate(counts)]


def _match(one: RuleMatch) -> tuple[datetime, str, str]:
    """When, where, and the address that shows what happened there around that moment."""
    at = from_micros(one.time)
    near = timedelta(minutes=1)
    host = one.host.replace('"', '""')
    query = f'host:="{host}"' if host else ""
    stretch = f"{instants.format(at - near)}..{instants.format(at + near)}"
    return at, one.host, f"/hunt?{urlencode({'q': query, 'from': stretch})}"


def _queue(rule: Rule, **more: str) -> str:
    """The alerts of a rule."""
    return f"/alerts?{urlencode({'detector': 'sigma', 'subject': rule.id, **more})}"


def _open(detect: Detect, who: Principal, rule: Rule) -> int | None:
    """How many alerts of a rule wait: what an exception does not close."""
    return 0 if detect.reads_alerts(who) is None else detect.count_open_alerts(who, rule.id)


routes = [rule_list, rule_page, rule_test]
