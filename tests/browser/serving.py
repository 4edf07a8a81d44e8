"""A site on a loopback port, and how a person comes in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from web_site import PASSWORD, Site

WIDTHS = (360, 1440)
LANGUAGES = {"es": "es-GT", "en": "en-GB"}


@contextmanager
def serving(site: Site) -> Iterator[str]:
    """The address at which ``site`` is served meanwhile; its store is closed at the end."""
    config = uvicorn.Config(site.app, port=0, log_config=None, lifespan="on", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    started = threading.Event()
    startup = server.startup

    async def tell(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        started.set()

    server.startup = tell  # type: ignore[method-assign]
    thread.start()
    assert started.wait(30)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    site.app.state.stopping.set()
    server.should_exit = True
    thread.join(10)
    site.node.store.close()


def sign_in(page: Any, name: str = "ana") -> None:
    """Through the form, as a person does."""
    page.goto("/sign-in")
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("main button.main")
