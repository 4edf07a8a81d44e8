from __future__ import annotations

import pytest

from istmo.detect.search.query import And, FieldIs, FieldRange, Not, Or, Query, Text, parse_query
from istmo.errors import IstmoError


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("", And(())),
        ("   ", And(())),
        ("powershell", Text("powershell")),
        ('"a ""b"" c"', Text('a "b" c')),
        (r"Image:*\powershell.exe", FieldIs("Image", r"*\powershell.exe")),
        (r'CommandLine:"*C:\Program Files*"', FieldIs("CommandLine", r"*C:\Program Files*")),
        ("x:=*", FieldIs("x", "*", has_wildcards=False)),
        ("a b", And((Text("a"), Text("b")))),
        ("a AND b OR c", Or((And((Text("a"), Text("b"))), Text("c")))),
        ("a (b OR c)", And((Text("a"), Or((Text("b"), Text("c")))))),
        ("NOT a -b", And((Not(Text("a")), Not(Text("b"))))),
        ("-(a b)", Not(And((Text("a"), Text("b"))))),
        ("DestinationIp:2001:db8::1", FieldIs("DestinationIp", "2001:db8::1")),
        ('"AND"', Text("AND")),
        ("and", Text("and")),
    ],
)
def test_a_query_is_read(text: str, node: object) -> None:
    assert parse_query(text) == Query(node)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("Port:>=1024", ["1024", "1024.0", "99999"], ["1023", "1e9", "0x500", "", "a", "10 24"]),
        ("Port:>1024", ["1024.1"], ["1024", "-5000"]),
        ("Port:<0", ["-1", "-0.5"], ["0", "-", "--1"]),
        ("Port:1..2", ["1", "1.5", "2"], ["0.9", "2.1"]),
        ("UtcTime:>2026-03-02", ["2026-03-02 00:00:01", "2026-03-03T00:00:00Z"], ["2026-03-02", "5", "x"]),
        ("UtcTime:2026-03-02..2026-03-03", ["2026-03-02T12:00:00-06:00"], ["2026-03-02T23:00:00-06:00"]),
    ],
)
def test_a_range_holds_numbers_or_times(text: str, inside: list[str], outside: list[str]) -> None:
    node = parse_query(text).node
    assert isinstance(node, FieldRange)
    assert all(node.holds(one) for one in inside)
    assert not any(node.holds(one) for one in outside)


@pytest.mark.parametrize("text", ['Image:"> x"', "Path:../../etc/passwd", "Path:a..b", "a:=>5", "v:1..b"])
def test_what_is_no_range_is_a_value(text: str) -> None:
    assert isinstance(parse_query(text).node, FieldIs)


def test_what_cannot_be_compared_is_refused_with_the_place() -> None:
    with pytest.raises(IstmoError) as found:
        parse_query("a Port:>=x")
    assert (found.value.code, found.value.params["at"]) == ("detect.query_bad_bound", 3)


def test_times_bound_the_whole_query() -> None:
    found = parse_query("from:2020-09-17 to:2020-09-18T06:00:00Z a")
    assert found == Query(Text("a"), 1_600_300_800_000_000, 1_600_408_800_000_000)
    assert parse_query("to:2020-09-17 (a OR b)") == Query(
        Or((Text("a"), Text("b"))), None, 1_600_300_800_000_000
    )


@pytest.mark.parametrize(
    ("text", "code", "at"),
    [
        ("a AND", "detect.query_wrong", 3),
        ("OR a", "detect.query_wrong", 1),
        ("a OR", "detect.query_wrong", 5),
        ("(a", "detect.query_unclosed", 1),
        ("a )", "detect.query_wrong", 3),
        ("NOT", "detect.query_wrong", 1),
        ('x:"a', "detect.query_wrong", 3),
        ("from:yesterday", "detect.query_bad_time", 1),
        ("a OR from:2020-01-01", "detect.query_time_inside", 6),
        ("NOT from:2020-01-01", "detect.query_time_inside", 5),
        ("(from:2020-01-01)", "detect.query_time_inside", 2),
    ],
)
def test_a_wrong_query_is_refused_with_the_place(text: str, code: str, at: int) -> None:
    with pytest.raises(IstmoError) as found:
        parse_query(text)
    assert (found.value.code, found.value.params["at"]) == (code, at)


@pytest.mark.parametrize("text", ["a" * 5000, "a " * 300, "(" * 50 + "a" + ")" * 50, "-" * 2000 + "a"])
def test_a_huge_query_is_refused(text: str) -> None:
    with pytest.raises(IstmoError) as found:
        parse_query(text)
    assert found.value.status == 413
