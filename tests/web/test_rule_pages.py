"""Rules in the console: what belongs together is found from either side."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from web_site import Site, make_site

from istmo.clock import ManualClock, SystemClock
from istmo.policy.principals import Operator

PART, WHOLE = "5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a11", "5f5d0b8a-5a41-4f39-8d1e-1f5b6b9c0a12"
RULES = f"""
title: Failed to sign in
id: {PART}
name: failed_logon
logsource: {{product: windows}}
detection:
  s: {{EventID: 4625}}
  condition: s
---
title: Many failures <from one place>
id: {WHOLE}
level: high
correlation:
  type: event_count
  rules: [failed_logon]
  group-by: [IpAddress]
  timespan: 5m
  condition: {{gte: 3}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("rules"), ManualClock(SystemClock().now()), rooms=None)
    site.node.detect.import_rules(Operator(), RULES.encode("utf-8"))
    yield site
    site.node.store.close()


@pytest.mark.parametrize(
    ("language", "part"), [("es", "Por sí sola no da alertas"), ("en", "raises no alerts of its own")]
)
def test_the_page_of_a_part_names_its_correlation_and_says_that_alone_it_is_silent(
    site: Site, language: str, part: str
) -> None:
    client = site.client(**{"Accept-Language": language})
    site.sign_in(client, "ana")
    page = client.get(f"/rules/{PART}").text
    assert f'<a class="value" href="/rules/{WHOLE}">Many failures &lt;from one place&gt;</a>' in page
    assert part in page
    assert part not in client.get(f"/rules/{WHOLE}").text


def test_a_rule_is_found_by_the_name_that_its_correlation_calls_it(site: Site) -> None:
    client = site.client()
    site.sign_in(client, "ana")
    assert 'href="/rules?q=failed_logon"' in client.get(f"/rules/{WHOLE}").text
    found = client.get("/rules?q=failed_logon").text
    assert f"/rules/{PART}" in found
    assert f"/rules/{WHOLE}" not in found
