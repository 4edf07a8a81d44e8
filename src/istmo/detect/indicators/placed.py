"""Plans that say of one value only in which fields it counts: a side of a connection, a sender of mail.

Such patterns come by the thousand, as feeds of addresses do. They need no watch of their own, only the
property beside the value in the tables.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Final

from istmo.detect.indicators.properties import PROPERTIES
from istmo.detect.indicators.tables import KINDS, Term, key_of, text_of

_LONGEST: Final = 16_384


def placed_term(plan: str) -> tuple[str, Term] | None:
    """The property and the value, where a plan says nothing else."""
    if len(plan) > _LONGEST or not plan.endswith(',"whole":["o",0]}'):
        return None
    try:
        read = json.loads(plan)
    except (ValueError, RecursionError):
        return None
    match read:
        case {"seen": [["t", str(kind), str(value), str(property)]]} if (
            kind in KINDS and property in PROPERTIES
        ):
            key = key_of(Term(kind, value))
            # What does not come back as it was is better kept as it is.
            if key is not None and plan == placed_plan(property, [Term(kind, text_of(kind, key))]):
                return sys.intern(property), Term(kind, value)
    return None


def placed_plan(property: str, terms: Sequence[Term]) -> str:
    """The plan of such a pattern."""
    ((kind, value),) = terms
    plan = {"seen": [["t", kind, value, property]], "whole": ["o", 0]}
    return json.dumps(plan, ensure_ascii=False, separators=(",", ":"))
