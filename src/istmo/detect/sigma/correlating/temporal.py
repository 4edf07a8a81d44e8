"""Windows of ``temporal`` and ``temporal_ordered``: which rules matched, and in which order.

Both remember one event a rule, or one chain of events a rule, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from istmo.detect.sigma.correlating.windows import Contributor, Counted, Window, contributor
from istmo.detect.sigma.correlations import Correlation

Chain = tuple[Contributor, ...]


class Temporal(Window):
    """``temporal``: the newest event of each rule."""

    __slots__ = ("chosen", "latest", "terms")

    def __init__(self, correlation: Correlation, contributors: int, most: int) -> None:
        super().__init__(correlation, contributors, most)
        self.terms = correlation.terms
        self.latest: dict[int, Contributor] = {}
        self.chosen: Iterable[Contributor] = ()
        """By what the condition held when it was last judged."""

    def __len__(self) -> int:
        return len(self.latest)

    def add(self, one: Counted) -> None:
        self.latest.pop(one.rule, None)
        self.latest[one.rule] = one.by

    def expire(self, before: int) -> None:
        latest = self.latest
        while latest:
            rule = next(iter(latest))
            if latest[rule].time >= before:
                return
            del latest[rule]

    def judge(self) -> float | None:
        latest = self.latest
        if not self.terms:
            self.chosen = latest.values()
            return self.held(len(latest))
        for required, excluded in self.terms:
            if all(rule in latest for rule in required) and excluded.isdisjoint(latest):
                self.chosen = [latest[rule] for rule in required]
                return len(required)
        return None

    def trim(self) -> int:
        return 0

    def contributors(self) -> Iterator[Contributor]:
        return iter(sorted(self.chosen, key=lambda one: one.time, reverse=True))

    def dump(self) -> Any:
        return list(self.latest.items())

    def load(self, dumped: Any) -> None:
        self.latest.update((rule, contributor(one)) for rule, one in dumped)


class TemporalOrdered(Window):
    """``temporal_ordered``: for each way in which the condition can hold, the best chain so far to each rule.

    A chain to a rule is one event of each rule before it and one of its own, in time's order; the best
    is the one that begins last, which is the one that leaves the window last.
    """

    __slots__ = ("before", "chains", "chosen", "latest", "terms")

    def __init__(self, correlation: Correlation, contributors: int, most: int) -> None:
        super().__init__(correlation, contributors, most)
        self.terms = correlation.terms
        self.chains: list[dict[int, Chain]] = [{} for _ in self.terms or [None]]
        """By term, by position in the term; by length where the condition counts rules."""
        self.latest: dict[int, Contributor] = {}
        """The newest event of rules that must not occur."""
        self.before = 0
        self.chosen: Chain = ()

    def __len__(self) -> int:
        return sum(len(chain) for chains in self.chains for chain in chains.values()) + len(self.latest)

    def add(self, one: Counted) -> None:
        if not self.terms:
            self._lengthen(one)
            return
        for (required, excluded), chains in zip(self.terms, self.chains, strict=True):
            if one.rule in excluded:
                self.latest[one.rule] = one.by
            if one.rule not in required:
                continue
            at = required.index(one.rule)
            if at == 0:
                chains[0] = (one.by,)
            elif at - 1 in chains:
                chains[at] = (*chains[at - 1], one.by)

    def _lengthen(self, one: Counted) -> None:
        """Chains of any rules in their order: the best of each length to each rule.

        Keys are ``rule * 1000 + length``.
        """
        (chains,) = self.chains
        best: dict[int, Chain] = {1: (one.by,)}
        for key, chain in chains.items():
            rule, length = divmod(key, 1000)
            if rule < one.rule and (length + 1 not in best or chain[0].time > best[length + 1][0].time):
                best[length + 1] = (*chain, one.by)
        for length, chain in best.items():
            chains[one.rule * 1000 + length] = chain

    def expire(self, before: int) -> None:
        self.before = before
        for chains in self.chains:
            gone = [at for at, chain in chains.items() if chain[0].time < before]
            for at in gone:
                del chains[at]
        for rule in [rule for rule, one in self.latest.items() if one.time < before]:
            del self.latest[rule]

    def judge(self) -> float | None:
        if not self.terms:
            (chains,) = self.chains
            self.chosen = max(chains.values(), key=lambda one: (len(one), one[0].time), default=())
            return self.held(len(self.chosen))
        for (required, excluded), chains in zip(self.terms, self.chains, strict=True):
            if len(required) - 1 in chains and excluded.isdisjoint(self.latest):
                self.chosen = chains[len(required) - 1]
                return len(required)
        return None

    def trim(self) -> int:
        return 0

    def contributors(self) -> Iterator[Contributor]:
        return iter(reversed(self.chosen))

    def dump(self) -> Any:
        return [[list(chains.items()) for chains in self.chains], list(self.latest.items())]

    def load(self, dumped: Any) -> None:
        held, latest = dumped
        for chains, one in zip(self.chains, held, strict=True):
            chains.update((at, tuple(map(contributor, chain))) for at, chain in one)
        self.latest.update((rule, contributor(one)) for rule, one in latest)
