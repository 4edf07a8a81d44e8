"""The database's shape: what the steps make is what the code declares, on both databases."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import inspect, text

from istmo.errors import Conflict
from istmo.store import migrations
from istmo.store.engine import Store, metadata


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    yield store
    store.close()


def test_the_steps_make_exactly_the_tables_that_the_code_declares(store: Store) -> None:
    migrations.upgrade(store)
    with store.read() as connection:
        assert migrations.differences(connection) == []
        assert set(metadata.tables) <= set(inspect(connection).get_table_names())
        assert migrations.current(connection) == migrations.steps()[-1]


def test_a_table_without_a_step_is_noticed(store: Store) -> None:
    migrations.upgrade(store)
    with store.write() as tx:
        tx.connection.execute(text("DROP TABLE jobs"))
    with store.read() as connection:
        assert migrations.differences(connection)


def test_upgrading_twice_changes_nothing(store: Store) -> None:
    migrations.upgrade(store)
    with store.write() as tx:
        tx.connection.execute(
            text(
                "INSERT INTO jobs (kind, payload, due, attempts, asked, state, created)"
                " VALUES ('k', '{}', 0, 0, 1, 'waiting', 0)"
            )
        )
    migrations.upgrade(store)
    with store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM jobs")).scalar() == 1


def test_two_processes_that_start_at_once_upgrade_once(database_url: str) -> None:
    stores = [Store(database_url) for _ in range(3)]
    problems: list[BaseException] = []

    def start(store: Store) -> None:
        try:
            migrations.upgrade(store)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=start, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    for store in stores:
        store.close()


def test_a_database_of_a_later_istmo_is_left_alone(store: Store) -> None:
    migrations.upgrade(store)
    with store.write() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict) as refused:
        migrations.upgrade(store)
    assert refused.value.code == "store.newer_database"


def test_an_interrupted_upgrade_leaves_the_old_shape(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as tx:
        migrations.upgrade_in(tx)
        raise ZeroDivisionError
    with store.read() as connection:
        assert inspect(connection).get_table_names() == []
    migrations.upgrade(store)


def test_upgrading_leaves_logging_as_it_is(store: Store) -> None:
    before = list(logging.getLogger().handlers), logging.getLogger().level
    migrations.upgrade(store)
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before
