"""The rules, correlations and filters of this node, and one of them with its text and switch."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post

from istmo.detect.answers import unusable_text
from istmo.detect.objects import KINDS, LEVELS
from istmo.detect.service import Detect
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Sent, one
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import back_to, faces_of, page
from istmo.policy.actions import Action

ROWS = 50
FILTERS = ("q", "kind", "level", "enabled")
SWITCHED = {"on": True, "off": False}
SLOW = "slow"


@get("/rules", opt=PEOPLE, sync_to_thread=True)
def rule_list(request: Request[Any, Any, Any], asker: Asker, detect: Detect) -> Response[Any]:
    """Rules, correlations and filters by title."""
    query = request.query_params
    chosen = {name: query.get(name, "")[:200] for name in FILTERS}
    cursor = query.get("cursor", "")[:300]
    found = detect.list_rules(
        asker.principal,
        query=chosen["q"],
        kind=chosen["kind"] if chosen["kind"] in KINDS else "",
        level=chosen["level"] if chosen["level"] in set(LEVELS) else "",
        is_enabled=SWITCHED.get(chosen["enabled"]),
        is_slow=chosen["enabled"] == SLOW,
        cursor=cursor or None,
        limit=ROWS,
    )
    return page(
        request,
        "detect/rules.html",
        found=found,
        chosen=chosen,
        is_filtered=any(chosen.values()),
        is_first=not cursor,
        kinds=KINDS,
        levels=[str(level) for level in reversed(LEVELS)],
        switched=(*SWITCHED, SLOW),
    )


@get("/rules/{id:str}", opt=PEOPLE, sync_to_thread=True)
def rule_page(
    request: Request[Any, Any, Any], id: str, asker: Asker, detect: Detect, catalogue: Catalogue
) -> Response[Any]:
    """One rule: its text, what it is made of and a part of, why it is not in force where it is not."""
    rule = detect.read_rule(asker.principal, id)
    problem = "" if rule.problem is None else unusable_text(rule.problem, asker.language, catalogue)
    return page(
        request,
        "detect/rule.html",
        rule=rule,
        problem=problem,
        correlations=detect.correlations_of(asker.principal, id),
        may_write=faces_of(request).may(asker.principal, Action.RULE_WRITE),
    )


@post("/rules/{id:str}/switch", opt=PEOPLE, sync_to_thread=True)
def switch_rule(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Switch a rule on or off."""
    chosen = one(data, "enabled", longest=10)
    state = "off" if chosen == "off" else "on"
    rule = detect.enable_rule(asker.principal, id, SWITCHED[state])
    return back_to(request, f"/rules/{rule.id}", notice=f"console.notice.rule.{state}")


routes = [rule_list, rule_page, switch_rule]
