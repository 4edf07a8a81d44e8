"""Text from outside steers neither a page nor a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from istmo.kit.visible import guarded, printable, printable_json, printable_line, visible

HOSTILE = "\x1b[2J\x9b31m\x00\x07\r\x7f\u202egpj.exe\u2066\udcff"


def test_what_steers_the_display_is_marked_and_other_writing_is_left_alone() -> None:
    assert visible("factura\u202egpj.exe\x00") == "factura\ufffdgpj.exe\ufffd"
    assert visible("línea\n\tدولة 漢字 👩\u200d🚒") == "línea\n\tدولة 漢字 👩\u200d🚒"
    assert visible(Markup("<b>\x1b</b>")) == Markup("<b>\ufffd</b>")
    assert isinstance(visible(Markup("<b>\x1b</b>")), Markup)
    assert visible(7) == 7


def test_a_terminal_gets_no_character_that_it_would_obey() -> None:
    shown = printable(HOSTILE)
    assert shown == "\ufffd[2J\ufffd31m\ufffd\ufffd\ufffd\ufffd\ufffdgpj.exe\ufffd\ufffd"
    shown.encode()
    assert printable("línea\r\n\tدولة\u200f 漢字 👩\u200d🚒") == "línea\n\tدولة\u200f 漢字 👩\u200d🚒"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t", "\u2028", "\u2029", "\r"])
def test_what_stands_in_a_line_stays_in_it(end: str) -> None:
    assert printable_line(f"Aduana{end}✓ todo bien") == "Aduana\ufffd✓ todo bien"


@pytest.mark.parametrize("sign", "=+-@＝＋－＠\t\n")
def test_no_spreadsheet_takes_a_cell_for_a_formula(sign: str) -> None:
    assert guarded(f"{sign}1") == f"'{sign}1"
    assert guarded("a=1") == "a=1"
    assert guarded("a\u202eb") == "a\ufffdb"


@given(st.text())
def test_json_for_a_terminal_means_the_same(text: str) -> None:
    shown = printable_json(json.dumps({"title": text}, ensure_ascii=False))
    assert json.loads(shown) == {"title": text}
    assert printable(shown) == shown
