"""Webhooks: signed, verified, only where the settings allow, and at least once under the same key."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from istmo.detect.objects import Level
from istmo.errors import InvalidInput, Unavailable
from istmo.model.markings import Tlp
from istmo.notices.ways import notifiers
from istmo.policy.principals import Operator

from .conftest import Telling
from .receivers import hook


def test_it_is_signed_with_a_secret_that_rests_nowhere(telling: Telling) -> None:
    with hook() as heard:
        way = telling.way(address=heard.url)
        secret = telling.node.notices.secret(Operator(), way)
        telling.alert("Balizas", tlp=Tlp.GREEN)
        telling.run()
        ((headers, body),) = heard.got
    stamp, _, mac = headers["X-Istmo-Signature"].removeprefix("t=").partition(",v1=")
    assert mac == hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    (item,) = json.loads(body)["items"]
    assert item["title"] == "Balizas · SRV-1" and item["tlp"] == "TLP:GREEN" and item["level"] == "high"
    kept = b"".join(one.read_bytes() for one in telling.node.settings.data.rglob("*.db*"))
    assert secret.encode() not in kept
    again = telling.node.notices.new_secret(Operator(), way.id)
    assert telling.node.notices.secret(Operator(), again) != secret


def test_what_is_marked_more_strictly_is_told_without_its_content(telling: Telling) -> None:
    with hook() as heard:
        telling.way(address=heard.url)
        alert = telling.alert("Balizas secretas", tlp=Tlp.AMBER)
        telling.run()
        ((_, body),) = heard.got
    assert b"secretas" not in body and b"SRV-1" not in body
    (item,) = json.loads(body)["items"]
    assert item["title"] is None and item["link"].endswith(f"/alerts/{alert}")


def test_what_its_person_may_not_read_is_not_told_even_as_something(telling: Telling) -> None:
    with hook() as heard:
        telling.way("olga", address=heard.url)
        telling.alert(tlp=Tlp.RED)
        telling.run()
        assert heard.got == []


def test_rights_lost_after_it_happened_count_at_the_sending(telling: Telling) -> None:
    with hook() as heard:
        telling.way(address=heard.url, quiet="00:00-12:00")
        telling.alert()
        telling.run()
        telling.node.identity.disable_account(Operator(), "ana")
        telling.clock.advance(24 * 3600)
        telling.run()
        assert heard.got == []


def test_one_that_did_not_arrive_is_sent_again_under_the_same_key(telling: Telling) -> None:
    with hook() as heard:
        way = telling.way(address=heard.url)
        heard.answers = [500, 302, 204]
        telling.alert()
        for _ in range(6):
            telling.run()
            telling.clock.advance(60)
        assert len(heard.got) == 3, "a redirect is no arrival, and is not followed"
        assert len({headers["Idempotency-Key"] for headers, _ in heard.got}) == 1
        kept, _ = telling.node.notices.way(Operator(), way.id)
        assert kept.problem is None and kept.sent is not None
        telling.alert("otra")
        telling.run()
        assert heard.got[3][0]["Idempotency-Key"] != heard.got[0][0]["Idempotency-Key"]


def test_a_crash_between_sending_and_remembering_loses_nothing_and_keeps_the_key(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if by kill -9: what was sent is not written down; the next start sends the very same again."""
    sending = telling.node.notices.sending
    with hook() as heard:
        telling.way(address=heard.url)
        telling.alert()

        def killed(*_: object, **__: object) -> None:
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(sending, "_done", killed)
            with pytest.raises(SystemExit):
                telling.run()
        telling.alert("otra")
        for _ in range(3):
            telling.clock.advance(5)
            telling.run()
    keys = [headers["Idempotency-Key"] for headers, _ in heard.got]
    assert keys[0] == keys[1] and len(keys) == 3 and len(set(keys)) == 2
    assert [len(json.loads(body)["items"]) for _, body in heard.got] == [1, 1, 1]


def test_what_happens_between_two_messages_comes_together(telling: Telling) -> None:
    with hook() as heard:
        telling.way(address=heard.url, every=10)
        for number in range(230):
            telling.alert(f"n{number}")
            if number == 0:
                telling.run()
        telling.run()
        assert len(heard.got) == 1
        for _ in range(40):
            telling.clock.advance(60)
            telling.run()
        told = [json.loads(body) for _, body in heard.got]
        assert [len(one["items"]) for one in told] == [1, 100, 100, 29]
        assert [one["more"] for one in told] == [0, 129, 29, 0]


def test_a_test_message_tells_nothing_of_what_waits(telling: Telling) -> None:
    with hook() as heard:
        way = telling.way(address=heard.url, every=10)
        for number in range(3):
            telling.alert(f"n{number}")
            telling.run()
        telling.node.notices.test_way(Operator(), way.id)
        told = json.loads(heard.got[-1][1])
        assert (len(told["items"]), told["more"]) == (1, 0)


def test_quiet_hours_hold_back_all_but_what_is_critical(telling: Telling) -> None:
    with hook() as heard:
        telling.way(address=heard.url, quiet="22:00-06:00")  # it is three in the morning in Tegucigalpa
        telling.alert("espera")
        telling.run()
        assert heard.got == []
        telling.alert("urgente", Level.CRITICAL)
        telling.run()
        assert len(heard.got) == 1 and len(json.loads(heard.got[0][1])["items"]) == 2
        telling.alert("espera otra")
        telling.run()
        telling.clock.advance(timedelta(hours=3).total_seconds() + 1)
        telling.run()
        assert len(heard.got) == 2


def test_tls_is_verified(telling: Telling, certificate: tuple[Path, ssl.SSLContext]) -> None:
    file, context = certificate
    with hook(context) as heard:
        way = telling.way(address=heard.url)
        with pytest.raises(Unavailable, match="webhook_tls"):
            telling.node.notices.test_way(Operator(), way.id)
        assert heard.got == []
        telling.change_settings(notices={"ca_file": str(file)})
        telling.node.notices.test_way(Operator(), way.id)
        other = telling.way(address=heard.url.replace("127.0.0.1", "localhost"))
        telling.node.notices.test_way(Operator(), other.id)
    assert [headers["Host"].partition(":")[0] for headers, _ in heard.got] == ["127.0.0.1", "localhost"]


@pytest.mark.parametrize("is_reached", [True, False])
def test_an_address_that_leads_nowhere_does_not_keep_a_name_from_being_reached(
    telling: Telling, monkeypatch: pytest.MonkeyPatch, is_reached: bool
) -> None:
    """As where a name has an IPv6 address first and the machine has no way there."""
    with hook() as heard:
        port = int(heard.url.rpartition(":")[2].partition("/")[0])
        nowhere = [("", "", "", "", ("::1", port, 0, 0)), ("", "", "", "", ("127.0.0.9", port))]
        there = [("", "", "", "", ("127.0.0.1", port))] if is_reached else []
        real = socket.getaddrinfo

        def looked_up(host: str, *given: Any, **named: Any) -> Any:
            return nowhere + there if host == "avisos.example" else real(host, *given, **named)

        monkeypatch.setattr(socket, "getaddrinfo", looked_up)
        way = telling.way(address=heard.url.replace("127.0.0.1", "avisos.example"))
        if is_reached:
            telling.node.notices.test_way(Operator(), way.id)
        else:
            with pytest.raises(Unavailable, match="webhook_away"):
                telling.node.notices.test_way(Operator(), way.id)
    assert len(heard.got) == is_reached


def test_where_a_webhook_may_not_go_is_refused_when_it_is_entered(telling: Telling) -> None:
    telling.change_settings(notices={"private_addresses": False})
    for address in (
        "http://example.org/x", "https://127.0.0.1/x", "https://[::1]/x", "https://10.0.0.8/x",
        "https://169.254.169.254/latest", "https://[::ffff:10.0.0.8]/", "https://0.0.0.0/",
        "https://[2002:a00:8::1]/", "https://[64:ff9b::a00:8]/", "https://[::a00:8]/", "https://[fec0::8]/",
        "https://[fe80::8%25eth0]/", "https://192.0.0.192/", "https://168.63.129.16/", "https://[3fff::8]/",
        "https://user:clave@example.org/", "ftp://example.org/", "https://", "javascript:alert(1)",
        "https://example.org/\nX: y", "https://ex ample.org",
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=r"notices\.(webhook|bad_url)"):
            telling.way(address=address)
    telling.change_settings(notices={"private_addresses": True})
    with pytest.raises(InvalidInput, match="webhook_private"):  # where clouds hand out their secrets
        telling.way(address="https://169.254.169.254/latest/meta-data")


def test_a_name_that_points_into_a_private_network_is_not_gone_to(telling: Telling) -> None:
    telling.change_settings(notices={"private_addresses": False})
    way = telling.way(address="https://localhost:9/x")
    with pytest.raises(Unavailable, match="webhook_private"):
        telling.node.notices.test_way(Operator(), way.id)


def test_a_plugin_comes_by_the_same_door(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from istmo.notices import ways

    plugin = EntryPoint("pigeon", f"{__name__}:Pigeon", ways.GROUP)
    broken = EntryPoint("broken", "istmo.nothing:Nothing", ways.GROUP)
    monkeypatch.setattr(ways, "entry_points", lambda group: [broken, plugin])
    notifiers.cache_clear()
    try:
        assert sorted(notifiers()) == ["mail", "pigeon", "webhook"]
        telling.way(notifier="pigeon", address="paloma")
        telling.alert()
        telling.run()
        assert Pigeon.flown == ["paloma"]
    finally:
        notifiers.cache_clear()


class Pigeon:
    """A notifier of somebody else's."""

    name, has_secret = "pigeon", False
    flown: list[str] = []

    def check(self, address: str, settings: object) -> str:
        return address

    def send(self, parcel: object, settings: object) -> None:
        self.flown.append(parcel.address)  # type: ignore[attr-defined]
