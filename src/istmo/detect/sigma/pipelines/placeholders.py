"""Placeholders that wait in a rule's texts until a pipeline says what they stand for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Part, Parts, Text, Value, Wildcard

_OPEN, _CLOSE = "\ue000", "\ue001"
"""Of Unicode's private use: a rule that holds them itself harms nothing but its own text."""
_KEPT = re.compile(f"{_OPEN}(\\w+){_CLOSE}")
Choices = Callable[[str], list[Parts] | None]
"""What a placeholder may be; None where it is left to a later item."""


class KeptPlaceholders(Mapping[str, Sequence[str]]):
    """For the parser: known placeholders as they are, and every other one kept."""

    def __init__(self, known: Mapping[str, Sequence[str]] | None = None) -> None:
        self._known = known or {}

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> Sequence[str]:
        return self._known.get(name, (f"{_OPEN}{name}{_CLOSE}",))

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __bool__(self) -> bool:
        return True  # it answers for every name, though it may list none


def first_placeholder(value: Value) -> str | None:
    """The name of a placeholder that still waits in a value."""
    for part in value.parts if isinstance(value, Text) else ():
        found = _KEPT.search(part) if isinstance(part, str) else None
        if found is not None:
            return found[1]
    return None


def replace_placeholders(text: Text, choices: Choices, limits: RuleLimits) -> list[Text] | None:
    """The text with each placeholder replaced by each of its values; None where there is none to replace."""
    pieces: list[list[Parts]] = []
    is_changed, count = False, 1
    for part in text.parts:
        if not isinstance(part, str):
            pieces.append([(part,)])
            continue
        for position, piece in enumerate(_KEPT.split(part)):
            found = choices(piece) if position % 2 else None
            if found is not None:
                is_changed, count = True, count * len(found)
                if count > limits.values:
                    raise Refused("too_many_values", limit=limits.values)
                pieces.append(found)
            elif piece:
                pieces.append([(f"{_OPEN}{piece}{_CLOSE}" if position % 2 else piece,)])
    if not is_changed:
        return None
    return [text.with_parts(merge(itertools.chain(*chosen))) for chosen in itertools.product(*pieces)]


def merge(parts: Iterable[Part]) -> Parts:
    """Parts with neighbouring texts made one, and neighbouring stars too."""
    made: list[Part] = []
    for part in parts:
        if isinstance(part, str) and made and isinstance(made[-1], str):
            made[-1] += part
        elif part != "" and not (part is Wildcard.MANY and made and made[-1] is Wildcard.MANY):
            made.append(part)
    return tuple(made)
