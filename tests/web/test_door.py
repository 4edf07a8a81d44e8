"""Who comes in: nobody by accident, nobody from another site, nobody with a planted session."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from litestar import get
from litestar.exceptions import ImproperlyConfiguredException
from web_site import PASSWORD, Site, csrf_in, make_site

from istmo.clock import ManualClock
from istmo.errors import Unauthenticated
from istmo.identity.service import IDLE
from istmo.kit.access import KINDS, PEOPLE
from istmo.kit.asking import Asker
from istmo.policy.principals import Operator, Person, Role
from istmo.web.rooms import Rooms
from istmo.web.routes import routes_of


def test_every_route_says_who_may_come(site: Site) -> None:
    entries = routes_of(site.app)
    assert {"/sign-in", "/api/v1/changes", "/api/v1/openapi.json", "/"} <= {one.path for one in entries}
    assert all(one.access in KINDS for one in entries), "deny by default"


def test_a_route_that_is_silent_keeps_the_program_from_starting(tmp_path: Path, clock: ManualClock) -> None:
    @get("/open", sync_to_thread=False)
    def silent() -> str:
        return ""

    with pytest.raises(ImproperlyConfiguredException, match="/open"):
        make_site(tmp_path, clock, Rooms([silent], []))


def test_a_stranger_is_asked_to_sign_in_and_comes_back_where_they_wanted(site: Site) -> None:
    with site.client() as client:
        sent = client.get("/?x=1", follow_redirects=False)
        assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=%2F%3Fx%3D1")
        answer = client.get("/api/v1/who")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "web.sign_in_first"


def test_signing_in_opens_the_pages_and_signing_out_shuts_them(site: Site) -> None:
    with site.client() as client:
        answer = site.sign_in(client, following="/?y=2")
        assert (answer.status_code, answer.headers["location"]) == (303, "/?y=2")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
        home = client.get("/")
        assert "hola ana" in home.text
        session = client.cookies[site.cookie("session")]
        out = client.post("/sign-out", data={"csrf": csrf_in(home.text)})
        assert "cerrada" in out.text
        client.cookies.set(site.cookie("session"), session)
        assert client.get("/api/v1/who").status_code == 401, "the session ended in the database as well"


def test_what_a_page_asks_for_by_itself_keeps_no_session_from_ending(site: Site) -> None:
    """A screen that nobody sits at is signed out, however often it looks for what is new."""
    with site.client() as client:
        for headers, status in (({"Istmo-Watching": "1"}, 303), ({}, 200)):
            site.sign_in(client)
            for _ in range(4):
                answer = client.get("/", headers=headers, follow_redirects=False)
                site.clock.advance(IDLE.total_seconds() / 3)
            assert answer.status_code == status


def test_a_wrong_password_keeps_the_name_and_tells_nothing_about_the_account(site: Site) -> None:
    with site.client() as client:
        answers = []
        for name in ("ana", "nobody"):
            token = csrf_in(client.get("/sign-in").text)
            data = {"name": name, "password": "wrong wrong wrong", "csrf": token}
            answer = client.post("/sign-in", data=data)
            assert answer.status_code == 401
            assert f'value="{name}"' in answer.text
            assert "wrong wrong" not in answer.text
            answers.append(csrf_free(answer.text).replace(f'value="{name}"', "NAME"))
        assert answers[0] == answers[1]


def csrf_free(html: str) -> str:
    return html.replace(csrf_in(html), "CSRF")


def test_a_session_planted_before_signing_in_is_worth_nothing_after(site: Site) -> None:
    """Session fixation: a sign-in makes a new identifier, and the planted one never comes to life."""
    with site.client() as client:
        client.cookies.set(site.cookie("session"), "planted" * 8)
        site.sign_in(client)
        fresh = [one.value for one in client.cookies.jar if one.name == site.cookie("session")]
        assert any(value != "planted" * 8 for value in fresh)
    with site.client() as thief:
        thief.cookies.set(site.cookie("session"), "planted" * 8)
        assert thief.get("/api/v1/who").status_code == 401


def test_signing_in_again_ends_the_session_before(site: Site) -> None:
    with site.client() as client:
        site.sign_in(client)
        first = client.cookies[site.cookie("session")]
        token = client.get("/api/v1/who").json()["csrf"]
        client.post("/sign-in", data={"name": "ana", "password": PASSWORD, "csrf": token})
    with site.client() as other:
        other.cookies.set(site.cookie("session"), first)
        assert other.get("/api/v1/who").status_code == 401


@pytest.mark.parametrize(
    "following", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_signing_in_never_leads_to_another_site(site: Site, following: str) -> None:
    with site.client() as client:
        assert site.sign_in(client, following=following).headers["location"] == "/"
        away = client.get("/sign-in", params={"next": following}, follow_redirects=False)
        assert away.headers["location"] == "/"
        token = client.get("/api/v1/who").json()["csrf"]
        saved = client.post(
            "/preferences", data={"csrf": token, "language": "en", "next": following}, follow_redirects=False
        )
        assert saved.headers["location"] == "/"


class TestForgedRequests:
    """A change must come from a page of this node, drawn for this session."""

    def test_without_the_pages_token_nothing_is_written(self, site: Site) -> None:
        with site.client() as client:
            site.sign_in(client)
            for data in ({"text": "x"}, {"text": "x", "csrf": "0" * 96}, {"text": "x", "csrf": ""}):
                answer = client.post("/write", data=data)
                assert answer.status_code == 403
                assert "recargue" in answer.text
            assert site.written == []

    def test_with_it_the_change_is_made_and_told(self, site: Site) -> None:
        with site.client() as client:
            site.sign_in(client)
            token = csrf_in(client.get("/").text)
            answer = client.post("/write", data={"text": "x", "csrf": token})
            assert site.written == ["x"]
            assert "Su sesión quedó cerrada" in answer.text
            assert "Su sesión quedó cerrada" not in client.get("/").text, "a notice is said once"

    def test_another_sessions_token_is_refused(self, site: Site) -> None:
        with site.client() as mallory, site.client() as ana:
            site.sign_in(mallory)
            site.sign_in(ana)
            token = csrf_in(mallory.get("/").text)
            assert ana.post("/write", data={"text": "x", "csrf": token}).status_code == 403
            assert site.written == []

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "null"},
            {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
            {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        ],
    )
    def test_what_the_browser_says_comes_from_elsewhere_is_refused(
        self, site: Site, headers: dict[str, str]
    ) -> None:
        with site.client() as client:
            site.sign_in(client)
            token = csrf_in(client.get("/").text)
            answer = client.post("/write", data={"text": "x", "csrf": token}, headers=headers)
            assert answer.status_code == 403
            assert site.written == []

    def test_a_script_with_the_cookie_alone_writes_nothing(self, site: Site) -> None:
        with site.client() as client:
            site.sign_in(client)
            assert client.post("/api/v1/write", json={"text": "x"}).status_code == 403
            token = client.get("/api/v1/who").json()["csrf"]
            assert (
                client.post("/api/v1/write", json={"text": "x"}, headers={"X-CSRF": token}).status_code == 201
            )
            assert site.written == ["x"]

    def test_nobody_can_be_signed_in_by_another_site(self, site: Site) -> None:
        with site.client() as client:
            data = {"name": "ana", "password": PASSWORD}
            assert client.post("/sign-in", data=data).status_code == 403
            assert site.cookie("session") not in client.cookies


def test_a_token_opens_the_api_without_cookie_or_form_token(site: Site) -> None:
    account = site.node.identity.session(_session(site)).account
    _, secret = site.node.identity.create_token(
        Person(account.id, "ana", Role.ANALYST), "guion", ["read"], site.clock.now() + timedelta(days=1)
    )
    with site.client(Authorization=f"Bearer {secret}") as client:
        assert client.get("/api/v1/who").json()["who"] == "TokenHolder"
        assert client.post("/api/v1/write", json={"text": "t"}).status_code == 201
        site.clock.advance(2 * 86_400)
        answer = client.get("/api/v1/who")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "web.token_unknown")


def _session(site: Site) -> str:
    with site.client() as client:
        site.sign_in(client)
        return client.cookies[site.cookie("session")]


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer x", "Basic YTpi", "bearer " + "x" * 5000])
def test_a_bad_token_is_never_taken_for_a_stranger(site: Site, value: str) -> None:
    with site.client(Authorization=value) as client:
        assert client.get("/sign-in").status_code == 401
        assert client.get("/api/v1/who").json()["error"]["code"] == "web.token_unknown"


def test_people_do_not_pass_where_peers_or_the_operator_do_and_it_is_audited(site: Site) -> None:
    with site.client() as client:
        site.sign_in(client)
        for path in ("/api/v1/for-peers", "/api/v1/for-operator"):
            assert client.get(path).json()["error"]["code"] == "web.not_for_you"
    from istmo.policy.principals import Operator

    lines = site.node.identity.audit_trail(Operator())
    assert [one.subject for one in lines if one.action == "web.request"] == [
        "GET /api/v1/for-operator",
        "GET /api/v1/for-peers",
    ]


def test_a_name_that_is_not_the_nodes_is_not_answered(site: Site) -> None:
    with site.client(Host="evil.example") as client:
        assert client.get("/api/v1/who").json()["error"]["code"] == "web.wrong_host"


def test_two_nodes_on_one_host_do_not_take_each_others_cookies(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = make_site(tmp_path / "a", clock), make_site(tmp_path / "b", clock, name="CSIRT vecino")
    assert one.cookie("session") != other.cookie("session")


def test_over_https_cookies_are_secure_and_the_browser_remembers(tmp_path: Path, clock: ManualClock) -> None:
    site = make_site(tmp_path, clock, url="https://127.0.0.1:8443")
    with site.client() as client:
        answer = client.get("/sign-in")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert answer.headers["set-cookie"].startswith("__Host-istmo-")
        assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("by", ["session", "token"])
@pytest.mark.parametrize("ends", ["taken back", "expired", "account shut out"])
def test_a_long_answer_can_ask_again_whether_its_asker_may_still_be_answered(
    tmp_path: Path, clock: ManualClock, by: str, ends: str
) -> None:
    askers: list[Asker] = []

    @get("/api/v1/long", opt=PEOPLE, sync_to_thread=False)
    def long(asker: Asker) -> str:
        askers.append(asker)
        return ""

    site = make_site(tmp_path, clock, Rooms([long], []))
    identity = site.node.identity
    session = identity.sign_in("ana", PASSWORD, "192.0.2.1")
    token, secret = identity.create_token(
        session.principal, "panel", ["read"], clock.now() + timedelta(minutes=30)
    )
    with site.client() as client:
        if by == "session":
            client.cookies.set(site.cookie("session"), session.token)
        else:
            client.headers["authorization"] = f"Bearer {secret}"
        assert client.get("/api/v1/long").status_code == 200
    (asker,) = askers
    assert asker.now() == asker.principal
    if ends == "taken back":
        identity.sign_out(session.token)
        identity.revoke_token(session.principal, token.id)
    elif ends == "expired":
        for _ in range(13):  # asking again is no use of a session: it does not keep it alive
            clock.advance(10 * 60)
            with suppress(Unauthenticated):
                asker.now()
    else:
        identity.disable_account(Operator(), "ana")
    with pytest.raises(Unauthenticated):
        asker.now()
