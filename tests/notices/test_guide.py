"""What the guides say of notices is true: their settings are read, their check of a signature is right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from istmo.notices.ways.webhook import signature_of
from istmo.settings import Notices, Settings, load_settings

GUIDES = Path(__file__).resolve().parents[2] / "docs" / "guide"


@pytest.mark.parametrize("guide", ["es/avisos.md", "en/notices.md"])
def test_the_examples_hold(guide: str, tmp_path: Path) -> None:
    text = (GUIDES / guide).read_text("utf-8")
    tables = "\n".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    (tmp_path / "istmo.toml").write_text(f'name = "x"\ncountry = "HN"\n{tables}', "utf-8")
    found: Settings = load_settings(tmp_path)
    assert found.notices == Notices(), "those shown are the usual ones"
    assert found.mail.host == "mail.csirt.example" and found.mail.security == "starttls"
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    signed = signature_of("secreto", 1_700_000_000, b'{"id":"x"}')
    assert names["is_ours"]("secreto", signed, b'{"id":"x"}')
    assert not names["is_ours"]("otro", signed, b'{"id":"x"}')
    assert not names["is_ours"]("secreto", signed, b'{"id":"y"}')
