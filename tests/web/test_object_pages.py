"""Objects and publishing in the console: what was typed stays, and text from outside stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from reading import Reader
from scenes import HOSTILE, Scene, fill
from web_site import Site, csrf_in, make_site

from istmo.clock import ManualClock
from istmo.detect.objects import AlertFilter, CloseReason
from istmo.detect.objects_triage import Deed
from istmo.detect.service.alert_work import Work
from istmo.detect.wire import PastExample, PastFound, PastMatches, Problem, WireIndicator
from istmo.intel.naming import TYPES
from istmo.intel.pages.publish_forms import KEPT
from istmo.model import instants, stix_types
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.policy.principals import Operator
from istmo.store.jobs import JobRunner

LINKS = [f"malware--00000000-0000-4000-8000-{number:012x}" for number in range(501)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    clock = ManualClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    site = make_site(tmp_path_factory.mktemp("node"), clock, rooms=None)
    yield site
    site.node.store.close()


@pytest.fixture(scope="module")
def scene(whole: Site) -> Scene:
    return fill(whole.node)


@pytest.fixture
def desk(whole: Site) -> Iterator[TestClient[Litestar]]:
    with whole.client() as client:
        whole.sign_in(client, "ana")
        yield client


def made(site: Site, type: str, **more: Any) -> dict[str, Any]:
    at = instants.format(site.clock.now())
    return {"type": type, "spec_version": "2.1", "id": new_id(type), "created": at, "modified": at, **more}


def publish(site: Site, *objects: dict[str, Any]) -> None:
    bundle = {"type": "bundle", "id": new_id("bundle"), "objects": objects}
    site.node.intel.publish(Operator(), json.dumps(bundle).encode(), audience=["region"], tlp=Tlp.AMBER)


def send(desk: TestClient[Litestar], path: str, **fields: Any) -> Any:
    """A form, as a browser sends it."""
    token = csrf_in(desk.get("/publish").text)
    filled = {"csrf": token, "tlp": "AMBER", "audience": ["region"], **fields}
    content, boundary = b"", "x" * 20
    for name, value in filled.items():
        for one in value if isinstance(value, list) else [value]:
            named = f'form-data; name="{name}"' + ('; filename="p.json"' if isinstance(one, bytes) else "")
            body = one if isinstance(one, bytes) else one.encode()
            content += f"--{boundary}\r\nContent-Disposition: {named}\r\n\r\n".encode() + body + b"\r\n"
    content += f"--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    return desk.post(path, content=content, headers={"Content-Type": kind}, follow_redirects=False)


def fields_of(html: str) -> dict[str, Any]:
    """What the confirming form of a preview would send."""
    form = html[html.index('<form class="print" id="sending"') :]
    found: dict[str, Any] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form):
        found[name] = [*found.get(name, []), unescape(value)] if name == "audience" else unescape(value)
    for name, value in re.findall(r'<textarea name="(\w+)" hidden>\n(.*?)</textarea>', form, re.DOTALL):
        found[name] = unescape(value)
    found["go"] = [unescape(one) for one in re.findall(r'name="go" value="([^"]*)" checked', form)]
    return found


def test_a_report_is_published_with_its_values_and_read_back(whole: Site, desk: TestClient[Litestar]) -> None:
    linked = made(whole, "malware", name="Cargador", is_family=False)
    publish(whole, linked)
    typed = {"what": "report", "title": "Informe", "text": "Qué pasó", "links": linked["id"]}
    preview = send(desk, "/publish/preview", **typed, values="evil[.]example", labels="tapir, correo")
    assert preview.status_code == 200
    done = send(desk, "/publish", **fields_of(preview.text))
    assert done.status_code == 200 and "Se publicaron 2 objetos" in done.text
    report = whole.node.intel.search(Operator(), type="report").items[0]
    stix = json.loads(whole.node.intel.raw(Operator(), report.id))
    assert (stix["name"], stix["labels"]) == ("Informe", ["tapir", "correo"])
    shown = desk.get(f"/objects/{report.id}").text
    assert "Cargador" in shown and "Informe: evil.example" in shown
    assert "<svg" in shown


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("values", {"values": "no value!", "name": "Nombre", "until": "2027-01-31"}),
        ("values", {"values": "evil.example", "until": "2001-01-01"}),
        ("report", {"title": "", "text": "Texto largo", "values": "evil.example", "labels": "a, b"}),
        ("report", {"title": "T", "links": "no-id", "values": "evil.example"}),
        ("report", {"title": "T", "text": "sobre nada"}),
        ("pattern", {"pattern": "", "name": "Nombre", "text": "Por qué"}),
        ("file", {"stix": '{"type": "bundle"'}),
        ("file", {"stix": ""}),
        ("values", {"values": "evil.example", "name": "n" * 201}),
        ("report", {"title": "t" * 301, "values": "evil.example"}),
        ("report", {"title": "T", "values": "evil.example", "labels": "a, " + "b" * 101}),
        ("report", {"title": "T", "values": "evil.example", "labels": ",".join("abcdefghijklmnopqrstu")}),
        ("report", {"title": "T", "links": "\n".join(LINKS)}),
        ("pattern", {"pattern": "[ipv4-addr:value = '198.51.100.7']", "name": "n" * 201}),
    ],
)
def test_nothing_typed_is_lost_when_it_cannot_be_published(
    desk: TestClient[Litestar], what: str, wrong: dict[str, str]
) -> None:
    answer = send(desk, "/publish/preview", what=what, **wrong)
    assert answer.status_code == 422
    for value in wrong.values():
        assert value in unescape(answer.text)
    assert 'role="alert"' in answer.text


@pytest.mark.parametrize(
    ("what", "typed"),
    [
        ("values", {"values": "evil[.]example\n198.51.100.7", "name": "Tapir", "until": "2027-01-31"}),
        ("report", {"title": "T", "text": "a\nb", "values": "evil.example", "labels": "x"}),
        ("pattern", {"pattern": "[ipv4-addr:value = '198.51.100.7']", "name": "N", "text": "t"}),
    ],
)
def test_the_way_back_from_the_preview_keeps_all(
    desk: TestClient[Litestar], what: str, typed: dict[str, str]
) -> None:
    preview = send(desk, "/publish/preview", what=what, **typed)
    assert preview.status_code == 200, preview.text
    back = unescape(send(desk, "/publish/edit", **fields_of(preview.text)).text)
    for value in typed.values():
        assert value in back
    assert 'value="AMBER" checked' in back


def test_of_a_file_goes_what_is_chosen_and_the_file_is_kept_on_the_way_back(
    whole: Site, desk: TestClient[Litestar]
) -> None:
    one, other = (made(whole, "malware", name=name, is_family=False) for name in ("Sale", "Queda"))
    bad = made(whole, "indicator", name="Rota", confidence=900)
    bundle = {"type": "bundle", "id": new_id("bundle"), "objects": [one, bad, other]}
    preview = send(desk, "/publish/preview", what="file", file=json.dumps(bundle).encode())
    assert preview.status_code == 200
    assert bad["id"] in preview.text and "$.confidence" in preview.text
    fields = fields_of(preview.text)
    assert len(fields["go"]) == 2
    fields["go"] = [key for key in fields["go"] if one["id"] in key]
    again = send(desk, "/publish/preview", **fields, again="1").text
    assert fields_of(again)["go"] == fields["go"], "what was left out stays listed, without its tick"
    assert other["id"] in fields_of(again)["listed"]
    assert "p.json" in send(desk, "/publish/edit", **fields).text
    send(desk, "/publish", **fields)
    here = {found.name for found in whole.node.intel.search(Operator(), type="malware").items}
    assert "Sale" in here and "Queda" not in here


def test_every_type_of_stix_has_its_word() -> None:
    assert set(TYPES) == {*stix_types.DOMAIN, *stix_types.RELATIONSHIP, *stix_types.OBSERVABLE}


def test_what_was_confirmed_goes_to_the_members_that_were_shown_and_to_no_others(
    whole: Site, desk: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    intel, members = whole.node.intel, dict(whole.node.intel.names())
    monkeypatch.setattr(intel, "_members", lambda: members)
    fields = fields_of(send(desk, "/publish/preview", what="values", values="198.51.100.77").text)
    newcomer = new_id("identity")
    members[newcomer] = "Nicaragua"
    late = send(desk, "/publish", **fields)
    assert late.status_code == 409
    assert "Nicaragua ahora lo recibiría" in late.text and "Nada se publicó" in late.text
    assert intel.search(Operator(), query="198.51.100.77").total == 0
    del members[newcomer]
    gone = send(desk, "/publish", **fields_of(late.text))
    assert gone.status_code == 409 and f"{newcomer} ya no lo recibiría" in gone.text
    assert send(desk, "/publish", **fields_of(gone.text)).status_code == 303
    [sent] = intel.search(Operator(), query="198.51.100.77").items
    assert newcomer not in sent.audience


def test_what_was_not_shown_does_not_go_with_what_was(whole: Site, desk: TestClient[Litestar]) -> None:
    one, other = (made(whole, "malware", name=name, is_family=False) for name in ("Visto", "Sin ver"))
    file = json.dumps({"type": "bundle", "id": new_id("bundle"), "objects": [one, other]}).encode()
    fields = fields_of(send(desk, "/publish/preview", what="file", file=file).text)
    both = fields["go"]
    shown = fields_of(send(desk, "/publish/preview", **{**fields, "go": both[:1]}, again="1").text)
    again = send(desk, "/publish", **{**shown, "go": both})
    assert again.status_code == 409 and "Sin ver" in again.text
    assert send(desk, "/publish", **fields_of(again.text)).status_code == 200


def test_publishing_says_when_no_warning_list_is_on(whole: Site, desk: TestClient[Litestar]) -> None:
    told = "No hay listas de advertencia encendidas"
    assert told in desk.get("/publish").text
    preview = send(desk, "/publish/preview", what="values", values="10.0.0.5")
    assert told in preview.text
    detect = whole.node.detect
    lists = detect.put_reserved_lists(Operator())
    try:
        assert told not in desk.get("/publish").text
        again = send(desk, "/publish/preview", what="values", values="10.0.0.5")
        assert told not in again.text and "Reserved IPv4" in again.text
    finally:
        for one in lists:
            detect.drop_warning_list(Operator(), one.name)


def test_what_is_typed_is_checked_as_it_stands(scene: Scene, desk: TestClient[Litestar]) -> None:
    token = csrf_in(desk.get("/publish").text)

    def checked(**fields: str) -> str:
        return unescape(desk.post("/publish/check", data={"csrf": token, **fields}).text)

    told = checked(what="values", values="evil[.]example\nnonsense")
    assert "Estaba escrito sin enlace: evil[.]example" in told and "no se reconoce" in told
    assert f"/objects/{scene.indicator}" in told, "it is known already"
    assert "$.pattern" in checked(what="pattern", pattern="[ipv4-addr:value = '1.2.3.4'] AND")
    assert "1.2.3.4" in checked(what="pattern", pattern="[ipv4-addr:value = '1.2.3.4']")
    assert "Campaña Tapir" in checked(what="report", links=scene.indicator)
    assert "no está en este nodo" in checked(what="report", links=new_id("malware"))


def test_without_a_worker_the_past_is_said_to_be_unknown_and_publishing_goes_on(
    desk: TestClient[Litestar],
) -> None:
    preview = send(desk, "/publish/preview", what="values", values="evil.example")
    fields = fields_of(preview.text)
    assert "detección" in send(desk, "/publish/past", **fields).text
    again = send(desk, "/publish/preview", **fields, again="past")
    assert again.status_code == 200 and "no está disponible" in again.text
    assert send(desk, "/publish", **fields).status_code == 303


def test_what_would_have_matched_is_told_with_hosts_and_examples(
    whole: Site, desk: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(whole.clock.now().timestamp() * 1e6)

    def answer(indicators: list[WireIndicator], start: int, seconds: float) -> PastFound:
        example = PastExample("0-1", now, HOSTILE, {"DestinationIp": "198.51.100.9"})
        told = PastMatches(indicators[0].id, 1_204, 2, start, now, [example])
        return PastFound(1, True, [told], Problem("", "detect.past_cut_short", {"seconds": 4}))

    monkeypatch.setattr(whole.node.link.ask, "past", answer)
    preview = send(desk, "/publish/preview", what="values", values="198.51.100.9 198.51.100.10")
    told = send(desk, "/publish/past", **fields_of(preview.text)).text
    assert "se busca también en todo lo demás" in told
    assert "1\u202f204 veces" in told and "2 equipos" in told and "198.51.100.9" in told
    assert "solo lo más reciente" in told and "<script>" not in told
    whole_page = send(desk, "/publish/preview", **fields_of(preview.text), again="past").text
    assert "1\u202f204 veces" in whole_page


def test_only_what_is_to_go_is_looked_back_for(
    whole: Site, desk: TestClient[Litestar], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def answer(indicators: list[WireIndicator], start: int, seconds: float) -> PastFound:
        asked.append(len(indicators))
        return PastFound(1, True, [])

    monkeypatch.setattr(whole.node.link.ask, "past", answer)
    watched = {"pattern_type": "stix", "valid_from": instants.format(whole.clock.now())}
    both = [
        made(whole, "indicator", name=f"n{at}", pattern=f"[ipv4-addr:value = '198.51.100.{at}']", **watched)
        for at in (21, 22)
    ]
    file = json.dumps({"type": "bundle", "id": new_id("bundle"), "objects": both}).encode()
    fields = fields_of(send(desk, "/publish/preview", what="file", file=file).text)
    send(desk, "/publish/past", **fields)
    send(desk, "/publish/past", **fields | {"go": fields["go"][:1]})
    assert asked == [2, 1]


def test_filters_stand_in_the_address_and_in_that_of_the_data(
    scene: Scene, desk: TestClient[Litestar]
) -> None:
    listed = desk.get("/objects?q=tapir&type=indicator&sort=name&state=live&since=2020-01-01")
    path = re.search(r'<link rel="alternate" type="application/json" href="([^"]+)"', listed.text)
    assert path is not None
    names = [one["name"] for one in desk.get(unescape(path[1])).json()["items"]]
    assert names == sorted(names, key=str.lower) and len(names) == 3
    shown = [
        unescape(one) for one in re.findall(r'<a class="value" href="/objects/[^"]+">([^<]+)', listed.text)
    ]
    assert shown == names
    export = re.search(r'href="(/api/v1/objects/export[^"]+csv)"', listed.text)
    assert export is not None
    written = desk.get(unescape(export[1]))
    assert written.headers["content-disposition"].endswith('"istmo.csv"')
    assert written.headers["content-type"] == "text/csv; charset=utf-8"
    assert "domain,evil.example,Campaña Tapir: evil.example,TLP:AMBER" in written.text


def test_an_object_leads_to_its_alerts_where_there_may_be_any(
    whole: Site, scene: Scene, desk: TestClient[Litestar]
) -> None:
    page = desk.get(f"/objects/{scene.indicator}").text
    path = re.search(r'href="(/alerts\?subject=[^"]+)"[^>]*>Sus alertas en este nodo', page)
    assert path is not None
    detect = whole.node.detect
    alert = detect.list_alerts(Operator(), AlertFilter(subject=scene.indicator)).items[0]
    detect.work(Operator(), alert.id, Work(Deed.CLOSE, reason=CloseReason.RESOLVED))
    assert f"/alerts/{alert.id}" in desk.get(unescape(path[1])).text, "a closed one too"
    loader = made(whole, "malware", name="Sin patrón", is_family=False)
    publish(whole, loader)
    assert "/alerts?subject" not in desk.get(f"/objects/{loader['id']}").text


def test_what_is_only_seen_has_its_sightings_and_no_empty_neighbourhood(
    whole: Site, desk: TestClient[Litestar]
) -> None:
    digest = "d41d8cd98f00b204e9800998ecf8427e"
    watched = {"pattern_type": "stix", "valid_from": instants.format(whole.clock.now())}
    seen = made(whole, "indicator", name="Visto", pattern=f"[file:hashes.MD5 = '{digest}']", **watched)
    publish(whole, seen)
    now = whole.clock.now()
    with whole.node.store.write() as tx:
        whole.node.intel.record_sighting(tx, seen["id"], count=11, first_seen=now, last_seen=now)
    runner = JobRunner(whole.node.store, whole.clock)
    whole.node.intel.work(runner)
    runner.run_due()
    page = desk.get(f"/objects/{seen['id']}").text
    assert "11 ×" in page, "who saw it, and how often"
    assert "La tabla de abajo" not in page and "Nada de lo que usted puede ver se relaciona" in page
    assert "Copiar sin enlace" not in page, "a hash has nothing that a program would make a link of"


def test_the_list_leaves_relations_out_until_the_address_asks_for_them(
    whole: Site, desk: TestClient[Litestar]
) -> None:
    one, other = (made(whole, "malware", name=name, is_family=False) for name in ("Tucán", "Quetzal"))
    link = made(whole, "relationship", relationship_type="uses", source_ref=one["id"], target_ref=other["id"])
    publish(whole, one, other, link)
    plain, asked = desk.get("/objects").text, desk.get("/objects?parts=yes").text
    assert "Tucán" in plain and "Tucán usa Quetzal" not in plain
    assert 'href="/objects?parts=yes"' in plain
    assert "Tucán usa Quetzal" in asked and "parts=true" in asked
    assert "Tucán usa Quetzal" in desk.get(f"/objects/{link['id']}").text
    none = desk.get(f"/objects?q={link['id']}").text
    assert "entre las relaciones" in none and "parts=yes" in none
    assert "Tucán usa Quetzal" in desk.get(f"/objects?q={link['id']}&parts=yes").text
    assert "usa" not in re.findall(r'<a class="value" href="/objects/[^"]+">([^<]+)', desk.get("/").text)


def test_house_invariant_1_hostile_strings_of_a_peer_stay_text(
    whole: Site, desk: TestClient[Litestar]
) -> None:
    one = made(
        whole,
        "indicator",
        name=HOSTILE,
        description=HOSTILE,
        pattern=f"[file:name = '{HOSTILE.replace(chr(39), '')}']",
        pattern_type="stix",
        valid_from="2026-01-01T00:00:00Z",
        labels=[HOSTILE],
        x_field={HOSTILE: HOSTILE},
    )
    other = made(whole, "malware", name=HOSTILE, is_family=False, aliases=[HOSTILE])
    related = made(
        whole,
        "relationship",
        relationship_type="uses",
        description=HOSTILE,
        source_ref=other["id"],
        target_ref=one["id"],
    )
    report = made(
        whole, "report", name=HOSTILE, published="2026-01-01T00:00:00Z", object_refs=[one["id"]], x=[HOSTILE]
    )
    publish(whole, one, other, related, report)
    later = instants.format(whole.clock.now() + timedelta(seconds=9))
    publish(whole, {**one, "modified": later, "name": HOSTILE * 2, "x_field": {HOSTILE: [HOSTILE]}})
    versions = whole.node.intel.read(Operator(), one["id"])
    named = f"before={versions[1].sequence}&after={versions[0].sequence}"
    pages = [
        desk.get(path)
        for path in (
            "/objects",
            f"/objects?q={HOSTILE}&origin={HOSTILE}&since={HOSTILE}&sort={HOSTILE}&seen={HOSTILE}",
            *(f"/objects/{object['id']}" for object in (one, other, related, report)),
            f"/objects/{one['id']}/compare?{named}",
            f"/publish/report?object={HOSTILE}",
        )
    ]
    assert {page.status_code for page in pages} == {200}
    fields = dict.fromkeys((*KEPT, "tlp", "sent"), HOSTILE)
    for what in ("values", "report", "file", "pattern"):
        pages.append(send(desk, "/publish/edit", **{**fields, "what": what}))
        pages.append(send(desk, "/publish/preview", **{**fields, "what": what}))
    bundle = {"type": "bundle", "id": new_id("bundle"), "objects": [{**other, "id": new_id("malware")}, one]}
    pages.append(send(desk, "/publish/preview", what="file", file=json.dumps(bundle).encode()))
    for page in pages:
        reader = Reader()
        reader.feed(page.text)
        assert reader.found == [], page.url


def test_pages_of_objects_stay_small(whole: Site, scene: Scene, desk: TestClient[Litestar]) -> None:
    near = [made(whole, "malware", name=f"Cargador {n}", is_family=False) for n in range(40)]
    uses = [
        made(
            whole, "relationship", relationship_type="uses", source_ref=one["id"], target_ref=scene.indicator
        )
        for one in near
    ]
    publish(whole, *near, *uses)
    for path in ("/objects", f"/objects/{scene.indicator}", "/publish", "/publish/report"):
        answer = desk.get(path, headers={"Accept-Encoding": "gzip"})
        assert int(answer.headers["content-length"]) <= 30_000, path
    drawn = desk.get(f"/objects/{scene.indicator}").text
    assert drawn.count('class="node"') == 24
