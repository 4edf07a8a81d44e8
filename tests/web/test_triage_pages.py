"""The queue and the page of an alert, without scripts: what is shown, done, kept and taken back."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from scenes import Scene, fill
from web_site import Site, csrf_in, make_site

from detect.alerts.crowd import crowd
from istmo.clock import ManualClock
from istmo.detect.objects import CloseReason, Level, Status
from istmo.detect.service.alerts import alert_filter
from istmo.detect.stories import Heading, Stories
from istmo.detect.wire import WireHit
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.policy.principals import Operator, Person, told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Scene]]:
    clock = ManualClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    site = make_site(tmp_path_factory.mktemp("node"), clock, rooms=None)
    yield site, fill(site.node)
    site.node.store.close()


@pytest.fixture
def ana(whole: tuple[Site, Scene]) -> Iterator[Any]:
    site, _ = whole
    with site.client(**{"Accept-Language": "es"}) as client:
        site.sign_in(client)
        yield client


def send(client: Any, path: str, at: str, **fields: Any) -> Any:
    return client.post(path, data={"csrf": csrf_in(client.get(at).text), **fields})


def picks(text: str) -> dict[str, str]:
    """What the boxes of a queue stand for, by the title of their row."""
    rows = re.findall(r'name="pick" value="([^"]*)".*?<a class="value"[^>]*>(.*?)</a>', text, re.DOTALL)
    return {html.unescape(title): html.unescape(pick) for pick, title in rows}


def test_ticked_rows_are_worked_on_and_the_way_back_stands_in_the_notice(ana: Any) -> None:
    address = "/alerts?level=critical"
    found = picks(ana.get(address).text)
    assert set(found) == {"PowerShell codificado"}
    done = send(ana, "/alerts/work", address, back=address, pick=list(found.values()), do="close:expected")
    assert done.url.query == b"level=critical"
    assert "alertas quedaron cerradas" in done.text
    assert picks(done.text) == {}
    change = re.search(r'name="change" value="([^"]+)"', done.text)
    assert change
    back = ana.post("/alerts/undo", data={"csrf": csrf_in(done.text), "change": change[1], "next": address})
    assert "alertas se deshizo" in back.text and picks(back.text) == found


def test_what_cannot_be_done_is_said_with_the_ticks_and_the_note_still_there(ana: Any) -> None:
    text = ana.get("/alerts").text
    title, pick = next((title, pick) for title, pick in picks(text).items() if pick.startswith("line:"))
    refused = send(
        ana, "/alerts/work", "/alerts", pick=pick, do="close", note="a medio escribir", back="/alerts"
    )
    assert refused.status_code == 422 and "hay que decir por qué" in refused.text
    assert "a medio escribir" in refused.text and "checked" in refused.text and title in refused.text
    nothing = send(ana, "/alerts/work", "/alerts", do="acknowledge", back="https://evil.example/")
    assert nothing.status_code == 422 and "No marcó ninguna alerta" in nothing.text


def test_two_at_once_are_both_shown_and_the_note_is_kept(whole: tuple[Site, Scene], ana: Any) -> None:
    site, scene = whole
    path = f"/alerts/{scene.alert}"
    version = re.search(r'name="version" value="(\d+)"', ana.get(path).text)
    assert version
    site.node.detect.set_status(
        Operator(), scene.alert, Status.CLOSED, reason=CloseReason.DUPLICATE, note="ya está en otro caso"
    )
    mine = {"version": version[1], "do": "close:resolved", "note": "bloqueado en el cortafuegos"}
    met = send(ana, f"{path}/work", path, **mine)
    assert met.status_code == 409
    for text in ("ya está en otro caso", "bloqueado en el cortafuegos", "Repetida", "Resuelta"):
        assert text in met.text
    site.node.detect.undo(Operator())


def test_an_alert_tells_what_was_done_why_and_what_to_do_next(whole: tuple[Site, Scene], ana: Any) -> None:
    _, scene = whole
    path = f"/alerts/{scene.alert}"
    done = send(ana, f"{path}/work", path, do="snooze:morning")
    assert "Pospuesta hasta" in done.text and "Qué se hizo" in done.text
    assert "Deshacer mi último cambio" in done.text and "Siguientes pasos" in done.text
    assert "También en SRV-CORREO" in done.text and "PowerShell codificado" in done.text
    assert "<mark>&#34;evil.example&#34;</mark>" in done.text
    assert 'data-copy="evil[.]example"' in done.text
    assert f'href="/api/v1/alerts/{scene.alert}"' in done.text
    send(ana, f"{path}/work", path, do="snooze")
    given = send(ana, f"{path}/work", path, do="assign", assignee="rosa")
    assert "rosa" in given.text
    assert scene.alert in ana.get("/alerts?who=rosa&group=none").text
    links = [html.unescape(one) for one in re.findall(r'href="(/alerts\?[^"]*)"', ana.get("/alerts").text)]
    rule = ana.get(next(one for one in links if "detector=sigma" in one))
    assert rule.text.count("<tr data-row") > 1


def person(site: Site, name: str) -> Person:
    return next(one.person for one in site.node.identity.accounts(Operator()) if one.name == name)


def alert_of(site: Site, title: str, tlp: Tlp = Tlp.AMBER, owner: str = "") -> str:
    """A new alert with a title and a marking; its id."""
    node, subject = site.node, new_id("x-istmo-hunt")
    hit = WireHit("hunt", subject, "0-1", int(node.clock.now().timestamp() * 1e6), "PC-9", {}, b"{}", True)
    heading = Heading(title, Level.HIGH, tlp, node.intel.member, None, owner)
    with node.store.write() as tx:
        stories = Stories(node.intel.member, node.clock, node.intel, node.intel)
        stories.store_scheduled(tx, subject, heading, [hit])
    (made,) = node.detect.list_alerts(person(site, "rosa"), alert_filter(subject=subject)).items
    return made.id


def test_what_goes_into_a_case_is_taken_in_hand_and_that_is_taken_back(
    whole: tuple[Site, Scene], ana: Any
) -> None:
    site, _ = whole
    case = site.node.respond.open_case(person(site, "ana"), "Caso de la cola").id
    alert = alert_of(site, "Va al caso")
    address = "/alerts?group=none"
    pick = picks(ana.get(address).text)["Va al caso"]
    done = send(ana, "/alerts/work", address, back=address, pick=pick, do=f"case:{case}")
    assert "La alerta está en el caso «Caso de la cola»" in done.text
    assert site.node.detect.read_alert(Operator(), alert).alert.status is Status.ACKNOWLEDGED
    change = re.search(r'name="change" value="([^"]+)"', done.text)
    assert change
    ana.post("/alerts/undo", data={"csrf": csrf_in(done.text), "change": change[1], "next": address})
    assert site.node.detect.read_alert(Operator(), alert).alert.status is Status.OPEN
    pick = picks(ana.get(address).text)["Va al caso"]
    again = send(ana, "/alerts/work", address, back=address, pick=pick, do=f"case:{case}")
    assert again.status_code == 422 and "Eso ya está en el caso" in again.text


def test_what_somebody_changed_since_it_was_seen_goes_into_no_case(
    whole: tuple[Site, Scene], ana: Any
) -> None:
    site, _ = whole
    case = site.node.respond.open_case(person(site, "ana"), "Caso de a dos").id
    alert, other = alert_of(site, "La que cambia"), alert_of(site, "La otra")
    address = "/alerts?group=none"
    found = picks(ana.get(address).text)
    site.node.detect.set_status(Operator(), alert, Status.ACKNOWLEDGED)
    for path, at in (("/alerts/work", address), (f"/alerts/{alert}/work", f"/alerts/{alert}")):
        fields = {"pick": found["La que cambia"], "version": found["La que cambia"].rpartition(":")[2]}
        met = send(ana, path, at, do=f"case:{case}", **fields)
        assert met.status_code in (409, 422), path
    both = [found["La que cambia"], found["La otra"]]
    done = send(ana, "/alerts/work", address, back=address, pick=both, do=f"case:{case}")
    assert "La alerta está en el caso «Caso de a dos»" in done.text and "Quedaron fuera 1" in done.text
    quoted = [one.body.alert for one in site.node.respond.read(Operator(), case).timeline[1:]]
    assert quoted == [other]


def test_an_alert_that_would_shut_others_out_of_a_case_is_put_there_when_confirmed(
    whole: tuple[Site, Scene],
) -> None:
    site, _ = whole
    case = site.node.respond.open_case(person(site, "ana"), "Caso abierto a todos").id
    red = alert_of(site, "Solo para coordinación", Tlp.RED)
    with site.client(**{"Accept-Language": "es"}) as rosa:
        site.sign_in(rosa, "rosa")
        for path, at in (("/alerts/work", "/alerts?group=none"), (f"/alerts/{red}/work", f"/alerts/{red}")):
            asked = send(rosa, path, at, back=at, pick=f"alert:{red}:", do=f"case:{case}")
            assert asked.status_code == 422 and "TLP:AMBER a TLP:RED" in asked.text, path
            assert "ana" in asked.text and len(site.node.respond.read(Operator(), case).timeline) == 1
            again = re.search(r'name="do" value="(case:[^"]+TLP:RED)"', asked.text)
            assert again
        done = send(rosa, path, at, do=html.unescape(again[1]))
        assert "La alerta está en el caso «Caso abierto a todos»" in done.text
    assert site.node.respond.read(person(site, "rosa"), case).tlp is Tlp.RED


def test_whoever_confirms_and_loses_the_case_is_told_what_was_done(
    whole: tuple[Site, Scene], ana: Any
) -> None:
    """What one has published oneself is read whatever its marking; a colleague's case is not."""
    site, _ = whole
    case = site.node.respond.open_case(Operator(), "Caso de otro").id
    red = alert_of(site, "De ana", Tlp.RED, owner=told(person(site, "ana")))
    at, quoting = f"/alerts/{red}", f"case:{case}"
    asked = send(ana, f"{at}/work", at, do=quoting)
    assert asked.status_code == 422 and "ana" in asked.text.split("dejarían de verlo")[1][:80]
    done = send(ana, f"{at}/work", at, do=f"{quoting}:TLP:RED")
    assert done.status_code == 200 and "La alerta está en el caso «Caso de otro»" in done.text
    assert ana.get(f"/cases/{case}").status_code == 404
    assert site.node.detect.read_alert(person(site, "ana"), red).alert.status is Status.ACKNOWLEDGED


def test_ten_thousand_alerts_of_one_rule_are_one_line_of_a_small_page(
    whole: tuple[Site, Scene], ana: Any
) -> None:
    site, _ = whole
    node = site.node
    before = ana.get("/alerts").text.count("<tr data-row")
    crowd(node.store, 10_000, node.clock.now(), member=node.settings.member, rules=1)
    text = ana.get("/alerts").text
    assert text.count("<tr data-row") == before + 1
    for path in ("/alerts", "/alerts?group=host", "/alerts?group=none"):
        assert len(gzip.compress(ana.get(path).content, 6)) < 30_000


def test_the_box_of_a_row_is_called_as_its_row(ana: Any) -> None:
    page = ana.get("/alerts?group=host").text
    boxes = re.findall(r'<span class="hidden-text">Marcar: ([^<]+)</span>', page)
    assert boxes == re.findall(r'<th scope="row"><a class="value" href="[^"]*">([^<]+)</a>', page) != []


def test_who_only_reads_is_offered_nothing_to_do(whole: tuple[Site, Scene]) -> None:
    site, scene = whole
    with site.client(**{"Accept-Language": "en"}) as client:
        site.sign_in(client, "raiz")  # administrators read alerts and do not work on them
        for path in ("/alerts", f"/alerts/{scene.alert}"):
            text = client.get(path).text
            assert 'name="do"' not in text and 'name="pick"' not in text
        refused = send(client, "/alerts/work", "/", pick=f"alert:{scene.alert}:", do="acknowledge")
        assert refused.status_code == 403


def test_the_address_of_every_state_shows_every_state(whole: tuple[Site, Scene], ana: Any) -> None:
    site, _ = whole
    alert = alert_of(site, "Ya resuelta")
    site.node.detect.set_status(Operator(), alert, Status.CLOSED, reason=CloseReason.RESOLVED)
    assert alert in ana.get("/alerts?status=&group=none").text
    assert alert not in ana.get("/alerts?group=none").text
