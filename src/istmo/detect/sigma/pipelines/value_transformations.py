"""Transformations of the values of detection items."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from istmo.detect.sigma.expressions import check_expression
from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.modifiers import canonical
from istmo.detect.sigma.pipelines.conditions import shown
from istmo.detect.sigma.pipelines.drafts import Draft, DraftGroup, DraftItem
from istmo.detect.sigma.pipelines.items import Apply, ProcessingItem
from istmo.detect.sigma.pipelines.parameters import Parameters
from istmo.detect.sigma.pipelines.placeholders import Choices, merge, replace_placeholders
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Expression, Null, Number, Part, Parts, Text, Value, Wildcard, parse_text

HASHES = {32: "MD5", 40: "SHA1", 64: "SHA256", 128: "SHA512"}
"""Hash algorithms by the length of what they make in hexadecimal."""
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def of_texts(made: Callable[[Text], list[Value] | None], *, is_for_numbers: bool = False) -> Apply:
    """A transformation of texts alone; of numbers too, as the texts that they are."""

    def change(value: Value) -> list[Value] | None:
        if isinstance(value, Number) and is_for_numbers:
            value = Text((canonical(value.value),))
        return made(value) if isinstance(value, Text) else None

    return lambda draft, item: item.change_values(draft, change)


def number(value: float) -> Number:
    return Number(value, frozenset({canonical(value)}))


def hashes_fields(given: Parameters, limits: RuleLimits) -> Apply:
    """``Hashes: SHA1=…`` as a field of its own for each algorithm, named or told by its length."""
    known = given.texts("valid_hash_algos")
    prefix, is_bare = given.text("field_prefix", ""), given.boolean("drop_algo_prefix")
    parsed = given.texts("field_to_parse", ["Hashes", "Hash"])

    def change(item: DraftItem) -> DraftItem | DraftGroup:
        texts = [value for value in item.values if isinstance(value, Text)]
        if item.field not in parsed or len(texts) != len(item.values):
            return item
        found: dict[str, list[Value]] = {}
        for text in texts:
            written = shown(text)
            pieces = written.split("|" if "|" in written else "=")
            if len(pieces) == 2:
                algorithm, value = pieces[0].lstrip("*").upper(), pieces[1].strip("*?")
            else:
                value = pieces[0].strip("*?")
                algorithm = HASHES.get(len(value), "")
            name = prefix + ("" if is_bare else algorithm)
            if algorithm in known and name:
                found.setdefault("" if name == "keyword" else name, []).append(
                    text.with_parts(parse_text(value))
                )
        if not found:
            raise Refused("pipeline_no_hash", field=item.field)
        applied = set(item.applied)
        return DraftGroup(
            [DraftItem(name, values, False, item.is_negated, applied) for name, values in found.items()], True
        )

    return lambda draft, item: item.change_items(draft, change)


def replace_string(given: Parameters, limits: RuleLimits) -> Apply:
    """Replace what an expression finds: in the text as a rule writes it, or in its literal pieces alone."""
    pattern, replacement = given.expression("regex"), given.text("replacement")
    is_piecewise, is_interpreted = given.boolean("skip_special"), given.boolean("interpret_special")

    def substitute(text: str) -> str:
        try:
            return str(pattern.sub(replacement, text))
        except (re.error, IndexError, UnicodeEncodeError, ValueError):
            raise Refused("pipeline_parameter", given.line, name="replacement") from None

    def change(text: Text) -> list[Value]:
        if not is_piecewise:
            return [text.with_parts(merge(replaced(text, pattern, replacement, substitute)))]
        parts: list[Part] = []
        for part in text.parts:
            if not isinstance(part, str):
                parts.append(part)
            elif is_interpreted:
                parts += parse_text(substitute(part))
            else:
                parts.append(substitute(part))
        return [text.with_parts(merge(parts))]

    return of_texts(change, is_for_numbers=True)


def replaced(text: Text, pattern: Any, replacement: str, substitute: Callable[[str], str]) -> list[Part]:
    """Parts after a replacement; wildcards are seen as written, and may come of it."""
    pieces: list[tuple[str, Part]] = []
    for part in text.parts:
        if isinstance(part, Wildcard):
            pieces.append((part.sign, part))
        else:
            pieces += [("\\" + one if one in "*?" else one, one) for one in str(part)]
    written = "".join(seen for seen, _ in pieces)
    try:
        found = [(one.start(), one.end(), one.expand(replacement)) for one in pattern.finditer(written)]
    except (re.error, IndexError, UnicodeEncodeError, ValueError, AttributeError):
        return list(parse_replaced(substitute(written)))
    parts: list[Part] = []
    at = here = 0
    for start, end, made in found:
        while here < len(pieces) and at < start:
            parts.append(pieces[here][1])
            at += len(pieces[here][0])
            here += 1
        parts += parse_replaced(made)
        while here < len(pieces) and at < end:
            at += len(pieces[here][0])
            here += 1
    return [*parts, *(part for _, part in pieces[here:])]


def parse_replaced(written: str) -> Parts:
    """Text in which a backslash escapes wildcards and nothing else."""
    return parse_text(re.sub(r"\\(?![*?])", r"\\\\", written))


def map_string(given: Parameters, limits: RuleLimits) -> Apply:
    mapping = given.mapping("mapping")

    def change(text: Text) -> list[Value] | None:
        found = mapping.get(shown(text))
        return None if found is None else [text.with_parts(parse_text(one)) for one in found]

    return of_texts(change)


def set_value(given: Parameters, limits: RuleLimits) -> Apply:
    value, kind = given.any("value"), given.choice("force_type", ("", "str", "num"), "")
    if isinstance(value, (list, dict)) or (kind and (value is None or isinstance(value, bool))):
        raise given.refused("value")
    made: Value
    if value is None:
        made = Null()
    elif kind == "num" or (not kind and isinstance(value, (int, float)) and not isinstance(value, bool)):
        made = number(as_number(str(value)))
    elif isinstance(value, bool):
        made = Text(("true" if value else "false",))
    else:
        made = Text(parse_text(str(value)))
    return lambda draft, item: item.change_values(draft, lambda old: [made])


def convert_type(given: Parameters, limits: RuleLimits) -> Apply:
    kind = given.choice("target_type", ("str", "num"))

    def change(value: Value) -> list[Value] | None:
        if kind == "str" and isinstance(value, Number):
            return [Text(parse_text(spelling)) for spelling in (canonical(value.value),)]
        if kind == "num" and isinstance(value, Text):
            return [number(as_number(shown(value)))]
        return None

    return lambda draft, item: item.change_values(draft, change)


def as_number(text: str) -> float:
    """The number that a text is. Raises Refused where it is none."""
    try:
        return int(text) if re.fullmatch(r"[-+]?\d{1,100}", text) else float(text)
    except ValueError:
        raise Refused("pipeline_not_a_number", value=text[:200]) from None


def value_placeholders(given: Parameters, limits: RuleLimits) -> Apply:
    takes = included(given)

    def apply(draft: Draft, item: ProcessingItem) -> None:
        def choices(name: str) -> list[Parts] | None:
            if not takes(name):
                return None
            found = draft.variables.get(name)
            values = found if isinstance(found, list) else [found]
            if not values or not all(isinstance(one, (str, int, float)) for one in values):
                raise Refused("pipeline_no_variable", placeholder=name)
            return [parse_text(str(one)) for one in values]

        change_placeholders(draft, item, choices)

    return apply


def wildcard_placeholders(given: Parameters, limits: RuleLimits) -> Apply:
    takes = included(given)

    def choices(name: str) -> list[Parts] | None:
        return [(Wildcard.MANY,)] if takes(name) else None

    return lambda draft, item: change_placeholders(draft, item, choices)


def change_placeholders(draft: Draft, item: ProcessingItem, choices: Choices) -> None:
    def change(value: Value) -> list[Value] | None:
        if not isinstance(value, Text):
            return None
        found = replace_placeholders(value, choices, draft.limits)
        return None if found is None else list(found)

    item.change_values(draft, change)


def included(given: Parameters) -> Callable[[str], bool]:
    """Whether ``include`` and ``exclude``, of which one may be there, leave a placeholder to this item."""
    wanted, unwanted = given.texts("include", []), given.texts("exclude", [])
    if wanted and unwanted:
        raise given.refused("exclude")
    return lambda name: (name in wanted or not wanted) and name not in unwanted


def regex(given: Parameters, limits: RuleLimits) -> Apply:
    """A text as a regular expression of the whole value: it matches what the text matched, case aside."""
    methods = ("plain", "ignore_case_flag", "ignore_case_brackets")
    method = given.choice("method", methods, "ignore_case_brackets")

    def written(part: Part) -> str:
        if isinstance(part, Wildcard):
            return ".*" if part is Wildcard.MANY else "."
        text = str(part)
        if method != "ignore_case_brackets":
            return re.escape(text)
        return "".join(f"[{one.lower()}{one.upper()}]" if one.isalpha() else re.escape(one) for one in text)

    def change(text: Text) -> list[Value] | None:
        if not text.parts:
            return None
        made = Expression(
            "^" + "".join(map(written, text.parts)) + r"\z", "is" if method == "ignore_case_flag" else "s"
        )
        check_expression(made, limits)
        return [made]

    return of_texts(change)


def case(given: Parameters, limits: RuleLimits) -> Apply:
    method = given.choice("method", ("lower", "upper", "snake_case"), "lower")

    def written(part: Part) -> Part:
        if not isinstance(part, str):
            return part
        if method == "snake_case":
            return _SNAKE.sub("_", part).lower()
        return part.lower() if method == "lower" else part.upper()

    return of_texts(lambda text: [text.with_parts(tuple(map(written, text.parts)))])
