"""Made-up rules and events that meet often: few words, many shapes, odd letters."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml
from hypothesis import strategies as st

from istmo.detect.sigma import Logsource, RuleSet, load_rules

SOURCE = (Logsource("test", "windows", "test"),)
FIELDS = ("Image", "CommandLine", "User.Name", "EventID", "Data")
WORDS = (
    "a", "k", "s", "K", "S", "\u212a", "\u017f", "ß", "ς", "Σ", "σ", "İ", "ı", "é", "É", "µ", "μ", "cmd",
    "CMD.exe",
    "powershell", " -enc ", "/enc", "\u2013enc", "\u2014", "-", "/", "\\", "\\\\", "*", "?", "\x02", "\x03",
    "\x01", "\x00", "\n", "1", "1.0", "5", "10", "192.168.1.7", "::ffff:192.168.1.7", "true", "null", "", " ",
    "%", "\ud800",
)  # fmt: skip


class Asked(NamedTuple):
    """An event as the engine takes it."""

    fields: dict[str, Any]
    logsources: tuple[Logsource, ...] = SOURCE
    line: bytes | None = None


texts = st.lists(st.sampled_from(WORDS), max_size=4).map("".join)
scalars = st.one_of(
    texts, texts, st.integers(0, 12), st.sampled_from([1.0, 5.5, 1e20, 10**20, True, False, None, 4688])
)
values = st.one_of(
    scalars, scalars, st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from(["Name", "x"]), scalars)
)
events = st.dictionaries(st.sampled_from([*FIELDS, "User"]), values, max_size=5).map(Asked)

_TEXT_MODIFIERS = (
    "", "|contains", "|startswith", "|endswith", "|contains|all", "|cased", "|contains|cased", "|windash",
    "|contains|windash", "|startswith|windash", "|neq", "|base64offset|contains", "|wide|base64",
    "|utf16le|contains",
)  # fmt: skip
_EXPRESSIONS = (
    "cmd", "c.d", "(?i)CMD\\.(exe|com)", "^pow(er|dered)shell$", "a+b?s", "[ks]s", "(cmd|k)\\s?/", "-e(nc)?",
    "s{2,3}",
    "\\d+\\.\\d", ".*", "(a|)", "é", "\\x63md", "[[:alpha:]]5", "k$",
)  # fmt: skip

_CONDITIONS = (
    "one", "not one", "all of them", "1 of them", "one and not 1 of t*", "one or two", "not (one and two)",
)  # fmt: skip


@st.composite
def selections(draw: st.DrawFn) -> Any:
    """What stands under a search identifier."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.lists(texts.filter(bool), min_size=1, max_size=3))
    return draw(st.lists(items(), min_size=1, max_size=3).map(dict))


@st.composite
def items(draw: st.DrawFn) -> tuple[str, Any]:
    """A field with its modifiers, and what it must hold."""
    field = draw(st.sampled_from(FIELDS))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        flags = draw(st.sampled_from(["", "|i", "|s", "|i|m"]))
        return f"{field}|re{flags}", draw(st.lists(st.sampled_from(_EXPRESSIONS), min_size=1, max_size=2))
    if kind == 1:
        return f"{field}|cidr", draw(
            st.sampled_from(["192.168.0.0/16", "192.168.1.0/25", "10.0.0.0/7", "::/0"])
        )
    if kind == 2:
        return draw(st.sampled_from([(f"{field}|lt", 5), (f"{field}|gte", 5), (f"{field}|exists", True)]))
    if kind == 3:
        return field, draw(st.sampled_from([None, 1, 5, 4688, 10**20, 5.5, [1, "a"], True]))
    if kind == 4:
        other = draw(st.sampled_from(FIELDS))
        return f"{field}|fieldref{draw(st.sampled_from(['', '|contains', '|endswith']))}", other
    modifier = draw(st.sampled_from(_TEXT_MODIFIERS))
    return f"{field}{modifier}", draw(st.lists(texts, min_size=1, max_size=3))


@st.composite
def rulesets(draw: st.DrawFn) -> RuleSet:
    """A few rules; those that the specification refuses are left out."""
    documents = []
    for number in range(draw(st.integers(1, 4))):
        names = ("one", "two", "three")
        condition = draw(st.sampled_from(_CONDITIONS))
        detection = {name: draw(selections()) for name in names} | {"condition": condition}
        documents.append(
            {
                "title": f"Rule {number}",
                "id": f"r{number}",
                "logsource": {"category": "test"},
                "detection": detection,
            }
        )
    text = "---\n".join(yaml.safe_dump(document, allow_unicode=False) for document in documents)
    return load_rules(text.encode("utf-8", "surrogatepass"))
