"""``istmo serve`` with one route more: the floor of ``propagation.py``.

The very server that publishes, its door and its database; behind them nothing but one commit. Usage:
``python floor_server.py --data FOLDER``, as ``istmo serve``.
"""

from __future__ import annotations

import sys
from typing import Any

from litestar import Litestar, post
from litestar.params import RawBody
from sqlalchemy import text

from istmo.cli import main as command_line
from istmo.cli import serve
from istmo.kit.access import OPERATOR
from istmo.node import Node
from istmo.store.engine import Store
from istmo.web.app import create_app
from istmo.web.rooms import Rooms, open_rooms


@post("/api/v1/bench/floor", opt=OPERATOR, status_code=200, sync_to_thread=True)
def floor(body: RawBody, store: Store) -> dict[str, Any]:
    """Take one signed request and commit one row."""
    with store.write() as tx:
        tx.connection.execute(text("INSERT INTO bench_floor (body) VALUES (:body)"), {"body": body})
    return {"stored": len(body)}


def create_app_with_floor(node: Node) -> Litestar:
    """The node's application and the floor."""
    with node.store.write() as tx:
        tx.connection.execute(
            text("CREATE TABLE IF NOT EXISTS bench_floor (row INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        )
    rooms = open_rooms()
    return create_app(node, Rooms([*rooms.api, floor], rooms.pages))


if __name__ == "__main__":
    serve.create_app = create_app_with_floor  # type: ignore[assignment]
    sys.argv[1:1] = ["serve"]
    command_line.main()
