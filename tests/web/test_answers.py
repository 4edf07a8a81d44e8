"""What every answer carries, how errors are told, what browsers may keep, what machines may read."""

from __future__ import annotations

import gzip

import pytest
from web_site import Site, csrf_in

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}${7*7}"


@pytest.mark.parametrize("path", ["/sign-in", "/nothing/here", "/api/v1/who", "/broken", "/api/nothing", "/"])
def test_every_answer_forbids_foreign_code_and_framing(site: Site, path: str) -> None:
    with site.client() as client:
        headers = client.get(path, follow_redirects=False).headers
    policy = headers["content-security-policy"]
    assert (
        "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    )
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY", "clickjacking"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_pages_have_nothing_inline(site: Site) -> None:
    with site.client() as client:
        site.sign_in(client)
        html = client.get("/").text
    assert " style=" not in html and "<style" not in html
    assert " onclick" not in html and "javascript:" not in html
    assert html.count("<script") == html.count("<script src=")


def test_a_hostile_string_stays_text(site: Site) -> None:
    with site.client() as client:
        html = client.get("/echo", params={"text": HOSTILE}).text
    assert "<img" not in html and "<script>alert" not in html and "49" not in html.split("<main")[1]
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("language", "said"), [("es-HN,es;q=0.9", "Aquí no hay nada"), ("en", "There is nothing here")]
)
def test_errors_are_told_in_the_askers_language(site: Site, language: str, said: str) -> None:
    with site.client(**{"Accept-Language": language}) as client:
        assert said in client.get("/nothing").text
        told = client.get("/api/v1/nothing").json()["error"]
    assert told["code"] == "web.no_page" and said in told["message"] and told["remedy"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/write", 405), ("GET", "/?q=%00", 400), ("GET", "/broken", 500)],
)
def test_what_goes_wrong_leaves_nobody_outside_their_console(
    site: Site, method: str, path: str, status: int
) -> None:
    """Also where no route was reached that asks who it is; a form on the page is as good as on any other."""
    with site.client(**{"Accept-Language": "es"}) as client:
        site.sign_in(client)
        token = csrf_in(client.get("/").text)
        client.post("/preferences", data={"csrf": token, "language": "en", "zone": "America/Panama"})
        answer = client.request(method, path)
        assert answer.status_code == status
        assert '<html lang="en">' in answer.text and "Times in America/Panama" in answer.text
        assert 'href="/alerts"' in answer.text and 'action="/search"' in answer.text
        assert client.post("/sign-out", data={"csrf": csrf_in(answer.text)}).status_code == 200
        bare = client.request(method, path)
    assert bare.status_code == status
    assert "<nav" not in bare.text and "/search" not in bare.text
    assert "<span>ana</span>" not in bare.text


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("is_known", "status"), [(True, 403), (False, 401)], ids=["old form", "nobody"])
def test_what_was_typed_into_a_form_that_is_not_taken_stands_in_the_answer(
    real_site: Site, is_known: bool, status: int
) -> None:
    """A form of a session that has ended, sent by nobody or after signing in anew; no secret is repeated."""
    typed = {"value": "Llamé al banco <a las tres>", "password": "abrete sesamo 77", "csrf": "0" * 96}
    with real_site.client(**{"Accept-Language": "es"}) as client:
        if is_known:
            real_site.sign_in(client)
        answer = client.post("/cases/x-istmo-case--1/entries", data=typed)
        assert answer.status_code == status
        assert "Llamé al banco &lt;a las tres&gt;" in answer.text
        assert "abrete sesamo" not in answer.text
        leads = "/cases/x-istmo-case--1" if is_known else "/sign-in?next=%2Fcases%2Fx-istmo-case--1"
        assert f'href="{leads}"' in answer.text
        for body in ("value=" + "y" * 100_000, "%ff=%fe&" * 2_000):
            told = client.post("/cases", content=body, headers={"Content-Type": FORM})
            assert told.status_code in (400, 401, 403) and "yyyy" not in told.text


def test_the_address_of_a_form_s_answer_leads_to_the_page_of_the_form(real_site: Site) -> None:
    """Loaded anew, or asked for after a change of language on it."""
    with real_site.client() as client:
        real_site.sign_in(client)
        for path, page in (
            ("/peers/invite", "/peers"),
            ("/publish/preview", "/publish"),
            ("/cases/x-istmo-case--1/entries", "/cases/x-istmo-case--1"),
            ("/sign-out", "/"),
        ):
            answer = client.get(path, follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (303, page)
        assert client.get("/api/v1/rules/import").status_code == 405


def test_what_a_form_was_answered_with_offers_no_way_to_lose_it(real_site: Site) -> None:
    """A change of language asks for the page anew, and such a page is in no address."""
    with real_site.client() as client:
        real_site.sign_in(client)
        token = csrf_in(client.get("/cases/new").text)
        answer = client.post("/cases", data={"csrf": token, "title": ""})
        assert answer.status_code == 422 and 'action="/preferences"' not in answer.text
        assert 'action="/preferences"' in client.get("/cases/new").text


def test_a_part_of_a_page_is_not_replaced_by_the_page_to_sign_in(real_site: Site) -> None:
    with real_site.client() as client:
        assert client.get("/alerts", headers={"HX-Request": "true"}).status_code == 401
        assert client.get("/alerts", follow_redirects=False).status_code == 303


def test_under_another_name_of_the_host_nobody_is_recognised(site: Site) -> None:
    with site.client() as client:
        site.sign_in(client)
        known = "; ".join(f"{name}={one}" for name, one in client.cookies.items())
        answer = client.get("/nothing", headers={"Host": "evil.example", "Cookie": known})
    assert answer.status_code == 404 and "<nav" not in answer.text


def test_a_page_about_a_trouble_is_told_even_where_nobody_can_be_looked_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError("the database is gone")

    with site.client() as client:
        site.sign_in(client)
        monkeypatch.setattr(site.node.identity, "session", gone)
        answer = client.get("/nothing")
    assert answer.status_code == 404 and "<nav" not in answer.text


def test_a_choice_of_language_and_zone_is_remembered(site: Site) -> None:
    with site.client(**{"Accept-Language": "es"}) as client:
        token = csrf_in(client.get("/sign-in").text)
        client.post("/preferences", data={"csrf": token, "language": "en", "zone": "America/Panama"})
        html = client.get("/sign-in").text
        assert '<html lang="en">' in html and "Times in America/Panama" in html
        token = csrf_in(html)
        client.post("/preferences", data={"csrf": token, "language": "tlh", "zone": "../../etc"})
        assert '<html lang="en">' in client.get("/sign-in").text


def test_a_choice_of_colours_is_remembered_and_taken_back(site: Site) -> None:
    with site.client() as client:
        for chosen, attribute in (
            ("dark", ' data-scheme="dark"'),
            ("light", ' data-scheme="light"'),
            ("x", ""),
        ):
            token = csrf_in(client.get("/sign-in").text)
            client.post("/preferences", data={"csrf": token, "scheme": "system"})
            client.post("/preferences", data={"csrf": token, "scheme": chosen})
            assert f'<html lang="es"{attribute}>' in client.get("/sign-in").text


@pytest.mark.parametrize(
    ("path", "is_offered"),
    [
        ("/write/undo", True),
        ("https://evil.example/undo", False),
        ("//evil.example/undo", False),
        ("/write", False),
    ],
)
def test_a_change_can_be_taken_back_under_its_notice(site: Site, path: str, is_offered: bool) -> None:
    """The cookie that carries the notice is outside data: it sends nobody elsewhere."""
    with site.client() as client:
        site.sign_in(client)
        token = client.get("/api/v1/who").json()["csrf"]
        client.post("/write", data={"csrf": token, "text": "<17>", "undo": path}, follow_redirects=False)
        html = client.get("/").text
        assert ('name="change" value="&lt;17&gt;"' in html) is is_offered
        assert (f'action="{path}"' in html) is is_offered
        assert "Deshacer" not in client.get("/").text, "it is told once"


@pytest.mark.parametrize(
    "value",
    [
        "[" * 3_000,
        "%5B" * 1_100,
        "%ff%fe",
        '["web.notice.signed_out",{},["/undo",{"a":"%5Cud800"}]]',
        '["web.notice.signed_out",{"n":"%5Cud800"},null]',
        '["web.notice.signed_out",[],null]',
    ],
)
def test_a_notice_that_is_none_of_ours_costs_no_page(site: Site, value: str) -> None:
    with site.client() as client:
        site.sign_in(client)
        known = "; ".join(f"{name}={one}" for name, one in client.cookies.items())
        answer = client.get("/", headers={"Cookie": f"{site.cookie('notice')}={value}; {known}"})
        assert answer.status_code == 200 and "hola ana" in answer.text


@pytest.mark.parametrize("path", ["/broken", "/api/v1/broken"])
def test_a_defect_is_told_by_a_reference_and_nothing_else(
    site: Site, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with site.client() as client:
        answer = client.get(path)
    assert answer.status_code == 500
    assert "hunter2" not in answer.text and "Traceback" not in answer.text
    logged = capsys.readouterr().out
    assert "request_failed" in logged
    assert "hunter2-in-a-local-variable" not in logged, "a traceback carries no local variables"


def test_a_body_past_the_limit_is_refused(site: Site) -> None:
    with site.client() as client:
        site.sign_in(client)
        token = client.get("/api/v1/who").json()["csrf"]
        limit = site.node.settings.limits.body_bytes
        answer = client.post("/api/v1/write", json={"text": "x" * limit}, headers={"X-CSRF": token})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "web.body_too_large")


def test_wrong_methods_and_bad_bodies_are_told_apart(site: Site) -> None:
    with site.client() as client:
        site.sign_in(client)
        token = client.get("/api/v1/who").json()["csrf"]
        assert (
            client.put("/api/v1/who", headers={"X-CSRF": token}).json()["error"]["code"] == "web.wrong_method"
        )
        answer = client.post("/api/v1/write", content=b"{not json", headers={"X-CSRF": token})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "web.bad_request")


class TestStaticFiles:
    def test_are_kept_for_ever_under_hashed_names_and_sent_compressed(self, site: Site) -> None:
        path = site.app.state.faces.assets.path("app.css")
        with site.client() as client:
            answer = client.get(path)
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["content-encoding"] == "gzip"
            again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert client.get("/static/app.0000000000.css").status_code == 404
            assert client.get("/static/..%2f..%2fapp.py").status_code == 404


def test_the_first_load_is_small(site: Site) -> None:
    with site.client() as client:
        page = len(gzip.compress(client.get("/sign-in").content, mtime=0))
        names = ("app.css", "keys.js", "copy.js", "live.js", "htmx.min.js", "icon.svg")
        rest = sum(
            len(gzip.compress(client.get(site.app.state.faces.assets.path(name)).content, mtime=0))
            for name in names
        )
    assert page + rest <= 100_000


def test_the_machine_interface_is_described(site: Site) -> None:
    with site.client() as client:
        document = client.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/who" in document["paths"] and "/api/v1/changes" in document["paths"]
    assert "/sign-in" not in document["paths"], "pages are no machine interface"
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}
