"""Every question that a third may put: each route that the program lists, with all that may stand in it.

Nothing here is optional: a route whose path parameter, or whose body, is in no table fails the test that
asks, with the name of the table to add it to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, urlencode

from istmo.kit import csrf
from istmo.web.routes import RouteEntry

from .asking import Asker, Question
from .worlds import PASSWORD, SECRET_WORD, Ids

NOBODY = "identity--00000000-0000-4000-8000-00000000dead"
NONSENSE = Ids(
    objects=["indicator--00000000-0000-4000-8000-00000000dead", "no such thing", "../../etc"],
    alerts=["x-istmo-alert--00000000-0000-4000-8000-00000000dead"],
    cases=["x-istmo-case--00000000-0000-5000-8000-00000000dead"],
    rules=["00000000-0000-4000-8000-00000000dead"],
    hunts=["x-istmo-hunt--00000000-0000-4000-8000-00000000dead"],
    sources=["x-istmo-source--00000000-0000-4000-8000-00000000dead"],
    tokens=["token--00000000-0000-4000-8000-00000000dead"],
    accounts=["nadie"],
    invitations=["0000000000000000"],
    sequences=[9_999, 0],
    members=[NOBODY],
)

PARAMETERS = {
    "object_id": "objects",
    "alert_id": "alerts",
    "case_id": "cases",
    "rule_id": "rules",
    "hunt_id": "hunts",
    "source_id": "sources",
    "token_id": "tokens",
    "invitation": "invitations",
    "member": "members",
    "origin": "members",
    "sequence": "sequences",
    "name": "accounts",
    "path": "accounts",
    "session_id": "accounts",
    "way_id": "accounts",
}
"""Which ids stand for a path parameter, by its name. ``id``, which several rooms use, is told by the path."""

ID_BY_PATH = {
    "/alerts": "alerts",
    "/cases": "cases",
    "/hunts": "hunts",
    "/objects": "objects",
    "/peers": "members",
    "/peers/invitations": "invitations",
    "/rules": "rules",
    "/sources": "sources",
}

SELECTED = f"SELECT count(*) FROM events WHERE host = '{SECRET_WORD}'".encode()
MOMENT = "0.005"
"""Seconds to wait for what will not come: of a withheld thing and of nothing alike."""
FILTERS = ({}, {"q": SECRET_WORD}, {"q": "tapir"}, {"limit": "1"}, {"cursor": "1"}, {"limit": "200"})
QUERIES: dict[str, tuple[dict[str, str], ...]] = {
    "/api/v1/objects": (
        *FILTERS, {"type": "malware"}, {"type": "indicator"}, {"tlp": "TLP:RED"}, {"tlp": "TLP:AMBER+STRICT"},
        {"state": "retracted"}, {"state": "superseded"}, {"origin": NOBODY}, {"seen": "true"},
        {"sort": "name", "cursor": "2"}, {"sort": "oldest", "cursor": "1"},
    ),
    "/objects": (
        *FILTERS, {"type": "malware"}, {"tlp": "TLP:RED"}, {"state": "retracted"}, {"seen": "yes"},
        {"sort": "name"}, {"sort": "name", "cursor": "2"}, {"since": "2020-01-01"},
    ),
    "/api/v1/objects/export": ({}, {"q": SECRET_WORD}, {"as": "csv"}, {"tlp": "TLP:RED", "seen": "true"}),
    "/api/v1/objects/{object_id}/compare": ({"before": "1", "after": "2"}, {"before": "9", "after": "x"}),
    "/objects/{id}/compare": ({"before": "1", "after": "2"}, {"before": "9", "after": "x"}),
    "/api/v1/alerts": (
        *FILTERS, {"status": "acknowledged"}, {"level": "high"}, {"host": SECRET_WORD}, {"detector": "sigma"},
    ),
    "/alerts": (
        *FILTERS, {"status": "acknowledged"}, {"host": SECRET_WORD}, {"status": "", "group": "host"},
        {"status": "", "group": "none"}, {"who": SECRET_WORD},
    ),
    "/api/v1/alerts/lines": (
        *FILTERS, {"by": "host"}, {"q": SECRET_WORD, "by": "host"}, {"host": SECRET_WORD},
        {"who": SECRET_WORD},
    ),
    "/api/v1/cases": (
        *FILTERS, {"status": "open"}, {"severity": "high"}, {"disputed": "true"}, {"owner": NOBODY},
        {"member": NOBODY}, {"mine": "true"},
    ),
    "/cases": (*FILTERS, {"status": "open"}, {"owner": NOBODY}, {"member": NOBODY}, {"since": "2020-01-01"}),
    "/cases/{id}/add": ({}, {"q": SECRET_WORD}, {"kind": "object", "q": SECRET_WORD}),
    "/api/v1/rules": (*FILTERS, {"level": "high"}, {"enabled": "true"}, {"hits": "true"}),
    "/api/v1/hunts": ({}, {"q": SECRET_WORD}, {"failing": "true"}),
    "/hunts": ({}, {"copy": SECRET_WORD}),
    "/api/v1/audit": (*FILTERS, {"subject": SECRET_WORD}, {"outcome": "denied"}),
    "/api/v1/events/count": ({}, {"q": SECRET_WORD, "by": "host"}, {"q": "host:SRV-1", "histogram": "1h"}),
    "/api/v1/events/search": ({}, {"q": SECRET_WORD}, {"q": "host:SRV-1", "limit": "5"}),
    "/api/v1/events/fields": ({}, {"prefix": SECRET_WORD}),
    "/hunt": ({}, {"q": SECRET_WORD}, {"q": SECRET_WORD, "whole": "on"}, {"q": "(", "from": SECRET_WORD}),
    "/hunt/rows": ({"q": SECRET_WORD}, {"q": "host:SRV-1", "columns": SECRET_WORD}),
    "/hunt/counts": ({"q": SECRET_WORD, "by": "host"},),
    "/hunt/event": ({"id": "1-0"}, {"id": SECRET_WORD}),
    "/hunt/value": ({"field": "host", "value": SECRET_WORD},),
    "/hunt/export": ({"q": SECRET_WORD}, {"q": SECRET_WORD, "form": "csv"}),
    "/hunt/rules": ({}, {"rule": SECRET_WORD}, {"named": SECRET_WORD}),
    "/hunt/sql": ({}, {"sql": SELECTED.decode()}, {"sql": SELECTED.decode(), "whole": "on"}),
    "/hunt/sql/rows": ({"sql": SELECTED.decode()},),
    "/hunt/sql/export": ({"sql": SELECTED.decode()},),
    "/federation/v1/hello": ({}, {"nonce": "n" * 22}, {"nonce": "x" * 400}),
    "/federation/v1/charters": ({}, {"after": "1"}, {"after": "999"}),
    "/federation/v1/feed": (
        {}, {"after": "1", "sequence": "1"}, {"after": "0", "sequence": "20"},
        {"after": "40", "sequence": "40"}, {"after": "9999", "sequence": "9999"}, {"head": "zz"},
    ),
    "/api/v1/objects/{object_id}/detection": ({"wait": MOMENT}, {"until": "off", "wait": MOMENT}),
    "/api/v1/objects/{object_id}/alerts": ({"wait": MOMENT},),
    "/sign-in": ({}, {"next": "/objects"}),
    "/api/v1/warning-lists/find": ({"value": SECRET_WORD}, {"value": "192.0.2.1"}),
    "/warning-lists": ({}, {"value": SECRET_WORD}),
    "/rules": (*FILTERS, {"hits": "yes"}, {"tag": SECRET_WORD}, {"author": SECRET_WORD}),
}  # fmt: skip
"""What is asked after the question mark, by path. A path that is not here is asked bare."""


SIGNS_OUT = frozenset({("DELETE", "/api/v1/session"), ("POST", "/sign-out")})
"""Asked last: who has signed out is told nothing more."""


class Forgotten(AssertionError):
    """The program has a route that these tables do not know."""


def every_question(routes: list[RouteEntry], withheld: Ids, shown: Ids, asker: Asker) -> Iterator[Question]:
    """For each route: withheld ids, shown ids and ids of nothing, in what ``asker`` would send."""
    routes = sorted(routes, key=lambda one: (one.method, one.path) in SIGNS_OUT)
    for route in (replace(one, path=re.sub(r":\w+}", "}", one.path)) for one in routes):
        if asker.only_reads and not route.path.startswith("/api/"):
            continue
        is_open = route.access in asker.opens
        kept, known = (withheld, shown) if is_open else (withheld.few(), shown.few())
        for path in _paths(route, kept, known):
            if route.method in ("GET", "HEAD"):
                queries = QUERIES.get(route.path, ({},))
                for query in queries if is_open else queries[:2]:
                    yield Question(route.method, path + (f"?{urlencode(query)}" if query else ""))
            elif asker.only_reads:
                continue
            elif route.method == "DELETE":
                yield Question("DELETE", path)
            else:
                bodies = list(_with_bodies(route, path, kept, known, asker.secret))
                is_slow = BODIES[route.path] is _sign_ins and not asker.signs_in
                yield from bodies if is_open and not is_slow else bodies[:1]
    if asker.frames:
        yield Question("POST", "/federation/v1/frames", "application/octet-stream", asker.frames)
        for query in QUERIES["/federation/v1/feed"]:
            yield Question("GET", "/federation/v1/feed" + (f"?{urlencode(query)}" if query else ""))


def _paths(route: RouteEntry, withheld: Ids, shown: Ids) -> Iterator[str]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    values = {name: _values(route, name, withheld, shown) for name in names}
    for number in range(max((len(one) for one in values.values()), default=1)):
        path = route.path
        for name, known in values.items():
            path = path.replace("{" + name + "}", quote(str(known[number % len(known)]), safe=""))
        yield path
    if "origin" in values and "sequence" in values:
        for sequence in values["sequence"]:
            path = route.path.replace("{origin}", shown.members[0])
            yield path.replace("{sequence}", str(sequence))


def _values(route: RouteEntry, name: str, withheld: Ids, shown: Ids) -> list[str]:
    if name == "id":
        start = next((one for one in ID_BY_PATH if route.path.startswith(one + "/")), "")
        if not start and route.path.startswith(("/api/v1/jobs/", "/administration/jobs/")):
            return ["1", "2", "999"]
        kind = ID_BY_PATH.get(start, "")
    else:
        kind = PARAMETERS.get(name, "")
    if not kind:
        raise Forgotten(
            f"{route.method} {route.path}: say in tests/leak/questions.py"
            f" (PARAMETERS, or ID_BY_PATH for 'id') which ids stand for its parameter '{name}'"
        )
    return [str(one) for ids in (withheld, shown, NONSENSE) for one in getattr(ids, kind)]


def _with_bodies(route: RouteEntry, path: str, withheld: Ids, shown: Ids, secret: str) -> Iterator[Question]:
    make = BODIES.get(route.path)
    if make is None:
        raise Forgotten(
            f"{route.method} {route.path}: say in tests/leak/questions.py (BODIES) what is sent to it"
        )
    for body in make(withheld, shown):
        if isinstance(body, bytes):
            yield Question(route.method, path, "application/octet-stream", body)
        elif route.path.startswith(("/api/", "/federation/")):
            yield Question(route.method, path, "application/json", json.dumps(body).encode())
        else:
            form = {**body, csrf.FIELD: csrf.token(secret)}
            yield Question(route.method, path, "application/x-www-form-urlencoded", urlencode(form).encode())


Bodies = list[dict[str, object] | bytes]


def _entries(withheld: Ids, shown: Ids) -> Bodies:
    objects = [*withheld.objects[:4], shown.objects[-1], NONSENSE.objects[0]]
    alerts = [*withheld.alerts, NONSENSE.alerts[0]]
    found: Bodies = [{"kind": "object", "object": one} for one in objects]
    found += [{"kind": "object", "object": one, "only_to": []} for one in objects]
    found += [{"kind": "alert", "alert": one} for one in alerts]
    found += [{"kind": "task_done", "task": "0" * 64}, {"kind": "status", "value": "working"}]
    return [*found, {"kind": "owner", "member": NOBODY}]


def _entries_by_form(withheld: Ids, shown: Ids) -> Bodies:
    objects = [*withheld.objects[:4], NONSENSE.objects[0]]
    found: Bodies = [{"kind": "object", "value": one} for one in objects]
    return [*found, *({"kind": "alert", "value": one} for one in (*withheld.alerts, NONSENSE.alerts[0]))]


def _new_cases(withheld: Ids, shown: Ids) -> Bodies:
    return [{"alert": one, "title": "", "severity": "low"} for one in (*withheld.alerts, *NONSENSE.alerts)]


def _sign_ins(withheld: Ids, shown: Ids) -> Bodies:
    names = [*withheld.accounts, *shown.accounts, *NONSENSE.accounts]
    return [{"name": one, "password": "no es esta 1234"} for one in names for _ in range(2)]


def _accounts(withheld: Ids, shown: Ids) -> Bodies:
    return [{"name": one, "role": "analyst", "password": PASSWORD} for one in (*withheld.accounts, "nueva")]


def _only(*bodies: dict[str, object] | bytes) -> object:
    return lambda withheld, shown: list(bodies)


def _acks(withheld: Ids, shown: Ids) -> Bodies:
    nothing = {"count": 0, "sequence": 0, "head": "00" * 32}
    refused = [{"sequence": one, "code": "ledger.bad_envelope"} for one in (*withheld.sequences, 9_999)]
    found: Bodies = [nothing, {**nothing, "refused": refused}, b"{", {"count": -1}]
    return found + [{**nothing, "sequence": one} for one in (*withheld.sequences[:3], 9_999)]


_SHARES = _only(
    {"member": NOBODY}, {"member": NOBODY, "leave_out": [SECRET_WORD]}, {"member": "", "leave_out": []}
)
_BUNDLE = _only(b"{}", b'{"type":"bundle","objects":[]}')
_RETRACTS = _only({"reason": "error", "note": "prueba"}, {"reason": SECRET_WORD})
_STATUSES = _only({"status": "acknowledged", "note": ""}, {"status": SECRET_WORD})

_STATES = _only({"status": "closed", "severity": "low", "owner": SECRET_WORD, "version": SECRET_WORD})
_EXCEPTIONS = _only({"name": "", "field": SECRET_WORD, "values": [SECRET_WORD], "reason": ""})


def _picks(withheld: Ids, shown: Ids) -> Bodies:
    picks = [f"alert:{one}:" for one in (*withheld.alerts, *NONSENSE.alerts)]
    picks += [f"line:indicator:{one}" for one in (*withheld.objects[:4], NONSENSE.objects[0])]
    found: Bodies = [{"do": "assign:me", "pick": one} for one in (*picks, f"host:{SECRET_WORD}")]
    return [*found, {"do": "case:", "pick": picks[0]}]


def _works(withheld: Ids, shown: Ids) -> Bodies:
    subjects = [*withheld.objects[:4], NONSENSE.objects[0]]
    lines = [[{"detector": "indicator", "subject": one}] for one in subjects]
    alerts = [*withheld.alerts, *NONSENSE.alerts]
    found: Bodies = [{"deed": "assign", "assignee": "me", "alerts": {one: None}} for one in alerts]
    found += [{"deed": "assign", "assignee": "me", "lines": one} for one in lines]
    return [*found, {"deed": "assign", "assignee": "me", "hosts": [SECRET_WORD]}, {"deed": "close"}]


_hunts = _only({"name": "x", "text": SECRET_WORD, "version": 9}, {"name": "x", "text": "x"})

_HUNTED_RULE = f"detection: {{s: [{SECRET_WORD}], condition: s}}\n"
HUNTED = f"title: x\nlogsource: {{product: windows}}\n{_HUNTED_RULE}".encode()

_WAY = {"person": SECRET_WORD, "address": "x", "kinds": ["alert"], "level": "high"}

BODIES: dict[str, object] = {
    "/alerts/undo": _only({"change": SECRET_WORD}),
    "/alerts/work": _picks,
    "/alerts/{id}/work": _only({"do": "snooze:" + SECRET_WORD, "version": "0"}, {"do": "close"}),
    "/account/password": _only({"old": "no es esta 1234", "new": PASSWORD}),
    "/account/sessions/end": _only({"which": "others"}),
    "/account/sessions/{session_id}/end": _only({}),
    "/administration/doctor": _only({}),
    "/administration/jobs/{id}/discard": _only({}),
    "/administration/jobs/{id}/retry": _only({}),
    "/administration/notices": _only(_WAY),
    "/administration/notices/{way_id}": _only({**_WAY, "version": "1"}),
    "/administration/notices/{way_id}/delete": _only({}),
    "/administration/notices/{way_id}/secret": _only({}),
    "/administration/notices/{way_id}/switch": _only({"on": "on"}),
    "/administration/notices/{way_id}/test": _only({}),
    "/administration/people": _only({"name": SECRET_WORD, "role": SECRET_WORD}),
    "/administration/people/{name}/password": _only({}),
    "/administration/people/{name}/role": _only({"role": SECRET_WORD}),
    "/administration/people/{name}/state": _only({"disabled": "on"}),
    "/administration/tokens": _only({"name": SECRET_WORD, "days": "30"}),
    "/administration/tokens/{token_id}/revoke": _only({}),
    "/api/v1/doctor": _only({}),
    "/api/v1/jobs/{id}/discard": _only({}),
    "/api/v1/notice-ways": _only(_WAY),
    "/api/v1/notice-ways/{way_id}": _only(_WAY),
    "/api/v1/notice-ways/{way_id}/secret": _only({}),
    "/api/v1/notice-ways/{way_id}/switch": _only({"on": True}),
    "/api/v1/notice-ways/{way_id}/test": _only({}),
    "/api/v1/notices/read": _only({"id": 1}, {"upto": 5}),
    "/api/v1/notices/settings": _only({"kinds": ["alert"], "level": "low"}, {"kinds": [SECRET_WORD]}),
    "/notices/read": _only({"id": "1"}, {"upto": "5"}),
    "/notices/settings": _only({"kinds": "alert", "level": SECRET_WORD}),
    "/api/v1/accounts": _accounts,
    "/api/v1/accounts/{name}": _only({"role": "observer"}, {"disabled": True}),
    "/api/v1/alerts/undo": _only({"change": SECRET_WORD}),
    "/api/v1/alerts/work": _works,
    "/api/v1/alerts/{alert_id}/assign": _only({"assignee": SECRET_WORD}, {"assignee": "me", "version": 0}),
    "/api/v1/alerts/{alert_id}/snooze": _only({"length": SECRET_WORD}, {"length": "1h", "version": 0}),
    "/api/v1/alerts/{alert_id}/status": _STATUSES,
    "/api/v1/cases": _new_cases,
    "/api/v1/cases/{case_id}/entries": _entries,
    "/api/v1/cases/{case_id}/share": _SHARES,
    "/api/v1/cases/{case_id}/state": _STATES,
    "/api/v1/events/hunt": _only(b"title: [", HUNTED),
    "/api/v1/events/sql": _only(b"SELECT", b"SELECT * FROM events", SELECTED),
    "/api/v1/hunts": _only({"name": SECRET_WORD, "text": "("}, {"name": "", "text": SECRET_WORD}),
    "/api/v1/hunts/{hunt_id}": _hunts,
    "/api/v1/hunts/{hunt_id}/run": _only({"limit": 5}),
    "/api/v1/hunts/{hunt_id}/switch": _only({"on": True}),
    "/api/v1/jobs/{id}/retry": _only({}),
    "/api/v1/ledger/entries/{origin}/{sequence}/erase": _only({"reason": "por ley"}, {"reason": ""}),
    "/api/v1/me/password": _only({"old": "no es esta 1234", "new": PASSWORD}),
    "/api/v1/objects/check": _only({"values": SECRET_WORD}, {"values": "evil.example 198.51.100.66"}),
    "/api/v1/objects/import": _BUNDLE,
    "/api/v1/objects/past": _BUNDLE,
    "/api/v1/objects/preview": _BUNDLE,
    "/api/v1/objects/publish": _BUNDLE,
    "/api/v1/objects/{object_id}/retract": _RETRACTS,
    "/api/v1/peers/accept": _only({"code": SECRET_WORD}),
    "/api/v1/peers/frames": _only(b"no frame", b""),
    "/api/v1/peers/invitations": _only({"name": ""}),
    "/api/v1/peers/region": _only({"name": SECRET_WORD}),
    "/api/v1/peers/{member}/confirm": _only({"fingerprint": "0" * 64}),
    "/api/v1/rules/import": _only(b"title: [", b""),
    "/api/v1/rules/switch": _only({"enabled": True, "q": SECRET_WORD, "expected": 7}),
    "/api/v1/rules/switch/undo": _only({"enabled": True, "at": "2026-03-02T09:00:00.000000Z"}),
    "/api/v1/rules/{rule_id}": _only({"enabled": True}),
    "/api/v1/rules/{rule_id}/exceptions": _EXCEPTIONS,
    "/api/v1/rules/{rule_id}/exceptions/try": _EXCEPTIONS,
    "/api/v1/session": _sign_ins,
    "/api/v1/sources": _only({"name": SECRET_WORD}, {"name": ""}),
    "/api/v1/sources/{source_id}/kept": _only({"keep_days": 90}, {"keep_days": -1}),
    "/api/v1/sources/{source_id}": _only({"networks": ["10.66.0.0/16"]}, {"form": SECRET_WORD}),
    "/api/v1/sources/{source_id}/pause": _only({"paused": True}),
    "/api/v1/sources/{source_id}/token": _only({}),
    "/api/v1/value-lists/{name}": _only({"values": []}),
    "/api/v1/warning-lists/reserved": _only({}),
    "/api/v1/warning-lists/switch": _only({"name": SECRET_WORD, "enabled": False}),
    "/api/v1/warning-lists": _only({"name": "", "type": "cidr", "list": ["x"]}, b"[]"),
    "/api/v1/tokens": _only(
        {"name": "x", "scopes": ["read"], "account": SECRET_WORD}, {"name": "", "scopes": []}
    ),
    "/cases": _new_cases,
    "/cases/{id}/entries": _entries_by_form,
    "/cases/{id}/share": _SHARES,
    "/cases/{id}/state": _STATES,
    "/cases/{id}/undo": _STATES,
    "/federation/v1/acks": _acks,
    "/federation/v1/frames": _only(b"no frame", b""),
    "/federation/v1/join": _only(b"{}", b"no statement", b""),
    "/hunt/rules": _only({"text": HUNTED.decode(), "which": "text"}, {"which": "all"}),
    "/hunt/rules/rows": _only({"text": HUNTED.decode(), "which": "text"}, {"text": SECRET_WORD}),
    "/hunt/rules/save": _only({"text": SECRET_WORD}),
    "/hunts": _only({"name": SECRET_WORD, "text": "("}),
    "/hunts/{id}": _only({"name": SECRET_WORD, "text": "x", "version": "0"}),
    "/hunts/{id}/delete": _only({}),
    "/hunts/{id}/run": _only({}),
    "/hunts/{id}/switch": _only({"on": "on"}),
    "/objects/{id}/retract": _RETRACTS,
    "/peers/accept": _only({"code": SECRET_WORD}),
    "/peers/frames": _only({}),
    "/peers/{id}/remove": _only({"name": SECRET_WORD}),
    "/peers/invitations/{id}/withdraw": _only({}),
    "/peers/found": _only({"region": SECRET_WORD}),
    "/peers/invite": _only({"name": ""}),
    "/peers/{id}/confirm": _only({"confirm_fingerprint": "0" * 64}),
    "/preferences": _only({"language": "en", "next": f"/objects?q={SECRET_WORD}"}),
    "/publish": _only({"sent": "AAAA", "tlp": "TLP:AMBER"}),
    "/publish/check": _only({"what": "report", "links": SECRET_WORD, "values": "evil.example"}),
    "/publish/edit": _only({"what": "report", "links": SECRET_WORD}),
    "/publish/past": _only({"sent": "AAAA"}, {"sent": "e30="}),
    "/publish/preview": _only({"what": "stix", "stix": "{}", "tlp": "TLP:AMBER"}),
    "/rules/import": _only({"text": "title: ["}),
    "/rules/switch": _only({"q": SECRET_WORD, "to": "off", "expected": "7"}),
    "/rules/switch/undo": _only({"at": "2026-03-02T09:00:00.000000Z", "enabled": "on"}),
    "/rules/{id}/exception": _only({"field": SECRET_WORD, "values": "x", "name": "", "reason": ""}),
    "/rules/{id}/switch": _only({"enabled": "on"}),
    "/rules/{id}/undo": _only({"at": "2026-03-02T09:00:00.000000Z", "enabled": "on"}),
    "/sign-in": _sign_ins,
    "/sign-out": _only({}),
    "/sources": _only({"name": SECRET_WORD}, {"name": ""}),
    "/sources/{id}/pause": _only({"paused": "on"}),
    "/sources/{id}/revoke": _only({}),
    "/sources/{id}/token": _only({}),
    "/sources/{id}/undo": _only({"at": "2026-03-02T09:00:00.000000Z", "paused": "off"}),
    "/sources/{id}/settings": _only({"networks": "10.66.0.0/16"}, {"form": SECRET_WORD}),
    "/value-lists": _only({"name": SECRET_WORD, "values": ""}),
    "/value-lists/delete": _only({"name": SECRET_WORD}),
    "/value-lists/undo": _only({"name": SECRET_WORD, "values": ""}),
    "/warning-lists": _only({"text": "{"}),
    "/warning-lists/delete": _only({"name": SECRET_WORD}),
    "/warning-lists/reserved": _only({}),
    "/warning-lists/switch": _only({"name": SECRET_WORD, "enabled": "off"}),
    "/warning-lists/undo": _only({"at": "x", "name": SECRET_WORD, "enabled": "off"}),
}  # fmt: skip
"""What is sent to a route that takes a body. None of it succeeds in making something with a random id."""
