"""Administration in the console: people, tokens, the audit trail, jobs, the doctor; and one's own account."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient
from web_site import PASSWORD, Site, csrf_in, make_site

from istmo.clock import ManualClock
from istmo.notices.objects import Kind, Plan
from istmo.policy.actions import ROLE_MAY, Action
from istmo.policy.principals import Operator, Role
from istmo.store.jobs import JobRunner, dead_jobs, enqueue
from istmo.web.pages.admin_audit import ACTIONS, action_told
from istmo.web.pages.admin_jobs import ROWS
from istmo.web.pages.admin_node import settings_told

PAGES = {
    "/administration": "",
    "/administration/people": "account.manage",
    "/administration/people/new": "account.manage",
    "/administration/people/ana": "account.manage",
    "/administration/tokens": "",
    "/administration/tokens/new": "",
    "/administration/audit": "audit.read",
    "/administration/roles": "node.read",
    "/administration/notices": "notice.manage",
    "/administration/notices/new": "notice.manage",
    "/administration/jobs": "job.manage",
    "/administration/doctor": "node.manage",
    "/administration/settings": "node.manage",
    "/administration/keys": "node.manage",
    "/account": "",
    "/notices": "notice.read",
    "/notices/settings": "notice.read",
}
"""Each page with the action that opens it; empty: everybody, to their own."""
PEOPLE = {
    "raiz": Role.ADMINISTRATOR,
    "ana": Role.ANALYST,
    "rosa": Role.COORDINATOR,
    "olga": Role.OBSERVER,
}


PLAN = Plan(frozenset({Kind.ALERT, Kind.CASE}), "high", "webhook", "https://soc.example/a")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(
        tmp_path_factory.mktemp("node"), ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)), rooms=None
    )
    made.node.identity.create_account(Operator(), "olga", Role.OBSERVER, PASSWORD)
    yield made
    made.node.store.close()


def enter(site: Site, name: str, language: str = "es") -> TestClient[Litestar]:
    client = site.client(**{"Accept-Language": language})
    assert site.sign_in(client, name).status_code == 303
    return client


def send(client: TestClient[Litestar], at: str, path: str, **values: object) -> Response:
    csrf = csrf_in(client.get(at).text)
    return client.post(path, data={**values, "csrf": csrf}, follow_redirects=False)


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("language", ["es", "en"])
def test_each_page_opens_to_exactly_the_roles_that_policy_says(site: Site, name: str, language: str) -> None:
    client = enter(site, name, language)
    for path, action in PAGES.items():
        answer = client.get(path)
        is_open = not action or Action(action) in ROLE_MAY[PEOPLE[name]]
        assert answer.status_code == (200 if is_open else 403), f"{name}: {path}"
        assert "⟦" not in answer.text
    shown = client.get("/").text
    assert ('href="/administration"' in shown) == (Action.AUDIT_READ in ROLE_MAY[PEOPLE[name]])


def test_no_form_of_the_place_is_taken_without_its_token(site: Site) -> None:
    client = enter(site, "raiz")
    for path in (
        "/administration/people", "/administration/people/ana/role", "/administration/people/ana/state",
        "/administration/people/ana/password", "/administration/tokens", "/administration/doctor",
        "/account/password", "/account/sessions/end",
    ):  # fmt: skip
        assert client.post(path, data={"name": "x", "role": "observer"}).status_code == 403, path
    assert {one.name: one.role for one in site.node.identity.accounts(Operator())}["ana"] is Role.ANALYST


def test_a_person_is_let_in_with_a_password_that_is_shown_once(site: Site) -> None:
    client = enter(site, "raiz")
    made = send(
        client, "/administration/people/new", "/administration/people", name="Berta Paz", role="analyst"
    )
    assert made.status_code == 201
    (password,) = re.findall(r'id="password">([^<]+)<', made.text)
    for path in ("/administration/people", "/administration/people/Berta%20Paz"):
        assert password not in client.get(path).text
    guest = site.client()
    token = csrf_in(guest.get("/sign-in").text)
    data = {"name": "berta paz", "password": password, "csrf": token}
    assert guest.post("/sign-in", data=data, follow_redirects=False).status_code == 303
    assert guest.get("/alerts").status_code == 200
    assert (
        send(
            client,
            "/administration/people/Berta%20Paz",
            "/administration/people/Berta%20Paz/state",
            disabled="on",
        ).status_code
        == 303
    )
    assert guest.get("/alerts", follow_redirects=False).status_code == 303, "their session ended"
    assert 'value="Berta Paz"' not in client.get("/administration/people?state=working").text
    assert "Berta Paz" in client.get("/administration/people?state=disabled&q=BERTA").text


def test_what_was_typed_stays_where_a_name_is_taken(site: Site) -> None:
    client = enter(site, "raiz")
    refused = send(
        client, "/administration/people/new", "/administration/people", name="ANA", role="observer"
    )
    assert refused.status_code == 422 and 'value="ANA"' in refused.text
    assert re.search(r'value="observer" checked', refused.text) and 'id="name-wrong"' in refused.text


@pytest.mark.parametrize("language", ["es", "en"])
def test_nobody_takes_their_own_access_away(site: Site, language: str) -> None:
    client = enter(site, "raiz", language)
    at = "/administration/people/raiz"
    words = site.node.catalogue.text(language, "error.identity.yourself", name="raiz")
    for path, values in ((f"{at}/state", {"disabled": "on"}), (f"{at}/role", {"role": "observer"})):
        refused = send(client, at, path, **values)
        assert refused.status_code == 422 and words in html.unescape(refused.text)
    account = next(one for one in site.node.identity.accounts(Operator()) if one.name == "raiz")
    assert account.role is Role.ADMINISTRATOR and not account.is_disabled
    assert f"{at}/role" not in client.get(at).text


def test_a_lockout_is_seen_and_lifted_by_a_new_password(site: Site) -> None:
    client = enter(site, "raiz")
    guest = site.client()
    for _ in range(9):
        token = csrf_in(guest.get("/sign-in").text)
        guest.post("/sign-in", data={"name": "olga", "password": "no es", "csrf": token})
    assert "olga" in client.get("/administration/people?state=locked").text
    done = send(client, "/administration/people/olga", "/administration/people/olga/password")
    (password,) = re.findall(r'id="password">([^<]+)<', done.text)
    assert done.status_code == 200
    assert "olga" not in client.get("/administration/people?state=locked").text
    site.node.identity.reset_password(Operator(), "olga", PASSWORD)
    assert password != PASSWORD


def test_a_token_is_made_for_what_it_needs_shown_once_used_and_revoked(site: Site) -> None:
    client = enter(site, "ana")
    refused = send(client, "/administration/tokens/new", "/administration/tokens", name="misp", days="30")
    assert refused.status_code == 422 and 'value="misp"' in refused.text, "without a scope it opens nothing"
    made = send(
        client,
        "/administration/tokens/new",
        "/administration/tokens",
        name="misp",
        days="30",
        scopes=["read", "publish"],
    )
    assert made.status_code == 201
    (secret,) = re.findall(r'id="secret">([^<]+)<', made.text)
    assert secret not in client.get("/administration/tokens").text + client.get("/account").text
    assert site.client(Authorization=f"Bearer {secret}").get("/api/v1/objects").status_code == 200
    assert "misp" not in enter(site, "rosa").get("/administration/tokens").text, "others see only their own"
    (token,) = [one.id for one in site.node.identity.tokens(Operator()) if one.name == "misp"]
    assert send(client, "/account", f"/administration/tokens/{token}/revoke").status_code == 303
    assert site.client(Authorization=f"Bearer {secret}").get("/api/v1/objects").status_code == 401
    assert "misp" in client.get("/administration/tokens?state=revoked").text


def test_the_audit_trail_is_narrowed_paged_and_taken_out(site: Site) -> None:
    enter(site, "ana").get("/administration/people")
    client = enter(site, "rosa")
    denied = html.unescape(client.get("/administration/audit?name=ana&outcome=denied").text)
    assert site.node.catalogue.text("es", "policy.role") in denied, "why is told in words"
    assert "rosa" not in re.sub(r"(?s)<header.*?</header>", "", denied)
    assert client.get("/administration/audit?since=2026-13-45").status_code == 422
    assert "line-" not in client.get("/administration/audit?until=2026-03-01").text
    assert "line-" in client.get("/administration/audit?since=2026-03-02&until=2026-03-02").text
    with site.node.store.write() as tx:
        from istmo.identity import audit

        for number in range(150):
            audit.record(tx, Operator(), "prueba", f"=1+{number}", audit.DONE, (), site.clock.now())
    first = client.get("/administration/audit?action=prueba").text
    assert "línea de comandos" in first and ">operator<" not in first, "for a reader in words"
    (following,) = set(re.findall(r'rel="next" href="([^"]+)"', first))
    second = client.get(html.unescape(following)).text
    assert len(re.findall(r'id="line-', first)) == 100 and len(re.findall(r'id="line-', second)) == 50
    lines = client.get("/api/v1/audit/export?action=prueba").text.splitlines()
    assert len(lines) == 150 and json.loads(lines[0])["subject"] == "=1+149"
    table = list(csv.reader(io.StringIO(client.get("/api/v1/audit/export?action=prueba&form=csv").text)))
    assert len(table) == 151 and table[1][4] == "'=1+149", "no cell is a formula"


def test_the_audit_trail_says_in_words_what_was_done_and_leads_to_what_it_names(site: Site) -> None:
    from istmo.identity import audit

    case, rule = "x-istmo-case--" + str(uuid4()), str(uuid4())
    member, exception = "identity--" + str(uuid4()), str(uuid4())
    indicator = "indicator--" + str(uuid4())
    site.node.identity.create_account(Operator(), "eva luz", Role.OBSERVER)
    with site.node.store.write() as tx:
        for action, subject in (
            ("case.share", f"{case} {member}"),
            ("rule.write", f"{rule} exception {exception}"),
            ("object.retract", indicator),
            ("web.request", f"GET /cases/{case}"),
        ):
            audit.record(tx, Operator(), action, subject, audit.DONE, (), site.clock.now())
    client = enter(site, "rosa")
    shown = client.get("/administration/audit").text
    assert f'<a href="/cases/{case}">{case}</a> <a href="/peers/{member}">{member}</a>' in shown
    assert f'<a href="/rules/{rule}">{rule}</a> exception {exception}' in shown
    assert f'<a href="/objects/{indicator}">' in shown and f"GET /cases/{case}<" in shown
    assert "/administration/people/" not in shown, "where a coordinator may not go nothing leads"
    assert "Crear una cuenta</a> <code" in shown and ">account.create</code>" in shown
    narrowed = client.get("/administration/audit?action=account.create").text
    assert '<option value="account.create" selected>Crear una cuenta</option>' in narrowed
    assert "eva luz" in narrowed and rule not in narrowed
    shown = enter(site, "raiz").get("/administration/audit").text
    assert '<a href="/administration/people/eva%20luz">eva luz</a>' in shown


def test_whatever_the_audit_trail_knows_has_words(site: Site) -> None:
    for language in ("es", "en"):
        told = {action_told(one, site.node.catalogue, language) for one in ACTIONS}
        assert len(told) == len(ACTIONS) and not told & set(ACTIONS)
    trail = site.node.identity.audit_trail(Operator(), limit=1000)
    assert {one.action for one in trail} - {"prueba"} <= set(ACTIONS)


def test_the_table_of_roles_is_policy_s_own(site: Site) -> None:
    shown = enter(site, "olga").get("/administration/roles").text
    for action in Action:
        if any(action in may for may in ROLE_MAY.values()):
            words = html.escape(site.node.catalogue.text("es", f"web.action.{action}"))
            (row,) = re.findall(rf'<tr><th scope="row">{re.escape(words)}</th>(.*?)</tr>', shown)
            assert [("state good" in cell) for cell in row.split("</td>")[:-1]] == [
                action in ROLE_MAY[role] for role in Role
            ]


def test_settings_are_told_without_their_secrets(site: Site) -> None:
    secret = replace(site.node.settings, database="postgresql+psycopg://istmo:clave-secreta@db/istmo")
    assert "clave-secreta" not in str(settings_told(secret))
    shown = enter(site, "raiz").get("/administration/settings").text
    assert "istmo.toml" in shown and "intake_port" in shown and "search_seconds" in shown


def test_the_name_of_the_node_and_its_country_are_no_usual_values(site: Site) -> None:
    told = {name: is_usual for name, _, is_usual in settings_told(site.node.settings)[0][1]}
    assert (told["name"], told["country"]) == (False, False)


def way_made(site: Site) -> str:
    return f"/administration/notices/{site.node.notices.add_way(Operator(), 'ana', PLAN).id}"


@pytest.mark.parametrize("version", ["1", "no es una"])
def test_what_was_typed_of_a_way_out_stays_beside_what_it_is_by_now_in_words(
    site: Site, version: str
) -> None:
    at = way_made(site)
    site.node.notices.change_way(Operator(), at.rpartition("/")[2], replace(PLAN, level="low"))
    typed = {"address": "https://soc.example/b", "kinds": ["alert", "job"], "level": "critical", "every": "7"}
    late = send(enter(site, "raiz"), at, at, version=version, **typed)
    assert late.status_code == 409
    shown = html.unescape(late.text)
    both = shown[shown.index("Otra persona guardó antes") :].partition("</table>")[0]
    cells = [re.sub("<[^>]+>", "", one) for one in re.findall("<td.*?</td>", both)]
    assert "Alerta nueva, Caso compartido o actualizado" in cells
    assert len([one for one in cells if one.startswith("Alerta nueva, ")]) == 2
    assert "Bajo" in cells and "Crítico" in cells and "Sí" in cells and "No" in cells
    assert not {"alert, case", "critical", "on"} & set(cells)
    assert 'value="https://soc.example/b"' in late.text and 'value="7"' in late.text


def test_what_tokens_were_searched_for_stays_as_it_was_typed(site: Site) -> None:
    page = enter(site, "raiz").get("/administration/tokens?q=Copias+de+LUIS").text
    assert 'value="Copias de LUIS"' in page


def bury(site: Site) -> int:
    runner = JobRunner(site.node.store, site.clock, attempts=1)
    with site.node.store.write() as tx:
        enqueue(tx, "intel.sighting", {}, site.clock.now())

    def fail(payload: object) -> None:
        from istmo.errors import Unavailable

        raise Unavailable("store.disk_full")

    runner.handle("intel.sighting", fail)
    runner.run_due()
    with site.node.store.read() as connection:
        return dead_jobs(connection)[-1].id


def test_a_job_that_failed_is_told_in_words_tried_again_or_let_go_of(site: Site) -> None:
    client, number = enter(site, "raiz"), bury(site)
    shown = html.unescape(client.get("/administration/jobs").text)
    assert site.node.catalogue.text("es", "error.store.disk_full") in shown
    at = "/administration/jobs"
    assert send(client, at, f"{at}/{number}/retry").status_code == 303
    with site.node.store.read() as connection:
        assert dead_jobs(connection) == []
    queue = client.get("/api/v1/jobs").json()["items"]
    assert [one["id"] for one in queue if one["kind"] == "intel.sighting"] == [number]
    number = bury(site)
    assert send(client, at, f"{at}/{number}/discard").status_code == 303
    assert send(client, at, f"{at}/{number}/discard").status_code == 404


def test_jobs_that_gave_up_are_read_page_by_page(site: Site) -> None:
    client = enter(site, "raiz")
    for _ in range(ROWS + 3):
        bury(site)
    with site.node.store.read() as connection:
        numbers = [one.id for one in dead_jobs(connection)]

    def shown(page: str) -> list[int]:
        return [int(one) for one in re.findall(r'<tr id="job-(\d+)" data-row', page)]

    first = client.get("/administration/jobs").text
    assert shown(first) == numbers[:ROWS] and f"{ROWS} de {len(numbers)}" in first
    path = html.unescape(re.search(r'rel="next" href="([^"]+)', first)[1])  # type: ignore[index]
    rest = client.get(path).text
    assert shown(rest) == numbers[ROWS:] and 'rel="next"' not in rest
    assert 'href="/administration/jobs"' in rest
    assert shown(client.get("/administration/jobs?cursor=no").text) == numbers[:ROWS]


@pytest.mark.parametrize("path", ["/administration/audit", "/api/v1/audit", "/api/v1/audit/export"])
def test_who_may_not_read_the_trail_is_refused_whatever_they_ask_of_it(site: Site, path: str) -> None:
    client = enter(site, "ana")
    assert client.get(f"{path}?since=basura").status_code == 403
    denied = site.node.identity.audit_trail(Operator(), name="ana", outcome="denied")
    assert denied[0].subject == f"GET {path}"


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_doctor_examines_in_bounded_time_and_tells_in_words(site: Site, language: str) -> None:
    client = enter(site, "raiz", language)
    assert send(client, "/administration/doctor", "/administration/doctor").status_code == 303
    shown = html.unescape(client.get("/administration/doctor").text)
    told = client.get("/api/v1/doctor").json()
    assert {"keys", "database", "disk", "ledger", "running"} <= {one["check"] for one in told["checks"]}
    assert "⟦" not in shown and all(one["text"] in shown for one in told["checks"])


def test_a_check_that_hangs_is_told_as_late_and_is_not_begun_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from istmo.web import examining as module
    from istmo.web.examining import Examining

    release, begun = threading.Event(), []

    def check_ledger(*_: object) -> Iterator[object]:
        begun.append(1)
        release.wait(20)
        yield from ()

    monkeypatch.setattr(module, "CHECKS", (check_ledger,))
    monkeypatch.setattr(module, "look_at_running", check_ledger)
    from istmo.kit.asking import Asker

    asker = Asker(Operator(), "es")
    examining = Examining(site.node, seconds=0.01)
    for _ in range(2):
        states = {one.check: one.state for one in examining.examine(asker).findings}
        assert states == {"running": "late", "ledger": "late"}
    release.set()
    assert len(begun) <= 2, "each once"


def test_one_s_own_sessions_are_listed_and_ended(site: Site) -> None:
    here, there, third = enter(site, "ana"), enter(site, "ana"), enter(site, "ana")
    listed = here.get("/api/v1/me/sessions").json()["items"]
    assert sum(one["is_here"] for one in listed) == 1 and len(listed) >= 3
    assert here.cookies[site.cookie("session")] not in str(listed)
    mine = there.get("/api/v1/me/sessions").json()["items"]
    (one,) = [one["id"] for one in mine if one["is_here"]]
    assert send(here, "/account", f"/account/sessions/{one}/end").status_code == 303
    assert there.get("/account", follow_redirects=False).status_code == 303
    rosa = enter(site, "rosa")
    (others,) = [one["id"] for one in here.get("/api/v1/me/sessions").json()["items"] if one["is_here"]]
    assert send(rosa, "/account", f"/account/sessions/{others}/end").status_code == 404, "only one's own"
    assert send(here, "/account", "/account/sessions/end", which="others").status_code == 303
    assert third.get("/account", follow_redirects=False).status_code == 303
    assert here.get("/account").status_code == 200
    assert send(here, "/account", "/account/sessions/end", which="all").headers["location"] == "/sign-in"
    assert here.get("/account", follow_redirects=False).status_code == 303


def test_a_planted_session_is_worth_nothing_after_signing_in(site: Site) -> None:
    """Session fixation: whoever signs in has a new secret, and the one before has ended."""
    attacker = enter(site, "ana")
    name = site.cookie("session")
    planted = attacker.cookies[name]
    victim = site.client()
    victim.cookies.set(name, planted, domain="127.0.0.1", path="/")
    victim.post("/sign-out", data={"csrf": csrf_in(victim.get("/account").text)})
    victim.cookies.set(name, planted, domain="127.0.0.1", path="/")
    assert site.sign_in(victim, "rosa").status_code == 303
    found = {one.value for one in victim.cookies.jar if one.name == name}
    assert planted not in found
    assert attacker.get("/account", follow_redirects=False).status_code == 303, "the planted one has ended"


def test_one_s_own_password_is_changed_and_language_and_zone_go_with_the_account(site: Site) -> None:
    client = enter(site, "olga")
    wrong = send(client, "/account", "/account/password", old="no es esta", new="otra clave larga 99")
    assert wrong.status_code == 403 and 'id="old-wrong"' in wrong.text
    short = send(client, "/account", "/account/password", old=PASSWORD, new="corta")
    assert short.status_code == 400 and 'id="new-wrong"' in short.text
    done = send(client, "/account", "/account/password", old=PASSWORD, new="otra clave larga 99")
    assert done.status_code == 303
    send(client, "/account", "/preferences", language="en", zone="America/Costa_Rica")
    own = next(one for one in site.node.identity.accounts(Operator()) if one.name == "olga")
    assert (own.language, own.zone) == ("en", "America/Costa_Rica")
    site.node.identity.reset_password(Operator(), "olga", PASSWORD)
    elsewhere = enter(site, "olga")
    assert (
        'lang="en"' in elsewhere.get("/account").text
        and "America/Costa_Rica" in elsewhere.get("/account").text
    )
