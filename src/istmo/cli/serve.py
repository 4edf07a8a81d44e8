"""``istmo serve``: run the node until it is told to stop."""

from __future__ import annotations

import logging
import sys

import structlog
import uvicorn
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from istmo.clock import SystemClock
from istmo.errors import Conflict
from istmo.kit.cli import Teller, command, told
from istmo.ledger.keys import NodeKeys
from istmo.node import create_node
from istmo.settings import Settings, load_settings
from istmo.web.app import create_app


SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter while another waits. Many threads hand one indicator on,
from a commit to a feed to the worker: Python's 5 ms at each hand-over would be most of its way."""


@command("serve", help="cli.serve")
@told
def serve(teller: Teller) -> None:
    """Start the web process; it starts the detection worker and the dialling of peers."""
    settings = load_settings(teller.data)
    configure_log()
    sys.setswitchinterval(SWITCH_SECONDS)
    node = create_node(settings, SystemClock())
    server = _Server(_config(node.keys, settings, create_app(node)))
    with node.running():
        teller.tell("cli.serve.ready", name=settings.name, url=settings.url)
        server.run()
    if not server.started:
        raise Conflict("cli.port_taken", host=settings.host, port=settings.port)


class _Server(uvicorn.Server):
    """Ends open streams at once when told to stop: a console that watches must not hold the node up."""

    async def shutdown(self, sockets: object = None) -> None:
        self.config.app.state.stopping.set()  # type: ignore[union-attr]
        await super().shutdown(sockets)  # type: ignore[arg-type]


def _config(keys: NodeKeys, settings: Settings, app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.host,
        port=settings.port,
        http="auto",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
        ssl_certfile=keys.tls_certificate if settings.tls == "own" else None,
        ssl_keyfile=keys.tls_key if settings.tls == "own" else None,
    )


def configure_log() -> None:
    """One JSON line an event, on stderr: what the administrator's journal keeps."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # without local variables: they may hold what must never be written down
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


commands = [serve]
