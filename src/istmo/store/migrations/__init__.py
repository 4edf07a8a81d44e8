"""The shape of the database over time: numbered steps, applied at the start of every node.

After a change to a table in some ``records.py``::

    python -m istmo.store.migrations new "say what changes"

writes the next numbered step beside the others by comparing the tables in the code with a database
that has every step so far. Read it, mend it by hand where data must move, and commit it. Until the
first release, ``python -m istmo.store.migrations first`` writes step 0001 anew instead.
"""

from __future__ import annotations

import importlib
import io
import pkgutil
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text

import istmo
from istmo.errors import Conflict
from istmo.store.engine import Store, Transaction, metadata

if TYPE_CHECKING:
    from alembic.config import Config

FOLDER = Path(__file__).parent
_STEP = re.compile(r"(\d{4})_\w+\.py")
_TABLES_LIVE_IN = ("istmo.store.", "istmo.ledger.")


def steps() -> list[str]:
    """The numbers of the steps that this program knows, oldest first."""
    found = (_STEP.fullmatch(path.name) for path in (FOLDER / "versions").iterdir())
    return sorted(match[1] for match in found if match)


def upgrade(store: Store) -> None:
    """Bring the database to the shape that this program needs; nothing where it has it already.

    All steps in one transaction: an interrupted upgrade leaves the old shape. Raises
    Conflict("store.newer_database") where a later istmo has written this database.
    """
    with store.read() as connection:
        if current(connection) == steps()[-1]:
            return
    with store.write() as tx:
        upgrade_in(tx)


def upgrade_in(tx: Transaction, to: str = "head") -> None:
    """Apply the steps up to ``to`` inside a transaction."""
    from alembic import command  # noqa: PLC0415 - 25 MB that a node which is up to date never needs

    found = current(tx.connection)
    if found is not None and found not in steps():
        raise Conflict("store.newer_database", found=found, known=steps()[-1])
    command.upgrade(_config(tx.connection), to)


def current(connection: Connection) -> str | None:
    """The number of the last step that this database has; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def load_tables() -> None:
    """Import every module that declares tables, so that ``metadata`` is whole."""
    for module in pkgutil.walk_packages(istmo.__path__, "istmo."):
        is_records = ".records." in f"{module.name}."
        declares = is_records or module.name.startswith(_TABLES_LIVE_IN)
        if declares and ".migrations." not in module.name:
            importlib.import_module(module.name)


def differences(connection: Connection) -> list[Any]:
    """What the tables in the code have and the database lacks, or the reverse (Alembic's terms)."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - as in upgrade_in
    from alembic.migration import MigrationContext  # noqa: PLC0415

    load_tables()
    found: list[Any] = compare_metadata(
        MigrationContext.configure(connection, opts={"compare_type": True}), metadata
    )
    return found


def first_step() -> Path:
    """Write step 0001 anew from the tables in the code: right only before the first release."""
    for path in (FOLDER / "versions").glob("*.py"):
        path.unlink()
    return new_step("first tables")


def new_step(message: str) -> Path:
    """Write the next step: what differs between the code and a database with every step so far."""
    from alembic import command  # noqa: PLC0415 - as in upgrade_in

    load_tables()
    known = steps()
    with tempfile.TemporaryDirectory(prefix="istmo-migration-") as folder:
        store = Store(f"sqlite:///{folder}/node.db")
        try:
            with store.write() as tx:
                if known:
                    upgrade_in(tx)
                written = command.revision(
                    _config(tx.connection),
                    message,
                    autogenerate=True,
                    rev_id=f"{int(known[-1]) + 1 if known else 1:04}",
                )
        finally:
            store.close()
    return Path(written.path)  # type: ignore[union-attr]


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - as in upgrade_in

    config = Config(stdout=io.StringIO(), output_buffer=io.StringIO())
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
