"""What leaves the node by mail or webhook: for all markings, nothing above the level that was set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from istmo.model.markings import Tlp
from istmo.notices.leaving import line_of
from istmo.notices.objects import KINDS, Heading, Letter

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
texts = st.text(min_size=1, max_size=40)


@given(
    st.sampled_from([*Tlp, None, 7, "GREEN"]),
    st.sampled_from([*Tlp, None, "RED"]),
    st.sampled_from(KINDS),
    st.uuids().map(lambda one: f"secreto-{one}"),
)
def test_content_leaves_only_up_to_the_ceiling(tlp: Any, ceiling: Any, kind: Any, title: str) -> None:
    heading = Heading(title, tlp, "/alerts/x", level="critical")
    line = line_of(Letter(1, kind, "x", "critical", NOW), heading, title, "https://nodo.example/", ceiling)
    level = tlp if isinstance(tlp, Tlp) else Tlp.RED
    most = ceiling if isinstance(ceiling, Tlp) else Tlp.CLEAR
    if level <= most:
        assert (line.title, line.level, line.tlp) == (title, "critical", level.label)
    else:
        assert (line.title, line.level, line.tlp) == ("", "", "") and title not in repr(line)
    assert line.link == "https://nodo.example/alerts/x"
