"""Notices by e-mail: SMTP (RFC 5321) with TLS, plain text, one message for all that waits.

The Message-ID is made of the parcel's key, so a mail server or a reader that has it drops the second one.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from istmo.errors import InvalidInput, Unavailable
from istmo.notices.objects import Parcel
from istmo.notices.ways.wording import body_of, subject_of
from istmo.settings import Mail, Settings

SECONDS: Final = 20
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_ADDRESS = re.compile(r"[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])")


class MailNotifier:
    """``[mail]`` of the settings says through which server."""

    name = "mail"
    has_secret = False

    def check(self, address: str, settings: Settings) -> str:
        """One plain address; nothing that a header or a second recipient could hide in."""
        found = address.strip()
        if not _ADDRESS.fullmatch(found):
            raise InvalidInput("notices.bad_mail", address=found[:80])
        if not settings.mail.host:
            raise InvalidInput("notices.no_mail_server")
        return found

    def send(self, parcel: Parcel, settings: Settings) -> None:
        """Through the server of the settings. Raises Unavailable with what it said."""
        told = settings.mail
        if not told.host:
            raise Unavailable("notices.no_mail_server")
        try:
            with _connect(told) as server:
                if told.user:
                    server.login(told.user, _password(told))
                server.send_message(_message(parcel, told), told.sender or None, [parcel.address])
        except smtplib.SMTPAuthenticationError:
            raise Unavailable("notices.mail_login", host=told.host) from None
        except smtplib.SMTPResponseException as error:
            raise Unavailable("notices.mail_refused", host=told.host, code=error.smtp_code) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise Unavailable("notices.mail_refused", host=told.host, code=codes[0] if codes else 0) from None
        except ssl.SSLError:
            raise Unavailable("notices.mail_tls", host=told.host) from None
        except smtplib.SMTPNotSupportedError:
            raise Unavailable("notices.mail_no_tls", host=told.host) from None
        except (OSError, smtplib.SMTPException, UnicodeError):
            raise Unavailable("notices.mail_away", host=told.host, port=told.port) from None


def _connect(told: Mail) -> smtplib.SMTP:
    if told.security == "none":
        if told.host not in LOOPBACK:
            raise Unavailable("notices.mail_plain", host=told.host)
        return smtplib.SMTP(told.host, told.port, timeout=SECONDS)
    trust = ssl.create_default_context()
    if told.ca_file:
        trust.load_verify_locations(told.ca_file)
    if told.security == "tls":
        return smtplib.SMTP_SSL(told.host, told.port, timeout=SECONDS, context=trust)
    server = smtplib.SMTP(told.host, told.port, timeout=SECONDS)
    try:
        server.starttls(context=trust)
    except BaseException:
        server.close()
        raise
    return server


def _password(told: Mail) -> str:
    return Path(told.password_file).read_text("utf-8").strip() if told.password_file else ""


def _message(parcel: Parcel, told: Mail) -> EmailMessage:
    message = EmailMessage()
    message["From"] = Address(_one_line(parcel.node), addr_spec=told.sender or "istmo@localhost")
    message["To"] = parcel.address
    message["Subject"] = _one_line(subject_of(parcel))
    message["Date"] = format_datetime(parcel.at)
    message["Message-ID"] = f"<{parcel.key}@{(told.sender or 'istmo@localhost').rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = parcel.language
    message.set_content(body_of(parcel))
    return message


def _one_line(text: str) -> str:
    """What others wrote makes no header of its own."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:200]
