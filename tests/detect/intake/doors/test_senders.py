"""What known senders ask, with their headers and bodies, and what is then known of their events."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from typing import Any

import pytest

from detect.intake.conftest import SECRET, Port
from istmo.detect.normalise import normalise

BASIC = "Basic " + base64.b64encode(f"istmo:{SECRET}".encode()).decode()
NDJSON = "application/x-ndjson"
FAILED = "Failed password for root from 203.0.113.7 port 22 ssh2"
LINUX = {("linux", "syslog"), ("linux", "sshd"), ("linux", "auth")}
AT = "2026-03-02T09:00:00.000Z"


@dataclass(frozen=True)
class Sender:
    """What it asks before it sends, where it sends to, and one of its events."""

    asks: tuple[tuple[str, str], ...]
    path: str
    action: dict[str, Any]
    event: dict[str, Any]
    known: dict[str, Any]
    logsources: set[tuple[str, str]]
    headers: dict[str, str]
    is_packed: bool = False


WINDOWS = {"EventID": 4625, "Channel": "Security", "TargetUserName": "ana", "Computer": "PC-07"}
WAZUH = {
    "timestamp": "2026-03-02T09:00:00.000+0000",
    "rule": {"level": 5, "description": "Logon failure", "id": "60122", "groups": ["windows"]},
    "agent": {"id": "001", "name": "PC-07", "ip": "192.0.2.7"},
    "manager": {"name": "wazuh"},
    "id": "1772442000.1234",
    "decoder": {"name": "windows_eventchannel"},
    "data": {
        "win": {
            "system": {
                "providerName": "Microsoft-Windows-Security-Auditing",
                "eventID": "4625",
                "systemTime": "2026-03-02T09:00:00.0000000Z",
                "channel": "Security",
                "computer": "PC-07",
            },
            "eventdata": {"targetUserName": "ana"},
        }
    },
    "location": "EventChannel",
}

SENDERS = {
    "winlogbeat": Sender(
        asks=(("GET", "/"), ("GET", "/_license?human=false")),
        path="/_bulk",
        action={
            "create": {"_index": "winlogbeat-8.19.0", "_id": "f1", "pipeline": "winlogbeat-8.19.0-routing"}
        },
        event={
            "@timestamp": AT,
            "agent": {"type": "winlogbeat", "version": "8.19.0", "name": "PC-07"},
            "host": {"name": "PC-07"},
            "event": {"code": "4625", "kind": "event", "provider": "Microsoft-Windows-Security-Auditing"},
            "message": "An account failed to log on.",
            "winlog": {
                "channel": "Security",
                "event_id": "4625",
                "provider_name": "Microsoft-Windows-Security-Auditing",
                "computer_name": "PC-07",
                "record_id": 7,
                "event_data": {"TargetUserName": "ana", "IpAddress": "203.0.113.7"},
            },
        },
        known=WINDOWS,
        logsources={("windows", "security")},
        headers={
            "User_Agent": "Elastic-winlogbeat/8.19.0 (windows; amd64)",
            "X_Elastic_Product_Origin": "beats",
        },
        is_packed=True,
    ),
    "filebeat": Sender(
        asks=(("GET", "/"), ("HEAD", "/_data_stream/filebeat-8.19.0"), ("GET", "/_license?human=false")),
        path="/_bulk",
        action={"create": {"_index": "filebeat-8.19.0", "_id": "g1"}},
        event={
            "@timestamp": AT,
            "agent": {"type": "filebeat"},
            "host": {"name": "web1"},
            "input": {"type": "journald"},
            "process": {"pid": 8},
            "syslog": {"facility": 4, "identifier": "sshd", "priority": 6},
            "systemd": {"unit": "ssh.service", "transport": "syslog"},
            "message": FAILED,
        },
        known={"program": "sshd", "message": FAILED},
        logsources=LINUX,
        headers={"User_Agent": "Elastic-filebeat/8.19.0 (linux; amd64)", "X_Elastic_Product_Origin": "beats"},
        is_packed=True,
    ),
    "vector": Sender(
        asks=(("GET", "/_cluster/health"),),
        path="/_bulk?timeout=60s",
        action={"create": {"_index": "vector", "_type": "_doc", "_id": "5f0a3a5e"}},
        event={
            "timestamp": AT,
            "SYSLOG_IDENTIFIER": "sshd",
            "PRIORITY": "6",
            "_COMM": "sshd",
            "host": "web1",
            "source_type": "journald",
            "message": FAILED,
        },
        known={"program": "sshd", "message": FAILED},
        logsources=LINUX,
        headers={},
        is_packed=True,
    ),
    "fluent-bit": Sender(
        asks=(),
        path="/_bulk/?pipeline=none",
        action={"create": {"_index": "fluent-bit", "_id": "a1b2c3d4-0000-0000-0000-000000000000"}},
        event={
            "@timestamp": AT,
            "SYSLOG_IDENTIFIER": "sshd",
            "_HOSTNAME": "web1",
            "PRIORITY": "6",
            "MESSAGE": FAILED,
        },
        known={"program": "sshd", "message": FAILED},
        logsources=LINUX,
        headers={"User_Agent": "Fluent-Bit"},
    ),
    "wazuh": Sender(
        asks=(),
        path="/_bulk",
        action={"create": {"_index": "wazuh", "_id": "a1b2c3d4-0000-0000-0000-000000000001"}},
        event={"@timestamp": AT} | WAZUH,
        known=WINDOWS,
        logsources={("windows", "security")},
        headers={"User_Agent": "Fluent-Bit"},
    ),
    "logstash": Sender(
        asks=(
            ("HEAD", "/"),
            ("GET", "/"),
            ("GET", "/_license"),
            ("HEAD", "/_index_template/logstash"),
            ("GET", "/_ilm/policy/logstash-policy"),
            ("HEAD", "/logstash"),
            ("GET", "/_nodes/http"),
        ),
        path="/_bulk?filter_path=errors,items.*.error,items.*.status",
        action={"create": {"_id": "0f8fad5b", "_index": "logstash", "routing": None}},
        event={
            "@timestamp": AT,
            "@version": "1",
            "host": {"hostname": "web1"},
            "log": {"syslog": {"appname": "sshd", "hostname": "web1"}},
            "message": FAILED,
        },
        known={"program": "sshd", "message": FAILED},
        logsources=LINUX,
        headers={"X_Elastic_Product_Origin": "logstash-output-elasticsearch", "X_Elastic_Event_Count": "1"},
    ),
}


@pytest.mark.parametrize("name", SENDERS)
def test_what_a_sender_asks_is_answered_and_its_events_are_known(port: Port, name: str) -> None:
    sender = SENDERS[name]
    headers = {"Authorization": BASIC} | sender.headers
    for method, path in sender.asks:
        answer = port.ask(method, path, **headers)
        assert answer.status_code == 200, (method, path)
        assert answer.headers["x-elastic-product"] == "Elasticsearch"
    body = (json.dumps(sender.action) + "\n" + json.dumps(sender.event) + "\n").encode()
    if sender.is_packed:
        body, headers = gzip.compress(body), headers | {"Content_Encoding": "gzip"}
    answer = port.ask("POST", sender.path, body, Content_Type=NDJSON, **headers)
    told = answer.json()
    assert (answer.status_code, told["errors"]) == (200, False)
    assert [one["create"]["status"] for one in told["items"]] == [201]
    (event,) = port.events()
    read = normalise(event)
    assert {field: read.fields[field] for field in sender.known} == sender.known
    assert {(one.product, one.service) for one in read.logsources} >= sender.logsources


def test_docker_asks_without_a_token_whether_a_collector_is_there_and_then_sends(port: Port) -> None:
    place = "/services/collector/event/1.0"
    assert port.ask("OPTIONS", place, Authorization="").status_code == 200
    told = {
        "event": {"line": {"EventID": 1, "Channel": "X"}, "tag": "0b4a", "source": "stdout"},
        "time": "1772442000.250000",
        "host": "web1",
    }
    body = gzip.compress(json.dumps(told).encode() * 2)
    answer = port.ask("POST", place, body, Authorization=f"Splunk {SECRET}", Content_Encoding="gzip")
    assert answer.json() == {"text": "Success", "code": 0}
    assert [one["@timestamp"] for one in port.events()] == ["2026-03-02T09:00:00.250000Z"] * 2


def test_a_handler_that_names_both_encodings_has_packed_once(port: Port) -> None:
    body = gzip.compress(b'{"version":"1.1","host":"web1","short_message":"hola"}')
    assert port.ask("POST", "/gelf", body, Content_Encoding="gzip,deflate").status_code == 202
    assert port.ask("POST", "/gelf", body, Content_Encoding="gzip,br").status_code == 415
    assert [one["message"] for one in port.events()] == ["hola"]
