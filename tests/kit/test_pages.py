"""Where a page may lead to, and what a query becomes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.clock import ManualClock
from istmo.kit.i18n import Catalogue
from istmo.kit.pages import Speaker, local_path, tlp_name, with_query
from istmo.model.markings import Tlp


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "evil",
        "",
        None,
        "/x" * 2000,
    ],
)
def test_a_path_that_could_leave_the_node_is_not_followed(path: str | None) -> None:
    assert local_path(path) == "/"


@given(st.one_of(st.text(max_size=60), st.text(alphabet="/\\.:@?#%evil\t\n \r", max_size=30)))
def test_whatever_is_asked_one_stays_on_this_node(path: str) -> None:
    landed = urlsplit(urljoin("http://node.example/sign-in", local_path(path)))
    assert (landed.scheme, landed.netloc) == ("http", "node.example")


def test_a_local_path_with_its_query_is_kept() -> None:
    assert local_path("/alerts?status=open&q=a%20b") == "/alerts?status=open&q=a%20b"


def test_parts_of_a_query_are_set_and_taken_out() -> None:
    assert with_query("/alerts?q=a&cursor=1", cursor="2") == "/alerts?q=a&cursor=2"
    assert with_query("/alerts?q=a&cursor=1", cursor=None, q="") == "/alerts"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Tlp.AMBER_STRICT, "AMBER+STRICT"),
        ("TLP:GREEN", "GREEN"),
        ("clear", "CLEAR"),
        ("", "RED"),
        (None, "RED"),
    ],
)
def test_a_marking_that_nobody_knows_reads_as_red(value: object, name: str) -> None:
    assert tlp_name(value) == name


def test_what_is_long_past_is_told_by_its_day() -> None:
    now = datetime(2026, 3, 2, 3, tzinfo=UTC)
    say = Speaker(Catalogue(), "es", "America/Tegucigalpa", ManualClock(now), dict)
    assert say.ago(now - timedelta(days=60)) == "hace 60 días"
    assert say.ago(now - timedelta(days=61)) == "2025-12-30"
