"""The three streams of a command: closed ones, full ones, and ones that cannot hold every letter."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from contextlib import suppress
from typing import Any, TextIO

import orjson

from istmo.errors import InvalidInput
from istmo.kit.visible import MARK, printable_json

_SURROGATE = re.compile("[\ud800-\udfff]")


def prepare() -> None:
    """Make the streams of this process such that each can be spoken to. Once, before anything is said.

    Where a stream is closed its number is held, or the next file that is opened would get it: a database
    must not be what a worker takes for its standard error. What goes to a closed stdout fails as on a full
    disk; what goes to a closed stderr goes nowhere.
    """
    modes = (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))
    for number, (name, mode) in enumerate(modes):
        if getattr(sys, name) is None:
            held = os.open(os.devnull, mode)
            os.set_inheritable(held, True)
            if number and held == number:
                setattr(sys, name, os.fdopen(held, "w", encoding="utf-8", errors="replace"))
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def standard_input() -> TextIO:
    """Standard input. Raises InvalidInput ``cli.no_input`` where whoever started us has closed it."""
    if sys.stdin is None:
        raise InvalidInput("cli.no_input")
    return sys.stdin


def settle_output() -> None:
    """Flush stdout and stderr; forget what they do not take, which Python would else try again at the end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _drop(stream)


def drop_output() -> None:
    """From now on, let what goes to stdout go nowhere."""
    _drop(sys.stdout)


def _drop(stream: TextIO) -> None:
    with suppress(OSError):  # a stream of a test has no number
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def json_document(result: Any, option: int = 0) -> str:
    """A JSON document as stdout can hold it.

    What is no text in it (the name of a file that is not UTF-8) is marked; letters that the stream's
    encoding lacks stand as escapes.
    """
    try:
        document = orjson.dumps(result, option=option, default=str)
    except orjson.JSONEncodeError:
        document = orjson.dumps(_marked(result), option=option, default=str)
    text = printable_json(document.decode())
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(text), indent=2 if option & orjson.OPT_INDENT_2 else None)
    return text


def _marked(value: Any) -> Any:
    match value:
        case str():
            return _SURROGATE.sub(MARK, value)
        case dict():
            return {_marked(name): _marked(one) for name, one in value.items()}
        case list() | tuple():
            return [_marked(one) for one in value]
        case _:
            return value
