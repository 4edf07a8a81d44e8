"""Hunting by Sigma rules in the console: pasted ones with what is wrong at its line, or the node's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.response import Stream

from istmo.clock import Clock
from istmo.detect.answers import unusable_text
from istmo.detect.objects import Rule, RuleProblem
from istmo.detect.objects_rule import RuleFilter
from istmo.detect.pages.hunt_asked import STRETCHES, USUAL, Asked
from istmo.detect.pages.hunt_read import NEW, show_hunts
from istmo.detect.pages.hunt_stream import (
    LONG_PATIENCE,
    Piece,
    error_words,
    patient,
    problem_words,
    renderer,
    stream,
)
from istmo.detect.service import Detect
from istmo.detect.service.asking import words_of
from istmo.detect.stories import from_micros
from istmo.detect.wire import Problem, RuleFound, RuleHits, RuleMatch
from istmo.errors import IstmoError
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, Sent, one
from istmo.kit.pages import asker_of, back_to, faces_of, page
from istmo.policy.actions import Action

SHOWN: Final = 200
STREAMED: Final = 1_000
MOST_LINES: Final = 2_000
"""Of a text that are shown again with their numbers."""
MOST_SUMS: Final = 50
RULES_OFFERED: Final = 20
PASTED, IN_FORCE = "text", "all"


@dataclass(frozen=True)
class Line:
    """A line of the rules that were pasted, and what is wrong with it."""

    text: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Match:
    """A row."""

    id: str
    time: datetime
    host: str
    title: str
    level: str
    number: int
    """Its place among those shown: an event may match several rules."""


@dataclass
class Hunted:
    """What a hunt found so far."""

    limit: int
    matches: list[Match] = field(default_factory=list)
    shown: int = 0
    told: Counter[str] = field(default_factory=Counter)
    titles: dict[str, tuple[str, str]] = field(default_factory=dict)
    sums: list[RuleFound] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    looked: int = 0
    problem: Problem | None = None

    def take(self, part: RuleHits) -> None:
        """A part of the answer; ``matches`` are those of this part."""
        some = part.matches[: self.limit - self.shown]
        self.matches = [_match(one, place) for place, one in enumerate(some, self.shown + 1)]
        self.shown += len(self.matches)
        self.told.update(one.rule for one in part.matches)
        self.titles |= {one.rule: (one.title or one.rule, one.level) for one in part.matches}
        self.sums += part.found
        self.looked = part.looked or self.looked
        self.problem = part.problem or self.problem

    @property
    def by_rule(self) -> list[tuple[str, str, int, str]]:
        """(title, level, how many, address of some): what all come to, or while it goes on what was told."""
        if self.sums:
            ordered = sorted(self.sums, key=lambda one: -one.count)
            found = [(one.title or one.rule, one.level, one.count, _events(one.events)) for one in ordered]
        else:
            found = [(*self.titles[rule], number, "") for rule, number in self.told.most_common()]
        return found[:MOST_SUMS]

    @property
    def number(self) -> int:
        """Events that matched, each as often as rules matched it."""
        return sum(one.count for one in self.sums) or self.told.total()


@get("/hunt/rules", opt=PEOPLE, sync_to_thread=True)
def rules_form(
    request: Request[Any, Any, Any], asker: Asker, detect: Detect, rule: str = "", named: str = ""
) -> Response[Any]:
    """The form: empty, or with the text of one of the node's rules."""
    if not faces_of(request).may(asker.principal, Action.EVENT_SEARCH):
        return back_to(request, "/hunts")
    text = detect.read_rule(asker.principal, rule[:128]).text if rule else ""
    return _show(request, detect, Form({"text": text, "which": PASTED, "from": USUAL}), named=named[:200])


@post("/hunt/rules", opt=PEOPLE, status_code=200, sync_to_thread=True)
def hunt_by_rules(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect, clock: Clock
) -> Response[Any]:
    """Run the rules, and show what they match: within the time that a page waits."""
    values = _values(data)
    form, hunted = Form(values), Hunted(SHOWN)
    lines: list[Line] = []
    matches: list[Match] = []
    try:
        usable, lines, others = _checked(request, detect, values)
        hunted.left_out += others
        if not usable:
            form.problems["text"] = _text(request, "console.hunting.no_usable_rule")
            return _show(request, detect, form, lines=lines, hunted=hunted)
        late = RuleHits(0, True, problem=Problem("", "detect.search_cut_short", {"seconds": LONG_PATIENCE}))
        for part in patient(_parts(request, detect, values, clock, SHOWN), clock, late, LONG_PATIENCE):
            hunted.take(part)
            hunted.left_out += _left_out(request, part, values)
            matches += hunted.matches
    except IstmoError as error:
        if error.status in (401, 403):
            raise
        form.general = error_words(error, asker, request)
        return _show(request, detect, form, lines=lines)
    return _show(request, detect, form, lines=lines, hunted=hunted, matches=matches)


@post("/hunt/rules/rows", opt=PEOPLE, status_code=200, sync_to_thread=True)
def stream_by_rules(
    request: Request[Any, Any, Any], data: Sent, asker: Asker, detect: Detect, clock: Clock
) -> Stream:
    """The same as it is found."""
    detect.require_search(asker.principal)
    return stream(request, _pieces(request, detect, _values(data), clock))


@post("/hunt/rules/save", opt=PEOPLE, status_code=200, sync_to_thread=True)
def save_rules(request: Request[Any, Any, Any], data: Sent, detect: Detect) -> Response[Any]:
    """The form of saved hunts, with these rules in it."""
    values = _values(data)
    text = "all" if values["which"] == IN_FORCE else values["text"]
    window = Asked(within=values["from"]).window or NEW["window"]
    return show_hunts(request, detect, Form({**NEW, "kind": "rules", "text": text, "window": window}))


def _pieces(
    request: Request[Any, Any, Any], detect: Detect, values: dict[str, Any], clock: Clock
) -> Generator[Piece]:
    render = renderer(request, "detect/hunt_matches.html")
    hunted = Hunted(STREAMED)
    try:
        usable, lines, others = _checked(request, detect, values)
        hunted.left_out += others
        if any(one.problems for one in lines):
            yield {"put": "text", "html": render("lines", lines=lines)}
        if not usable:
            words = _text(request, "console.hunting.no_usable_rule")
            yield {
                "put": "end",
                "html": render("wrong", problem=words, left_out=hunted.left_out),
                "failed": True,
            }
            return
        parts = _parts(request, detect, values, clock, STREAMED)
    except IstmoError as error:
        words = error_words(error, asker_of(request), request)
        yield {"put": "end", "html": render("wrong", problem=words, left_out=()), "failed": True}
        return
    try:
        for part in parts:
            hunted.take(part)
            hunted.left_out += _left_out(request, part, values)
            if hunted.matches:
                yield {"add": "rows", "html": render("rows", matches=hunted.matches)}
            yield {"put": "sums", "html": render("sums", hunted=hunted)}
            yield {"text": render("progress", looked=hunted.looked).strip()}
    except IstmoError as error:
        words = error_words(error, asker_of(request), request)
        yield {"put": "end", "html": render("wrong", problem=words, left_out=()), "failed": True}
        return
    finally:
        parts.close()
    words = problem_words(hunted.problem, request)
    yield {"put": "end", "html": render("end", hunted=hunted, problem=words)}


def _parts(
    request: Request[Any, Any, Any], detect: Detect, values: dict[str, Any], clock: Clock, limit: int
) -> Generator[RuleHits]:
    start, end = Asked(within=values["from"]).stretch(clock.now())
    text = "" if values["which"] == IN_FORCE else values["text"]
    return detect.hunt_rules(asker_of(request).principal, text, start=start, end=end, limit=limit)


def _checked(
    request: Request[Any, Any, Any], detect: Detect, values: dict[str, Any]
) -> tuple[int, list[Line], list[tuple[str, str]]]:
    """How many rules can be used, the text with what is wrong at its lines, and what has no line."""
    if values["which"] == IN_FORCE:
        return 1, [], []
    usable, problems = detect.check_rules(asker_of(request).principal, values["text"])
    by_line: dict[int, list[str]] = {}
    others = []
    for problem in problems:
        text = _problem_text(request, problem)
        if problem.line:
            by_line.setdefault(problem.line, []).append(text)
        else:
            others.append((problem.rule or problem.file, text))
    lines = values["text"].split("\n")[:MOST_LINES]
    last = max(1, len(lines))
    placed: dict[int, list[str]] = {}
    for number, texts in by_line.items():
        placed.setdefault(min(number, last), []).extend(texts)
    return usable, [Line(text, tuple(placed.get(at, ()))) for at, text in enumerate(lines, 1)], others


def _problem_text(request: Request[Any, Any, Any], problem: RuleProblem) -> str:
    asker, catalogue = asker_of(request), faces_of(request).catalogue
    if catalogue.has(asker.language, problem.key):
        return catalogue.text(asker.language, problem.key, **problem.params)
    return unusable_text((problem.key, problem.params), asker.language, catalogue)


def _left_out(
    request: Request[Any, Any, Any], part: RuleHits, values: dict[str, Any]
) -> Sequence[tuple[str, str]]:
    """What the hunt itself could not use: of pasted rules only what reading them did not tell."""
    asker, catalogue = asker_of(request), faces_of(request).catalogue
    return [
        (one_.rule, catalogue.text(asker.language, one_.key, **one_.params))
        for one_ in part.left_out
        if values["which"] == IN_FORCE or not one_.line
    ]


def _match(found: RuleMatch, number: int) -> Match:
    when, title = from_micros(found.time), found.title or found.rule
    return Match(found.event_id, when, found.host, title, found.level, number)


def _events(ids: Sequence[str]) -> str:
    query = " OR ".join(f"id:{id_}" for id_ in ids)
    return Asked(query=query, within="all").path() if query else ""


def _values(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "text": one(data, "text"),
        "which": one(data, "which") or PASTED,
        "from": one(data, "from") or USUAL,
    }


def _text(request: Request[Any, Any, Any], key: str) -> str:
    return faces_of(request).catalogue.text(asker_of(request).language, key)


def _show(
    request: Request[Any, Any, Any],
    detect: Detect,
    form: Form,
    *,
    lines: Sequence[Line] = (),
    hunted: Hunted | None = None,
    matches: Sequence[Match] = (),
    named: str = "",
) -> Response[Any]:
    asker, faces = asker_of(request), faces_of(request)
    may_read = faces.may(asker.principal, Action.RULE_READ)
    offered: Sequence[Rule] = ()
    if may_read and named:
        offered = detect.list_rules(
            asker.principal, RuleFilter(words=words_of(named)), limit=RULES_OFFERED
        ).items
    return page(
        request,
        "detect/hunting_rules.html",
        form=form,
        lines=lines if any(one_.problems for one_ in lines) else (),
        hunted=hunted,
        matches=matches,
        problem=problem_words(hunted.problem, request) if hunted else "",
        stretches=STRETCHES,
        named=named,
        offered=offered,
        may_read_rules=may_read,
        may_save=detect.may_save_hunts(asker.principal),
    )


routes = [rules_form, hunt_by_rules, stream_by_rules, save_rules]
