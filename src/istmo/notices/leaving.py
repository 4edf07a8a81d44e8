"""What of a thing may leave the node by mail or webhook: pure, like policy itself.

Whoever receives is asked about by ``policy`` before; this says what strangers on the way may read.
"""

from __future__ import annotations

from istmo.model.markings import Tlp
from istmo.notices.objects import Heading, Letter, Line


def line_of(letter: Letter, heading: Heading, title: str, url: str, ceiling: Tlp) -> Line:
    """The content where its marking is no stricter than ``ceiling``; else that there is something, and where.

    What is no marking of ours counts as RED, and a ceiling that is none as CLEAR.
    """
    tlp = heading.tlp if isinstance(heading.tlp, Tlp) else Tlp.RED
    most = ceiling if isinstance(ceiling, Tlp) else Tlp.CLEAR
    link = url.rstrip("/") + heading.path
    if tlp > most:
        return Line(letter.kind, letter.at, link)
    return Line(letter.kind, letter.at, link, title, heading.level, tlp.label)
