"""A new node: keys, database and first administrator in an empty folder."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from urllib.parse import urlsplit

from istmo.clock import Clock
from istmo.errors import Conflict, InvalidInput
from istmo.identity.service import Identity
from istmo.ledger import keys as node_keys
from istmo.model.ids import new_id
from istmo.settings import FILE, Settings, save_settings
from istmo.store import migrations
from istmo.store.engine import Store

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def found_node(settings: Settings, *, administrator: str, password: str, clock: Clock) -> Settings:
    """Make a new node in ``settings.data``: keys, database, first administrator.

    Returns the settings with the node's ``member`` id. Raises Conflict where a node lives already,
    InvalidInput for a country, address, name or password that will not do; then nothing is left behind.
    """
    if (settings.data / FILE).exists():
        raise Conflict("cli.folder_taken", folder=str(settings.data))
    if not re.fullmatch(r"[A-Z]{2}", settings.country):
        raise InvalidInput("cli.bad_country", country=settings.country)
    address = urlsplit(settings.url)
    if address.scheme not in ("http", "https") or (
        address.scheme == "http" and address.hostname not in LOOPBACK
    ):
        raise InvalidInput("cli.bad_url", url=settings.url)
    settings = replace(settings, member=new_id("identity"))
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    node_keys.create(settings.keys, url=settings.url, clock=clock)
    store = Store(settings.database_url)
    try:
        migrations.upgrade(store)
        Identity(store, clock).create_first_administrator(
            administrator, password or secrets.token_urlsafe(12)
        )
    finally:
        store.close()
    save_settings(settings)  # last: a folder with settings is a whole node
    return settings
