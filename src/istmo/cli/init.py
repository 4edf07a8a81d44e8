"""``istmo init``: found a node."""

from __future__ import annotations

import secrets
import shlex
from pathlib import Path

import click

from istmo.clock import SystemClock
from istmo.errors import InvalidInput
from istmo.founding import found_node
from istmo.kit.cli import Teller, command, option, told_here
from istmo.kit.streams import standard_input
from istmo.settings import Settings

PORT = click.IntRange(1, 65535)


@command("init", help="cli.init")
@option("--name", help="cli.init.name")
@option("--country", help="cli.init.country")
@option("--language", "languages", multiple=True, type=click.Choice(["es", "en"]), help="cli.init.language")
@option("--address", help="cli.init.address")
@option("--host", default="127.0.0.1", show_default=True, help="cli.init.host")
@option("--port", type=PORT, default=8443, show_default=True, help="cli.init.port")
@option("--intake-port", type=PORT, default=8444, show_default=True, help="cli.init.intake_port")
@option("--tls", type=click.Choice(["none", "own"]), default="none", show_default=True, help="cli.init.tls")
@option("--database", default="", help="cli.init.database")
@option("--admin", default="admin", show_default=True, help="cli.init.admin")
@option("--password-stdin", is_flag=True, help="cli.init.password_stdin")
@told_here
def init(
    teller: Teller,
    name: str | None,
    country: str | None,
    languages: tuple[str, ...],
    address: str | None,
    host: str,
    port: int,
    intake_port: int,
    tls: str,
    database: str,
    admin: str,
    password_stdin: bool,
) -> None:
    """Ask for what is missing, make folder, keys, database and first administrator, say what comes next."""
    name = name or _ask(teller, "cli.init.ask_name", "--name")
    country = country or _ask(teller, "cli.init.ask_country", "--country")
    password = standard_input().readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(12)
    settings = found_node(
        Settings(
            data=Path(teller.data).absolute(),
            name=name,
            country=country.upper(),
            languages=languages or ("es", "en"),
            url=(address or _address(host, port, tls)).rstrip("/"),
            host=host,
            port=port,
            intake_host=host,
            intake_port=intake_port,
            tls=tls,
            database=database,
        ),
        administrator=admin,
        password=password,
        clock=SystemClock(),
        with_lists=True,
    )
    result = {
        "data": str(settings.data),
        "member": settings.member,
        "url": settings.url,
        "administrator": admin,
    }
    if not password_stdin:
        result["password"] = password
    folder = shlex.quote(str(settings.data))  # to be typed again as it stands
    teller.show(result, "cli.init.done", name=name, folder=folder, url=settings.url)
    if not teller.json and not password_stdin:
        teller.tell("cli.init.password", admin=admin, password=password)


def _address(host: str, port: int, tls: str) -> str:
    """Where the node answers, unless a proxy stands in front of it."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{'https' if tls == 'own' else 'http'}://{shown}:{port}"


def _ask(teller: Teller, key: str, option_name: str) -> str:
    if teller.json or not standard_input().isatty():
        raise InvalidInput("cli.init_needs", option=option_name)
    teller.tell(key)
    answer = standard_input().readline()
    return answer.strip()


commands = [init]
