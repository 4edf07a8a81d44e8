"""The fast engine held to the oracle for as long as one likes.

``python -m tests.detect.sigma.engine.fuzz --cases 1000000`` tells how many cases there were, and how many
of them matched; it ends with the first case, made small, on which the two differ.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.detect.sigma import RuleSet
from istmo.detect.sigma.engine import Engine, RawScan

from .test_engine import by_engine, by_oracle
from .test_raw import by_scan, lines, oracle, read, sources_of
from .worlds import Asked, events, rulesets


def main() -> None:
    """Run the cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="pairs of a rule and an event, at least")
    wanted = parser.parse_args().cases
    counts: Counter[str] = Counter()

    @given(rulesets(), st.lists(events, min_size=1, max_size=8))
    @settings(max_examples=2_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def compare(ruleset: RuleSet, asked: list[Asked]) -> None:
        expected = by_oracle(ruleset, asked)
        engine = Engine(ruleset)
        assert by_engine(engine, asked, 3) == expected
        for key in list(engine._classes):
            engine._make(key, [event.fields for event in asked])
        assert by_engine(engine, asked) == expected
        counts["cases"] += len(ruleset.rules) * len(asked)
        counts["matches"] += len(expected)

    @given(rulesets(), *[st.lists(lines(), min_size=1, max_size=6)] * 2)
    @settings(max_examples=1_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def compare_lines(ruleset: RuleSet, before: list[bytes], asked: list[bytes]) -> None:
        scan = RawScan(Engine(ruleset), read, sources_of)
        for some in (before, asked):
            expected = oracle(ruleset, some)
            assert by_scan(scan, some) == expected
            for key, kind in scan._by_class.items():
                kind.raw = scan._engine.make_raw(key, some)
                kind.share = 0.0
            assert by_scan(scan, some) == expected
            counts["cases"] += len(ruleset.rules) * len(some)
            counts["matches"] += len(expected)

    while counts["cases"] < wanted:
        compare()
        compare_lines()
        print(f"{counts['cases']:,} cases, {counts['matches']:,} matches", file=sys.stderr)
    print(f"{counts['cases']:,} cases, {counts['matches']:,} matches: no difference")


if __name__ == "__main__":
    main()
