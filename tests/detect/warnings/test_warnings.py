"""Warning lists: what of MISP's format is understood, and which values stand on a list."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.detect.warnings import Warnings, compile_list, prepare, read_warning_list, reserved_lists
from istmo.detect.warnings import reading as reading_module
from istmo.errors import InvalidInput, TooLarge

SHA256 = "a" * 64


def made(type: str, *entries: Any, attributes: list[str] | None = None, name: str = "A list") -> bytes:
    more = {} if attributes is None else {"matching_attributes": attributes}
    return orjson.dumps({"name": name, "type": type, "list": list(entries), "version": 3} | more)


def on(raw: bytes, kind: str, value: str) -> bool:
    return bool(Warnings([compile_list(read_warning_list(raw))]).find(kind, value))


@pytest.mark.parametrize(
    ("type", "entry", "kind", "value", "is_on"),
    [
        ("cidr", "198.51.100.0/24", "ipv4", "198.51.100.7", True),
        ("cidr", "198.51.100.0/24", "ipv4", "198.51.101.7", False),
        ("cidr", "198.51.100.0/24", "ipv4", "198.51.100.128/25", True),
        ("cidr", "198.51.100.0/24", "ipv4", "198.51.0.0/16", False),
        ("cidr", "198.51.100.7", "ipv4", "198.51.100.7", True),
        ("cidr", "2001:db8::/32", "ipv6", "2001:db8::7", True),
        ("cidr", "198.51.100.0/24", "url", "http://198.51.100.7/a", True),
        ("hostname", "example.com", "domain", "example.com", True),
        ("hostname", ".Example.com", "domain", "www.example.com", True),
        ("hostname", "example.com", "domain", "badexample.com", False),
        ("hostname", "example.com", "url", "https://www.example.com:8443/a", True),
        ("hostname", "example.com", "email", "ana@mail.example.com", True),
        ("string", "8.8.8.8", "ipv4", "8.8.8.8", True),
        ("string", "2001:DB8:0::8", "ipv6", "2001:db8::8", True),
        ("string", "Example.com", "domain", "example.com", True),
        ("string", "example.com", "domain", "www.example.com", False),
        ("string", SHA256.upper(), "sha256", SHA256, True),
        ("string", "setup.exe", "filename", r"c:\temp\setup.exe", True),
        ("substring", "cdn.", "domain", "a.cdn.example", True),
        ("regex", "/^host[0-9]+\\.EXAMPLE$/i", "domain", "host12.example", True),
        ("regex", "^host[0-9]+$", "domain", "host12.example", False),
    ],
)
def test_a_value_stands_on_a_list_or_not(type: str, entry: str, kind: str, value: str, is_on: bool) -> None:
    assert on(made(type, entry), kind, value) is is_on


@pytest.mark.parametrize(
    ("attributes", "kinds"),
    [
        (None, reading_module.KINDS),
        ([], reading_module.KINDS),
        (["ip-src", "ip-dst"], {"ipv4", "ipv6"}),
        (["domain|ip"], {"domain", "ipv4", "ipv6"}),
        (["filename|md5", "hostname"], {"filename", "md5", "domain"}),
        (["bank-account-nr"], set()),
    ],
)
def test_a_list_is_about_what_it_says(attributes: list[str] | None, kinds: set[str]) -> None:
    read = read_warning_list(made("string", "8.8.8.8", attributes=attributes))
    assert read.kinds == kinds
    assert on(made("string", "8.8.8.8", attributes=attributes), "ipv4", "8.8.8.8") is ("ipv4" in kinds)


def test_entries_that_cannot_be_used_are_counted_and_the_others_are() -> None:
    ranges = prepare(read_warning_list(made("cidr", "10.0.0.0/8", "what", 7, "10.0.0.0/99")))
    assert (ranges.entries, ranges.unusable) == (1, 3)
    expressions = prepare(read_warning_list(made("regex", "/(?=a)b/", "/good/", "/(/", "/x/q")))
    assert (expressions.entries, expressions.unusable) == (1, 3)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"[]", "detect.warning_list"),
        (b"{", "json.syntax"),
        (b'{"name":"x","list":["a"],"type":"x"}', "detect.warning_list"),
        (b'{"name":"","list":["a"],"type":"string"}', "detect.warning_list"),
        (b'{"name":"a\\nb","list":["a"],"type":"string"}', "detect.warning_list"),
        (b'{"name":"x","list":"a","type":"string"}', "detect.warning_list"),
        (b'{"name":"x","list":[],"type":"string"}', "detect.warning_list"),
        (b'{"name":"x","list":["a"],"matching_attributes":[1]}', "detect.warning_list"),
    ],
)
def test_what_is_no_list_is_refused(raw: bytes, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_warning_list(raw)
    assert caught.value.code == code


def test_a_list_is_bounded() -> None:
    with pytest.raises(TooLarge):
        read_warning_list(made("regex", *map(str, range(501))))


@given(st.sets(st.ip_addresses(), min_size=1, max_size=20), st.ip_addresses())
def test_exact_lists_hold_what_they_name_and_nothing_else(held: set[Any], other: Any) -> None:
    lists = Warnings([compile_list(read_warning_list(made("string", *map(str, held))))])
    assert all(lists.find(f"ipv{one.version}", str(one)) for one in held)
    assert bool(lists.find(f"ipv{other.version}", str(other))) is (other in held)


@given(
    st.lists(st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), min_size=1, max_size=8),
    st.ip_addresses(v=4),
    st.integers(0, 32),
)
def test_ranges_hold_what_lies_within_them(ranges: list[tuple[Any, int]], address: Any, length: int) -> None:
    networks = [ipaddress.ip_network((one, bits), strict=False) for one, bits in ranges]
    asked = ipaddress.ip_network((address, length), strict=False)
    right = any(asked.subnet_of(one) for one in networks)
    assert on(made("cidr", *map(str, networks)), "ipv4", str(asked)) is right


def test_the_names_of_all_lists_are_told() -> None:
    lists = Warnings(
        compile_list(read_warning_list(made("string", "8.8.8.8", name=name))) for name in ("b", "a")
    )
    assert lists.find("ipv4", "8.8.8.8") == ("a", "b")
    assert Warnings().find("ipv4", "8.8.8.8") == ()


def test_the_lists_that_come_with_the_program_say_which_rfc() -> None:
    lists = Warnings(map(compile_list, reserved_lists()))
    for kind, value in [
        ("ipv4", "10.1.2.3"),
        ("ipv4", "192.0.2.7"),
        ("ipv6", "2001:db8::1"),
        ("domain", "www.example.com"),
        ("url", "http://host.test/"),
        *((name, hashlib.new(name, b"").hexdigest()) for name in ("md5", "sha1", "sha256", "sha512")),
    ]:
        assert lists.find(kind, value), value
    for kind, value in [("ipv4", "8.8.8.8"), ("domain", "example.hn"), ("ipv6", "2001:4860:4860::8888")]:
        assert not lists.find(kind, value), value
    assert all("RFC" in one.description for one in reserved_lists())
    assert all(prepare(one).unusable == 0 for one in reserved_lists())
