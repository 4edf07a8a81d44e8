"""The log of a process of the watching room: lines on standard error."""

from __future__ import annotations

import sys

import structlog


def log_to_stderr() -> None:
    """Set it up. What is told of a failure is where it happened, without local variables: they may hold a
    sender's token, a key or what an event says."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
