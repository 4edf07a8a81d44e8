"""Working on rules: switching one or many, making exceptions, bringing rules in; each with its way back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from litestar import Request, Response, get, post

from istmo.clock import Clock
from istmo.detect.answers import problem_json
from istmo.detect.exceptions import OPERATORS, Unusable
from istmo.detect.objects import KINDS, LEVELS
from istmo.detect.objects_rule import Exempted, Kept
from istmo.detect.pages.alert_deeds import namer
from istmo.detect.pages.rule_read import DAYS, HITS, SLOW, SWITCHED, chosen_of, days_of, filter_of
from istmo.detect.pages.switching import Switch, read_switch, read_undo, switched, undo_of
from istmo.detect.service import Detect
from istmo.detect.service.rules import HIT_DAYS
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, SentWithFile, one, upload
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import Undo, asker_of, back_to, faces_of, local_path, page, told
from istmo.model import instants

LARGEST_BODY: Final = 256 << 20
"""Outer bound in bytes of an upload of rules; the node's own limit is checked behind it."""
PROBLEMS_SHOWN: Final = 200
FIELDS: Final = {
    "detect.exception_name": "name",
    "detect.exception_field": "field",
    "detect.exception_operator": "operator",
    "detect.exception_values": "values",
    "detect.exception_reason": "reason",
}
"""The field that an error is about."""
LABELS: Final = {
    "q": "console.filter.words",
    "kind": "console.rule.kind",
    "level": "console.alert.level",
    "enabled": "console.filter.state",
    "logsource": "console.rule.logsource",
    "tag": "console.rulework.tag",
    "author": "console.rulework.author",
    "hits": "console.rulework.hits",
}
"""What each filter is called, as on the list of rules."""
WORDS: Final[Mapping[str, tuple[str, Collection[str]]]] = {
    "kind": ("console.rule.kind", KINDS),
    "level": ("kit.level", LEVELS),
    "enabled": ("console.rule.switched", (*SWITCHED, SLOW)),
    "hits": ("console.rulework.hits", HITS),
}
"""Filters by a choice: the beginning of its words, and what there is to choose."""


@post("/rules/{id:str}/switch", opt=PEOPLE, sync_to_thread=True)
def switch_rule(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Switch a rule on or off."""
    return _switched(request, id, data, asker, detect, read_switch(data, "enabled"))


@post("/rules/{id:str}/undo", opt=PEOPLE, sync_to_thread=True)
def switch_back(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Take a switch back, unless somebody has decided since."""
    return _switched(request, id, data, asker, detect, read_undo(data, "enabled"))


def _switched(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect, switch: Switch
) -> Response[Any]:
    rule = detect.enable_rule(asker.principal, id, switch.is_on, undoing=switch.undoing)
    path = f"/rules/{quote(rule.id, safe='')}"
    back = local_path(one(data, "next"), path)
    undo = Undo(f"{path}/undo", {"next": back})
    return switched(request, back, switch, undo, at=rule.updated, notice=f"console.notice.rule.{switch.word}")


# --- many at once ------------------------------------------------------------------------------


@get("/rules/switch", opt=PEOPLE, sync_to_thread=True)
def many_asked(request: Request[Any, Any, Any], asker: Asker, detect: Detect, clock: Clock) -> Response[Any]:
    """How many rules a switch would change, before it does."""
    chosen, now = chosen_of(request.query_params), clock.now()
    state = "off" if request.query_params.get("to") == "off" else "on"
    number = detect.count_to_switch(asker.principal, filter_of(chosen, now), SWITCHED[state])
    return _show_switch(request, chosen, state, number)


@post("/rules/switch", opt=PEOPLE, sync_to_thread=True)
def switch_many(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect, clock: Clock
) -> Response[Any]:
    """Switch all that the list shows. Where it is another number by now, it is asked again."""
    chosen = chosen_of({name: one(data, name, longest=200) for name in data})
    state = "off" if one(data, "to", longest=10) == "off" else "on"
    expected = one(data, "expected", longest=9)
    wanted = filter_of(chosen, clock.now())
    number = int(expected) if expected.isascii() and expected.isdigit() else -1
    try:
        done = detect.switch_rules(asker.principal, wanted, SWITCHED[state], expected=number)
    except IstmoError as error:
        if error.code != "detect.rules_moved":
            raise
        form = Form()
        form.general, form.remedy = told(request, error)
        return _show_switch(request, chosen, state, int(error.params["n"]), form)
    undo = Undo(
        "/rules/switch/undo", {"at": instants.format(done.at), "enabled": state, "next": _list(chosen)}
    )
    notice = f"console.notice.rules.{state}"
    return back_to(request, _list(chosen), notice=notice, undo=undo, n=done.number)


@post("/rules/switch/undo", opt=PEOPLE, sync_to_thread=True)
def switch_many_back(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect
) -> Response[Any]:
    """Take back what was switched all at once."""
    at = instants.parse(one(data, "at", longest=40))
    number = detect.switch_rules_back(asker.principal, at, one(data, "enabled", longest=10) == "on")
    back = local_path(one(data, "next"), "/rules")
    return back_to(request, back, notice="console.notice.rules.back", n=number)


def _show_switch(
    request: Request[Any, Any, Any], chosen: dict[str, str], state: str, number: int, form: Form | None = None
) -> Response[Any]:
    return page(
        request,
        "detect/rules_switch.html",
        status=200 if form is None else 409,
        form=form or Form(),
        chosen=chosen,
        narrowed=_narrowed(request, chosen),
        state=state,
        affected=number,
        back=_list(chosen),
    )


def _narrowed(request: Request[Any, Any, Any], chosen: dict[str, str]) -> list[tuple[str, str]]:
    """What rules are narrowed to, in the words of their list; what is not known of does not narrow."""
    catalogue, language = faces_of(request).catalogue, asker_of(request).language
    told = []
    for name, label in LABELS.items():
        value, (words, known) = chosen[name], WORDS.get(name, ("", ()))
        if words and value in known:
            value = catalogue.text(language, f"{words}.{value}", n=HIT_DAYS)
        elif words:
            continue
        if value:
            told.append((catalogue.text(language, label), value))
    return told


def _list(chosen: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"/rules?{query}" if query else "/rules"


# --- exceptions ----------------------------------------------------------------------------------


@get("/rules/{id:str}/exception", opt=PEOPLE, sync_to_thread=True)
def exception_new(request: Request[Any, Any, Any], id: str, detect: Detect) -> Response[Any]:
    """The form of an exception; ``field`` and ``value`` of the address are filled in."""
    query = request.query_params
    values = {
        "field": query.get("field", "")[:200],
        "values": query.get("value", "")[:1000],
        "operator": "equals",
        "days": "7",
    }
    return _show_exception(request, id, detect, Form(values))


@post("/rules/{id:str}/exception", opt=PEOPLE, sync_to_thread=True, status_code=200)
def exception_made(
    request: Request[Any, Any, Any], id: str, data: Sent, asker: Asker, detect: Detect, clock: Clock
) -> Response[Any]:
    """First tried on stored events; then, once that was seen, kept."""
    names = ("name", "field", "operator", "values", "reason", "days")
    form = Form({name: one(data, name) for name in names})
    given = _given(form.values)
    try:
        if one(data, "do", longest=10) == "keep":
            kept = detect.add_exception(asker.principal, id, given)
            back = f"/rules/{quote(id, safe='')}#exceptions"
            way_back = Undo(f"/rules/{quote(kept.id, safe='')}/undo", {"next": back})
            undo = undo_of(way_back, Switch("enabled", True), kept.updated)
            return back_to(request, back, notice="console.notice.exception.kept", undo=undo)
        now = clock.now()
        tried = detect.try_exception(
            asker.principal, id, given, now - timedelta(days=days_of(form.values)), now
        )
    except IstmoError as error:
        if error.status in (401, 403, 404):
            raise
        # A node whose worker is away can say nothing of stored events: an exception may be kept all the same.
        form.general, form.remedy = told(request, error)
        if isinstance(error, Unusable):
            catalogue, language = faces_of(request).catalogue, asker.language
            form.problems["values"] = catalogue.text(language, error.problem.key, **error.problem.params)
        elif error.code in FIELDS:
            form.problems[FIELDS[error.code]] = form.general
        is_untried = error.status == 503
        return _show_exception(request, id, detect, form, is_untried=is_untried)
    return _show_exception(request, id, detect, form, tried=tried)


def _given(values: dict[str, str]) -> Exempted:
    wanted = tuple(values["values"].split("\n"))
    return Exempted(values["name"], values["field"], values["operator"] or "equals", wanted, values["reason"])


def _show_exception(
    request: Request[Any, Any, Any],
    id: str,
    detect: Detect,
    form: Form,
    *,
    tried: Kept | None = None,
    is_untried: bool = False,
) -> Response[Any]:
    asker = asker_of(request)
    who = asker.principal
    detect.require_writing_rules(who)
    rule = detect.read_rule(who, id)
    return page(
        request,
        "detect/rule_exception.html",
        form=form,
        rule=rule,
        operators=OPERATORS,
        choices=DAYS,
        tried=tried,
        may_keep=tried is not None or is_untried,
        suggested=detect.values_of_matches(who, id),
        json_path=f"/api/v1/rules/{quote(rule.id, safe='')}/exceptions",
    )


# --- bringing rules in -----------------------------------------------------------------------------


@get("/rules/import", opt=PEOPLE, sync_to_thread=True)
def import_asked(request: Request[Any, Any, Any], asker: Asker, detect: Detect) -> Response[Any]:
    """The form: a file or pasted text."""
    detect.require_writing_rules(asker.principal)
    return page(request, "detect/rules_import.html", form=Form(), done=None, problems=[])


@post("/rules/import", opt=PEOPLE, sync_to_thread=True, status_code=200, request_max_body_size=LARGEST_BODY)
def import_sent(
    request: Request[Any, Any, Any], data: SentWithFile, asker: Asker, detect: Detect, catalogue: Catalogue
) -> Response[Any]:
    """What was kept, and each problem by file and line; what was pasted stays in the form."""
    form = Form({"text": one(data, "text")})
    sent = upload(data, "file") or form.values["text"].encode()
    try:
        done = detect.import_rules(asker.principal, sent)
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form.general, form.remedy = told(request, error)
        return page(request, "detect/rules_import.html", form=form, done=None, problems=[])
    problems = [problem_json(problem, asker, catalogue) for problem in done.problems]
    return page(
        request,
        "detect/rules_import.html",
        form=form,
        done=done,
        problems=problems[:PROBLEMS_SHOWN],
        more=max(0, len(problems) - PROBLEMS_SHOWN),
        who_is=namer(faces_of(request), asker, detect.people(asker.principal)) if done.replaced else str,
    )


routes = [
    switch_rule,
    switch_back,
    many_asked,
    switch_many,
    switch_many_back,
    exception_new,
    exception_made,
    import_asked,
    import_sent,
]
