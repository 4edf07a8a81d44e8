"""The floor of ``propagation.py``: a server that takes one signed request and commits one row.

The same stack as a node (uvicorn, Litestar, the strict verifier, a store with ``synchronous=FULL``)
and nothing else. Usage: ``python floor_server.py FOLDER PORT``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, Request, post
from litestar.concurrency import sync_to_thread
from litestar.response import Response
from sqlalchemy import text

from istmo.clock import SystemClock
from istmo.errors import Unauthenticated
from istmo.kit.signed import Presented, Verifier
from istmo.ledger import keys as node_keys
from istmo.store.engine import Store


def create_app(folder: Path) -> Litestar:
    """One route, for whoever holds the key in ``folder``."""
    keys = node_keys.load(folder / "keys")
    verifier = Verifier(SystemClock())
    store = Store(f"sqlite:///{folder / 'floor.sqlite'}")
    with store.write() as tx:
        tx.connection.execute(text("CREATE TABLE floor (row INTEGER PRIMARY KEY, body BLOB NOT NULL)"))

    def take(presented: Presented) -> None:
        verifier.verify(presented, lambda keyid: keys.public if keyid == keys.keyid else None)
        with store.write() as tx:
            tx.connection.execute(text("INSERT INTO floor (body) VALUES (:body)"), {"body": presented.body})

    @post("/floor", status_code=200)
    async def floor(request: Request[Any, Any, Any]) -> Response[Any]:
        body = await request.body()
        try:
            await sync_to_thread(
                take, Presented(request.method, str(request.url), dict(request.headers), body)
            )
        except Unauthenticated as error:
            return Response({"error": {"code": error.code, "params": error.params}}, status_code=401)
        return Response({"stored": len(body)})

    return Litestar([floor], openapi_config=None, logging_config=None)


def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    config = uvicorn.Config(
        create_app(folder),
        host="127.0.0.1",
        port=port,
        http="auto",
        ws="none",
        log_config=None,
        access_log=False,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
