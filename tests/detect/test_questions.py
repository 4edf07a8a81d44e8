"""What is asked of the worker, where it cannot be said."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from istmo.clock import ManualClock
from istmo.detect.questions import MOST_SEARCHES, Questions
from istmo.detect.wire import HuntRules
from istmo.detect.wire.carrying import encode


def test_a_question_that_cannot_be_said_takes_nobodys_place(clock: ManualClock) -> None:
    def say(message: Any) -> bool:
        return bool(encode(message))

    numbers = count(1)
    questions = Questions(say, lambda: next(numbers), clock, 10.0)
    for _ in range(MOST_SEARCHES + 1):
        with pytest.raises(OverflowError):
            questions.hunt_rules(lambda number: HuntRules(number, [], {}, None, None, 10**30))
