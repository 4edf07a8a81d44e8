"""The situation: what is new since somebody looked, the region at a glance, techniques, alerts over time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import Scene, fill
from web_site import Site, make_site

from istmo.clock import ManualClock
from istmo.detect.attack import said_by, tactics_of
from istmo.detect.objects import WorkerState
from istmo.detect.objects_triage import Deed
from istmo.detect.service.alert_work import Work
from istmo.detect.service.alerts import alert_filter
from istmo.detect.sigma.lints import TACTICS
from istmo.policy.principals import Operator
from istmo.web.pages.situation_looks import SAME, Looks

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def whole(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, rooms=None)
    yield site
    site.node.store.close()


def read(site: Site, path: str = "/", language: str = "es") -> str:
    with site.client(**{"accept-language": language}) as client:
        site.sign_in(client)
        answer = client.get(path)
    assert answer.status_code == 200
    return answer.text


class TestWhatIsNew:
    def test_is_told_since_the_look_before(self, whole: Site, clock: ManualClock) -> None:
        with whole.client() as client:
            whole.sign_in(client)
            assert "Desde su visita anterior" not in client.get("/").text, "nothing is new to a newcomer"
            clock.advance(3600)
            fill(whole.node)
            for _ in range(2):  # reading it twice does not make it old
                html = client.get("/").text
                assert "6 alertas nuevas" in html and "3 objetos nuevos" in html
                assert "un caso con novedades" in html
            clock.advance(SAME.total_seconds() + 1)
            assert "Nada nuevo." in client.get("/").text

    def test_more_objects_than_are_counted_are_said_to_be_more(
        self, whole: Site, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("istmo.web.pages.situation.MOST_NEW", 2)
        with whole.client() as client:
            whole.sign_in(client)
            client.get("/")
            clock.advance(3600)
            fill(whole.node)
            assert "más de 2 objetos nuevos" in client.get("/").text

    @given(st.lists(st.integers(1, 40), min_size=2, max_size=20))
    def test_no_minute_is_both_looked_at_and_new(self, minutes: list[int]) -> None:
        """Whatever the pauses: each look tells what came since the one before it ended, no more, no less."""
        now, looks, ended = NOON, Looks(), None
        for pause in minutes:
            is_new = timedelta(minutes=pause) > SAME and looks.last is not None
            ended = looks.last if is_new else ended
            now += timedelta(minutes=pause) if looks.last is not None else timedelta()
            looks = Looks.read(looks.cookie, now)
            assert looks.before == ended
            looks = looks.again(now)

    @pytest.mark.parametrize(
        "cookie", ["", "x", "|", "2999-01-01T00:00:00Z|", "<script>|2999-01-01T00:00:00Z"]
    )
    def test_a_cookie_that_says_nothing_true_counts_as_never(self, cookie: str) -> None:
        assert Looks.read(cookie, NOON).before is None


class TestWhetherAllIsWell:
    """What somebody reads who has one minute: it must not say so of a node that sees nothing."""

    @pytest.fixture
    def site(self, whole: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
        self.watch(whole, monkeypatch)
        monkeypatch.setattr(whole.node.federation, "peers", lambda _: [])
        return whole

    def watch(self, site: Site, monkeypatch: pytest.MonkeyPatch, **told: Any) -> None:
        usual = {"rules": 3, "indicators": 2, "stored": 10}
        state = WorkerState("ready", **(usual | told))
        monkeypatch.setattr(site.node.detect, "worker", lambda _: state)

    def test_it_says_so_where_there_is_nothing_to_do(self, site: Site) -> None:
        html = read(site)
        assert "Todo está en orden" in html and "miembros responden" not in html, "there is no member"

    def test_not_where_nothing_is_watched(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.watch(site, monkeypatch, rules=0, indicators=0)
        html = read(site)
        assert "Todo está en orden" not in html and "todavía no vigila nada" in html
        self.watch(site, monkeypatch, rules=0, indicators=None)
        assert "Todo está en orden" in read(site), "whoever may not know of all cannot tell"

    def test_not_where_no_event_ever_came(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.watch(site, monkeypatch, stored=0)
        html = read(site)
        assert "Todo está en orden" not in html and "Todavía no llega ningún evento" in html

    def test_not_while_a_grave_case_is_under_way(self, site: Site) -> None:
        case = site.node.respond.open_case(Operator(), "Un banco cifrado", severity="critical")
        html = read(site)
        assert "Todo está en orden" not in html and "un caso grave en curso" in html
        site.node.respond.set_status(Operator(), case.id, "closed")
        assert "Todo está en orden" in read(site)

    def test_not_while_the_disk_is_full(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("istmo.web.pages.situation.free_disk", lambda _: 0)
        html = read(site)
        assert "Todo está en orden" not in html and "El disco del nodo está lleno" in html

    def test_alerts_that_are_put_off_wait_for_nobody_and_are_told_apart(self, site: Site) -> None:
        fill(site.node)
        ana = next(one.person for one in site.node.identity.accounts(Operator()) if one.name == "ana")
        found = site.node.detect.list_alerts(ana, alert_filter(status="open")).items
        before = len(found)
        until = site.clock.now() + timedelta(hours=8)
        site.node.detect.work(ana, found[0].id, Work(Deed.SNOOZE, until=until))
        html = read(site)
        assert f"Las {before - 1} alertas abiertas" in html and "una pospuesta" in html


def test_alerts_over_time_are_drawn_by_level_and_stand_in_a_table(whole: Site, clock: ManualClock) -> None:
    fill(whole.node)
    clock.advance(3 * 3600)
    html = read(whole)
    assert "6 alertas en 24 horas" in html
    assert 'class="level-critical"' in html and "Crítico 3" in html
    assert "6 alertas en 7 días" in read(whole, "/?span=week")
    clock.advance(2 * 86_400)
    assert "0 alertas en 24 horas" in read(whole) and "6 alertas en 7 días" in read(whole, "/?span=week")


def test_techniques_of_the_rules_that_alerted_are_counted(whole: Site) -> None:
    fill(whole.node)
    html = read(whole)
    told = html.split("T1059.001")[1][:200]
    assert "3 alertas" in told and "Ejecución" in told, "what it is for, in a word"


def test_each_tactic_that_a_rule_may_name_has_its_word(whole: Site) -> None:
    """Also as older rules write it; what is no tactic is left out."""
    tags = ["attack.t1059", "attack.Initial_Access", "attack.execution", "cve.2024.1", "x.impact"]
    assert tactics_of(tags) == ("initial-access", "execution")
    said = said_by(tags)
    assert said.tactics == (("initial-access", "attack.Initial_Access"), ("execution", "attack.execution"))
    assert said.techniques == (("T1059", "https://attack.mitre.org/techniques/T1059/"),)
    assert said_by(["attack.t1059.001"]).techniques[0][1].endswith("/T1059/001/")
    assert said.others == ("cve.2024.1", "x.impact")
    for language in ("es", "en"):
        assert all(whole.node.catalogue.has(language, f"detect.tactic.{one}") for one in TACTICS)


@pytest.mark.parametrize(("language", "said"), [("es", "Sin conexión"), ("en", "Not connected")])
def test_the_region_is_a_map_a_square_a_state_and_words(whole: Site, language: str, said: str) -> None:
    html = read(whole, language=language)
    assert html.count('class="place ') == 8
    assert 'class="tile bad"' in html and 'class="tile good"' in html, (
        "Guatemala is away, Honduras is this node"
    )
    assert f"CSIRT Guatemala: {said}" in html


def test_nobody_counts_what_they_may_not_read(whole: Site, clock: ManualClock) -> None:
    """An alert above somebody's marking adds to no number that they see."""
    scene: Scene = fill(whole.node)
    with whole.node.store.write() as tx:
        tx.connection.exec_driver_sql("UPDATE alerts SET tlp = 4, owner = ''")
    html = read(whole)
    assert scene.alert not in html
    assert "0 alertas en 24 horas" in html and "T1059" not in html
