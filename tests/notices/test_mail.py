"""E-mail: through a real server, with TLS, in the recipient's language; no header is made by others."""

from __future__ import annotations

import base64
import email
import email.policy
import ssl
from pathlib import Path

import pytest

from istmo.errors import InvalidInput, Unavailable
from istmo.model.markings import Tlp
from istmo.policy.principals import Operator

from .conftest import Telling
from .receivers import mailbox

SENDER = "avisos@csirt.example"


def read(raw: str) -> tuple[email.message.EmailMessage, str]:
    message = email.message_from_string(raw, policy=email.policy.default)
    return message, message.get_content()  # type: ignore[attr-defined,return-value]


@pytest.mark.parametrize("language", ["es", "en"])
def test_it_speaks_as_its_recipient_does(telling: Telling, language: str) -> None:
    telling.node.identity.set_preferences(telling.person("ana"), language=language, zone="America/Panama")
    with mailbox() as box:
        telling.change_settings(
            mail={"host": "127.0.0.1", "port": box.port, "security": "none", "sender": SENDER}
        )
        telling.way(notifier="mail", address="ana@csirt.example")
        alert = telling.alert("Ñandú\r\nBcc: otro@malo.example", tlp=Tlp.GREEN)
        telling.alert("secreta", tlp=Tlp.RED)
        telling.run()
        ((sender, to, raw),) = box.got
    message, text = read(raw)
    words = telling.node.catalogue
    assert SENDER in sender and [one.upper() for one in to] == ["RCPT TO:<ANA@CSIRT.EXAMPLE>"]
    assert message["Bcc"] is None and message["Auto-Submitted"] == "auto-generated"
    assert words.text(language, "notices.kind.alert") in text and "Ñandú" in text
    assert f"/alerts/{alert}" in text and "04:00:00 −05:00" in text
    assert not any(line.startswith("Bcc") for line in text.splitlines()), (
        "what others wrote stays in its line"
    )
    assert "secreta" not in raw and base64.b64encode(b"secreta").decode()[:8] not in raw


def test_tls_comes_before_the_password(
    telling: Telling, tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    file, context = certificate
    secret = tmp_path / "clave"
    secret.write_text("clave-del-correo\n")
    with mailbox(context) as box:
        told = {
            "host": "localhost",
            "port": box.port,
            "user": "istmo",
            "password_file": str(secret),
            "sender": SENDER,
        }
        telling.change_settings(mail=told)
        way = telling.way(notifier="mail", address="ana@csirt.example")
        with pytest.raises(Unavailable, match="mail_tls"):
            telling.node.notices.test_way(Operator(), way.id)
        assert box.logins == box.got == [], "to a server that nobody vouches for nothing is said"
        telling.change_settings(mail={"ca_file": str(file)})
        telling.node.notices.test_way(Operator(), way.id)
        assert box.was_sealed == [True]
        assert base64.b64decode(box.logins[0]) == b"\0istmo\0clave-del-correo"


def test_what_the_server_says_is_told_and_tried_again(telling: Telling) -> None:
    with mailbox() as box:
        telling.change_settings(
            mail={"host": "127.0.0.1", "port": box.port, "security": "none", "sender": SENDER}
        )
        way = telling.way(notifier="mail", address="ana@csirt.example")
        box.refuses = "450 later"
        telling.alert()
        telling.run()
        kept, _ = telling.node.notices.way(Operator(), way.id)
        assert kept.problem is not None and kept.problem[0] == "notices.mail_refused"
        box.refuses = ""
        telling.clock.advance(10)
        telling.run()
        assert len(box.got) == 1
    kept, _ = telling.node.notices.way(Operator(), way.id)
    assert kept.problem is None


def test_nothing_goes_in_clear_to_another_machine(telling: Telling) -> None:
    telling.change_settings(mail={"host": "mail.example", "security": "none", "sender": SENDER})
    way = telling.way(notifier="mail", address="ana@csirt.example")
    with pytest.raises(Unavailable, match="mail_plain"):
        telling.node.notices.test_way(Operator(), way.id)


def test_one_plain_address_and_nothing_else(telling: Telling) -> None:
    telling.change_settings(mail={"host": "mail.example"})
    for address in ("", "ana", "a@b@c", "a@b.example, c@d.example", "a@b.example\nBcc: x@y.example"):
        with pytest.raises(InvalidInput, match="bad_mail"):
            telling.way(notifier="mail", address=address)
