"""What a map does to an event's fields: each word of the language is one function here.

==============  ====================================================================================
``copy``        ``{Sigma: path}`` or ``{Sigma: [path, …]}``: the first that is there
``gather``      ``{Sigma: [path, …]}``: all of their values, each once; the field may be there already
``translate``   ``{Sigma: {from: path, values: {theirs: ours}}}``
``join``        ``{Sigma: {from: [path, …], with: " "}}``: texts in a row; a list gives its elements
``match``       ``[{from: path, pattern: RE2, into: [Sigma, …]}]``: one name a group
``set``         ``{Sigma: value}``
``lift``        ``[path, …]``: the members of the object there stand beside the fields
``capitalise``  ``[path, …]``: the same, their names beginning in upper case
``pairs``       ``[{in: path, name: key, value: [key, …]}]``: a list of named values becomes fields
``spread``      ``{a: path}``: a list's elements as ``a0``, ``a1`` …
``text``        ``[path, …]``: an object is text as well, its JSON, for rules that search in it
==============  ====================================================================================

Only ``gather`` and ``text`` touch a field that is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import re2  # type: ignore[import-untyped]

from istmo.detect.normalise.paths import LONGEST_LIST, Path, scalars, text_of

Fields = dict[str, Any]
Step = Callable[[Fields], None]
LONGEST_TEXT = 65_536
"""Characters of a value that are matched or joined."""
_JSON = orjson.OPT_NON_STR_KEYS


def copy(row: Mapping[str, Any]) -> Step:
    made = [(sigma, [Path(one) for one in as_list(theirs)]) for sigma, theirs in row.items()]

    def step(fields: Fields) -> None:
        for sigma, paths in made:
            if sigma in fields:
                continue
            for path in paths:
                found = path.find(fields)
                if found is not None:
                    fields[sigma] = found
                    break

    return step


def gather(row: Mapping[str, Any]) -> Step:
    made = [(sigma, [Path(one) for one in theirs]) for sigma, theirs in row.items()]

    def step(fields: Fields) -> None:
        for sigma, paths in made:
            found = list(dict.fromkeys(one for path in paths for one in scalars(path.find(fields))))
            if found:
                fields[sigma] = found if len(found) > 1 else found[0]

    return step


def translate(row: Mapping[str, Any]) -> Step:
    made = [
        (sigma, Path(how["from"]), {str(key): value for key, value in how["values"].items()})
        for sigma, how in row.items()
    ]

    def step(fields: Fields) -> None:
        for sigma, path, values in made:
            if sigma not in fields:
                known = [values[one] for one in map(text_of, scalars(path.find(fields))) if one in values]
                if known:
                    fields[sigma] = known if len(known) > 1 else known[0]

    return step


def join(row: Mapping[str, Any]) -> Step:
    made = [
        (sigma, [Path(one) for one in as_list(how["from"])], str(how["with"])) for sigma, how in row.items()
    ]

    def step(fields: Fields) -> None:
        for sigma, paths, glue in made:
            if sigma in fields:
                continue
            parts = [scalars(path.find(fields)) for path in paths]
            if all(parts):
                fields[sigma] = glue.join(text_of(one) for part in parts for one in part)[:LONGEST_TEXT]

    return step


def match(rows: list[Mapping[str, Any]]) -> Step:
    made = [(Path(row["from"]), re2.compile(row["pattern"]), row["into"]) for row in rows]

    def step(fields: Fields) -> None:
        for path, pattern, names in made:
            if all(name in fields for name in names):
                continue
            text = path.find(fields)
            if not isinstance(text, str):
                continue
            try:
                found = pattern.search(text[:LONGEST_TEXT])
            except UnicodeEncodeError:  # half of a surrogate pair
                continue
            if found is None:
                continue
            for name, group in zip(names, found.groups(), strict=True):
                if group is not None and name not in fields:
                    fields[name] = group

    return step


def set_(row: Mapping[str, Any]) -> Step:
    def step(fields: Fields) -> None:
        for name, value in row.items():
            fields.setdefault(name, value)

    return step


def lift(paths: list[str]) -> Step:
    return _lifted(paths, lambda name: name)


def capitalise(paths: list[str]) -> Step:
    return _lifted(paths, lambda name: name[:1].upper() + name[1:])


def _lifted(paths: list[str], form: Callable[[str], str]) -> Step:
    made = [Path(one) for one in paths]

    def step(fields: Fields) -> None:
        for path in made:
            found = path.find(fields)
            if isinstance(found, Mapping):
                for name, value in found.items():
                    fields.setdefault(form(str(name)), value)

    return step


def pairs(rows: list[Mapping[str, Any]]) -> Step:
    made = [(Path(row["in"]), row["name"], as_list(row["value"])) for row in rows]

    def step(fields: Fields) -> None:
        for path, name, values in made:
            found = path.find(fields)
            for one in flat(found) if isinstance(found, list) else ():
                if not isinstance(one, Mapping) or not isinstance(one.get(name), str):
                    continue
                value = next((one[key] for key in values if one.get(key) is not None), None)
                fields.setdefault(one[name], value)

    return step


def spread(row: Mapping[str, str]) -> Step:
    made = [(prefix, Path(path)) for prefix, path in row.items()]

    def step(fields: Fields) -> None:
        for prefix, path in made:
            for number, one in enumerate(scalars(path.find(fields))):
                fields.setdefault(f"{prefix}{number}", one)

    return step


def text(paths: list[str]) -> Step:
    made = [Path(one) for one in paths]

    def step(fields: Fields) -> None:
        for path in made:
            found = path.find(fields)
            if not isinstance(found, (Mapping, list)):
                continue
            try:
                told = orjson.dumps(found, option=_JSON)[:LONGEST_TEXT].decode("utf-8", "ignore")
            except (TypeError, ValueError, RecursionError):
                continue
            fields[path.name] = [*(found if isinstance(found, list) else [found]), told]

    return step


def flat(found: list[Any]) -> list[Any]:
    """A list of lists as one."""
    made: list[Any] = []
    for one in found[:LONGEST_LIST]:
        made.extend(one[:LONGEST_LIST] if isinstance(one, list) else [one])
    return made


def as_list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


WORDS: dict[str, Callable[[Any], Step]] = {
    "lift": lift,
    "capitalise": capitalise,
    "pairs": pairs,
    "spread": spread,
    "match": match,
    "translate": translate,
    "copy": copy,
    "gather": gather,
    "join": join,
    "text": text,
    "set": set_,
}
"""In the order in which a row's words are carried out."""
