"""The hunting page over a real store: without scripts, piece by piece, and as a file."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from scenes import Scene
from web_site import Site, csrf_in, make_site
from working import CLOCK, HOSTILE, break_in, send, working

from istmo.errors import Unavailable

RULE = """title: {title}
logsource: {{product: windows, category: process_creation}}
detection:
  s:
    CommandLine|{modifier}: ' -enc '
  condition: s
level: high
"""
ENCODED = RULE.format(title="Orden codificada", modifier="contains")
WRONG = RULE.format(title="Mal escrita", modifier="contians")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = make_site(tmp_path_factory.mktemp("node"), CLOCK, rooms=None, intake_port=0)
    with working(made):
        send(made, break_in(CLOCK.now()))
        yield made
    made.node.store.close()


@pytest.fixture(scope="module")
def ana(site: Site) -> Iterator[Any]:
    with site.client() as client:
        site.sign_in(client, "ana")
        yield client


def pieces(client: Any, path: str, **data: str) -> list[dict[str, Any]]:
    """The lines of an answer that comes in pieces."""
    answer = client.post(path, data=data) if data else client.get(path)
    assert answer.status_code == 200 and "ndjson" in answer.headers["content-type"], answer.text
    return [json.loads(line) for line in answer.text.splitlines() if line]


def html_of(found: list[dict[str, Any]], place: str) -> str:
    return "".join(str(one["html"]) for one in found if place in (one.get("put"), one.get("add")))


def rows_in(html: str) -> int:
    return html.count("<tr data-row")


def text_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html))


def test_without_a_question_the_page_says_what_belongs_there(ana: Any) -> None:
    page = ana.get("/hunt").text
    assert "Escriba qué busca" in page and 'aria-current="page"' in page
    assert 'href="/hunts"' in page and 'href="/hunt/sql"' in page


def test_whoever_has_no_scripts_is_led_to_the_first_hundred_and_on_to_older_ones(ana: Any) -> None:
    shell = ana.get("/hunt?q=&from=24h").text
    assert '<noscript><meta http-equiv="refresh" content="0;url=/hunt?q=&amp;from=24h&amp;whole=on">' in shell
    assert rows_in(shell) == 0, "with scripts rows come afterwards"
    shown, path = [], "/hunt?q=&from=24h&whole=on"
    for _ in range(3):
        page = ana.get(path).text
        shown += re.findall(r'<tr data-row id="e-([0-9-]+)"', page)
        older = re.search(r'rel="next"[^>]* href="([^"]+)"', page)
        path = unescape(older[1]) if older else ""
    assert path == "" and len(shown) == len(set(shown)) == 241


def test_rows_come_in_pieces_and_tell_how_far_it_is(ana: Any) -> None:
    found = pieces(ana, "/hunt/rows?q=powershell&from=24h")
    assert rows_in(html_of(found, "rows")) == 66
    assert "Image" in html_of(found, "head")
    shares = [one["share"] for one in found if "share" in one]
    assert shares == sorted(shares) and shares[-1] == 100
    assert "241" in found[-2]["text"], "among how many was looked"
    assert found[-1]["put"] == "end" and "66" in found[-1]["html"]


def test_what_is_shown_is_text_whatever_an_event_says(ana: Any) -> None:
    found = html_of(pieces(ana, "/hunt/rows?q=message:*&from=24h"), "rows")
    assert HOSTILE not in found and "&lt;script&gt;" in found
    link = re.search(r'href="(/hunt/event[^"]+)"', found)
    assert link and HOSTILE not in ana.get(unescape(link[1])).text
    assert HOSTILE not in ana.get(f"/hunt?q={quote(HOSTILE)}&whole=on").text


def test_a_stretch_between_two_times_is_told_in_the_askers_zone(ana: Any) -> None:
    page = ana.get("/hunt?q=x&from=2026-03-02T15:00:00Z..2026-03-02T16:30:00Z").text
    assert ">2026-03-02 09:00 – 10:30</option>" in page
    page = ana.get("/hunt?q=x&since=2026-03-02T09:00").text
    assert 'value="2026-03-02T15:00:00Z.." selected>2026-03-02 09:00 – …</option>' in page


def test_what_is_saved_of_a_search_looks_as_far_back_as_it_did(ana: Any) -> None:
    for path in ("/hunt?q=x", "/hunt/sql?sql=x"):
        for within, window in (("all", "window=all#"), ("7d", "window=7d#"), ("2026-03-02T15:00:00Z..", "")):
            page = ana.get(f"{path}&from={within}").text
            assert window in page and ("window=" in page) is bool(window), (path, within)
    token = csrf_in(ana.get("/hunt/rules").text)
    form = ana.post("/hunt/rules/save", data={"text": ENCODED, "which": "text", "from": "all", "csrf": token})
    assert 'name="window" type="text" value="todo"' in form.text


def test_columns_stand_in_the_address(ana: Any) -> None:
    page = ana.get("/hunt?q=EventID:3&from=24h&columns=DestinationIp,nothing&whole=on").text
    head = text_of(page[page.index('data-put="head"') : page.index('data-put="rows"')])
    assert "DestinationIp" in head and "nothing" in head and "Image" not in head


def test_an_event_opens_with_every_field_and_as_it_came(ana: Any) -> None:
    rows = html_of(pieces(ana, "/hunt/rows?q=DestinationPort:443&from=24h"), "rows")
    path = unescape(re.search(r'href="(/hunt/event[^"]+)"', rows)[1])  # type: ignore[index]
    page = ana.get(path).text
    assert "DestinationHostname" in page and "update.evil.example" in page and "<main" in page
    assert "&#34;DestinationPort&#34;: 443" in page, "as it came"
    assert "<main" not in ana.get(path + "&part=on").text
    assert ana.get("/hunt/event?id=9-9999").status_code == 404
    assert ana.get("/hunt/event?id=x").status_code == 404


def test_a_value_leads_to_its_events_to_the_others_and_to_objects(ana: Any) -> None:
    page = ana.get(
        "/hunt/value?q=EventID:3&from=24h&field=DestinationHostname&value=update.evil.example"
    ).text
    only, without, alone = (
        unescape(re.search(rf'<a href="([^"]+)">{text}', page)[1])  # type: ignore[index]
        for text in ("Solo con este valor", "Sin este valor", "Buscar solo esto")
    )
    number = {name: rows_in(html_of(pieces(ana, path.replace("/hunt?", "/hunt/rows?")), "rows"))
              for name, path in (("only", only), ("without", without), ("alone", alone))}  # fmt: skip
    assert number == {"only": 60, "without": 0, "alone": 60}
    assert 'href="/objects?q=update.evil.example"' in page
    assert "update[.]evil[.]example" in page, "copied so that nothing opens it"


def test_counts_over_time_and_by_value_lead_to_their_events(ana: Any) -> None:
    found = pieces(ana, "/hunt/counts?q=EventID:3&from=24h&by=host")
    chart, values = html_of(found, "chart"), html_of(found, "values")
    assert "<svg" in chart and "60 eventos" in text_of(chart)
    bars = [unescape(one) for one in re.findall(r'<a href="(/hunt\?[^"]+)" tabindex="-1"', chart)]
    table = [unescape(one) for one in re.findall(r'<th scope="row"><a href="([^"]+)"', chart)]
    assert bars == table, "the table has what the chart has"
    parts = [rows_in(html_of(pieces(ana, one.replace("/hunt?", "/hunt/rows?")), "rows")) for one in bars[:3]]
    told = [int(one) for one in re.findall(r'<td class="number">(\d+)</td>', chart)]
    assert parts == told[:3] and sum(told) == 60
    assert re.findall(r">(caja-\d)</a></span><span class=\"number\">(\d+)", values) == [
        ("caja-0", "20"), ("caja-1", "20"), ("caja-2", "20")
    ]  # fmt: skip


def test_an_error_of_the_language_stands_at_its_place_and_what_was_typed_stays(ana: Any) -> None:
    answer = ana.get("/hunt?q=host:x+(Image:y")
    assert answer.status_code == 400 and 'value="host:x (Image:y"' in answer.text
    assert "host:x <mark>(</mark>Image:y\n       ^" in answer.text
    told = pieces(ana, "/hunt/rows?q=host:x+(Image:y")
    assert [one["put"] for one in told] == ["end"] and 'role="alert"' in told[0]["html"]
    assert ana.get("/hunt?q=x&from=ayer").status_code == 400


def test_what_was_found_in_time_is_kept_and_that_it_is_not_all_said(
    site: Site, ana: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from istmo.detect.wire import Problem, WireRow

    row = WireRow("1-7", 1_772_442_000_000_000, 0, "s", "CAJA-1", b'{"Image":"x"}')
    cut = Problem("", "detect.search_cut_short", {"seconds": 30})
    monkeypatch.setattr(site.node.link.ask, "search_telling", lambda *_: (one for one in (row, cut)))
    page = ana.get("/hunt?q=x&from=all&whole=on").text
    assert rows_in(page) == 1 and "agotó sus 30 s" in page and "es correcto" in page


def test_without_a_worker_each_part_says_so(site: Site, ana: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("detect.worker_away")

    for name in ("search_telling", "count", "hunt_rules", "sql"):
        monkeypatch.setattr(site.node.link.ask, name, away)
    page = ana.get("/hunt?q=x&whole=on")
    assert page.status_code == 503 and 'value="x"' in page.text and 'role="alert"' in page.text
    token = csrf_in(page.text)
    assert 'role="alert"' in html_of(pieces(ana, "/hunt/rows?q=x"), "end")
    assert 'role="alert"' in html_of(pieces(ana, "/hunt/sql/rows?sql=SELECT+1"), "end")
    assert 'role="alert"' in html_of(pieces(ana, "/hunt/rules/rows", text=ENCODED, csrf=token), "end")
    assert ana.get("/hunt/sql").status_code == 200


def test_files_hold_what_was_found_and_how_much_it_was(ana: Any) -> None:
    lines = ana.get("/hunt/export?q=powershell&from=24h&form=ndjson")
    assert "attachment" in lines.headers["content-disposition"]
    told = [json.loads(one) for one in lines.text.splitlines()]
    assert len(told) == 67 and told[-1]["count"] == 66
    table = list(csv.reader(io.StringIO(ana.get("/hunt/export?q=powershell&from=24h&form=csv").text)))
    assert table[0][:5] == ["id", "time", "received", "source", "host"] and "Image" in table[0]
    assert len(table) == 68 and table[-1][0].startswith("# 66")
    chosen = ana.get("/hunt/export?q=EventID:3&from=24h&form=csv&columns=DestinationPort").text
    assert chosen.splitlines()[0] == "id,time,received,source,host,DestinationPort"


def test_fields_are_told_for_completion(ana: Any) -> None:
    told = ana.get("/api/v1/events/fields").json()
    names = {one["name"] for one in told["items"]}
    assert {"Image", "CommandLine", "DestinationIp"} <= names and told["segments"] >= 1
    assert [one["name"] for one in ana.get("/api/v1/events/fields?prefix=comm").json()["items"]] == [
        "CommandLine"
    ]


def test_a_search_goes_on_to_be_saved(ana: Any) -> None:
    page = ana.get("/hunt?q=Image:x&from=7d").text
    path = unescape(re.search(r'href="(/hunts\?kind=query[^"]+)"', page)[1])  # type: ignore[index]
    form = ana.get(path).text
    assert re.search(r'id="text"[^>]*>\s*Image:x</textarea>', form) and 'value="7d"' in form


def test_pasted_rules_are_run_and_what_is_wrong_is_marked_at_its_line(ana: Any) -> None:
    token = csrf_in(ana.get("/hunt/rules").text)
    fields = {"text": f"{ENCODED}---\n{WRONG}", "which": "text", "from": "24h", "csrf": token}
    page = ana.post("/hunt/rules", data=fields).text
    assert rows_in(page) == 6 and "Orden codificada" in page
    assert re.search(r'class="bad-line"><mark>\s*CommandLine\|contians', page) and "contians" in page
    found = pieces(ana, "/hunt/rules/rows", **fields)
    assert rows_in(html_of(found, "rows")) == 6 and "bad-line" in html_of(found, "text")
    sums = [one["html"] for one in found if one.get("put") == "sums"][-1]
    path = unescape(re.search(r'<a href="([^"]+)">Orden codificada', sums)[1])  # type: ignore[index]
    assert rows_in(html_of(pieces(ana, path.replace("/hunt?", "/hunt/rows?")), "rows")) == 6
    none = ana.post("/hunt/rules", data=fields | {"text": WRONG})
    assert none.status_code == 422 and 'id="text-wrong"' in none.text and "bad-line" in none.text
    saved = ana.post("/hunt/rules/save", data=fields)
    assert "Orden codificada" in saved.text and 'action="/hunts"' in saved.text


def test_a_rule_of_the_node_is_taken_up_and_all_of_them_run(site: Site, ana: Any) -> None:
    from istmo.policy.principals import Operator

    own = ENCODED.replace("level: high", f"id: {Scene.rule}\nlevel: high")
    site.node.detect.import_rules(Operator(), own.encode())
    page = ana.get("/hunt/rules?named=codificada").text
    assert f"/hunt/rules?rule={Scene.rule}" in page
    assert "Orden codificada" in ana.get(f"/hunt/rules?rule={Scene.rule}").text
    token = csrf_in(page)
    found = pieces(ana, "/hunt/rules/rows", which="all", text="", csrf=token, **{"from": "24h"})
    assert rows_in(html_of(found, "rows")) == 6


def test_sql_gives_a_table_a_file_and_its_limits(ana: Any) -> None:
    sql = quote("SELECT host, count(*) AS n FROM events WHERE EventID = '3' GROUP BY host ORDER BY host")
    shell = ana.get(f"/hunt/sql?from=24h&sql={sql}").text
    assert "CommandLine" in shell and "30 segundos" in shell and "whole=on" in shell
    page = ana.get(f"/hunt/sql?from=24h&sql={sql}&whole=on").text
    assert re.findall(r'data-label="n">(\d+)<', page) == ["20", "20", "20"]
    table = list(csv.reader(io.StringIO(ana.get(f"/hunt/sql/export?from=24h&sql={sql}").text)))
    assert table == [["host", "n"], *([f"CAJA-{n}", "20"] for n in range(3)), ["# 3 filas."]]
    wrong = ana.get("/hunt/sql?sql=SELEC&whole=on")
    assert wrong.status_code == 400 and "SELEC</textarea>" in wrong.text and 'role="alert"' in wrong.text


def test_an_address_cut_short_leads_to_the_search(ana: Any) -> None:
    for path in ("/hunt/value", "/hunt/event"):
        answer = ana.get(path, follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/hunt", path


def test_whoever_may_not_search_is_not_shown_events(site: Site) -> None:
    with site.client() as client:
        site.sign_in(client, "raiz")
        for path in ("/hunt?q=x", "/hunt/rules", "/hunt/sql?sql=x"):
            answer = client.get(path, follow_redirects=False)
            assert answer.status_code == 303 and answer.headers["location"] == "/hunts"
        for path in ("rows?q=x", "counts?q=x", "event?id=1-0", "value?field=a&value=b", "export?q=x",
                     "sql/rows?sql=x", "sql/export?sql=x"):  # fmt: skip
            answer = client.get(f"/hunt/{path}", follow_redirects=False)
            assert answer.status_code == 403 and "CAJA" not in answer.text, path
        assert client.get("/api/v1/events/fields").status_code == 403
