"""On recorded attacks: an indicator hits exactly the events that a plain look at the text finds."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from istmo.detect.indicators import Matcher
from istmo.detect.normalise import normalise
from istmo.model.patterns import read_pattern

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def events(shared_data: Path) -> list[dict[str, Any]]:
    """The flat fields of every recorded event."""
    return [fields for path in sorted((shared_data / "events").glob("*.zip")) for fields in _events(path)]


def _events(path: Path) -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if "__MACOSX" in name or name.endswith("/"):
                continue
            for line in archive.read(name).splitlines():
                try:
                    yield normalise(orjson.loads(line)).fields
                except orjson.JSONDecodeError:
                    continue


def hits(events: list[dict[str, Any]], pattern: str) -> dict[str, int]:
    """How many events a pattern hits, by field."""
    made = Matcher(lambda: 0)
    read = read_pattern(pattern)
    assert read.not_detected is None
    assert made.put("indicator", [(term.kind, term.value) for term in read.terms]) == ()
    found: dict[str, int] = {}
    for event in events:
        for hit in made.match(event):
            found[hit.field] = found.get(hit.field, 0) + 1
    return found


def holding(events: list[dict[str, Any]], field: str, text: str) -> int:
    """In how many events a field holds a text, in any case."""
    return sum(text.lower() in str(event.get(field, "")).lower() for event in events)


def test_a_domain_is_found_in_lookups_and_in_command_lines(events: list[dict[str, Any]]) -> None:
    found = hits(events, "[domain-name:value = 'raw.githubusercontent.com']")
    assert found == {
        field: holding(events, field, "raw.githubusercontent.com")
        for field in ("QueryName", "CommandLine", "ParentCommandLine")
    }
    assert hits(events, "[domain-name:value = 'githubusercontent.com']") == found


def test_a_url_is_found_inside_the_command_line_that_fetched_it(events: list[dict[str, Any]]) -> None:
    lines = [str(event["CommandLine"]) for event in events if "bitsadmin" in str(event.get("CommandLine"))]
    url = next(word for line in lines for word in line.split() if word.startswith("https://"))
    found = hits(events, f"[url:value = '{url}']")
    assert found["CommandLine"] == holding(events, "CommandLine", url) > 0


def test_addresses_ranges_and_wrapped_addresses_are_found(events: list[dict[str, Any]]) -> None:
    found = hits(events, "[ipv4-addr:value = '192.168.56.0/24']")
    ends = [f"192.168.56.{number}" for number in range(256)]
    for field in ("SourceIp", "DestinationIp", "SourceAddress", "DestAddress"):
        whole = sum(str(event.get(field)) in ends for event in events)
        assert found.get(field, 0) == whole
    assert hits(events, "[ipv4-addr:value = '151.101.248.133']") == {
        field: holding(events, field, "151.101.248.133")
        for field in ("QueryResults", "DestinationIp", "DestAddress")
    }
    assert hits(events, "[ipv4-addr:value = '172.18.39.6']")["CommandLine"] == 8


def test_digests_are_found_by_their_own_name_alone(events: list[dict[str, Any]]) -> None:
    sample = next(str(event["Hashes"]) for event in events if "IMPHASH=" in str(event.get("Hashes")))
    digests = dict(part.split("=") for part in sample.split(","))
    found = hits(events, f"[file:hashes.'SHA-256' = '{digests['SHA256'].lower()}']")
    assert found == {"Hashes": holding(events, "Hashes", digests["SHA256"])}
    assert hits(events, f"[file:hashes.MD5 = '{digests['MD5']}']")["Hashes"] > 0
    imphash = next(
        found["IMPHASH"]
        for event in events
        if (found := dict(part.split("=") for part in str(event.get("Hashes", "")).split(",") if "=" in part))
        and set(found.get("IMPHASH", "0")) != {"0"}
    )
    assert hits(events, f"[file:hashes.MD5 = '{imphash}']") == {}


def test_a_file_is_found_by_its_name_wherever_it_lies(events: list[dict[str, Any]]) -> None:
    found = hits(events, "[file:name = 'bitsadmin.exe']")
    ends = sum(str(event.get("Image", "")).lower().endswith("\\bitsadmin.exe") for event in events)
    assert found["Image"] == ends > 0
    assert found["CommandLine"] > 0


def test_what_is_not_there_hits_nothing(events: list[dict[str, Any]]) -> None:
    assert hits(events, "[ipv4-addr:value = '203.0.113.77']") == {}
    assert hits(events, "[domain-name:value = 'facturas-sat.example']") == {}
