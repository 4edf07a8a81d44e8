"""Log sources, generic names, time and host."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.normalise import normalise
from istmo.detect.normalise.times import read_time
from istmo.detect.sigma import Logsource

from ..sigma.recordings import recorded_events  # noqa: TID252 - works with and without tests as a package

SYSMON = "Microsoft-Windows-Sysmon/Operational"


def sources(channel: str, event_id: Any, **fields: Any) -> set[tuple[str, str]]:
    """(category, service) of an event."""
    found = normalise({"Channel": channel, "EventID": event_id, **fields}).logsources
    assert all(one.product == "windows" for one in found)
    return {(one.category, one.service) for one in found}


@pytest.mark.parametrize(
    ("channel", "event_id", "expected"),
    [
        (SYSMON, 1, {("process_creation", "sysmon")}),
        (SYSMON, "1", {("process_creation", "sysmon")}),
        (SYSMON.upper(), 1, {("process_creation", "sysmon")}),
        (
            SYSMON,
            12,
            {("registry_event", "sysmon"), ("registry_add", "sysmon"), ("registry_delete", "sysmon")},
        ),
        (SYSMON, 13, {("registry_event", "sysmon"), ("registry_set", "sysmon")}),
        (SYSMON, 26, {("file_delete", "sysmon"), ("file_delete_detected", "sysmon")}),
        (SYSMON, 999, {("", "sysmon")}),
        ("Security", 4688, {("process_creation", "security")}),
        ("security", 4624, {("", "security")}),
        ("Microsoft-Windows-PowerShell/Operational", 4104, {("ps_script", "powershell")}),
        ("PowerShellCore/Operational", 4104, {("ps_script", "powershell")}),
        ("Windows PowerShell", 400, {("ps_classic_start", "powershell-classic")}),
        (
            "Microsoft-ServiceBus-Client/Admin",
            1,
            {("", "servicebus-client"), ("", "microsoft-servicebus-client")},
        ),
        ("Microsoft-Windows-Windows Defender/Operational", 1116, {("antivirus", "windefend")}),
        ("Some-Vendor/Operational", 5, {("", "")}),
        ("Some-Vendor/Operational", "five", {("", "")}),
    ],
)
def test_channel_and_event_id_say_what_an_event_is(
    channel: str, event_id: Any, expected: set[tuple[str, str]]
) -> None:
    assert sources(channel, event_id) == expected


def test_an_event_that_is_not_of_windows_has_no_log_source() -> None:
    assert normalise({"message": "hello", "host": "web1"}).logsources == ()


def test_an_audited_process_gets_the_names_of_process_creation() -> None:
    fields = normalise(
        {
            "Channel": "Security",
            "EventID": 4688,
            "NewProcessName": "C:\\b.exe",
            "ParentProcessName": "C:\\a.exe",
            "SubjectLogonId": "0x3e7",
            "MandatoryLabel": "S-1-16-16384",
            "CommandLine": "b -x",
        }
    ).fields
    assert fields["Image"] == fields["NewProcessName"] == "C:\\b.exe"
    assert fields["ParentImage"] == "C:\\a.exe"
    assert (fields["LogonId"], fields["IntegrityLevel"]) == ("0x3e7", "System")


def test_what_the_event_says_itself_is_never_replaced() -> None:
    event = {"Channel": "Security", "EventID": 4688, "NewProcessName": "C:\\b.exe", "Image": "C:\\own.exe"}
    assert normalise(event).fields["Image"] == "C:\\own.exe"


@pytest.mark.parametrize(
    ("operation", "categories"),
    [
        ("%%1904", {"registry_event", "registry_add"}),
        ("%%1905", {"registry_event", "registry_set"}),
        ("%%1906", {""}),
        (None, {""}),
    ],
)
def test_an_audited_registry_change_is_what_was_done(operation: str | None, categories: set[str]) -> None:
    found = sources("Security", 4657, OperationType=operation)
    assert {category for category, _ in found} == categories


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("\\REGISTRY\\MACHINE\\SYSTEM\\Services", "HKLM\\SYSTEM\\Services\\Start"),
        ("\\Registry\\User\\S-1-5-18\\Run", "HKU\\S-1-5-18\\Run\\Start"),
        ("\\REGISTRY\\A\\x", "\\REGISTRY\\A\\x\\Start"),
    ],
)
def test_an_audited_registry_value_has_its_path_as_sysmon_writes_it(name: str, expected: str) -> None:
    event = {"Channel": "Security", "EventID": 4657, "ObjectName": name, "ObjectValueName": "Start"}
    assert normalise({**event, "NewValue": "4"}).fields["TargetObject"] == expected
    assert normalise({**event, "NewValue": "4"}).fields["Details"] == "4"


def test_classic_powershell_without_its_data_is_read_from_the_message() -> None:
    event = {"Channel": "Windows PowerShell", "EventID": 400, "Message": "HostApplication=x"}
    assert normalise(event).fields["Data"] == "HostApplication=x"
    assert normalise({**event, "Data": ["own"]}).fields["Data"] == ["own"]


@pytest.mark.parametrize(
    ("fields", "expected", "is_assumed"),
    [
        ({"@timestamp": "2021-04-27T04:07:34.160Z"}, datetime(2021, 4, 27, 4, 7, 34, 160000, UTC), False),
        ({"UtcTime": "2021-04-27 08:07:26.159"}, datetime(2021, 4, 27, 8, 7, 26, 159000, UTC), False),
        ({"EventTime": "2020-09-17 17:32:14"}, datetime(2020, 9, 17, 17, 32, 14, tzinfo=UTC), True),
        (
            {"EventTime": "2020-09-17 17:32:14", "@timestamp": "2020-09-17T21:32:15Z"},
            datetime(2020, 9, 17, 21, 32, 15, tzinfo=UTC),
            False,
        ),
        ({"TimeCreated": "2020-09-17T17:32:14-04:00"}, datetime(2020, 9, 17, 21, 32, 14, tzinfo=UTC), False),
        (
            {"TimeCreated": "nonsense", "UtcTime": "2021-01-01 00:00:00"},
            datetime(2021, 1, 1, tzinfo=UTC),
            False,
        ),
        ({"TimeCreated": "2021-02-30T00:00:00Z"}, None, False),
        ({}, None, False),
    ],
)
def test_the_time_is_aware_and_says_when_its_zone_was_assumed(
    fields: dict[str, Any], expected: datetime | None, is_assumed: bool
) -> None:
    found = normalise({"Channel": "System", "EventID": 1, **fields})
    assert (found.time, found.is_time_assumed) == (expected, is_assumed)


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_iso_text_and_epochs_are_read_back(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    assert read_time(moment.isoformat()) == (moment, True)
    for scale in (1, 1000, 1_000_000):
        if moment.timestamp() * scale < {1: 1e11, 1000: 1e14, 1_000_000: 1e18}[scale] and moment.year > 1975:
            read = read_time(moment.timestamp() * scale)
            assert read is not None
            assert abs(read[0] - moment) < timedelta(milliseconds=1)


@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.booleans(), st.lists(st.text())))
def test_no_value_of_a_time_makes_it_fail(found: Any) -> None:
    read_time(found)


def test_a_host_is_taken_from_whoever_names_the_computer() -> None:
    assert normalise({"Channel": "x", "EventID": 1, "Hostname": "a", "host": "collector"}).host == "a"
    assert normalise({"host": {"name": "b"}}).host == "b"
    assert normalise({"host": 5}).host == ""


@pytest.mark.shared_data
def test_every_recorded_event_has_a_kind_a_time_and_a_host(shared_data: Path) -> None:
    kinds: Counter[Logsource] = Counter()
    for _, raw in recorded_events(shared_data):
        event = normalise(raw)
        assert event.logsources, raw
        assert event.time is not None, raw
        assert event.host, raw
        kinds.update(event.logsources)
    assert kinds[Logsource("process_creation", "windows", "sysmon")] == 69
    assert kinds[Logsource("process_creation", "windows", "security")] == 74
    assert kinds[Logsource("process_access", "windows", "sysmon")] == 17_301


def test_the_codes_of_an_access_list_have_their_names_beside_them() -> None:
    codes = "%%1538\r\n\t\t\t\t%%4417\r\n\t\t\t\t%%9999\r\n\t\t\t\t"
    event = {"Channel": "Security", "EventID": 5145, "AccessList": codes}
    assert normalise(event).fields["AccessList"] == [codes, "READ_CONTROL WriteData (or AddFile)"]
    for other in ("%%9999", "", None, ["%%4417"]):
        assert normalise(event | {"AccessList": other}).fields["AccessList"] == other
    assert normalise(event | {"EventID": 4624}).fields["AccessList"] == codes


def test_a_failed_wmi_operation_is_found_in_the_message_where_there_is_nothing_else() -> None:
    event = {
        "Channel": "Microsoft-Windows-WMI-Activity/Operational",
        "EventID": 5858,
        "Message": "Operation = x",
    }
    assert normalise(event).fields["Operation"] == "Operation = x"
    assert normalise(event | {"Operation": "y"}).fields["Operation"] == "y"


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001 - the zone follows
    st.sampled_from(["T", " ", "t"]),
    st.integers(0, 9),
    st.sampled_from([".", ","]),
    st.sampled_from(["", "Z", "z", " UTC", "+00:00", "-06:00", "+0530"]),
)
def test_however_a_time_is_spelled_it_is_the_same_instant(
    when: datetime, mark: str, digits: int, point: str, zone: str
) -> None:
    fraction = f"{when.microsecond:06d}000"[:digits]
    text = f"{when:%Y-%m-%d}{mark}{when:%H:%M:%S}{point + fraction if fraction else ''}{zone}"
    offset = {"-06:00": timedelta(hours=-6), "+0530": timedelta(hours=5, minutes=30)}.get(zone, timedelta())
    instant = when.replace(microsecond=int(fraction.ljust(6, "0")[:6]), tzinfo=UTC) - offset
    assert read_time(text) == (instant, zone != "")
    assert read_time(f" {text} ") == (instant, zone != "")
