"""A rule that is slow is measured by the worker, and named where somebody looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from istmo.detect.objects_rule import RuleFilter
from istmo.detect.records import rules
from istmo.detect.wire import RuleCost

from .correlating import FAILED, FAILED_ID, logon
from .room import ANALYST, until
from .test_correlations import Site

SLOW_ID = "10000000-0000-4000-8000-000000000009"
SLOW = f"""title: Palabras muy largas
id: {SLOW_ID}
level: low
logsource: {{product: windows, service: security}}
detection:
  selection: {{TargetUserName|re: '[a-q][^u-z]{{13}}[v-z]'}}
  condition: selection
"""


@pytest.fixture
def site(data: Path) -> Iterator[Site]:
    made = Site(data)
    yield made
    made.close()


def test_a_slow_rule_is_timed_while_events_flow_and_told_from_the_others(site: Site) -> None:
    site.take(FAILED, SLOW)
    events = [logon(4624, "k" * 3_000, minute) for minute in range(40)]

    def cost() -> object:
        site.send(*events)
        return site.room.detect.read_rule(ANALYST, SLOW_ID).cost

    until(cost, 180.0)  # the meter looks at one portion in many
    found = site.room.detect.read_rule(ANALYST, SLOW_ID).cost
    assert found is not None
    assert found.is_slow
    assert found.share > 100, "much of the time of all rules"
    assert found.asked == 1_000_000, "no literal of it must stand in an event"
    assert site.room.detect.read_rule(ANALYST, FAILED_ID).cost is None
    assert [one.id for one in site.room.detect.list_rules(ANALYST, RuleFilter(is_slow=True)).items] == [
        SLOW_ID
    ]


def test_a_rule_that_is_not_told_any_more_costs_nothing(site: Site) -> None:
    site.take(FAILED, SLOW)
    for told in (
        [RuleCost(SLOW_ID, 9_000, 10, 900), RuleCost(FAILED_ID, 60, 1, 1)],
        [RuleCost(FAILED_ID, 70, 1, 1)],
    ):
        with site.room.store.write() as tx:
            rules.set_costs(tx.connection, told, site.room.clock.now())
    assert site.room.detect.read_rule(ANALYST, SLOW_ID).cost is None
    cost = site.room.detect.read_rule(ANALYST, FAILED_ID).cost
    assert cost is not None and cost.nanos == 70 and not cost.is_slow
    assert site.room.detect.list_rules(ANALYST, RuleFilter(is_slow=True)).total == 0


def test_a_slow_rule_that_is_switched_off_slows_nothing(site: Site) -> None:
    site.take(SLOW)
    with site.room.store.write() as tx:
        rules.set_costs(tx.connection, [RuleCost(SLOW_ID, 9_000, 10, 900)], site.room.clock.now())
    assert site.room.detect.list_rules(ANALYST, RuleFilter(is_slow=True)).total == 1
    site.room.detect.enable_rule(ANALYST, SLOW_ID, False)
    assert site.room.detect.list_rules(ANALYST, RuleFilter(is_slow=True)).total == 0


def test_another_text_has_another_cost(site: Site) -> None:
    site.take(SLOW)
    with site.room.store.write() as tx:
        rules.set_costs(tx.connection, [RuleCost(SLOW_ID, 9_000, 10, 900)], site.room.clock.now())
    site.take(SLOW.replace("13", "3"))
    assert site.room.detect.read_rule(ANALYST, SLOW_ID).cost is None
