"""What rules, correlations and filters call one another by: ids and names, over all files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from istmo.detect.sigma.correlations import Correlation
from istmo.detect.sigma.limits import STANDARD, RuleLimits
from istmo.detect.sigma.problems import Problem, Refused
from istmo.detect.sigma.rules import Rule


def names_of(rules: Iterable[Rule], correlations: Iterable[Correlation]) -> dict[str, list[str]]:
    """Ids by id, and by name: more than one where a name was given twice."""
    names: dict[str, list[str]] = {}
    everything: list[Rule | Correlation] = [*rules, *correlations]
    for one in everything:
        for called in dict.fromkeys((one.id, one.name)):
            if called:
                names.setdefault(called, []).append(one.id)
    return names


def resolve(
    correlations: Sequence[Correlation], names: dict[str, list[str]], limits: RuleLimits = STANDARD
) -> tuple[tuple[Correlation, ...], tuple[Problem, ...]]:
    """The correlations whose references are all there, parts before what is made of them; why not the rest.

    One that is refused takes those with it that refer to it: each is told by itself.
    """
    waiting = {one.id: one for one in correlations}
    done: dict[str, Correlation] = {}
    depths: dict[str, int] = {}
    refused: dict[str, Problem] = {}

    def visit(one: Correlation, above: tuple[str, ...]) -> None:
        ids: list[str] = []
        for reference, line in zip(one.references, one.lines, strict=True):
            found = names.get(reference) or names.get(reference.lower()) or []
            if len(found) > 1:
                raise Refused("reference_ambiguous", line, name=reference[:200])
            if not found:
                raise Refused("unknown_reference", line, name=reference[:200])
            (id_,) = found
            if id_ == one.id or id_ in above:
                raise Refused("reference_cycle", line, name=reference[:200])
            if id_ in ids:
                raise Refused("reference_twice", line, name=reference[:200])
            if id_ in waiting:
                if len(above) >= limits.chain:
                    raise Refused("chain_too_long", line, limit=limits.chain)
                enter(waiting[id_], (*above, one.id))
                if id_ in refused:
                    raise Refused("reference_refused", line, name=reference[:200])
            ids.append(id_)
        depth = 1 + max((depths.get(id_, 0) for id_ in ids), default=0)
        if depth > limits.chain:
            raise Refused("chain_too_long", one.line, limit=limits.chain)
        depths[one.id] = depth
        done[one.id] = replace(one, rule_ids=tuple(ids))

    def enter(one: Correlation, above: tuple[str, ...]) -> None:
        if one.id in done or one.id in refused:
            return
        try:
            visit(one, above)
        except Refused as problem:
            refused[one.id] = problem.problem(one.file, one.title)

    for one in correlations:
        enter(one, ())
    return tuple(done.values()), tuple(refused.values())


def silent_of(correlations: Iterable[Correlation]) -> frozenset[str]:
    """Ids of rules and correlations that raise no alert of their own: parts of a correlation, and no
    correlation that they are a part of has ``generate: true``.
    """
    parts: set[str] = set()
    spoken: set[str] = set()
    for one in correlations:
        (spoken if one.is_generating else parts).update(one.rule_ids)
    return frozenset(parts - spoken)
