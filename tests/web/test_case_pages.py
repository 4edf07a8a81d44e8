"""Cases in the console, without scripts: found, worked on by two at once, added to by searching, printed."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from reading import peer_of
from scenes import Scene, fill
from web_site import PASSWORD, Site, csrf_in, make_site

from istmo.clock import ManualClock, SystemClock
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.policy.principals import Operator, Person, Role
from istmo.respond.objects import Author, Claim, Refusal, Register, SharePlan
from istmo.respond.pages import case_share
from istmo.respond.pages.case_read import ENTRIES, TASKS


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Scene]]:
    site = make_site(tmp_path_factory.mktemp("cases"), ManualClock(SystemClock().now()), rooms=None)
    site.node.identity.create_account(Operator(), "olga", Role.OBSERVER, PASSWORD)
    site.node.identity.create_account(Operator(), "luis", Role.ANALYST, PASSWORD)
    yield site, fill(site.node)
    site.node.store.close()


@pytest.fixture
def case(whole: tuple[Site, Scene]) -> str:
    site, _ = whole
    site.clock.advance(60)
    return site.node.respond.open_case(Operator(), "Cajero <sin> servicio", severity="medium").id


def enter(site: Site, name: str = "ana", language: str = "es") -> TestClient[Litestar]:
    client = site.client(**{"Accept-Language": language})
    site.sign_in(client, name)
    return client


def send(client: TestClient[Litestar], at: str, **values: str):  # type: ignore[no-untyped-def]
    csrf = csrf_in(client.get("/cases").text)
    return client.post(at, data={**values, "csrf": csrf}, follow_redirects=False)


def state_form(page: str) -> dict[str, str]:
    """The form of where a case stands, as a browser would send it unchanged."""
    form = re.search(r'action="[^"]+/state">(.*?)</form>', page, re.DOTALL)
    assert form
    version = re.search(r'name="version" value="([^"]*)"', form[1])
    chosen = {
        name: html.unescape(found[1]) if (found := re.search(r'value="([^"]*)" selected', options)) else ""
        for name, options in re.findall(r'<select id="(\w+)".*?>(.*?)</select>', form[1], re.DOTALL)
    }
    assert version
    return {**chosen, "version": version[1]}


def notes(page: str) -> list[int]:
    """The numbers of the notes that a page shows, in order."""
    return [int(one) for one in re.findall(r'<p class="value">nota (\d+)', page)]


def titles(page: str) -> list[str]:
    found = re.findall(r'<a class="value" href="/cases/[^"]+">([^<]+)</a>', page)
    return [html.unescape(one) for one in found]


def test_two_analysts_change_one_case_at_once_and_both_versions_are_shown(
    whole: tuple[Site, Scene], case: str
) -> None:
    site, at = whole[0], f"/cases/{case}"
    ana, luis = enter(site, "ana"), enter(site, "luis")
    seen_by_ana, seen_by_luis = (state_form(one.get(at).text) for one in (ana, luis))
    assert send(luis, f"{at}/state", **{**seen_by_luis, "status": "working"}).status_code == 303
    late = send(ana, f"{at}/state", **{**seen_by_ana, "status": "closed", "severity": "low"})
    assert late.status_code == 409
    now = site.node.respond.read(Operator(), case)
    assert (now.status.value, now.severity.value) == ("working", "medium"), "nothing was overwritten"
    shown = late.text
    both = shown[shown.index("Otra persona guardó antes") :].partition("</table>")[0]
    assert "Lo cambió luis." in both
    assert "En curso" in both and "Cerrado" in both, "as it is now, and as she wanted it"
    again = state_form(shown)
    assert (again["status"], again["severity"]) == ("closed", "low"), "what was chosen stays in the form"
    assert send(ana, f"{at}/state", **again).status_code == 303, "knowing both, she decides"
    assert site.node.respond.read(Operator(), case).status.value == "closed"


@pytest.mark.parametrize("kind", ["note", "task"])
@pytest.mark.parametrize(
    ("typed", "said"),
    [("a " + "x" * 20_001 + " fin", "El texto tiene 20007 caracteres"), ("   ", "No hay nada escrito.")],
)
def test_a_text_that_cannot_be_kept_is_refused_in_words_and_stays_in_the_form(
    whole: tuple[Site, Scene], case: str, kind: str, typed: str, said: str
) -> None:
    site, at = whole[0], f"/cases/{case}"
    refused = send(enter(site), f"{at}/entries", kind=kind, value=typed)
    assert refused.status_code == 422
    assert said in refused.text and typed.strip() in refused.text
    assert len(site.node.respond.read(Operator(), case).timeline) == 1


@pytest.mark.parametrize(
    "typed", [{"title": "t" * 201, "note": "n"}, {"title": "t", "note": "n" * 20_001 + " fin"}]
)
def test_a_case_with_a_text_that_is_too_long_is_not_opened_and_all_stays_in_the_form(
    whole: tuple[Site, Scene], typed: dict[str, str]
) -> None:
    site = whole[0]
    known = [one.id for one in site.node.respond.list_cases(Operator()).items]
    refused = send(enter(site), "/cases", severity="high", tlp="AMBER", **typed)
    assert refused.status_code == 422
    assert f'value="{typed["title"]}"' in refused.text and f"\n{typed['note']}</textarea>" in refused.text
    assert [one.id for one in site.node.respond.list_cases(Operator()).items] == known


def test_a_long_case_is_read_from_its_end_and_pages_lead_back_to_its_beginning(
    whole: tuple[Site, Scene], case: str
) -> None:
    site, at = whole[0], f"/cases/{case}"
    for number in range(ENTRIES + 20):
        site.clock.advance(1)
        site.node.respond.add_note(Operator(), case, f"nota {number:03}")
    client = enter(site)
    newest = client.get(at).text
    assert notes(newest) == list(range(20, ENTRIES + 20)), "in the order in which they were written"
    assert "100 de 121" in newest and "Más recientes" not in newest
    path = html.unescape(re.search(r'rel="next" href="([^"#]+)', newest)[1])  # type: ignore[index]
    older = client.get(path).text
    assert notes(older) == list(range(20)) and "Cajero &lt;sin&gt; servicio" in older
    assert 'rel="next"' not in older and f'href="{at}#timeline"' in older
    assert f'hx-get="{path}"' in older, "what changes live is the part that one reads"
    assert notes(client.get(f"{at}?cursor=nothing").text) == notes(newest)
    assert notes(client.get(f"{at}/report").text) == list(range(ENTRIES + 20)), "on paper it is whole"
    refused = send(client, f"{at}/entries", kind="note", value=" ").text
    assert path in html.unescape(refused), "the way back leads there also from a form that was refused"


def test_fewer_entries_stand_on_a_page_where_they_are_long(whole: tuple[Site, Scene], case: str) -> None:
    site, at = whole[0], f"/cases/{case}"
    for number in range(8):
        site.clock.advance(1)
        site.node.respond.add_note(Operator(), case, f"nota {number:03} {'x' * 19_000}")
    assert notes(enter(site).get(at).text) == [3, 4, 5, 6, 7]


def test_tasks_to_be_done_come_first_and_past_a_number_they_are_in_the_report(
    whole: tuple[Site, Scene], case: str
) -> None:
    site, at = whole[0], f"/cases/{case}"
    first = site.node.respond.add_task(Operator(), case, "la primera, hecha")
    site.node.respond.finish_task(Operator(), case, first.id)
    for number in range(TASKS):
        site.node.respond.add_task(Operator(), case, f"tarea {number:03}")
    page = enter(site).get(at).text
    beside = page[page.index("<aside>") :]
    assert "tarea 049" in beside and "la primera" not in beside and "Otra tarea está en el informe" in beside
    assert "la primera, hecha" in enter(site).get(f"{at}/report").text


def test_where_a_case_stands_is_not_changed_past_what_others_saw_of_it(
    whole: tuple[Site, Scene], case: str
) -> None:
    site, at = whole[0], f"/cases/{case}"
    refused = send(enter(site), f"{at}/entries", kind="status", value="closed")
    assert refused.status_code == 422
    found = site.node.respond.read(Operator(), case)
    assert found.status.value == "open" and len(found.timeline) == 1


def test_what_is_disputed_is_told_in_words(
    whole: tuple[Site, Scene], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = whole[0]
    found = site.node.respond.read(Operator(), case)
    me = found.opener

    def disputed(*values: str) -> Register:
        return Register(values[0], tuple(Claim(one, str(n), Author(me)) for n, one in enumerate(values)))

    case_of_two = replace(
        found,
        status=disputed("working", "closed"),
        severity=disputed("high", "low"),
        owner=disputed(f"{me}/ana", ""),
    )
    monkeypatch.setattr(site.node.respond, "read", lambda *_: case_of_two)
    page = html.unescape(enter(site).get(f"/cases/{case}").text)
    heads = re.sub("<[^>]+>", "", re.findall("<ul>(<li>.*?</li>)</ul>", page)[0])
    for words in ("En curso", "Cerrado", "Alto", "Bajo", "CSIRT de prueba · ana", "nadie"):
        assert words in heads
    assert "working" not in heads and me not in heads


def test_what_cannot_be_shared_is_told_in_words_also_where_it_has_no_name(
    whole: tuple[Site, Scene], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = whole[0]
    refused = (Refusal("0" * 64, "object", "", "m", ()),)
    plan = SharePlan(member="m", allowed=True, reasons=(), sends=(), refused=refused)
    monkeypatch.setattr(site.node.respond, "plan_share", lambda *_, **__: plan)
    page = enter(site, "rosa").get(f"/cases/{case}/share?member=m").text
    assert "<strong" in page and ">Objeto sin nombre</strong>" in page


def test_notes_written_at_once_are_both_there(whole: tuple[Site, Scene], case: str) -> None:
    site, at = whole[0], f"/cases/{case}"
    ana, luis = enter(site, "ana"), enter(site, "luis")
    ana.get(at)
    luis.get(at)
    send(luis, f"{at}/entries", kind="note", value="Llamé al banco")
    send(ana, f"{at}/entries", kind="note", value="Aislé el cajero")
    page = ana.get(at).text
    assert "Llamé al banco" in page and "Aislé el cajero" in page


def test_a_change_of_state_is_taken_back_unless_somebody_changed_it_since(
    whole: tuple[Site, Scene], case: str
) -> None:
    site, at = whole[0], f"/cases/{case}"
    ana = enter(site)
    changed = {**state_form(ana.get(at).text), "status": "contained"}
    send(ana, f"{at}/state", **changed)
    shown = ana.get(at).text
    undo = re.search(rf'action="{re.escape(at)}/undo">(.*?)</form>', shown, re.DOTALL)
    assert undo
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', undo[1]))
    fields.pop("csrf")
    assert send(ana, f"{at}/undo", **fields).status_code == 303
    assert site.node.respond.read(Operator(), case).status.value == "open"
    assert send(ana, f"{at}/undo", **fields).status_code == 409, "it is not what it was when that was offered"


@pytest.mark.parametrize("kind", ["alert", "object"])
def test_alerts_and_objects_are_added_by_searching(whole: tuple[Site, Scene], case: str, kind: str) -> None:
    site, scene = whole
    client, at = enter(site), f"/cases/{case}"
    wanted = scene.alert if kind == "alert" else scene.indicator
    page = client.get(f"{at}/add?kind={kind}&q=evil%5B.%5Dexample").text
    assert wanted in page and "⟦" not in page
    assert send(client, f"{at}/entries", kind=kind, value=wanted).status_code == 303
    assert "Ya está en el caso" in client.get(f"{at}/add?kind={kind}&q=evil.example").text
    assert "Nada que usted pueda ver" in client.get(f"{at}/add?kind={kind}&q=nohaynada").text


def test_the_list_is_narrowed_by_owner_and_age_and_its_json_is_the_same(
    whole: tuple[Site, Scene], case: str
) -> None:
    site, _ = whole
    client, at = enter(site), f"/cases/{case}"
    form = state_form(client.get(at).text)
    owner = site.node.respond.owner_name(site.node.identity.accounts(Operator())[0].person)
    mine = next(one for one in re.findall(r'<option value="([^"]+/ana)"', client.get(at).text))
    assert send(client, f"{at}/state", **{**form, "owner": html.unescape(mine)}).status_code == 303
    for query, found in (
        ("mine=1", ["Cajero <sin> servicio"]),
        (f"owner={owner.partition('/')[0]}", ["Cajero <sin> servicio"]),
        ("owner=identity--00000000-0000-4000-8000-000000000000", []),
        ("since=2999-01-01", []),
        ("since=no+es+un+dia&q=cajero&mine=1", ["Cajero <sin> servicio"]),
    ):
        page = client.get(f"/cases?{query}").text
        assert titles(page) == found, query
        path = re.findall(r'<link rel="alternate" type="application/json" href="([^"]+)"', page)[0]
        assert [one["title"] for one in client.get(html.unescape(path)).json()["items"]] == found, query


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_report_tells_it_in_order_and_offers_nothing_to_press(
    whole: tuple[Site, Scene], language: str
) -> None:
    site, scene = whole
    client = enter(site, "olga", language)
    page = client.get(f"/cases/{scene.case}/report").text
    body = page[page.index("<article") : page.index("</article>")]
    assert "<button" not in body and "<form" not in body and "⟦" not in page
    order = ["Correo con adjunto", "Tres equipos afectados", "Campaña Tapir", "Avisar al proveedor"]
    places = [body.index(one) for one in order]
    assert places == sorted(places)
    assert "TLP:AMBER" in body and site.node.settings.name in body


def test_who_may_only_look_is_offered_no_work(whole: tuple[Site, Scene], case: str) -> None:
    site, at = whole[0], f"/cases/{case}"
    client = enter(site, "olga")
    page = client.get(at).text
    assert f"{at}/state" not in page and f"{at}/add" not in page
    form = {"status": "closed", "severity": "low", "owner": "", "version": ""}
    assert send(client, f"{at}/state", **form).status_code == 403
    assert send(client, f"{at}/undo", **form).status_code == 403


SECRET = "zarzaparrilla"


def person(site: Site, name: str) -> Person:
    return next(one.person for one in site.node.identity.accounts(Operator()) if one.name == name)


def red_object(site: Site) -> str:
    """An indicator that only coordinators read."""
    at = site.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    indicator = {
        "type": "indicator", "spec_version": "2.1", "id": new_id("indicator"), "created": at, "modified": at,
        "name": SECRET, "pattern": f"[domain-name:value = '{SECRET}{at[-6:-1]}.example']",
        "pattern_type": "stix", "valid_from": at,
    }  # fmt: skip
    raw = json.dumps({"type": "bundle", "id": new_id("bundle"), "objects": [indicator]}).encode()
    site.node.intel.import_bundle(person(site, "rosa"), raw, tlp=Tlp.RED)
    return str(indicator["id"])


def test_house_invariant_1_no_page_shows_an_entry_to_whom_it_is_not_for(whole: tuple[Site, Scene]) -> None:
    """Who opened the case sees that there is something, its marking, when and by whom."""
    site, _ = whole
    respond, rosa = site.node.respond, person(site, "rosa")
    case = respond.open_case(person(site, "luis"), "De luis").id
    respond.add_object(rosa, case, red_object(site), raise_to=Tlp.RED)
    respond.add_note(rosa, case, f"nota {SECRET}")
    respond.add_task(rosa, case, f"tarea {SECRET}")
    respond.rename(rosa, case, f"Título {SECRET}")
    luis, at = enter(site, "luis"), f"/cases/{case}"
    api = f"/api/v1/cases/{case}"
    member = f"member={peer_of(site.node)}"
    pages = [at, f"{at}/report", f"{at}/add?kind=object&q={SECRET}"[:-3], f"{at}/share?{member}", "/cases"]
    for path in [*pages, api, "/", "/notices", "/api/v1/cases"]:
        answer = luis.get(path)
        assert answer.status_code == 200 and SECRET not in answer.text, path
    for path in (at, f"{at}/report"):
        text = luis.get(path).text
        assert text.count("más estricta de lo que usted puede leer") == 4 and "rosa" in text
    for path in (f"/cases?q={SECRET}", f"/search?q={SECRET}"):
        assert case not in luis.get(path).text
    assert SECRET in enter(site, "rosa").get(at).text


def test_what_would_shut_others_out_of_a_case_is_asked_first(whole: tuple[Site, Scene], case: str) -> None:
    site, at = whole[0], f"/cases/{case}"
    rosa, red = enter(site, "rosa"), red_object(site)
    asked = send(rosa, f"{at}/entries", kind="object", value=red)
    assert asked.status_code == 422
    for text in ("TLP:AMBER a TLP:RED", "4 personas", "ana, luis, olga", "Agregar y pasar el caso a TLP:RED"):
        assert text in asked.text
    assert len(site.node.respond.read(Operator(), case).timeline) == 1
    form = re.search(r'<form[^>]*action="[^"]+/entries">((?:(?!</form>).)*raise_to.*?)</form>', asked.text)
    assert form
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[1]))
    fields.pop("csrf")
    assert send(rosa, f"{at}/entries", **fields).status_code == 303
    assert enter(site, "ana").get(at).status_code == 404


def test_a_case_is_renamed_and_what_it_was_called_stays_told(whole: tuple[Site, Scene], case: str) -> None:
    site, at = whole[0], f"/cases/{case}"
    ana = enter(site)
    assert send(ana, f"{at}/entries", kind="title", value="Cajeros de tres bancos").status_code == 303
    text = ana.get(at).text
    assert '<h1 class="value">Cajeros de tres bancos</h1>' in text and "Cajero &lt;sin&gt; servicio" in text
    refused = send(ana, f"{at}/entries", kind="title", value="Cajeros de tres bancos")
    assert refused.status_code == 422 and "El caso ya se llama así" in refused.text
    assert send(enter(site, "olga"), f"{at}/entries", kind="title", value="x").status_code == 403


def test_one_instant_is_told_once(whole: tuple[Site, Scene]) -> None:
    site, _ = whole
    alert = next(one for one in site.node.detect.list_alerts(Operator()).items if one.count == 1)
    assert alert.first_seen == alert.last_seen
    case = site.node.respond.open_case(Operator(), alert=alert.id).id
    entries = enter(site).get(f"/cases/{case}/report").text.split("<ol")[1].split("</ol>")[0]
    quoted = entries.split("Un evento")[1]
    assert quoted.count("<time") == 1


def preview(page: str) -> dict[str, str]:
    """The form that confirms a sharing, and nothing else."""
    form = re.search(r'<form[^>]*method="post" action="[^"]+/share">(.*?)</form>', page, re.DOTALL)
    assert form
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[1]))
    fields.pop("csrf")
    return fields


def test_what_is_shared_is_listed_and_what_came_since_is_shown_before_it_goes(
    whole: tuple[Site, Scene], case: str
) -> None:
    site, at = whole[0], f"/cases/{case}"
    ana, member = enter(site), peer_of(site.node)
    send(ana, f"{at}/entries", kind="note", value="Llamé al banco")
    shown = ana.get(f"{at}/share?member={member}").text
    listed = shown.split('<details class="more"')[1].split("</details>")[0]
    for text in (" open>", "nota", "Llamé al banco", "apertura", "AMBER"):
        assert text in listed
    site.node.respond.add_note(Operator(), case, "Aislé el cajero")
    late = send(ana, f"{at}/share", **preview(shown))
    assert late.status_code == 409 and site.node.respond.read(Operator(), case).members == {
        site.node.ledger.member_id
    }
    new = re.findall(r'<li id="goes-.*?</li>', late.text, re.DOTALL)
    assert ["Aislé el cajero" in one for one in new if 'class="tag">nueva' in one] == [True]
    assert send(ana, f"{at}/share", member=member).status_code == 409, "who says nothing has seen nothing"
    assert send(ana, f"{at}/share", **preview(late.text)).status_code == 303
    assert member in site.node.respond.read(Operator(), case).members


def test_what_came_since_and_cannot_go_is_shown_with_its_reason(whole: tuple[Site, Scene], case: str) -> None:
    site, at = whole[0], f"/cases/{case}"
    rosa, member = enter(site, "rosa"), peer_of(site.node)
    shown = rosa.get(f"{at}/share?member={member}").text
    site.node.respond.add_object(person(site, "rosa"), case, red_object(site), raise_to=Tlp.RED)
    late = send(rosa, f"{at}/share", **preview(shown))
    assert late.status_code == 409 and "Una entrada no puede llegar a" in late.text
    assert member not in site.node.respond.read(person(site, "rosa"), case).members


def test_of_many_entries_the_newest_that_go_are_listed_in_a_fold(
    whole: tuple[Site, Scene], case: str
) -> None:
    site = whole[0]
    for number in range(case_share.LISTED + 5):
        site.node.respond.add_note(Operator(), case, f"nota {number}")
    shown = enter(site).get(f"/cases/{case}/share?member={peer_of(site.node)}").text
    assert '<details class="more"><summary>Ver las 206 entradas' in shown
    assert "Otras 6 entradas más antiguas están en el caso" in shown
    assert shown.count('<li id="goes-') == case_share.LISTED
