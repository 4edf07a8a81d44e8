"""Members as people name them."""

from __future__ import annotations

from collections.abc import Mapping


def member_named(names: Mapping[str, str], text: str) -> str:
    """The id of the member that ``text`` names: by its id, or by its name, in capitals or not.

    Where that is nobody, or several, ``text`` as it is: whoever is asked for it says that there is none.
    """
    wanted = text.strip()
    if wanted in names:
        return wanted
    found = [id for id, name in names.items() if name.casefold() == wanted.casefold()]
    return found[0] if len(found) == 1 else text
