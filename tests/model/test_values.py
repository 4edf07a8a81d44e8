"""One normal form for each value; nothing is guessed."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istmo.errors import InvalidInput
from istmo.model.values import KINDS, defang, is_defanged, normalise, recognise, refang


@pytest.mark.parametrize(
    ("kind", "text", "normal"),
    [
        ("ipv4", "192.0.2.1", "192.0.2.1"),
        ("ipv4", "192.0.2.77/24", "192.0.2.0/24"),
        ("ipv6", "2001:DB8::0001", "2001:db8::1"),
        ("domain", "WWW.Evil.Example.", "www.evil.example"),
        ("domain", "_dmarc.evil.example", "_dmarc.evil.example"),
        ("domain", "bücher.example", "xn--bcher-kva.example"),
        ("domain", "BÜCHER.example", "xn--bcher-kva.example"),
        ("url", "https://Evil.example:443", "https://evil.example/"),
        ("url", "http://[2001:DB8::1]:8080/X", "http://[2001:db8::1]:8080/X"),
        ("url", "http://intranet/x", "http://intranet/x"),
        ("url", "ftp://u:p@evil.example/a", "ftp://u:p@evil.example/a"),
        ("email", "Ana.López@Evil.example", "ana.lópez@evil.example"),
        ("md5", "D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"),
        ("filename", "Invoice.EXE", "invoice.exe"),
    ],
)
def test_a_value_gets_its_normal_form(kind: str, text: str, normal: str) -> None:
    assert normalise(kind, text) == normal
    assert normalise(kind, normal) == normal


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("ipv4", "192.0.2.256"),
        ("ipv4", "192.0.2.01"),
        ("ipv4", "192.0.2.0/255.255.255.0"),
        ("ipv4", "192.0.2.0/33"),
        ("ipv6", "fe80::1%eth0"),
        ("ipv6", "192.0.2.1"),
        ("domain", "com"),
        ("domain", "192.0.2.1"),
        ("domain", "-a.example"),
        ("domain", "a..example"),
        ("domain", "*.evil.example"),
        ("domain", "a b.example"),
        ("domain", "a" * 64 + ".example"),
        ("domain", ""),
        ("url", "evil.example/x"),
        ("url", "http:///x"),
        ("url", "http://evil.example/a b"),
        ("url", "http://evil.example:99999/"),
        ("email", "evil.example"),
        ("email", "a b@evil.example"),
        ("md5", "d41d8cd98f00b204e9800998ecf8427"),
        ("sha1", "g" * 40),
        ("filename", " . "),
        ("filename", "a\nb"),
    ],
)
def test_what_is_no_such_value_is_refused(kind: str, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise(kind, text)
    assert caught.value.code == "value.invalid"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("hxxps://evil[.]example/a", "https://evil.example/a"),
        ("evil(dot)example", "evil.example"),
        ("ana[@]evil[.]example", "ana@evil.example"),
        ("fxp://evil.example", "ftp://evil.example"),
        ("192.0.2[.]1", "192.0.2.1"),
    ],
)
def test_defanged_values_are_refused_and_undone_only_on_request(text: str, plain: str) -> None:
    assert is_defanged(text)
    assert refang(text) == plain
    assert not is_defanged(plain)
    with pytest.raises(InvalidInput) as caught:
        normalise("url", text)
    assert caught.value.code == "value.defanged"


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise("mutex", "x")
    assert caught.value.code == "value.unknown_kind"


@given(st.sampled_from(KINDS), st.text(max_size=60))
def test_normalising_twice_is_normalising_once(kind: str, text: str) -> None:
    try:
        once = normalise(kind, text)
    except InvalidInput:
        return
    assert normalise(kind, once) == once


@given(st.ip_addresses())
def test_every_address_is_its_own_normal_form(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert normalise(f"ipv{address.version}", str(address).upper()) == str(address)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("evil[.]example", ("domain", "evil.example")),
        ("hxxps://evil[.]example/a?b=1", ("url", "https://evil.example/a?b=1")),
        ("203.0.113[.]7", ("ipv4", "203.0.113.7")),
        ("203.0.113.0/24", ("ipv4", "203.0.113.0/24")),
        ("2001:db8::1", ("ipv6", "2001:db8::1")),
        ("ana[at]evil[.]example", ("email", "ana@evil.example")),
        ("D41D8CD98F00B204E9800998ECF8427E", ("md5", "d41d8cd98f00b204e9800998ecf8427e")),
        ('"evil.example"', ("domain", "evil.example")),
        ("com", None),
        ("999.1.1.1", None),
        ("hello", None),
    ],
)
def test_kinds_are_recognised(word: str, found: tuple[str, str] | None) -> None:
    assert recognise(word) == found


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("https://evil.example/a?b=c", "hxxps://evil[.]example/a?b=c"),
        ("ftp://evil.example/", "fxp://evil[.]example/"),
        ("evil.example", "evil[.]example"),
        ("a@evil.example", "a[@]evil[.]example"),
        ("198.51.100.7", "198[.]51[.]100[.]7"),
        ("d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
def test_what_is_copied_safely_is_no_link_and_comes_back_as_it_was(value: str, safe: str) -> None:
    assert defang(value) == safe
    assert refang(safe) == value
