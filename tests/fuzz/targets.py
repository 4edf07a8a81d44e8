"""What is fuzzed. A target takes any bytes and may raise nothing but what its subject documents.

``SEEDS`` are bytes from which the way into the deeper parts is short.
"""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from detect.indicators.pattern_cases import expected, found, make_case
from istmo.clock import ManualClock
from istmo.detect.eventstore.lines import read_event
from istmo.detect.indicators import Matcher
from istmo.detect.intake.arrivals import Arrivals
from istmo.detect.intake.asking import Request, Router
from istmo.detect.intake.desk import Desk
from istmo.detect.intake.doors import DOORS
from istmo.detect.intake.listeners.chunks import Chunks
from istmo.detect.intake.listeners.framing import Framing
from istmo.detect.intake.listeners.messages import GelfMessages, Sent, SyslogMessages
from istmo.detect.intake.pinning import leaf_of
from istmo.detect.intake.sources import Sources
from istmo.detect.normalise import NormalEvent, normalise
from istmo.detect.reading import FORMS, JSON, Line, LineLogs, LogEvents, open_stream
from istmo.detect.sigma import (
    Correlation,
    Evaluator,
    Filter,
    Logsource,
    ReadPart,
    RuleFile,
    RuleSet,
    collect_rules,
    combine,
    read_rules,
)
from istmo.detect.sigma.conditions import parse_condition
from istmo.detect.sigma.correlating import Correlator
from istmo.detect.sigma.engine import Engine
from istmo.detect.sigma.expressions import check_expression, search
from istmo.detect.sigma.pipelines import apply_pipelines, read_pipeline
from istmo.detect.sigma.problems import Refused
from istmo.detect.sigma.values import Expression
from istmo.detect.warnings import Warnings, compile_list, read_warning_list
from istmo.detect.wire import WireSource
from istmo.errors import IstmoError
from istmo.model.patterns import read_pattern
from istmo.settings import Limits

from .searching import SEEDS as QUERIES
from .searching import queries
from .statements import SEEDS as STATEMENTS
from .statements import statements

LIMITS = Limits()
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SENT = Sent(WireSource("s", "n", b"1" * 32, ["submit"], zone="America/Guatemala"), "192.0.2.1", NOW)
REQUESTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/_bulk", {}),
    ("/services/collector/event", {"x-splunk-request-channel": "a"}),
    ("/services/collector/raw", {}),
    ("/services/collector/ack", {"x-splunk-request-channel": "a"}),
    ("/v1/logs", {"content-type": "application/x-protobuf"}),
    ("/v1/logs", {"content-type": "application/json"}),
    ("/gelf", {}),
    ("/api/v1/events", {}),
    ("/_bulk", {"content-encoding": "gzip"}),
)
ROUTER = Router(DOORS)
LOGS = tuple(one for one in FORMS if one != JSON)
ID = "5f0a3a5e-6a09-413f-8743-e6cf3556100{}"
RULE = """title: T
id: {id}
status: test
level: high
logsource: {{category: process_creation, product: windows}}
detection:
  a:
    CommandLine|contains|all: ['uno*', '\\\\?dos']
    Image|endswith: ['\\a.exe', "/b"]
  b:
    - EventID: [1, 0x10, null]
    - User|re|i: '^(a|b){{1,3}}$'
    - Net|cidr: 192.0.2.0/24
    - X|base64offset|contains: 'wide'
    - T|gte: 3
  filter: {{Image|fieldref: Other, N|exists: true, E: ''}}
  keywords: [malo, '*x?']
  condition: (a or 1 of b*) and not filter or keywords
"""
CORRELATION = """title: C
id: {id}
correlation:
  type: {kind}
  rules: [{rule}]
  group-by: [User, Computer]
  timespan: 10m
  condition: {condition}
"""
FILTER = """title: F
id: {id}
logsource: {{product: windows}}
filter:
  rules: [{rule}]
  selection: {{Image|startswith: 'C:\\ok'}}
  condition: not selection
"""
PIPELINE = b"""name: p
priority: 10
vars: {admins: [ana, 'b*']}
transformations:
  - id: names
    type: field_name_mapping
    mapping: {CommandLine: process.command_line, Image: [a, b]}
    rule_conditions: [{type: logsource, product: windows}]
  - type: add_condition
    conditions: {Channel: [x, y]}
  - type: replace_string
    regex: '(u)no'
    replacement: '\\1'
  - type: change_logsource
    service: sysmon
"""
SOURCES = (Logsource("process_creation", "windows", "sysmon"),)
FIELDS: dict[str, Any] = {
    "CommandLine": "uno dos ?dos malo",
    "Image": "C:\\a.exe",
    "Other": "c:\\A.EXE",
    "EventID": 1,
    "User": "ab",
    "Net": "192.0.2.7",
    "T": "4",
    "N": [1, None, {"a": ["b"]}],
    "E": "",
}
EVENT = NormalEvent(FIELDS, SOURCES)
WELL = collect_rules([RuleFile("well.yml", RULE.format(id=ID.format(0)).encode())])


def rules(data: bytes) -> None:
    """A rule file: read, told, and asked; engine and oracle agree."""
    ruleset = collect_rules([RuleFile("a.yml", data)])
    oracle = {one.rule_id for one in Evaluator(ruleset).match(FIELDS, SOURCES)}
    engine = {rule.id for _, rule in Engine(ruleset).find([EVENT])}
    assert engine == oracle


def expressions(data: bytes) -> None:
    """A regular expression, and a text after the first NUL."""
    pattern, _, text = data.decode("utf-8", "surrogateescape").partition("\0")
    for flags in ("", "i", "ms"):
        with suppress(Refused):
            expression = Expression(pattern, flags)
            check_expression(expression)
            search([expression])(text * 50)
    quoted = orjson.dumps(pattern.encode("utf-8", "replace").decode()).decode()
    detection = f"detection:\n  a:\n    CommandLine|re: {quoted}\n"
    head = RULE.format(id=ID.format(1)).split("detection:")[0]
    rules((head + detection + "  condition: a\n").encode())


def conditions(data: bytes) -> None:
    """The condition of a rule."""
    with suppress(Refused):
        parse_condition(data.decode("utf-8", "replace"), ["a", "b1", "b2", "not_c", "them", "filter"])


def pipelines(data: bytes) -> None:
    """A processing pipeline, applied to a rule."""
    with suppress(Refused):
        pipeline = read_pipeline(data)
        changed = apply_pipelines(WELL.rules[0], [pipeline])
        Evaluator(RuleSet((changed,))).match(FIELDS, SOURCES)


def lines(data: bytes) -> None:
    """A log of lines; the first byte says of which format."""
    events = LogEvents("a", LOGS[data[0] % len(LOGS)] if data else "text", NOW, LIMITS.line_bytes)
    for one in (*events.feed(data[1:]), *events.finish()):
        if isinstance(one, Line):
            assert one.data is not None
            _asked(normalise(one.data))


def files(data: bytes) -> None:
    """A file of any kind, as a hunt opens it."""
    for one in open_stream(
        io.BytesIO(data), "a.evtx" if data[:1] == b"E" else "a", LIMITS, None, LineLogs(NOW)
    ):
        if isinstance(one, Line):
            with suppress(IstmoError):
                event = one.data if one.data is not None else read_event(one.raw, LIMITS)[1]
                _asked(normalise(event))


def events(data: bytes) -> None:
    """One event in JSON, in any shape."""
    with suppress(IstmoError):
        event = read_event(data, LIMITS)[1]
        before = orjson.dumps(event)
        _asked(normalise(event))
        assert orjson.dumps(event) == before, "what came in is left as it is"


def syslog(data: bytes) -> None:
    """A connection's octets in pieces as long as the first byte says: framed, read, normalised."""
    piece, rest = (data[0] or 1) if data else 1, data[1:]
    for messages, is_counted in ((SyslogMessages(LIMITS), True), (GelfMessages(), False)):
        framing = Framing(5_000, is_counted=is_counted)
        arrived = Arrivals(LIMITS)
        found = [one for at in range(0, len(rest), piece) for one in framing.feed(rest[at : at + piece])]
        for message in (*found, *framing.finish()):
            if message is not None:
                assert len(message) <= 5_000
                with suppress(IstmoError):
                    messages.take(arrived, message, SENT)
        for raw, _ in arrived.events:
            _asked(normalise(orjson.loads(raw)))


def bodies(data: bytes) -> None:
    """A request with a body; the first byte says at which door. What would be stored is normalised."""
    path, headers = REQUESTS[data[0] % len(REQUESTS)] if data else REQUESTS[0]
    door, handle, parts = ROUTER.find("POST", path)
    assert door is not None and handle is not None
    stored: list[Arrivals] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data[1:], "more_body": False}

    class Shelf(Desk):
        def admit(self, request: Request) -> WireSource:
            request.admitted.append(SENT.source.id)
            return SENT.source

        def require_room(self) -> None:
            pass

        async def store(self, source: WireSource, arrived: Arrivals, held: object = None) -> frozenset[int]:
            stored.append(arrived)
            return frozenset()

    desk = Shelf(None, Sources("real"), LIMITS, ManualClock(NOW))  # type: ignore[arg-type]
    with suppress(IstmoError):
        asyncio.run(handle(desk, Request("POST", path, "", headers, "192.0.2.1", receive, parts=parts)))
    for arrived in stored:
        for raw, _ in arrived.events:
            _asked(normalise(orjson.loads(raw)))


def chunks(data: bytes) -> None:
    """GELF datagrams, cut where a length stands before each; and what a TLS handshake shows."""
    open_messages, at = Chunks(LIMITS), 0
    while at < len(data):
        size = data[at]
        with suppress(IstmoError):
            open_messages.take(data[at + 1 : at + 1 + size], "192.0.2.1", float(at))
        at += 1 + size
    open_messages.take_given_up(1e9)
    leaf_of(data, is_newest=True)
    leaf_of(data, is_newest=False)


def correlations(data: bytes) -> None:
    """Correlations and filters beside a good rule; what the rule matches goes through them."""
    parts = [one.part for one in read_rules([RuleFile("more.yml", data)]) if isinstance(one, ReadPart)]
    ruleset = combine(
        WELL.rules,
        [one for one in parts if isinstance(one, Correlation) and one.id != WELL.rules[0].id],
        [one for one in parts if isinstance(one, Filter)],
    )
    correlator = Correlator(ruleset, lateness=0)
    evaluator = Evaluator(ruleset)
    for number in range(6):
        fields = FIELDS | {"User": f"u{number % 2}"}
        for one in evaluator.match(fields, SOURCES):
            correlator.feed(one.rule_id, fields, number * 1_000_000, str(number))
    correlator.flush(10_000_000)
    correlator.snapshot()


def patterns(data: bytes) -> None:
    """A STIX pattern as it is published, fed with events; and one made of the bytes, held to the oracle."""
    text, _, rest = data.partition(b"\0")
    with suppress(IstmoError):
        read = read_pattern(text.decode("utf-8", "replace"))
        matcher = Matcher(lambda: 0)
        matcher.put("indicator--x", read.terms, None, read.plan)
        assert matcher.plan("indicator--x") == read.plan
        for number, at in enumerate(rest[:40]):
            matcher.match(FIELDS | {"MutexName": "m", "ProcessId": at % 3}, at * 1_000_000, f"0-{number}")
    chosen = iter(data)
    case = make_case(lambda below: next(chosen, 0) % below)
    ours = found(case)
    assert ours is None or ours == expected(case), case.text


def warning_lists(data: bytes) -> None:
    """A warning list; values of every kind are looked for on it."""
    with suppress(IstmoError):
        read = read_warning_list(data)
        lists = Warnings([compile_list(read)])
        for kind in sorted(read.kinds):
            for value in (*read.entries[:5], "192.0.2.7", "2001:db8::/32", "http://[::1]:8/a", "a@b.example"):
                lists.find(kind, value)


def _asked(event: NormalEvent) -> None:
    """What a hunt asks every event: its time, its host, rules and indicators."""
    assert event.time is None or event.time.tzinfo is not None
    assert isinstance(event.host, str)
    assert isinstance(event.is_time_assumed, bool)
    _EVALUATOR.match(event.fields, event.logsources)
    list(_ENGINE.find([event]))
    list(_MATCHER.match(event.fields))


_EVALUATOR, _ENGINE = Evaluator(WELL), Engine(WELL)
_MATCHER = Matcher(lambda: 0)
_MATCHER.put("i", (("ipv4", "192.0.2.7"), ("domain", "bad.example")))

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {
    one.__name__: one
    for one in (
        rules,
        expressions,
        conditions,
        pipelines,
        lines,
        files,
        events,
        syslog,
        chunks,
        bodies,
        correlations,
        queries,
        patterns,
        warning_lists,
        statements,
    )
}
_SYSLOG = b"<38>Mar  1 09:00:00 web1 sshd[24200]: Invalid user op from 192.0.2.9\n"
_AUDIT = b'type=EXECVE msg=audit(1772442000.125:417): argc=2 a0="id" a1=2F746D70\n'
_NESTED = (
    b'{"Event":{"System":{"Provider":{"#attributes":{"Name":"x"}},"EventID":5145,"Channel":"Security",'
    b'"TimeCreated":{"#attributes":{"SystemTime":"2026-03-02T09:00:00Z"}}},"EventData":{"AccessList":"%%4417",'
    b'"Data":[{"#attributes":{"Name":"A"},"#text":"1"},"x"]}}}'
)
SEEDS: dict[str, list[bytes]] = {
    "queries": QUERIES,
    "statements": STATEMENTS,
    "rules": [RULE.format(id=ID.format(1)).encode()],
    "expressions": [
        b"^(a+)+$\0aaaa",
        b"(?i)[^\\]x]{2,9}|\\bfoo\\.exe$\0foo.exe",
        b"\\Qa$\\E(?:x|y)?\\x41\0A",
    ],
    "conditions": [b"a and not (1 of b* or all of them) or not filter", b"1 of b1 and a"],
    "pipelines": [PIPELINE],
    "lines": [bytes([number]) + body for number in range(len(LOGS)) for body in (_SYSLOG + _AUDIT,)]
    + [
        bytes([LOGS.index("zeek")])
        + b"#separator \\x09\n#path\tdns\n#fields\tts\tuid\tset\n"
        + b"#types\ttime\tstring\tset[port]\n1\tC\t1,2\n",
        bytes([LOGS.index("w3c")])
        + b'#Fields: date time c-ip cs(User-Agent)\n2026-03-02 09:00:00 192.0.2.9 "a ""b"\n',
        bytes([LOGS.index("combined")])
        + b'192.0.2.9 - - [02/Mar/2026:09:00:00 +0000] "GET /?a HTTP/1.1" 200 1 "-" "c"\n',
        bytes([LOGS.index("squid")])
        + b"1772442000.125 90 192.0.2.9 TCP_MISS/200 934 GET http://a/b - HIER_DIRECT/1 text/html\n",
        bytes([LOGS.index("proxifier")])
        + b"[10.30 16:49:06] a.exe - h:443 close, 1 bytes sent, 2 bytes received, lifetime 00:01\n",
        bytes([LOGS.index("pairs")]) + b'date=2026-03-02 logid="1" devname="a b" srcip=192.0.2.7\n',
        bytes([LOGS.index("syslog")])
        + b"Mar  2 09:00:01 db1 sysmon: <Event><System><EventID>1</EventID></System></Event>\n",
    ],
    "files": [_SYSLOG, b'[{"a":1},{"b":2}]', _NESTED + b"\n", b"ElfFile\0" + bytes(200)],
    "events": [
        _NESTED,
        b'{"winlog":{"channel":"Security","event_id":4688,"event_data":{"CommandLine":""}},"@timestamp":1}',
        b'{"audit_serial":"1","type":["SYSCALL"],"time":"1772442000.125","argv":["a"]}',
        b'{"ts":1,"uid":"C","id.orig_h":"192.0.2.7","uri":"/a?b","trans_depth":1,"method":"GET"}',
        b'{"kubernetes":{},"log":"{\\"winlog\\":{}}","eventVersion":"1","userIdentity":{"arn":"x"}}',
    ],
    "syslog": [
        b"\x05" + _SYSLOG * 2,
        b"\x40" + b"%d %b%d %b" % (len(_SYSLOG), _SYSLOG, len(_SYSLOG), _SYSLOG),
        b'\x20<165>1 2026-03-02T09:00:00Z h p - m [a@1 b="c\\]"][d@2] x\0',
        b"\x20<13>Mar  2 09:00:00 f CEF:0|a|b|1|2|n|3|src=192.0.2.7 msg=a \\= b\n",
        b"\x20<13>LEEF:2.0|a|b|1|4|x5E|src=192.0.2.7^devTime=Mar 02 2026 09:00:00\n",
        b"\x20<189>4: R1: *Mar  1 18:46:11.1: %LINK-3-UPDOWN: x\n",
        b'\x20{"version":"1.1","host":"a","short_message":"b","_EventID":1,"_Channel":"x"}\0',
    ],
    "bodies": [
        b'\0{"create":{"_index":"a","_id":"b"}}\n{"EventID":1}\n{"index":{}}\n{"a":[{"b":null}]}\n',
        b'\1{"event":{"a":1},"time":1772442000.5,"host":"h","fields":{"b":[1]}}{"event":"<13>Mar  2 a b: c"}',
        b"\2" + _SYSLOG * 2,
        b'\3{"acks":[1,2]}',
        b"\4\n\x12\x12\x10\x12\x0e*\x05\n\x03abc2\x05\n\x01a\x12\x00",
        b'\5{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"h"}}]},'
        b'"scopeLogs":[{"logRecords":[{"timeUnixNano":"1772442000250000000","body":{"kvlistValue":{"values":'
        b'[{"key":"EventID","value":{"intValue":"1"}}]}}}]}]}]}',
        b'\6{"version":"1.1","host":"a","short_message":"b","timestamp":1.5,"_EventID":1}',
        b'\7[{"a":1},{"b":2}]',
        b"\x08" + gzip.compress(b'{"create":{}}\n{}\n'),
    ],
    "chunks": [
        b"\x10\x1e\x0f12345678\x00\x02{{{{\x10\x1e\x0f12345678\x01\x02}}}}",
        b"\x0c\x78\x9cK\x04\x00\x00b\x00b\x00\x00\x00",
    ],
    "warning_lists": [
        b'{"name":"a","type":"cidr","list":["192.0.2.0/24","2001:db8::/32"],"matching_attributes":["ip-src"]}',
        b'{"name":"b","type":"hostname","list":["b.example"],"version":1}',
        b'{"name":"c","type":"string","list":["192.0.2.7","::1"],"matching_attributes":["domain|ip"]}',
        b'{"name":"d","type":"regex","list":["/^a+b/i","(x"],"matching_attributes":["url"]}',
        b'{"name":"e","type":"substring","list":["exam",""]}',
    ],
    "patterns": [
        b"([mutex:name = 'm' AND process:pid > 1] FOLLOWEDBY [process:command_line LIKE '%uno%'])"
        b" WITHIN 5 SECONDS"
        b"\0\1\2\3\4\5\6",
        b"[ipv4-addr:value ISSUBSET '192.0.2.0/24' OR file:hashes.'SHA-256' IN ('00')] REPEATS 2 TIMES AND "
        b"[file:name MATCHES '^(a|b){1,3}'] START t'2026-03-01T00:00:00Z' STOP t'2026-03-02T00:00:00.5Z'\0\1",
        b"[domain-name:value = 'evil.example'] OR [url:value != 'http://a/' AND NOT EXISTS mutex:name]\0\1",
        bytes(range(60)),
        bytes(range(200, 100, -1)),
    ],
    "correlations": [
        CORRELATION.format(
            id=ID.format(2), kind="event_count", rule=ID.format(0), condition="{gte: 2}"
        ).encode(),
        CORRELATION.format(
            id=ID.format(3), kind="value_count", rule=ID.format(0), condition="{gt: 1, field: User}"
        ).encode()
        + b"---\n"
        + FILTER.format(id=ID.format(4), rule=ID.format(0)).encode(),
        CORRELATION.format(
            id=ID.format(5), kind="temporal_ordered", rule=ID.format(0), condition="{gte: 1}"
        ).encode(),
    ],
}
