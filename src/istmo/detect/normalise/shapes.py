"""The shapes that Windows events come in, each flattened to one field per name.

* *flat*: nxlog, and exports of winlogbeat: ``{"EventID": 1, "Channel": …, "Image": …}``
* *nested*: the event's XML as JSON: ``{"Event": {"System": …, "EventData": …, "UserData": …}}``,
  with or without the outer ``Event``, attributes under ``#attributes``, ``@Name`` or plain
* *ECS*: winlogbeat and Elastic Agent: ``winlog.event_data.*``, nested or with dotted keys
* *winlogbeat 6*: ``log_name``, ``event_id``, ``event_data``

Field names follow the Sigma rules specification, "Field Usage": spaces are stripped, attributes
of ``System`` elements are joined with ``_`` (``Provider_Name``). The input is never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from istmo.detect.sigma.fields import EMPTY

Fields = dict[str, Any]

IDENTITY = frozenset({"Channel", "EventID", "Computer", "Provider_Name"})
"""What the event is. An event's own data may use these names too, and must not overwrite them."""

FLAT_NAMES = (("Provider_Name", "SourceName"), ("Computer", "Hostname"))
ECS_NAMES = {
    "channel": "Channel",
    "event_id": "EventID",
    "provider_name": "Provider_Name",
    "provider_guid": "Provider_Guid",
    "computer_name": "Computer",
    "record_id": "EventRecordID",
    "task": "Task",
    "opcode": "Opcode",
    "keywords": "Keywords",
    "version": "Version",
}
BEAT6_NAMES = {
    "log_name": "Channel",
    "event_id": "EventID",
    "source_name": "Provider_Name",
    "provider_guid": "Provider_Guid",
    "computer_name": "Computer",
    "record_number": "EventRecordID",
    "message": "Message",
}
ATTRIBUTE_KEYS = ("#attributes", "@attributes", "$")
DEPTH = 8
"""How deep event data is followed; real events need three."""


def is_windows(event: Mapping[str, Any]) -> bool:
    """Whether an event has one of the shapes that :func:`flatten` knows."""
    if "EventID" in event and "Channel" in event:
        return True
    if "Event" in event or "System" in event:
        inner = event.get("Event", event)
        return isinstance(inner, Mapping) and isinstance(inner.get("System"), Mapping)
    return (
        isinstance(event.get("winlog"), Mapping)
        or "winlog.channel" in event
        or "winlog.event_id" in event
        or ("log_name" in event and "event_id" in event)
    )


def flatten(event: Mapping[str, Any]) -> Fields:
    """Sigma's flat fields of a Windows event in any of the shapes; of another event, its own fields."""
    if "EventID" in event and "Channel" in event:
        return flatten_flat(event)
    inner = event.get("Event", event)
    if isinstance(inner, Mapping) and isinstance(inner.get("System"), Mapping):
        return flatten_nested(inner)
    if isinstance(event.get("winlog"), Mapping):
        return flatten_ecs(event)
    if "winlog.channel" in event or "winlog.event_id" in event:
        event = undot(event)
        return flatten_ecs(event) if isinstance(event.get("winlog"), Mapping) else flatten_flat(event)
    if "log_name" in event and "event_id" in event:
        return flatten_beat6(event)
    return flatten_flat(event)


def flatten_flat(event: Mapping[str, Any]) -> Fields:
    """Fields that stand side by side already."""
    fields = dict(event)
    if " " in "".join(event):
        for name in [name for name in fields if " " in name]:
            fields.setdefault(name.replace(" ", ""), fields.pop(name))
    for sigma, theirs in FLAT_NAMES:
        if theirs in fields and sigma not in fields:
            fields[sigma] = fields[theirs]
    return fields


def flatten_nested(event: Mapping[str, Any]) -> Fields:
    """The XML of an event as JSON."""
    fields: Fields = {}
    for name, value in event["System"].items():
        if not isinstance(value, Mapping):
            fields[name] = value
            continue
        text = text_of(value)
        if text is not None:
            fields[name] = text
        for attribute, content in attributes_of(value):
            fields[f"{name}_{attribute}"] = content
    if "EventID" not in fields and "EventID_Value" in fields:
        fields["EventID"] = fields["EventID_Value"]
    for part in ("EventData", "UserData"):
        add_data(fields, event.get(part))
    if isinstance(event.get("Message"), str):
        fields.setdefault("Message", event["Message"])
    return fields


def flatten_ecs(event: Mapping[str, Any]) -> Fields:
    """Elastic Common Schema: the Windows part under ``winlog``."""
    winlog = event["winlog"]
    fields: Fields = {}
    for theirs, sigma in ECS_NAMES.items():
        if theirs in winlog:
            fields[sigma] = winlog[theirs]
    if "EventID" not in fields:
        code = at(event, "event", "code")
        if code is not None:
            fields["EventID"] = code
    if "Computer" not in fields and at(event, "host", "name") is not None:
        fields["Computer"] = at(event, "host", "name")
    if isinstance(event.get("message"), str):
        fields["Message"] = event["message"]
    if "@timestamp" in event:
        fields["@timestamp"] = event["@timestamp"]
    for part in ("event_data", "user_data"):
        add_data(fields, winlog.get(part))
    return fields


def flatten_beat6(event: Mapping[str, Any]) -> Fields:
    """winlogbeat before ECS."""
    fields: Fields = {sigma: event[theirs] for theirs, sigma in BEAT6_NAMES.items() if theirs in event}
    if "@timestamp" in event:
        fields["@timestamp"] = event["@timestamp"]
    for part in ("event_data", "user_data"):
        add_data(fields, event.get(part))
    return fields


def add_data(fields: Fields, data: Any, depth: int = 0) -> None:
    """Add the named values of EventData or UserData; unnamed ones become the list ``Data``."""
    if depth > DEPTH:
        return
    if isinstance(data, list):
        for item in data:
            add_data_element(fields, item, depth)
        return
    if not isinstance(data, Mapping):
        return
    for name, value in data.items():
        if name in ATTRIBUTE_KEYS or name == "xmlns" or name.startswith("@"):
            continue
        if name == "Data" and isinstance(value, (list, Mapping)):
            for item in value if isinstance(value, list) else (value,):
                add_data_element(fields, item, depth)
        elif isinstance(value, Mapping):
            text = text_of(value)
            if text is not None or "#text" in value:
                put(fields, name, text)
            elif value:
                add_data(fields, value, depth + 1)
        else:
            put(fields, name, value)


def add_data_element(fields: Fields, item: Any, depth: int) -> None:
    """One ``<Data Name="…">`` element, or a nameless one."""
    if isinstance(item, Mapping):
        name = next((content for key, content in attributes_of(item) if key == "Name"), None)
        if isinstance(name, str):
            put(fields, name, text_of(item))
            return
        if "#text" not in item:
            add_data(fields, item, depth + 1)
            return
        item = text_of(item)
    found = fields.setdefault("Data", [])
    if not isinstance(found, list):
        fields["Data"] = found = [found]
    found.extend(item if isinstance(item, list) else [item])


def put(fields: Fields, name: str, value: Any) -> None:
    """Add a value of the event's own data; an empty one may be the empty text or nothing."""
    name = name.replace(" ", "")
    if name not in IDENTITY or name not in fields:
        fields[name] = EMPTY if value == "" else value


def text_of(element: Mapping[str, Any]) -> Any:
    """The text of an element that has attributes as well; None where it has none."""
    for key in ("#text", "$t", "_"):
        if key in element:
            return element[key]
    if "Name" in element or "@Name" in element:
        return element.get("Value", element.get("content"))
    return None


def attributes_of(element: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """An element's attributes, in whichever way the exporter wrote them."""
    for key in ATTRIBUTE_KEYS:
        found = element.get(key)
        if isinstance(found, Mapping):
            yield from found.items()
    for key, value in element.items():
        if key.startswith("@") and key not in ATTRIBUTE_KEYS:
            yield key[1:], value
        elif not key.startswith(("#", "$", "_")) and not isinstance(value, (Mapping, list)):
            yield key, value


def undot(event: Mapping[str, Any]) -> Fields:
    """Dotted keys as nested mappings (``winlog.event_data.Image``)."""
    nested: Fields = {}
    for key, value in event.items():
        *path, last = key.split(".")
        if len(path) > DEPTH:
            continue
        here = nested
        for step in path:
            below = here.setdefault(step, {})
            if not isinstance(below, dict):
                break
            here = below
        else:
            here[last] = value
    return nested


def at(event: Mapping[str, Any], *path: str) -> Any:
    """The value at a path of nested mappings, or None."""
    here: Any = event
    for step in path:
        if not isinstance(here, Mapping):
            return None
        here = here.get(step)
    return here
