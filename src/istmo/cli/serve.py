"""``istmo serve``: run the node until it is told to stop."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import structlog
import uvicorn
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from istmo.clock import SystemClock
from istmo.errors import Conflict, IstmoError, Unavailable
from istmo.kit.cli import Teller, command, option, told_here
from istmo.kit.heads import BoundedHeads
from istmo.kit.streams import settle_output, standard_input
from istmo.kit.unread import Application, HearsOut
from istmo.ledger.keys import NodeKeys
from istmo.node import create_node
from istmo.settings import Settings, load_settings
from istmo.web.app import create_app

LOCK = "node.lock"
"""In the data folder: held for as long as a node runs from it."""


@command("serve", help="cli.serve")
@option("--supervised", is_flag=True, help="cli.serve.supervised")
@told_here
def serve(teller: Teller, supervised: bool) -> None:
    """Start the web process; it starts the detection worker and the dialling of peers.

    ``--supervised`` ends the node when its standard input ends: with whoever started it, however they end.
    """
    settings = load_settings(teller.data)
    configure_log()
    if supervised:
        watched = standard_input().fileno()
        threading.Thread(target=_end_with_input, args=[watched], name="supervised", daemon=True).start()
    with _interruptible(), suppress(KeyboardInterrupt), _alone(settings), _bound(settings) as bound:
        node = create_node(settings, SystemClock())
        app = create_app(node)
        config = _config(node.keys, settings, app)
        with node.running():
            _Server(config, lambda: _tell_ready(teller, settings), app.state.stopping.set).run([bound])


def _tell_ready(teller: Teller, settings: Settings) -> None:
    with suppress(OSError):  # a stdout that is closed or full is no reason not to run
        teller.tell("cli.serve.ready", name=settings.name, url=settings.url)
    settle_output()


class _Server(uvicorn.Server):
    """Ends open streams at once when told to stop: a console that watches must not hold the node up."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], end_streams: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._end_streams = end_streams

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # uvicorn has logged why
            raise Unavailable("cli.not_started") from None
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)


def _end_with_input(watched: int) -> None:
    while os.read(watched, 1024):
        pass  # nothing is meant to be said there: only its end counts
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGINT alike unwind what runs: uvicorn, once it has ended, raises the signal anew."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the folder for this process: two nodes with one key and one event store would harm both."""
    with (settings.data / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Conflict("cli.runs_already", folder=str(settings.data), pid=lock.read(20).strip()) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """The node's port, taken before anything is started: a wrong port must not wake a worker."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(settings, error) from None
    with bound:
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except (OSError, OverflowError) as error:
            raise _cannot_listen(settings, error) from None
        yield bound


def _cannot_listen(settings: Settings, error: Exception) -> IstmoError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return Conflict("cli.port_taken", host=settings.host, port=settings.port)
    detail = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return Unavailable("cli.cannot_listen", host=settings.host, port=settings.port, detail=detail)


def _config(keys: NodeKeys, settings: Settings, app: Application) -> uvicorn.Config:
    return uvicorn.Config(
        HearsOut(app),
        host=settings.host,
        port=settings.port,
        http=BoundedHeads,
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
