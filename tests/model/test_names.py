from __future__ import annotations

import pytest

from istmo.model.names import is_name


@pytest.mark.parametrize("text", ["CSIRT-GT", "Istmo de Centroamérica", "ñ", "防衛", "a" * 200])
def test_what_people_can_read_is_a_name(text: str) -> None:
    assert is_name(text, 200)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "\0", "a\x1b[2Jb", "a\nb", "a\tb", "\u200b", "exe.\u202egpj", "\u3164", "\ud800", "a" * 201],
)
def test_what_nobody_can_read_is_none(text: str) -> None:
    assert not is_name(text, 200)
