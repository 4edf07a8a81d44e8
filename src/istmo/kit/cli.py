"""What commands are made of: help in the asker's language, one place to speak, one to fail.

A command is declared with catalogue keys where click would take text. ``Teller`` is what its body
receives (``@told``): it speaks in the asker's language, draws tables and progress, prints JSON
instead where ``--json`` was given, and opens the connection to the node.

    @command("retract", help="intel.command.retract")
    @argument("id")
    @option("--reason", help="intel.command.retract.reason", required=True)
    @told
    def retract(teller: Teller, id: str, reason: str) -> None:
        answer = teller.client().post(f"/api/v1/objects/{id}/retract", {"reason": reason})
        teller.show(answer, "intel.command.retract.done", id=id)
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from istmo.errors import InvalidInput, IstmoError, Unavailable
from istmo.kit.client import NodeClient
from istmo.kit.i18n import LANGUAGES, Catalogue, plain
from istmo.kit.streams import drop_output, json_document, settle_output
from istmo.kit.visible import printable, printable_line
from istmo.settings import load_settings

F = TypeVar("F", bound=Callable[..., Any])

CATALOGUE = Catalogue()
_language = [LANGUAGES[0]]
_WIDE = 10_000
"""Of a table that no person reads from a screen: an id must stay in one piece for the next program."""


def speak(language: str) -> None:
    """Choose the language of help, messages and click's own words for this process."""
    _language[0] = language


def spoken() -> str:
    """The language of this command line."""
    return _language[0]


def say(key: str, /, **params: Any) -> str:
    """A text of the catalogue in the language of this command line."""
    return CATALOGUE.text(_language[0], key, **params)


def sentence(key: str, /, **params: Any) -> str:
    """The same for a terminal: what stands in the placeholders neither steers it nor leaves its line."""
    shown = {
        name: value if isinstance(value, (int, float)) else printable_line(plain(value))
        for name, value in params.items()
    }
    return printable(say(key, **shown))


def language_of(arguments: Sequence[str], environment: dict[str, str]) -> str:
    """The language asked for: ``--lang``, else ISTMO_LANG, else the locale, else Spanish."""
    for place, argument_ in enumerate(arguments):
        if argument_ == "--lang" and place + 1 < len(arguments):
            wanted = arguments[place + 1]
        elif argument_.startswith("--lang="):
            wanted = argument_.removeprefix("--lang=")
        else:
            continue
        if wanted in LANGUAGES:
            return wanted
    named = ("ISTMO_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    found = next((environment[name] for name in named if environment.get(name)), "")
    return next((one for one in LANGUAGES if found.lower().startswith(one)), LANGUAGES[0])


def _shown(text: str) -> str:
    """One of click's own words, or the name of an argument or a type, as the catalogue has it."""
    found = CATALOGUE.entry(_language[0], f"click.{text}")
    return found[0] if found else text


class _Spoken:
    """Resolves catalogue keys at the moment that help is shown, not when the module is read."""

    help: str | None

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.help:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(say(self.help))

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [_shown(piece) for piece in pieces]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        # click keeps the option that it makes the first time, in the language of that moment
        found: click.Option | None = super().get_help_option(ctx)  # type: ignore[misc]
        if found is not None:
            found.help = _shown("Show this message and exit.")
        return found

    def get_short_help_str(self, limit: int = 45) -> str:
        text = say(self.help) if self.help else ""
        first = text.split("\n\n")[0].replace("\n", " ")
        return first if len(first) <= 200 else first[:199] + "…"


class Command(_Spoken, click.Command):
    """A command whose help is a catalogue key."""


class Group(_Spoken, click.Group):
    """A group of commands whose help is a catalogue key."""


class Option(click.Option):
    """An option whose help is a catalogue key."""

    def make_metavar(self, ctx: click.Context) -> str:
        return _shown(super().make_metavar(ctx))

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        key, self.help = self.help, say(self.help) if self.help else None
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = key


def command(name: str, *, help: str, **attrs: Any) -> Callable[[Callable[..., Any]], Command]:
    """``click.command`` with a catalogue key for help."""
    return click.command(name, cls=Command, help=help, **attrs)


def group(name: str, *, help: str, **attrs: Any) -> Callable[[Callable[..., Any]], Group]:
    """``click.group`` with a catalogue key for help; ``--lang`` may stand behind it as anywhere."""

    def made(function: Callable[..., Any]) -> Group:
        return click.group(name, cls=Group, help=help, **attrs)(_language_option(function))

    return made


def option(*names: str, help: str, **attrs: Any) -> Callable[[F], F]:
    """``click.option`` with a catalogue key for help."""
    return click.option(*names, cls=Option, help=help, **attrs)


class Argument(click.Argument):
    """An argument that is named in the asker's language."""

    def make_metavar(self, ctx: click.Context) -> str:
        name = (self.metavar or self.name or "").upper()
        shown = _shown(name) + ("" if self.nargs == 1 or name.endswith("…") else "…")
        return shown if self.required else f"[{shown}]"


def argument(*names: str, **attrs: Any) -> Callable[[F], F]:
    """``click.argument``, named by ``metavar`` (or its own name) through the catalogue."""
    return click.argument(*names, cls=Argument, **attrs)


@dataclass
class Teller:
    """How a command speaks. Results go to stdout, everything else to stderr."""

    json: bool = False
    data: Path = field(default_factory=lambda: default_data())
    url: str = ""
    out: Console = field(default_factory=lambda: _console())
    err: Console = field(default_factory=lambda: _console(stderr=True))

    def client(self) -> NodeClient:
        """A connection to the node: the local one by its own key, or ``--url`` with ISTMO_TOKEN."""
        if self.url:
            return NodeClient.by_token(self.url, os.environ.get("ISTMO_TOKEN", ""), language=_language[0])
        return NodeClient.by_key(load_settings(self.data), language=_language[0])

    def tell(self, key: str, /, **params: Any) -> None:
        """A sentence for the person: on stdout, or on stderr where a program reads stdout."""
        (self.err if self.json else self.out).print(sentence(key, **params))

    def line(self, text: str) -> None:
        """A line of data, no sentence of the catalogue; where ``tell`` would say it."""
        (self.err if self.json else self.out).print(printable_line(text))

    def note(self, key: str, /, **params: Any) -> None:
        """A remark beside the result, always on stderr."""
        self.err.print(sentence(key, **params), style="dim")

    def show(self, result: Any, key: str | None = None, /, **params: Any) -> None:
        """The result: as JSON where asked for, otherwise the sentence ``key``."""
        if self.json:
            self.print_json(result)
        elif key:
            self.tell(key, **params)

    def print_json(self, result: Any) -> None:
        """One JSON document on stdout."""
        sys.stdout.write(json_document(result, orjson.OPT_INDENT_2) + "\n")
        sys.stdout.flush()

    def print_json_line(self, result: Any) -> None:
        """One JSON document on a line of stdout, of as many as there are."""
        sys.stdout.write(json_document(result) + "\n")

    def confirm(self, key: str, /, **params: Any) -> None:
        """Ask before something that cannot be undone; ends the command unless the answer is yes.

        A program that gave ``--json`` and no answer is told so in its one document.
        """
        self.err.print(sentence(key, **params), say("cli.yes_or_no"), end=" ")
        answer = sys.stdin.readline() if sys.stdin else ""
        if not answer.endswith("\n"):
            self.err.print()
        # an answer in either language will do: people type what their fingers know
        if answer.strip().casefold() not in {"y", "yes", "s", "si", "sí"}:
            if self.json or not sys.stdin:
                self.fail(InvalidInput("cli.not_confirmed"))
            raise click.Abort

    def rows(self, result: Any, heads: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
        """A table whose heads are catalogue keys; ``empty`` is the sentence for no rows at all."""
        if self.json:
            self.print_json(result)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for head in heads:
            table.add_column(say(head), overflow="fold")
        for row in rows:
            table.add_row(*("" if cell is None else printable(str(cell)) for cell in row))
        if table.row_count:
            self.out.print(table)
        else:
            self.tell(empty)

    @contextmanager
    def progress(
        self, key: str, total: float | None = None, *, is_bytes: bool = False
    ) -> Iterator[Callable[[float], None]]:
        """Progress of long work on stderr: call the result with the amount done since last time."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn() if is_bytes else MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        quiet = self.json or not self.err.is_terminal
        with Progress(*columns, console=self.err, disable=quiet, transient=True) as shown:
            task = shown.add_task(sentence(key), total=total)
            yield lambda done: shown.advance(task, done)

    @contextmanager
    def working(self, key: str, /, **params: Any) -> Iterator[None]:
        """A sign of life on stderr while one thing is done that takes its time."""
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        quiet = self.json or not self.err.is_terminal
        with Progress(*columns, console=self.err, disable=quiet, transient=True) as shown:
            shown.add_task(sentence(key, **params), total=None)
            yield

    def fail(self, error: IstmoError) -> None:
        """What happened and what to do, then the end with exit status 1."""
        told_ = told_of(error)
        settle_output()
        if self.json:
            with suppress(OSError):  # stdout itself may be what has failed
                self.print_json({"error": told_})
            settle_output()
        with suppress(OSError):
            self.err.print(printable(f"{say('cli.error')} {told_['message']}"), style="red")
            if told_["remedy"]:
                self.err.print(printable(told_["remedy"]))
        settle_output()
        raise SystemExit(1)


def told_of(error: IstmoError) -> dict[str, str]:
    """An error as a document has it: code, message, remedy; a node's own words where a node refused."""
    if error.code == "node.answered" and "message" in error.params:
        return {name: str(error.params.get(name, "")) for name in ("code", "message", "remedy")}
    words = CATALOGUE.error(_language[0], error)
    return {"code": error.code, "message": words.message, "remedy": words.remedy}


def _console(*, stderr: bool = False) -> Console:
    """A console that prints what it is given: left alone, rich reads ``[red]`` and an address's ``:a:``."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if not stderr and not console.is_terminal:
        console.width = _WIDE
    return console


def _language_option(function: F) -> F:
    """``--lang``, which was read before click began (``language_of``)."""
    return option("--lang", type=click.Choice(LANGUAGES), expose_value=False, help="cli.option.lang")(
        function
    )


def default_data() -> Path:
    """The node's folder where nobody names one: ISTMO_DATA, else ``istmo-data`` here."""
    return Path(os.environ.get("ISTMO_DATA", "istmo-data"))


def told(function: F) -> F:
    """Give a command's body its Teller, with the shared options, and end IstmoErrors in words."""
    return _DATA(_URL(_teller_given(function)))


def told_here(function: F) -> F:
    """``told`` for a command that works on the node's folder itself, and so on no node elsewhere."""
    return _DATA(_teller_given(function))


def told_apart(function: F) -> F:
    """``told`` for a command that has to do with no node: an option that it would not heed is not offered."""
    return _teller_given(function)


_DATA = option("--data", type=click.Path(path_type=Path), default=None, help="cli.option.data")
_URL = option("--url", default="", help="cli.option.url")


def _teller_given(function: F) -> F:
    @option("--json", "json_", is_flag=True, help="cli.option.json")
    @_language_option
    @functools.wraps(function)
    def body(*args: Any, json_: bool, data: Path | None = None, url: str = "", **kwargs: Any) -> Any:
        _heed_interrupts()
        teller = Teller(json=json_, data=data or default_data(), url=url)
        try:
            if data and url:
                raise InvalidInput("cli.two_nodes")
            # What cannot be written is told here, not at Python's own end, which has a status of its own.
            try:
                result = function(teller, *args, **kwargs)
            except SystemExit:
                sys.stdout.flush()
                raise
            sys.stdout.flush()
            return result
        except IstmoError as error:
            return teller.fail(error)
        except UnicodeEncodeError:
            # a byte that is no text, in an argument or on standard input
            return teller.fail(InvalidInput("cli.not_utf8"))
        except BrokenPipeError:
            # whoever read has gone: nothing more to say, and nothing to flush at the end
            drop_output()
            raise SystemExit(141) from None
        except OSError as error:
            return teller.fail(machine_refused(error))

    return body  # type: ignore[return-value]


def _heed_interrupts() -> None:
    """Let Ctrl-C unwind a command again, after it could end the reading of modules without a word."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def machine_refused(error: OSError) -> IstmoError:
    """What the system would not do, as an error that has words."""
    detail = error.strerror or type(error).__name__
    return Unavailable("cli.machine", file=str(error.filename or ""), detail=detail)


def translate_click() -> None:
    """Give click our catalogue for its own words (``Usage:``, ``No such option``).

    click asks gettext's process-wide domain, which wants a compiled file on disk; its modules are
    handed a function instead. A word that the catalogue lacks stays as click wrote it.
    """

    def plural(one: str, many: str, n: int) -> str:
        return _shown(one if n == 1 else many)

    for name in ("core", "decorators", "exceptions", "formatting", "parser", "termui", "types"):
        module = sys.modules.get(f"click.{name}")
        for attribute, ours in (("_", _shown), ("ngettext", plural)):
            if module is not None and hasattr(module, attribute):
                setattr(module, attribute, ours)
