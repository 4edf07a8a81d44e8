from __future__ import annotations

import pytest

from istmo.detect.search.query import And, FieldIs, Not, Or, Query, Text, parse_query
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
