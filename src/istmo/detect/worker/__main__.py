"""``python -m istmo.detect.worker DATA``: the detection worker of the node in that folder.

With ``--supervised`` it ends when its standard input does, that is, with whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import structlog

from istmo.clock import SystemClock
from istmo.detect.eventstore.log import SEGMENT_BYTES
from istmo.detect.process_log import log_to_stderr
from istmo.detect.worker.process import Worker
from istmo.detect.worker.serving import Certificate
from istmo.detect.worker.tending import TEND_SECONDS
from istmo.errors import IstmoError
from istmo.settings import load_settings

log = structlog.get_logger(__name__)

_SWITCH_SECONDS = 0.0005
"""How long the Sigma thread may keep the interpreter when the event loop wants it."""


def main() -> int:
    """Run until told to stop; 1 when the worker could not start."""
    options = _options()
    log_to_stderr()
    sys.setswitchinterval(_SWITCH_SECONDS)
    # Parsed events are many, small and without cycles: looking for cycles among them is what costs.
    gc.set_threshold(20_000, 20, 50)
    try:
        settings = load_settings(options.data)
        certificate = None
        if options.certificate and options.key:
            certificate = Certificate(options.certificate, options.key)
        worker = Worker(
            settings,
            SystemClock(),
            certificate,
            segment_bytes=options.segment_bytes,
            tend_seconds=options.tend_seconds,
        )
        asyncio.run(_run(worker, is_supervised=options.supervised))
    except IstmoError as error:
        log.error("worker_cannot_run", code=error.code, **error.params)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m istmo.detect.worker")
    parser.add_argument("data", type=Path)
    parser.add_argument("--supervised", action="store_true")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--segment-bytes", type=int, default=SEGMENT_BYTES)
    parser.add_argument("--tend-seconds", type=float, default=TEND_SECONDS)
    return parser.parse_args()


async def _run(worker: Worker, *, is_supervised: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    if is_supervised:
        _watch_input(loop, worker)
    gc.freeze()
    await worker.run()


def _watch_input(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(descriptor, 1024):
            loop.remove_reader(descriptor)
            worker.stop()

    loop.add_reader(descriptor, readable)


if __name__ == "__main__":
    raise SystemExit(main())
