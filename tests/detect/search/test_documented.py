"""``docs/search.md`` is true, in both languages: each example in it is run, by a node with its own worker.

Nothing stands there that is not run: a text in code letters that is no example is listed here as the word
that it is, and one that is neither fails.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import pytest
from click.testing import CliRunner, Result

from cli.running import new_node, started
from istmo.cli.main import istmo
from istmo.kit.client import NodeClient
from istmo.settings import FILE, Limits, Settings, load_settings, save_settings

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {"en": DOCS / "search.md", "es": DOCS / "search.es.md"}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
ROW = re.compile(r"^\| (`.*?) \|", re.MULTILINE)

SYSMON = "Microsoft-Windows-Sysmon/Operational"
POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
GUID = "{8bcd2f6a-0000-0000-0000-000000000001}"


def event(number: int, time: str, host: str, **more: Any) -> dict[str, Any]:
    return {"Channel": SYSMON, "EventID": number, "UtcTime": time, "Computer": host} | more


def logon(number: int, minute: int) -> dict[str, Any]:
    who = {"TargetUserName": "ana", "IpAddress": "198.51.100.7"}
    time = f"2026-03-02T19:{minute:02}:00Z"
    return {"Channel": "Security", "EventID": number, "Computer": "srv-1", "TimeCreated": time} | who


HASHES = "SHA256=" + "AB" * 32 + ",MD5=" + "CD" * 16
EVENTS: dict[str, dict[str, Any]] = {
    "powershell": event(
        1, "2026-03-02 09:00:00.000", "pc-1", Image=POWERSHELL, CommandLine="powershell -enc ZQ==",
        ProcessGuid=GUID, Hashes=HASHES,
    ),
    "net": event(
        1, "2026-03-02 10:00:00.000", "pc-1", Image=r"C:\Windows\System32\net.exe",
        CommandLine="net user ana /add", Hashes=HASHES.replace("AB", "EF"),
    ),
    "again": event(
        1, "2026-03-02 10:30:00.000", "pc-2", Image=POWERSHELL, CommandLine="powershell", Hashes=HASHES,
    ),
    "connection": event(
        3, "2026-03-02 09:00:05.000", "pc-1", Image=POWERSHELL, DestinationIp="10.1.2.3", DestinationPort=443,
        ProcessGuid=GUID,
    ),
    **{
        f"beat {n}": event(
            3, f"2026-03-02 11:{n:02}:00.000", "pc-2", Image=r"C:\x\beat.exe", DestinationIp="203.0.113.5",
            DestinationPort=1500,
        )
        for n in range(5)
    },
    "port 80": event(
        3, "2026-03-01 23:59:59.000", "pc-3", Image=r"C:\x\web.exe", DestinationIp="2001:db8::1",
        DestinationPort=80,
    ),
    **{f"failed {n}": logon(4625, n) for n in range(3)},
    "entered": logon(4624, 5),
    "star": {"Channel": "x", "Query": "*", "note": "has two words in it"},
    "name": {"Channel": "x", "Query": "example.org", "ticket": {"number": "INC-7"}},
    "future": event(5, "2200-01-01 00:00:00.000", "pc-4"),
    "past": event(5, "1980-01-01 00:00:00.000", "pc-4"),
    "no zone": {"timestamp": "2026-02-01 09:00:00", "program": "a", "message": "b"},
}  # fmt: skip
NAMES = list(EVENTS)
ON_PC_1 = {"powershell", "net", "connection"}
BEATS = {f"beat {n}" for n in range(5)}
ON_PC_2 = {"again", *BEATS}
WITH_IMAGE = ON_PC_1 | ON_PC_2 | {"port 80"}
FAILED = {f"failed {n}" for n in range(3)}
EVERYTHING = set(EVENTS)
SAID_POWERSHELL = {"powershell", "again", "connection"}

FINDS: dict[str, set[str]] = {
    "powershell": SAID_POWERSHELL,
    '"two words"': {"star"},
    r"Image:*\powershell.exe": SAID_POWERSHELL,
    'CommandLine:"*net user*"': {"net"},
    "Image:*": WITH_IMAGE,
    "DestinationIp:10.0.0.0/8": {"connection"},
    "EventID:>=4624": {*FAILED, "entered"},
    "DestinationPort:<1024": {"connection", "port 80"},
    "DestinationPort:1024..2000": BEATS,
    "UtcTime:>2026-03-02": {*ON_PC_1, *ON_PC_2, "future"},
    "Query:=*": {"star"},
    "host:pc-1": ON_PC_1,
    "source:SOURCE": EVERYTHING,
    "id:1-0": {"powershell"},
    "from:2026-03-02 to:2026-03-02T18:00:00Z": ON_PC_1 | ON_PC_2,
    "powershell host:pc-1": {"powershell", "connection"},
    "powershell AND host:pc-1": {"powershell", "connection"},
    "host:pc-1 OR host:pc-2": ON_PC_1 | ON_PC_2,
    "NOT host:pc-1": EVERYTHING - ON_PC_1,
    "-host:pc-1": EVERYTHING - ON_PC_1,
    "(host:pc-1 OR host:pc-2) EventID:3": {"connection", *BEATS},
    "Image:powershell.exe": set(),
    "NOT Image:powershell.exe": EVERYTHING,
    "istmo.clock:future": {"future"},
    "istmo.clock:past": {"past"},
    "istmo.clock:no-zone": {"no zone"},
}
WORDS = r"""
    * ? = := "" > >= < <= AND OR NOT from: to: limit 15m 1h 1d id time received source host event events
    Image CommandLine DestinationIp TargetFilename SELECT DESCRIBE SUMMARIZE WITH ILIKE NULL TIMESTAMP done
    TRY_CAST(DestinationPort|AS|INTEGER) unnest(string_split(Hashes,|chr(10))) ?rule=ID istmo.toml
    --rules all matched FOLLOWEDBY REPEATS WITHIN START STOP
    /api/v1/hunts GET POST PUT DELETE version /api/v1/hunts/{id} …/run …/switch …/runs hunt
    istmo|search|QUERY GET|/api/v1/events/search?q=QUERY istmo|source|list|--json
"""
"""What stands in code letters and is no example; ``|`` for a space."""


def blocks(language: str, kind: str = "") -> list[tuple[str, str]]:
    found = [(one[1], one[2]) for one in BLOCK.finditer(PAGES[language].read_text("utf-8"))]
    return [one for one in found if kind in ("", one[0])]


def spans(language: str) -> list[str]:
    return SPAN.findall(BLOCK.sub("", PAGES[language].read_text("utf-8")))


@dataclass
class Running:
    """A node with the events, and the source that they came from."""

    folder: Path
    client: NodeClient
    source: str

    def fill_in(self, text: str) -> str:
        return text.replace("SOURCE", self.source)

    def run(self, line: str) -> Result:
        _, *words = shlex.split(line, comments=True)
        options = ["--data", str(self.folder), *([] if "--json" in words else ["--json"])]
        place = 2 if words[0] in ("source", "hunts") else 1
        return CliRunner().invoke(istmo, [*words[:place], *options, *words[place:]])

    def rows(self, line: str) -> list[Any]:
        """What a command prints, a line of JSON each; it must be a success."""
        done = self.run(line)
        assert done.exit_code == 0, done.output
        return [orjson.loads(one) for one in done.stdout.splitlines()]

    def ask(self, block: str) -> Any:
        """A request as it stands on the page: method and address, an empty line, the body."""
        head, _, body = self.fill_in(block).partition("\n\n")
        method, address = head.strip().split(" ", 1)
        path, _, query = address.partition("?")
        asked = dict(parse_qsl(query))
        if method == "PUT":
            return self.client.call(method, path, orjson.loads(body), asked)
        if method == "POST":
            return list(self.client.stream_post(path, body.encode(), **asked))
        is_stream = path.endswith("/search")
        return list(self.client.stream(path, **asked)) if is_stream else self.client.get(path, **asked)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("search") / "node"
    _, intake = new_node(folder)
    with started("serve", "--data", folder) as running:
        running.says("worker_connected")
        client = NodeClient.by_key(load_settings(folder))
        made = client.post("/api/v1/sources", {"name": "NAME"})
        sent = httpx.post(
            f"http://127.0.0.1:{intake}/api/v1/events",
            content=b"\n".join(map(orjson.dumps, EVENTS.values())),
            headers={"Authorization": f"Bearer {made['secret']}"},
            trust_env=False,
        )
        assert sent.json()["accepted"] == len(EVENTS)
        yield Running(folder, client, made["id"])
        client.close()


def test_both_languages_show_the_same_examples() -> None:
    assert blocks("es") == blocks("en") != []
    assert ROW.findall(PAGES["es"].read_text("utf-8")) == ROW.findall(PAGES["en"].read_text("utf-8"))
    assert sorted({*spans("es")}) == sorted({*spans("en")})
    for language, other in (("en", "es"), ("es", "en")):
        assert f"]({PAGES[other].name})" in PAGES[language].read_text("utf-8"), "each names the other"


def test_nothing_stands_there_that_is_not_run() -> None:
    commands = set(commands_of_the_page())
    requests = {block.splitlines()[0] for _, block in blocks("en", "http")}
    limits = {f"limits.{one.name}" for one in fields(Limits)}
    known = {*FINDS, *(word.replace("|", " ") for word in WORDS.split()), *commands, *requests, *limits}
    assert {one for one in spans("en") if one not in known} == set()
    assert {one for one in FINDS if one not in spans("en")} == set(), "and nothing is run that is not there"
    assert {kind for kind, _ in blocks("en")} == {"sh", "http", "yaml", "sql", "toml"}


@pytest.mark.parametrize("query", FINDS)
def test_a_query_finds_what_the_page_says(node: Running, query: str) -> None:
    found = list(node.client.stream("/api/v1/events/search", q=node.fill_in(query), limit=100))
    assert found[-1]["done"] and found[-1]["problem"] is None
    assert {NAMES[int(row["id"].partition("-")[2])] for row in found[:-1]} == FINDS[query]


def commands_of_the_page() -> list[str]:
    """Without the remarks behind them."""
    lines = [line for _, block in blocks("en", "sh") for line in block.splitlines()]
    return [line.partition("  #")[0].rstrip() for line in lines]


def told_by(rows: list[Any]) -> Any:
    """The gist of what a command or a request answers."""
    last = rows[-1]
    if "rules" in last:
        return [(one["title"], one["count"]) for one in last["rules"]]
    if isinstance(rows[0], dict) and "columns" in rows[0]:
        return rows[1:-1]
    return len(rows) - 1


def test_every_command_does_what_the_page_says(
    node: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ((_, rule),) = blocks("en", "yaml")
    (tmp_path / "rule.yml").write_text(rule)
    lines = [line for line in commands_of_the_page() if not line.startswith("istmo hunts")]
    told: dict[str, Any] = {}
    for line in lines:
        if line.startswith("istmo search --rules all"):
            assert node.run("istmo search --rules all").exit_code == 1, "no rule is in force yet"
            node.client.post("/api/v1/rules/import", rule.encode())
        if line.startswith(("istmo search", "istmo doctor")):
            done = node.run(line)
            assert done.exit_code == 0, (line, done.output)
            told[line] = done.stdout
        else:
            told[line] = orjson.loads(node.run(line).stdout)
    asked = iter(lines)
    assert len(told[next(asked)].splitlines()) == 2 + 1
    assert len(told[next(asked)].splitlines()) == 7 + 1
    assert orjson.loads(told[next(asked)])["values"][0] == {"value": POWERSHELL.lower(), "count": 2}
    assert [one["count"] for one in orjson.loads(told[next(asked)])["buckets"]] == [2, 1]
    for _ in range(2):  # a file of rules, and the node's own, which are the same by now
        hunted = [orjson.loads(one) for one in told[next(asked)].splitlines()]
        assert told_by(hunted) == [("Somebody adds an account", 1)]
    (connection,) = (orjson.loads(one) for one in told[next(asked)].splitlines()[:-1])
    assert connection["matched"] == {"DestinationIp": "10.1.2.3"}
    in_order = [orjson.loads(one) for one in told[next(asked)].splitlines()[:-1]]
    assert [one["event"]["EventID"] for one in in_order] == [3, 1]
    counted = [orjson.loads(one) for one in told[next(asked)].splitlines()]
    assert counted[1:-1] == [[POWERSHELL, 2], [r"C:\Windows\System32\net.exe", 1]]
    described = [orjson.loads(one) for one in told[next(asked)].splitlines()]
    names = [row[0] for row in described[1:-1]]
    assert names[:5] == ["id", "time", "received", "source", "host"] and "Image" in names
    for _ in range(2):
        assert orjson.loads(told[next(asked)])["checks"]
    assert told[next(asked)]["id"] == node.source
    (kept,) = told[next(asked)]["sources"]
    assert (kept["keep_days"], kept["budget_bytes"]) == (90, 20_000_000_000)
    assert not list(asked)


def test_every_saved_hunt_does_what_the_page_says(
    node: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ((_, rule),) = blocks("en", "yaml")
    (tmp_path / "rule.yml").write_text(rule)
    lines = [line for line in commands_of_the_page() if line.startswith("istmo hunts")]
    told = {}
    for line in lines:
        if line.startswith("istmo hunts import"):
            assert node.run("istmo hunts delete whoami").exit_code == 0
        done = node.run(line)
        assert done.exit_code == 0, (line, done.output)
        told[line.split()[2] + line.split()[3] if "list" not in line else "list"] = done.stdout
    assert {one["name"] for one in orjson.loads(told["list"])["items"]} == {
        "whoami",
        "accounts",
        "beacon",
        "guesses",
    }
    assert "whoami.exe" in (tmp_path / "hunt.yml").read_text()


def test_every_request_answers_what_the_page_says(node: Running) -> None:
    searched, counted, over_time, hunted, by_pattern, asked, named, kept, kept_so = (
        node.ask(block) for _, block in blocks("en", "http")
    )
    assert told_by(searched) == 2
    assert counted["values"][0]["count"] == 2
    assert [one["count"] for one in over_time["buckets"]] == [2, 1]
    assert told_by(hunted) == [("Somebody adds an account", 1)]
    assert [one.get("matched") for one in by_pattern] == [{"DestinationIp": "10.1.2.3"}, None]
    assert asked[0] == {
        "columns": [{"name": "host", "type": "VARCHAR"}, {"name": "events", "type": "BIGINT"}]
    }
    assert {row[0]: row[1] for row in asked[1:-1]} == {"pc-2": 6, "srv-1": 4, "pc-1": 3, "pc-4": 2, None: 2}
    assert asked[-1] == {"done": True, "count": 5, "problem": None}
    assert [one["name"] for one in named["items"]] == ["DestinationIp", "DestinationPort"]
    assert [one["id"] for one in kept["sources"]] == [node.source]
    assert [one["keep_days"] for one in kept_so["sources"]] == [90]


T = "2026-03-02T"
ANSWERS: list[list[list[Any]]] = [
    [
        [r"C:\Windows\System32\net.exe", 1, 1, f"{T}10:00:00.000000Z"],
        [POWERSHELL, 2, 2, f"{T}09:00:00.000000Z"],
    ],
    [["ana", "198.51.100.7", 3, f"{T}19:05:00.000000Z"]],
    [["pc-2", "203.0.113.5", 4, 60.0]],
    [[f"{T}09:00:00.000000Z", "pc-1", "powershell -enc ZQ==", "10.1.2.3"]],
    [["MD5=" + "CD" * 16, 2], ["SHA256=" + "AB" * 32, 2]],
    [[f"1-{NAMES.index('name')}", "INC-7"]],
]


def test_every_statement_gives_what_the_page_says(node: Running) -> None:
    statements = [text for _, text in blocks("en", "sql")]
    for text, expected in zip(statements, ANSWERS, strict=True):
        head, *rows, last = node.client.stream_post("/api/v1/events/sql", text.encode())
        assert last["problem"] is None and head["columns"], text
        assert rows == expected, text


def test_the_words_about_values_hold(node: Running) -> None:
    asked = """SELECT max(TRY_CAST(DestinationPort AS INTEGER)),
        count(*) FILTER (WHERE Image ILIKE '%POWERSHELL%'),
        count(*) FILTER (WHERE Image IS NULL), any_value(source),
        (SELECT count(*) FROM (SELECT unnest(string_split(Hashes, chr(10))) FROM events)) FROM events"""
    _, row, last = node.client.stream_post("/api/v1/events/sql", asked.encode())
    assert last["problem"] is None
    assert row == [1500, 3, len(EVERYTHING - WITH_IMAGE), node.source, 3]


def test_whoever_leaves_stops_a_statement(node: Running) -> None:
    endless = "SELECT count(*) FROM range(1000000000000) a, range(1000) b WHERE a.range * b.range % 7 = 3"
    http = node.client._http
    with http.stream("POST", "/api/v1/events/sql", content=endless.encode()) as answer:
        told = answer.iter_raw()
        assert next(told).strip() == b"", "it is told that it goes on"
        busy = http.post("/api/v1/events/sql", content=b"SELECT 1")
        assert busy.status_code == 503, f"one runs at a time, and the first goes on: {next(told)!r}"
    left = time.monotonic()
    while http.post("/api/v1/events/sql", content=b"SELECT 1").status_code == 503:
        assert time.monotonic() - left < 15, "long before its time would have been up"


def test_the_settings_are_ones_that_there_are(tmp_path: Path) -> None:
    ((_, text),) = blocks("en", "toml")
    save_settings(Settings(data=tmp_path, name="Prueba", country="GT"))
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text() + "\n" + text)
    kept = load_settings(tmp_path).retention
    assert (kept.keep_days, kept.budget_bytes) == (365, 200_000_000_000)
