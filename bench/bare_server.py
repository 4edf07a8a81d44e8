"""A server of the same libraries with one route that says nothing: the floor of ``footprint.py``.

Usage: ``python bare_server.py PORT``.
"""

from __future__ import annotations

import sys

import sqlalchemy
import uvicorn
from litestar import Litestar, get


@get("/")
async def nothing() -> dict[str, str]:
    """The one route."""
    return {"sqlalchemy": sqlalchemy.__version__}


if __name__ == "__main__":
    app = Litestar([nothing], openapi_config=None, logging_config=None)
    uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False)
