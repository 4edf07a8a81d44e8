"""The database of a node that was founded: opened only where it is that node's.

A node whose database is gone must not begin anew under its old key. It would give numbers of its log
away a second time, for other entries, and to its peers that is a lie about the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import make_url

from istmo.errors import Conflict, InvalidInput, NotFound, TooLarge
from istmo.ledger import records
from istmo.ledger.checkpoint import origin_line, read_checkpoint
from istmo.ledger.keys import NodeKeys
from istmo.ledger.tiles import CHECKPOINT
from istmo.settings import Settings
from istmo.store import migrations
from istmo.store.engine import Store
from istmo.store.health import is_empty, is_missing


@contextmanager
def open_stored(settings: Settings) -> Iterator[Store]:
    """A node's database, to read from; NotFound ``ledger.no_database`` where there is none."""
    store = _open(settings)
    try:
        yield store
    finally:
        store.close()


def open_to_run(settings: Settings, keys: NodeKeys) -> Store:
    """The database of a node that is about to run, in the shape that this program needs.

    Raises NotFound ``ledger.no_database`` where there is none, Conflict ``ledger.database_behind`` where
    its log ends before what this node has signed, and as ``migrations.upgrade``. Nothing has changed then.
    """
    store = _open(settings)
    try:
        migrations.upgrade(store)
        signed = _signed_size(settings, keys)
        with store.read() as connection:
            stored = records.last_sequence(connection, settings.member)
        if stored < signed:
            raise Conflict("ledger.database_behind", stored=stored, signed=signed)
    except BaseException:
        store.close()
        raise
    return store


def _open(settings: Settings) -> Store:
    url = settings.database_url
    if is_missing(url) or is_empty(url):
        place = make_url(url)
        is_file = place.get_backend_name() == "sqlite"
        raise NotFound("ledger.no_database", file=str(place.database) if is_file else str(place))
    return Store(url)


def _signed_size(settings: Settings, keys: NodeKeys) -> int:
    """How far the log's files go by this node's own signature; 0 where they say nothing to go by."""
    try:
        note = (settings.log_files / CHECKPOINT).read_bytes()
        return read_checkpoint(note, origin_line(settings.member), keys.public).size
    except (FileNotFoundError, InvalidInput, TooLarge):
        return 0  # files that are missing or damaged are written again from the database
