"""The matcher and the oracle on patterns and events made by chance, for as long as one likes.

``python -m tests.detect.indicators.same_answers --seconds 600`` tells the first case on which the two do not
agree and ends with status 1; ``--seed`` makes a run again, ``--seconds 0`` never ends.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from .pattern_cases import Case, expected, found, make_case


def differs(case: Case) -> str | None:
    """What the two say of a case, where it is not the same."""
    ours = found(case)
    right = expected(case)
    if ours is None or ours == right:
        return None
    events = "\n".join(f"  {number}: {at} {fields}" for number, (at, fields) in enumerate(case.events))
    return f"{case.text}\n{events}\nmatcher: {ours}\noracle:  {right}"


def main() -> int:
    """Try case after case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    began, tried, true = time.monotonic(), 0, 0
    while not asked.seconds or time.monotonic() - began < asked.seconds:
        case = make_case(chance.randrange)
        problem = differs(case)
        if problem is not None:
            print(problem)
            return 1
        tried += 1
        true += bool(expected(case))
    print(f"{tried} cases, {true} with a match, none differs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
