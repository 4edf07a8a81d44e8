"""Lines of JSON in a hunt that nobody parses: what is found and told stays the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from istmo.detect.sigma.engine import raw

from .test_hunt import found, rules, run  # noqa: F401 - a fixture

SYSMON = "Microsoft-Windows-Sysmon/Operational"


def flat(number: int, **fields: Any) -> bytes:
    """A flat event, as shippers write it: without blanks."""
    event = {"Channel": SYSMON, "EventID": 1, "Hostname": "PC-07", "CommandLine": f"tres {number}"} | fields
    return json.dumps(event, separators=(",", ":")).encode()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Events of which one in ten matches, spread over many batches that are looked at first."""
    monkeypatch.setattr(raw, "_LEARN", 10)
    monkeypatch.setattr("istmo.detect.triage.work.BLOCK", 2_000)
    path = tmp_path / "flat.json"
    path.write_bytes(
        b"\n".join(flat(n, CommandLine=f"uno {n}" if n % 10 == 9 else f"tres {n}") for n in range(300))
    )
    return path


def test_the_same_is_found_as_where_every_line_is_read(tmp_path: Path, rules: Path, log: Path) -> None:  # noqa: F811
    (tmp_path / "indicators.txt").write_text("192.0.2.99\n")
    quick = found(run(log, "--rules", rules, "--json"))
    read = found(run(log, "--rules", rules, "--json", "--indicators", tmp_path / "indicators.txt"))
    assert quick["matches"] == read["matches"]
    (group,) = quick["matches"]
    assert (group["count"], group["hosts"]) == (30, {"PC-07": 30})
    assert [sample["number"] for sample in group["samples"][:3]] == [10, 20, 30]
    assert quick["summary"]["events"] == read["summary"]["events"] == 300


def test_hosts_and_times_are_asked_of_what_matched(rules: Path, log: Path) -> None:  # noqa: F811
    log.write_bytes(log.read_bytes() + b"\n" + flat(1, Hostname="PC-08", CommandLine="uno"))
    (group,) = found(run(log, "--rules", rules, "--json", "--host", "PC-08"))["matches"]
    assert group["count"] == 1


def test_a_line_that_breaks_off_is_told_and_so_is_one_that_a_rule_had_to_read(
    rules: Path,  # noqa: F811
    log: Path,
) -> None:
    cut, broken = flat(300)[:-5], flat(301, CommandLine="uno")[:-1] + b',"x":nothing}'
    log.write_bytes(log.read_bytes() + b"\n" + cut + b"\n" + broken)
    document = found(run(log, "--rules", rules, "--json"))
    told = [one for one in document["problems"] if one["kind"] == "file"]
    assert {one["file"] for one in told} == {str(log)}
    assert sum(one["count"] for one in told) == 2
    assert document["summary"]["events"] == 300


def test_elements_of_an_array_may_go_over_several_lines(rules: Path, log: Path) -> None:  # noqa: F811
    events = [json.loads(line) for line in log.read_bytes().splitlines()]
    log.write_text(json.dumps(events, indent=1))
    (group,) = found(run(log, "--rules", rules, "--json"))["matches"]
    assert group["count"] == 30
