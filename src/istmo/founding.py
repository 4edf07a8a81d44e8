"""A new node: keys, database and first administrator in an empty folder."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from istmo.clock import Clock
from istmo.detect.warned import put_reserved
from istmo.errors import Conflict, InvalidInput, Unavailable
from istmo.identity.service import Identity
from istmo.ledger import keys as node_keys
from istmo.model.ids import new_id
from istmo.model.names import is_name
from istmo.policy.principals import Operator
from istmo.settings import FILE, Settings, save_settings
from istmo.store import migrations
from istmo.store.engine import Store

NAME_LENGTH = 200
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def found_node(
    settings: Settings, *, administrator: str, password: str, clock: Clock, with_lists: bool = False
) -> Settings:
    """Make a new node in ``settings.data``: keys, database, first administrator.

    ``with_lists`` puts the warning lists in force that come with the program: for a node that watches a
    real network. Where all addresses are made up they are reserved ones, and every alert would say little.
    Returns the settings with the node's ``member`` id. Raises Conflict where a node lives already,
    InvalidInput for a country, address, name or password that will not do; then nothing is left behind.
    """
    if (settings.data / FILE).exists():
        raise Conflict("cli.folder_taken", folder=str(settings.data))
    if not is_name(settings.name, NAME_LENGTH):
        raise InvalidInput("cli.bad_name", longest=NAME_LENGTH)
    if not re.fullmatch(r"[A-Z]{2}", settings.country):
        raise InvalidInput("cli.bad_country", country=settings.country)
    if settings.port == settings.intake_port and settings.host == settings.intake_host:
        raise InvalidInput("cli.same_port", port=settings.port)
    _check_address(settings.url)
    settings = replace(settings, member=new_id("identity"))
    with _all_or_nothing(settings.data):
        node_keys.create(settings.keys, url=settings.url, clock=clock)
        store = Store(settings.database_url)
        try:
            migrations.upgrade(store)
            Identity(store, clock).create_first_administrator(
                administrator, password or secrets.token_urlsafe(12)
            )
            if with_lists:
                put_reserved(store, Operator(), clock.now())
        finally:
            store.close()
        save_settings(settings)  # last: a folder with settings is a whole node
    return settings


def _check_address(url: str) -> None:
    """https to anywhere, plain http to this machine alone."""
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port
    except ValueError:
        host, address = None, urlsplit("")
    is_plain = address.scheme == "http" and host in LOOPBACK
    if not host or not (is_plain or address.scheme == "https"):
        raise InvalidInput("cli.bad_url", url=url)


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[None]:
    """The folder for a new node; when founding fails, whatever it put there is taken away again."""
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        before = set(folder.iterdir())
    except OSError as error:
        raise Unavailable(
            "cli.bad_folder", folder=str(folder), detail=error.strerror or type(error).__name__
        ) from None
    try:
        yield
    except BaseException as error:
        for path in set(folder.iterdir()) - before:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if made:
            folder.rmdir()
        if isinstance(error, OSError):
            raise Unavailable(
                "cli.bad_folder", folder=str(folder), detail=error.strerror or type(error).__name__
            ) from None
        raise
