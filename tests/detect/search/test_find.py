"""Search and hunt against the plainest possible way of doing the same: look at every event."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from istmo.clock import SystemClock
from istmo.detect.eventstore import writing
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.columns import TooWide, write_columns
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.lines import StoredEvent, place_of
from istmo.detect.eventstore.log import Batch, EventLog
from istmo.detect.indicators import Matcher
from istmo.detect.normalise import normalise
from istmo.detect.reading import Line, open_events
from istmo.detect.search import find
from istmo.detect.search.asking import Seen, question_of
from istmo.detect.search.find import Finder, OutOfTime
from istmo.detect.search.hunt import Hunter
from istmo.detect.search.query import Query, parse_query
from istmo.detect.search.stored import Unreadable, open_closed, read_ahead, see
from istmo.detect.wire import Position, WireIndicator, WireRow
from istmo.errors import IstmoError
from istmo.settings import Limits

END = Position(1 << 40, 0)


def fill(root: Path, events: list[bytes], *, segments: int = 3) -> EventFolder:
    """A store with some segments closed, one waiting to be closed, and one open."""
    log = EventLog(root, SystemClock())
    size = len(events) // (segments + 2) + 1
    for start in range(0, len(events), size):
        done = threading.Event()
        problems: list[IstmoError | None] = []

        def answer(
            problem: IstmoError | None, done: threading.Event = done, told: list[Any] = problems
        ) -> None:
            told.append(problem)
            done.set()

        log.ask_rotation()
        log.append(Batch("test", [(raw, None) for raw in events[start : start + size]], answer))
        assert done.wait(30) and problems == [None]
    for segment in log.segments_to_close()[:segments]:
        close_segment(log.folder, segment)
    log.close()
    return log.folder


def all_seen(folder: EventFolder) -> list[tuple[Position, Seen]]:
    found = []
    for segment in folder.wal_segments():
        found += [
            (Position(segment, n), see(raw)) for block in read_ahead(folder, segment, END) for n, raw in block
        ]
    for closed, reader in open_closed(folder, END, Unreadable()):
        lines = [line for block in reader for line in block]
        found += [(place_of(raw) or Position(closed.first), see(raw)) for raw in lines]
    return [(place, seen) for place, seen in found if seen is not None]


def naive(folder: EventFolder, query: Query, limit: int) -> list[str]:
    asks = question_of(query)
    found = [(seen.time, place, seen.event.id) for place, seen in all_seen(folder) if asks(seen)]
    return [id_ for _, _, id_ in sorted(found, reverse=True)][:limit]


def search(folder: EventFolder, query: Query, limit: int = 100_000) -> list[str]:
    return [row.event_id for rows in Finder(folder, query, limit, END, 60).rows() for row in rows]


WORDS = ["powershell", "Ñandú", "C:\\Windows\\x.exe", 'say "hi"', "10.0.0.5", "K\u212aelvin", "\u0130stanbul"]
words = st.sampled_from(WORDS) | st.text(st.sampled_from('aAñÑ\\*"/\u212a01.eE%_'), max_size=4)
values = (
    words | st.integers(-3, 300) | st.floats(-5, 5).map(lambda f: round(f, 2)) | st.booleans() | st.none()
)
events = st.fixed_dictionaries(
    {},
    optional={
        "Image": values,
        "image": values,
        "CommandLine": values,
        "Data": st.lists(values, max_size=3),
        "UtcTime": st.integers(0, 59).map(lambda s: f"2026-03-02 09:00:{s:02}.000"),
        "Computer": words,
        "nested": st.fixed_dictionaries({"deep": values}),
    },
)


@st.composite
def queries(draw: st.DrawFn, depth: int = 0) -> str:
    kind = draw(st.integers(0, 7 if depth < 2 else 3))
    quoted = (
        '"'
        + draw(words | st.sampled_from(["*power*", "*", "1?", "*\\*", "2*", "0.5"])).replace('"', '""')
        + '"'
    )
    field = draw(st.sampled_from(["Image", "IMAGE", "CommandLine", "Data", "host", "source", "id", "none"]))
    if kind == 1 and draw(st.booleans()):
        bound = st.integers(-3, 300) | st.floats(-5, 5).map(lambda f: round(f, 2))
        low, high = draw(bound), draw(bound)
        forms = [f">{low}", f">={low}", f"<{high}", f"<={high}", f"{low}..{high}"]
        times = [">=2026-03-02T09:00:30", "2026-03-02T09:00:10Z..2026-03-02T09:00:40Z"]
        return draw(
            st.sampled_from([f"{field}:{form}" for form in forms] + [f"UtcTime:{one}" for one in times])
        )
    if kind == 0:
        return quoted
    if kind <= 3:
        return field + draw(st.sampled_from([":", ":="])) + quoted
    if kind == 4:
        return "NOT " + draw(queries(depth + 1))
    joined = {5: " ", 6: " AND ", 7: " OR "}[kind]
    return "(" + joined.join(draw(st.lists(queries(depth + 1), min_size=1, max_size=3))) + ")"


@settings(
    max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None
)
@given(
    st.lists(events, min_size=1, max_size=40),
    st.lists(queries(), min_size=1, max_size=12),
    st.integers(1, 50),
)
def test_search_answers_as_a_look_at_every_event_would(
    tmp_path_factory: pytest.TempPathFactory, stored: list[dict[str, Any]], asked: list[str], limit: int
) -> None:
    folder = fill(tmp_path_factory.mktemp("e") / "events", [orjson.dumps(event) for event in stored])
    for text in ["", "from:2026-03-02T09:00:20Z to:2026-03-02T09:00:40Z", *asked]:
        query = parse_query(text)
        assert search(folder, query, limit) == naive(folder, query, limit), text


@settings(max_examples=300)
@given(events, queries())
def test_a_query_of_the_written_kind_is_always_read(event: dict[str, Any], text: str) -> None:
    question_of(parse_query(text))


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ("Image:*\\WHOAMI.exe", [1]),
        ('commandline:"*net user*"', [2]),
        ("whoami", [1]),
        ("DestinationIp:10.0.0.0/8", [3]),
        ("DestinationIp:10.0.0.5", [3]),
        ("EventID:1 NOT whoami", [2]),
        ("-EventID:1", [4, 3]),
        ("host:PC-2", [4]),
        ("Data:two", [4]),
        ("señal", [4]),
        ("SEÑAL", [4]),
        ("Data:*", [4]),
        ('"a ""quoted"" word"', [4]),
        ("a OR b OR host:pc-1", [4, 3, 2, 1]),
        ("from:2026-03-02T09:00:02Z to:2026-03-02T09:00:04Z", [3, 2]),
    ],
)
def test_what_people_ask(tmp_path: Path, query: str, hits: list[int]) -> None:
    base = {"Channel": "Microsoft-Windows-Sysmon/Operational", "Computer": "pc-1"}
    stored = [
        {"EventID": 1, "Image": "C:\\Windows\\whoami.exe", "CommandLine": "whoami /all"},
        {"EventID": 1, "Image": "C:\\Windows\\net.exe", "CommandLine": "cmd /c net user x"},
        {"EventID": 3, "DestinationIp": "10.0.0.5"},
        {"EventID": 99, "Computer": "pc-2", "Data": ["one", "two"], "m": 'Señal: a "quoted" word'},
    ]
    lines = [
        orjson.dumps(base | {"n": n, "UtcTime": f"2026-03-02 09:00:0{n}.000"} | event)
        for n, event in enumerate(stored, 1)
    ]
    folder = fill(tmp_path / "events", lines, segments=2)
    rows: list[WireRow] = [
        row for rows in Finder(folder, parse_query(query), 100, END, 60).rows() for row in rows
    ]
    assert [orjson.loads(row.raw)["n"] for row in rows] == hits


def test_a_search_ends_when_its_time_is_up(tmp_path: Path) -> None:
    folder = fill(tmp_path / "events", [b'{"n":%d}' % n for n in range(100)])
    with pytest.raises(OutOfTime):
        list(Finder(folder, parse_query(""), 10, END, -1).rows())


TERMS = [
    ("ipv4", "203.0.113.7"),
    ("ipv4", "203.0.113.0/24"),
    ("ipv4", "198.18.0.0/15"),
    ("ipv6", "2001:db8::7"),
    ("ipv6", "2001:db8::/32"),
    ("ipv6", "::1"),
    ("domain", "evil.example"),
    ("domain", "xn--fa-hia.example"),
    ("url", "http://evil.example/a"),
    ("url", "https://[2001:db8::7]/a"),
    ("email", "mala@evil.example"),
    ("md5", "d41d8cd98f00b204e9800998ecf8427e"),
    ("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("filename", "mal.exe"),
    ("filename", "c:\\temp\\ñandú.exe"),
]
SIGHTS = [
    "203.0.113.7",
    "::ffff:203.0.113.7",
    "::FFFF:cb00:7107",
    "203.0.113.70",
    "198.19.5.5",
    "2001:DB8:0:0::7",
    "2001:0db8::9",
    "0:0:0:0:0:0:0:1",
    "sub.EVIL.example.",
    "notevil.example",
    "fa\u00df.example",
    "http://EVIL.example:80/a#x",
    "see http://evil.example/a, and run",
    "https://[2001:db8:0::7]/a",
    "Mala@Evil.Example",
    "MD5=D41D8CD98F00B204E9800998ECF8427E,SHA256=E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "C:\\Temp\\MAL.EXE",
    "c:/temp/mal.exe",
    "C:\\TEMP\\n\u0303andu\u0301.exe",
    "nothing here",
    "\uff45vil.example",
]
FIELDS = ["DestinationIp", "CommandLine", "QueryName", "url", "Hashes", "Image", "unknown", "User", "message"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(FIELDS), st.sampled_from(SIGHTS), st.booleans()), min_size=1, max_size=30
    ),
    st.lists(st.sampled_from(TERMS), min_size=1, max_size=3, unique=True),
)
def test_a_hunt_finds_what_the_live_matcher_would_have_found(
    tmp_path_factory: pytest.TempPathFactory,
    sights: list[tuple[str, str, bool]],
    terms: list[tuple[str, str]],
) -> None:
    lines = []
    for field, value, is_escaped in sights:
        raw = orjson.dumps({field: value})
        if is_escaped:
            raw = raw.replace(b"/", b"\\/").replace(b"e", b"\\u0065", 1) if b"e" in raw[-20:] else raw
            if orjson.loads(raw) != {field: value}:
                raw = orjson.dumps({field: value})
        lines.append(raw)
    folder = fill(tmp_path_factory.mktemp("e") / "events", lines)
    indicators = [WireIndicator(f"indicator--{n}", [term]) for n, term in enumerate(terms)]
    hunter = Hunter(folder, indicators, {one.id: END for one in indicators}, 5, 60)
    found = {(hit.subject, hit.event_id) for hit in hunter.hits()}
    matcher = Matcher(lambda: 5)
    for one in indicators:
        matcher.put(one.id, one.terms)
    expected = {
        (hit.id, seen.event.id)
        for _, seen in all_seen(folder)
        for hit in matcher.match(normalise(seen.event.data).fields)
    }
    assert found == expected


def test_a_hunt_ends_where_live_detection_began(tmp_path: Path) -> None:
    folder = fill(tmp_path / "events", [b'{"DestinationIp":"203.0.113.7","n":%d}' % n for n in range(20)])
    places = sorted(place for place, _ in all_seen(folder))
    indicator = WireIndicator("indicator--1", [("ipv4", "203.0.113.7")])
    found = Hunter(folder, [indicator], {"indicator--1": places[7]}, 5, 60).hits()
    assert len(found) == 7


@pytest.fixture(scope="module")
def recordings(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventFolder]:
    lines = []
    for path in sorted((shared_data / "events").glob("c*.zip")):
        lines += [one.raw for one in open_events(path, Limits()) if isinstance(one, Line)]
    yield fill(tmp_path_factory.mktemp("r") / "events", lines, segments=4)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "query",
    [
        "EventID:4688",
        "Image:*\\powershell.exe",
        "mshta",
        pytest.param("DestinationIp:*", marks=pytest.mark.long),
        pytest.param("CommandLine:*bitsadmin* OR ScriptBlockText:*http*", marks=pytest.mark.long),
        pytest.param("EventID:10 NOT TargetImage:*lsass*", marks=pytest.mark.long),
        pytest.param("host:MORDOR* EventID:1", marks=pytest.mark.long),
        pytest.param("172.18.39.5", marks=pytest.mark.long),
    ],
)
def test_the_recordings_are_searched_as_a_look_at_every_event_would(
    recordings: EventFolder, query: str
) -> None:
    asked = parse_query(query)
    wanted = naive(recordings, asked, 500)
    assert search(recordings, asked, 500) == wanted


@pytest.mark.shared_data
def test_the_recordings_are_hunted_as_the_live_matcher_would(recordings: EventFolder) -> None:
    chance = random.Random(3)
    seen = all_seen(recordings)
    texts = [
        str(seen[chance.randrange(len(seen))][1].event.data.get(name)) for name in FIELDS for _ in range(500)
    ]
    hashes = [text.split("MD5=")[1][:32].lower() for text in texts if "MD5=" in text][:5]
    terms = [("ipv4", text) for text in set(texts) if text.count(".") == 3 and text[0].isdigit()][:5]
    terms += [("md5", text) for text in hashes] + [("filename", "mshta.exe")]
    indicators = [WireIndicator(f"indicator--{n}", [term]) for n, term in enumerate(terms)]
    matcher = Matcher(lambda: 5)
    for one in indicators:
        matcher.put(one.id, one.terms)
    expected = {(h.id, s.event.id) for _, s in seen for h in matcher.match(normalise(s.event.data).fields)}
    hunter = Hunter(recordings, indicators, {one.id: END for one in indicators}, 5, 600)
    found = {(hit.subject, hit.event_id) for hit in hunter.hits()}
    assert found <= expected
    assert hunter.is_cut or found == expected
    assert expected


@pytest.mark.parametrize("most", [0, 2])
def test_a_segment_whose_columns_found_no_room_is_searched_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    def write(connection: Any, rows: Path, chosen: list[int], target: Path, **how: Any) -> int:
        if len(chosen) > most:
            raise TooWide
        return write_columns(connection, rows, chosen, target, **how)

    monkeypatch.setattr(writing, "write_columns", write)
    monkeypatch.setattr(writing, "FEWER_COLUMNS", 2)
    folder = fill(tmp_path / "events", [b'{"a":%d,"b":"x","c":"y"}' % (n % 5) for n in range(60)])
    (_, reader), *_ = open_closed(folder, END, Unreadable())
    assert len(reader.index.columns) == most
    for text in ("a:3", "b:x", "c:y a:1", "c:none", "x", ""):
        assert search(folder, parse_query(text)) == naive(folder, parse_query(text), 100)


@given(lengths=st.lists(st.integers(1, 40), max_size=30), limit=st.integers(1, 20), seed=st.integers(0, 9))
def test_rows_past_all_memory_are_the_newest_and_it_is_told_how_many(
    lengths: list[int], limit: int, seed: int
) -> None:
    events = list(enumerate(lengths))
    random.Random(seed).shuffle(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(find, "MOST_BYTES", 100)
        newest = find.Newest(limit)
        for when, length in events:
            event = StoredEvent(f"1-{when}", when, "s", b"x" * length)
            if newest.wants(when):
                newest.add(Seen(event, None), 1, when)
        found = [row.time for rows in newest.give(None) for row in rows]
    assert found == sorted(range(len(lengths)), reverse=True)[: newest.cut_at or limit]
    assert sum(lengths[when] for when in found) <= 100
