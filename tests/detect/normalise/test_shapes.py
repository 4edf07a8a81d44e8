"""Events in every shape that shippers send come out with Sigma's names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.normalise import normalise
from istmo.detect.sigma.fields import EmptyText

FLAT = {
    "EventID": 1,
    "Channel": "Microsoft-Windows-Sysmon/Operational",
    "SourceName": "Microsoft-Windows-Sysmon",
    "Hostname": "host.example",
    "Image": "C:\\a.exe",
}
NESTED = {
    "Event": {
        "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
        "System": {
            "Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon", "Guid": "{5770}"}},
            "EventID": 1,
            "TimeCreated": {"#attributes": {"SystemTime": "2026-03-02T09:00:00.123456Z"}},
            "Execution": {"#attributes": {"ProcessID": 788, "ThreadID": 792}},
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "Computer": "host.example",
            "Security": {"#attributes": {"UserID": "S-1-5-18"}},
        },
        "EventData": {"Image": "C:\\a.exe", "New Value": "7"},
    }
}
AT_SIGNS = {
    "Event": {
        "@xmlns": "http://schemas.microsoft.com/win/2004/08/events/event",
        "System": {
            "Provider": {"@Name": "Microsoft-Windows-Sysmon"},
            "EventID": {"@Qualifiers": "", "#text": "1"},
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "Computer": "host.example",
        },
        "EventData": {"Data": [{"@Name": "Image", "#text": "C:\\a.exe"}, {"@Name": "Empty"}]},
    }
}
PLAIN = {
    "System": {
        "Provider": {"Name": "Microsoft-Windows-Sysmon"},
        "EventID": {"Value": 1},
        "TimeCreated": {"SystemTime": 1772442000.5},
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Computer": "host.example",
    },
    "EventData": {"Image": "C:\\a.exe"},
}
ECS = {
    "@timestamp": "2026-03-02T09:00:00.000Z",
    "message": "Process Create",
    "host": {"name": "host.example"},
    "event": {"code": "1"},
    "winlog": {
        "channel": "Microsoft-Windows-Sysmon/Operational",
        "provider_name": "Microsoft-Windows-Sysmon",
        "event_data": {"Image": "C:\\a.exe"},
    },
}
DOTTED = {
    "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
    "winlog.event_id": 1,
    "winlog.provider_name": "Microsoft-Windows-Sysmon",
    "winlog.computer_name": "host.example",
    "winlog.event_data.Image": "C:\\a.exe",
}
BEAT6 = {
    "log_name": "Microsoft-Windows-Sysmon/Operational",
    "event_id": 1,
    "source_name": "Microsoft-Windows-Sysmon",
    "computer_name": "host.example",
    "event_data": {"Image": "C:\\a.exe"},
}


@pytest.mark.parametrize("event", [FLAT, NESTED, AT_SIGNS, PLAIN, ECS, DOTTED, BEAT6])
def test_every_shape_comes_to_the_same_names(event: dict[str, Any]) -> None:
    found = normalise(event)
    assert found.fields["EventID"] == 1
    assert found.fields["Channel"] == "Microsoft-Windows-Sysmon/Operational"
    assert found.fields["Provider_Name"] == "Microsoft-Windows-Sysmon"
    assert found.fields["Computer"] == found.host == "host.example"
    assert found.fields["Image"] == "C:\\a.exe"
    assert [one.category for one in found.logsources] == ["process_creation"]


def test_attributes_of_the_header_are_joined_with_an_underscore() -> None:
    fields = normalise(NESTED).fields
    assert fields["Execution_ProcessID"] == 788
    assert fields["Security_UserID"] == "S-1-5-18"
    assert fields["Provider_Guid"] == "{5770}"


def test_spaces_in_names_are_stripped() -> None:
    assert normalise(NESTED).fields["NewValue"] == "7"
    assert normalise({**FLAT, "SAM User Account": "x"}).fields["SAMUserAccount"] == "x"


def test_user_data_does_not_overwrite_what_the_event_is() -> None:
    event = {
        "Event": {
            "System": {"Channel": "System", "EventID": 104, "Computer": "host"},
            "UserData": {
                "LogFileCleared": {
                    "#attributes": {"xmlns": "x"},
                    "SubjectUserName": "ana",
                    "Channel": "Security",
                    "EventID": 9,
                }
            },
        }
    }
    fields = normalise(event).fields
    assert (fields["Channel"], fields["EventID"], fields["SubjectUserName"]) == ("System", 104, "ana")


def test_the_event_data_of_an_ecs_event_does_not_either() -> None:
    event = {"winlog": {"channel": "System", "event_id": 104, "user_data": {"Channel": "Security"}}}
    assert normalise(event).fields["Channel"] == "System"


def test_payload_and_payload_in_lower_case_are_two_fields() -> None:
    fields = normalise({**FLAT, "Payload": "a", "payload": "b"}).fields
    assert (fields["Payload"], fields["payload"]) == ("a", "b")


@pytest.mark.parametrize(
    "data",
    [
        {"Data": {"#text": ["one", "two"]}},
        {"Data": ["one", "two"]},
        [{"#text": "one"}, {"#text": "two"}],
        {"Data": [{"#text": "one"}, "two"]},
    ],
)
def test_nameless_data_is_a_list_of_values(data: Any) -> None:
    event = {"Event": {"System": {"Channel": "Windows PowerShell", "EventID": 400}, "EventData": data}}
    assert normalise(event).fields["Data"] == ["one", "two"]


def test_values_keep_their_type_and_null_stays_null() -> None:
    fields = normalise({**FLAT, "Initiated": True, "Path": None, "Empty": "", "Port": 443}).fields
    assert fields["Initiated"] is True
    assert fields["Path"] is None
    assert fields["Empty"] == ""
    assert fields["Port"] == 443


def test_the_raw_event_is_not_touched() -> None:
    for event in (FLAT, NESTED, AT_SIGNS, PLAIN, ECS, DOTTED, BEAT6):
        before = json.dumps(event)
        normalise(event)
        assert json.dumps(event) == before


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=6))
names = st.sampled_from(
    [
        "Event",
        "System",
        "EventData",
        "UserData",
        "Data",
        "Channel",
        "EventID",
        "Provider",
        "#text",
        "#attributes",
        "@Name",
        "Name",
        "Value",
        "winlog",
        "winlog.channel",
        "winlog.event_id",
        "event_data",
        "channel",
        "event_id",
        "log_name",
        "host",
        "name",
        "TimeCreated",
        "OperationType",
        "ObjectName",
        "ObjectValueName",
        "MandatoryLabel",
        "EventTime",
    ]
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(names, anything, max_size=6))
def test_no_event_makes_it_fail(event: dict[str, Any]) -> None:
    normalise(event)


@given(st.dictionaries(names, anything, max_size=6), st.sampled_from([1, 12, 400, 4657, 4688, 1116]))
def test_no_windows_event_makes_it_fail(event: dict[str, Any], event_id: int) -> None:
    for channel in ("Security", "Windows PowerShell", "Microsoft-Windows-Sysmon/Operational"):
        found = normalise({**event, "EventID": event_id, "Channel": channel})
        assert found.logsources


def test_an_event_nested_without_end_is_followed_only_so_far() -> None:
    deep: Any = "x"
    for _ in range(3000):
        deep = {"a": deep}
    normalise({"Event": {"System": {"Channel": "System", "EventID": 1}, "UserData": deep}})


def test_an_element_without_text_is_empty_or_nothing_whoever_sent_it() -> None:
    inner = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 8}
    elements: list[dict[str, Any]] = [
        {"Event": {"System": inner, "EventData": {"StartModule": ""}}},
        {"Event": {"System": inner, "EventData": {"Data": [{"@Name": "StartModule", "#text": ""}]}}},
        {"winlog": {"channel": inner["Channel"], "event_id": 8, "event_data": {"StartModule": ""}}},
    ]
    for event in elements:
        assert isinstance(normalise(event).fields["StartModule"], EmptyText)
        json.dumps(normalise(event).fields)
