"""The text of a rule as it is shown: keys stand out, and the line that has a problem."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

_KEY: Final = re.compile(r"^(\s*(?:- )*)([\w.|+'\"-][^:#\n]{0,200}?)(:)(?=\s|$)")


def shown_text(text: str, problem_line: int = 0) -> Markup:
    """YAML with its keys in bold and its comments muted; nothing of it is taken for markup."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            shown = Markup('<span class="muted">{}</span>').format(line)
        elif found := _KEY.match(line):
            shown = Markup("{}<b>{}</b>:{}").format(found[1], found[2], line[found.end() :])
        else:
            shown = escape(line)
        lines.append(Markup("<mark>{}</mark>").format(shown) if number == problem_line else shown)
    return Markup("\n").join(lines)
