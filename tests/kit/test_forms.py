"""What a form sent is read whole, or refused: nothing is cut off."""

from __future__ import annotations

import pytest

from istmo.errors import InvalidInput
from istmo.kit.forms import one


def test_a_long_text_is_read_whole_and_tidied() -> None:
    text = "a\r\n" + "ñ" * 200_000
    assert one({"note": f"  {text}\x00 "}, "note") == text.replace("\r\n", "\n")
    assert one({"note": ["first", "second"]}, "note") == "first"
    assert one({}, "note") == ""


def test_what_no_person_types_is_refused_past_its_bound_and_not_cut() -> None:
    assert one({"version": " 12345 "}, "version", longest=5) == "12345"
    with pytest.raises(InvalidInput) as refused:
        one({"version": "123456"}, "version", longest=5)
    assert refused.value.code == "kit.field_too_long"
    assert refused.value.params == {"field": "version", "limit": 5}
