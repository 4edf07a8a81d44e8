"""Lines of other forms than JSON become events that the maps know."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.normalise.lines import FORMATS, guess_format, line_reader
from istmo.detect.normalise.mapping import recognise

RECEIVED = datetime(2026, 3, 2, 12, tzinfo=UTC)


def read(name: str, *lines: str) -> list[dict[str, Any]]:
    reader = line_reader(name, RECEIVED)
    found = [*(reader.read(line.encode()) for line in lines), reader.finish()]
    return [event for event in found if event is not None]


def one(name: str, *lines: str) -> NormalEvent:
    (event,) = read(name, *lines)
    return normalise(event)


def sources(event: NormalEvent) -> list[str]:
    return ["/".join(source) for source in event.logsources]


def test_syslog_without_a_year_is_of_the_latest_one() -> None:
    event = one("syslog", "<38>Mar  1 09:00:00 web1 sshd[24200]: Invalid user op from 192.0.2.9")
    assert (event.time, event.is_time_assumed) == (datetime(2026, 3, 1, 9, tzinfo=UTC), True)
    assert (event.host, event.fields["program"], event.fields["facility"]) == ("web1", "sshd", 4)
    assert "/linux/sshd" in sources(event)
    assert one("syslog", "Dec 10 06:55:46 web1 cron[1]: x").time == datetime(
        2025, 12, 10, 6, 55, 46, tzinfo=UTC
    )
    assert one("syslog", "Feb 29 06:55:46 web1 cron[1]: x").time == datetime(
        2024, 2, 29, 6, 55, 46, tzinfo=UTC
    )


def test_syslog_of_rfc_5424_keeps_its_own_time() -> None:
    event = one(
        "syslog", '<86>1 2026-03-02T09:00:00.5-06:00 web1 sudo 77 - [x@1 a="b"] op : USER=#-1 ; COMMAND=id'
    )
    assert (event.time, event.is_time_assumed) == (datetime(2026, 3, 2, 15, 0, 0, 500000, UTC), False)
    assert event.fields["USER"] == "#-1"


def test_sysmon_for_linux_is_found_in_syslog() -> None:
    xml = (
        '<Event><System><Provider Name="Linux-Sysmon"/><EventID>1</EventID><TimeCreated SystemTime="2026-03-02T09:00:00Z"/>'  # noqa: E501
        "<Channel>Linux-Sysmon/Operational</Channel><Computer>db1</Computer></System><EventData>"
        '<Data Name="Image">/usr/bin/id</Data><Data Name="CommandLine">id -u</Data></EventData></Event>'
    )
    event = one("syslog", f"Mar  2 09:00:01 db1 sysmon: {xml}")
    assert sources(event) == ["process_creation/linux/sysmon"]
    assert (event.fields["Image"], event.fields["CommandLine"], event.host) == ("/usr/bin/id", "id -u", "db1")


def test_xml_with_a_declaration_is_left_as_text() -> None:
    event = one(
        "syslog", 'Mar  2 09:00:01 db1 sysmon: <Event><!DOCTYPE a [<!ENTITY b "c">]><System/></Event>'
    )
    assert sources(event) == ["/linux/syslog"]


def test_a_combined_log_has_method_path_query_and_agent() -> None:
    event = one(
        "combined",
        '192.0.2.9 - op [02/Mar/2026:09:00:00 -0600] "GET /a.php?q=1 HTTP/1.1" 404 12 "-" "Mozilla/5.0 \\"x\\""',  # noqa: E501
    )
    assert event.time == datetime(2026, 3, 2, 15, tzinfo=UTC)
    fields = event.fields
    assert (fields["cs-uri-stem"], fields["cs-method"], fields["sc-status"]) == ("/a.php", "GET", "404")
    assert fields["cs-uri-query"] == ["/a.php?q=1", "/a.php", "q=1"]
    assert "cs-referer" not in fields
    assert sources(event) == ["webserver//"]


def test_error_logs_tell_their_server() -> None:
    event = one("weberror", "[Sun Dec 04 04:47:44.123456 2005] [core:error] [pid 7] child died")
    assert (sources(event), event.is_time_assumed) == (["webserver/apache/apache"], True)
    event = one(
        "weberror", "2026/03/02 09:00:00 [alert] 7#0: worker process 8 exited on signal 6 (core dumped)"
    )
    assert sources(event) == ["webserver/nginx/nginx"]


def test_squid_and_w3c_come_to_the_same_proxy_fields() -> None:
    squid = one(
        "squid",
        "1772442000.125     90 192.0.2.9 TCP_MISS/200 934 GET http://www.example/a/b.exe?c=d op HIER_DIRECT/198.51.100.7 text/html",  # noqa: E501
    )
    w3c = one(
        "w3c",
        "#Software: proxy",
        "#Fields: date time c-ip cs-method cs-uri-scheme cs-host cs-uri-path cs-uri-query sc-status r-ip cs(User-Agent)",  # noqa: E501
        '2026-03-02 09:00:00 192.0.2.9 GET http www.example /a/b.exe ?c=d 200 198.51.100.7 "Mozilla/5.0 (X11)"',  # noqa: E501
    )
    for event in (squid, w3c):
        assert event.fields["c-uri"] == "http://www.example/a/b.exe?c=d"
        assert (event.fields["cs-host"], event.fields["c-uri-extension"]) == ("www.example", "exe")
        assert event.fields["dst_ip"] == "198.51.100.7"
        assert sources(event) == ["proxy//"]
        assert event.time is not None
        assert not event.is_time_assumed
    assert w3c.fields["c-useragent"] == "Mozilla/5.0 (X11)"


def test_iis_is_a_web_server() -> None:
    event = one(
        "w3c",
        "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status",  # noqa: E501
        "2026-03-02 09:00:00 192.0.2.1 POST /owa/x.aspx a=b 443 - 192.0.2.9 Mozilla/5.0+(X11) 200",
    )
    assert event.fields["c-useragent"] == "Mozilla/5.0 (X11)"
    assert sources(event) == ["webserver//"]


def test_zeek_rows_have_types_and_escapes() -> None:
    (event,) = read(
        "zeek",
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\tdns",
        "#fields\tts\tuid\tid.resp_p\tquery\tanswers\trejected\tnote",
        "#types\ttime\tstring\tport\tstring\tvector[string]\tbool\tstring",
        "1772442000.125000\tC1\t53\twww.example\ta,b\tF\t\\\\\\\\h\\\\s\\x09",
        "#close\t2026",
    )
    assert event == {
        "_path": "dns",
        "ts": 1772442000.125,
        "uid": "C1",
        "id.resp_p": 53,
        "query": "www.example",
        "answers": ["a", "b"],
        "rejected": False,
        "note": "\\\\h\\s\t",
    }


def test_audit_records_of_one_serial_are_one_event() -> None:
    lines = [
        'node=db1 type=SYSCALL msg=audit(1772442000.125:417): arch=c000003e syscall=59 a0=55d0 exe="/usr/bin/chattr" key=(null)\x1dSYSCALL=execve',  # noqa: E501
        'type=EXECVE msg=audit(1772442000.125:417): argc=3 a0="chattr" a1="-i" a2=2F746D702F61206220',
        'type=CWD msg=audit(1772442000.125:417): cwd="/root"',
        'type=PATH msg=audit(1772442000.125:417): item=0 name="/tmp/new" nametype=CREATE',
        "type=EOE msg=audit(1772442000.125:417): ",
        'type=USER_AUTH msg=audit(1772442001.000:418): pid=9 msg=\'op=PAM:authentication acct="op" exe="/usr/bin/su" res=failed\'',  # noqa: E501
    ]
    first, second = map(normalise, read("auditd", *lines))
    assert first.fields["CommandLine"] == "chattr -i /tmp/a b "
    assert first.fields["SYSCALL"] == "execve"
    assert first.fields["TargetFilename"] == ["/tmp/new"]
    assert sources(first) == ["/linux/auditd", "process_creation/linux/", "file_event/linux/"]
    assert first.host == "db1"
    assert (second.fields["type"], second.fields["acct"], second.fields["res"]) == (
        "USER_AUTH",
        "op",
        "failed",
    )


@pytest.mark.parametrize("name", FORMATS)
@given(
    lines=st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b"#fields\ta\tb", b"#Fields: a b"])))
)
def test_no_line_makes_a_reader_fail(name: str, lines: list[bytes]) -> None:
    reader = line_reader(name, RECEIVED)
    for line in lines:
        event = reader.read(line)
        if event is not None:
            normalise(event)
    reader.finish()
    guess_format(lines)


REAL = {
    "unix/OpenSSH_2k.log": ("syslog", "/linux/sshd", 2000),
    "unix/Linux_2k.log": ("syslog", "/linux/syslog", 1990),
    "unix/Apache_2k.log": ("weberror", "webserver/apache/apache", 2000),
    "network/zeek-tsv/dns.log.gz": ("zeek", "dns/zeek/dns", 10_000),
    "network/zeek-tsv/http.log.gz": ("zeek", "webserver/zeek/http", 10_000),
    "network/zeek-tsv/smb_mapping.log.gz": ("zeek", "/zeek/smb_mapping", 1),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("file", REAL)
def test_real_logs_are_read(file: str, shared_data: Path) -> None:
    name, source, least = REAL[file]
    data = (shared_data / file).read_bytes()
    lines = (gzip.decompress(data) if file.endswith(".gz") else data).splitlines()[:20_000]
    assert guess_format(lines) == name
    reader = line_reader(name, RECEIVED)
    events = [normalise(event) for event in map(reader.read, lines) if event is not None]
    found = Counter(one for event in events for one in sources(event))
    assert found[source] >= least
    assert sum(event.time is not None for event in events) >= least


@pytest.mark.shared_data
def test_zeeks_rows_and_its_json_come_to_the_same_events(shared_data: Path) -> None:
    for log in ("dns", "rdp", "ntlm", "smb_mapping", "ssh"):
        reader = line_reader("zeek", RECEIVED)
        rows = gzip.decompress((shared_data / f"network/zeek-tsv/{log}.log.gz").read_bytes()).splitlines()[
            :2000
        ]
        table = {
            e["uid"] + str(e.get("trans_id", e.get("path"))): e
            for e in map(reader.read, rows)
            if e is not None
        }
        compared = 0
        for line in gzip.decompress(
            (shared_data / f"network/zeek-json/{log}.json.gz").read_bytes()
        ).splitlines()[:2000]:
            theirs = normalise(json.loads(line))
            same = table.get(
                theirs.fields["uid"] + str(theirs.fields.get("trans_id", theirs.fields.get("path")))
            )
            if same is None:
                continue
            ours = normalise(same)
            compared += 1
            assert ours.logsources == theirs.logsources
            for field in ("query", "id.orig_h", "id.resp_p", "answers", "success", "auth_success", "path"):
                assert ours.fields.get(field) == theirs.fields.get(field), field
        assert compared > 0


@pytest.mark.shared_data
def test_real_eve_alerts_are_recognised(shared_data: Path) -> None:
    for file in ("first-org-conf-2015", "honeypot-2018", "wrccdc-2018"):
        for event in json.loads((shared_data / f"network/eve/{file}.json").read_text()):
            known = recognise(event)
            assert known is not None
            assert known.name == "suricata"
            assert normalise(event).time is not None


def test_a_firewalls_pairs_are_read_past_what_syslog_puts_before_them() -> None:
    event = one(
        "pairs",
        '<189>date=2026-03-02 time=03:00:00 eventtime=1772442000125000000 devname="fw 1" devid="FG1" '
        'logid="0000000013" type="traffic" '
        'subtype="forward" action="accept" srcip=192.0.2.7 dstip=198.51.100.4',
    )
    assert sources(event) == ["firewall/fortigate/traffic"]
    assert (event.host, event.fields["dst_ip"], event.fields["blocked"]) == ("fw 1", "198.51.100.4", "false")
