"""The ``istmo`` command: every room's commands under one name."""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module

import click
import structlog

from istmo import __version__
from istmo.kit.cli import (
    Group,
    Option,
    Teller,
    language_of,
    machine_refused,
    option,
    say,
    speak,
    translate_click,
)
from istmo.kit.i18n import LANGUAGES
from istmo.kit.streams import prepare

# One line a command: where it stands, and its help. A command's module is read only when the command
# is used, so that `istmo --help` answers at once on an old machine.
COMMANDS = {
    "init": ("istmo.cli.init", "cli.init"),
    "serve": ("istmo.cli.serve", "cli.serve"),
    "demo": ("istmo.cli.demo.command", "demo.command"),
    "doctor": ("istmo.cli.doctor", "cli.doctor"),
    "import": ("istmo.intel.commands", "intel.command.import"),
    "publish": ("istmo.intel.commands", "intel.command.publish"),
    "retract": ("istmo.intel.commands", "intel.command.retract"),
    "ingest": ("istmo.detect.commands", "detect.command.ingest"),
    "hunt": ("istmo.detect.commands_hunt", "detect.command.hunt"),
    "rules": ("istmo.detect.commands_rules", "detect.command.rules"),
    "lists": ("istmo.detect.commands_lists", "detect.command.lists"),
    "warning-lists": ("istmo.detect.commands_warning", "detect.command.warning_lists"),
    "source": ("istmo.detect.commands_source", "detect.command.source"),
    "events": ("istmo.detect.commands_kept", "detect.command.events"),
    "alerts": ("istmo.detect.commands_alerts", "detect.command.alerts"),
    "search": ("istmo.detect.commands", "detect.command.search"),
    "hunts": ("istmo.detect.commands_saved_hunts", "detect.command.hunts"),
    "case": ("istmo.respond.commands", "respond.command.case"),
    "peer": ("istmo.federation.commands", "federation.command"),
    "ledger": ("istmo.cli.ledger", "ledger.help"),
    "job": ("istmo.cli.jobs", "cli.job"),
    "account": ("istmo.cli.people", "identity.command.account"),
    "notices": ("istmo.notices.commands", "notices.command"),
    "token": ("istmo.cli.people", "identity.command.token"),
}


class Istmo(Group):
    """All commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: list[click.Command] = import_module(COMMANDS[cmd_name][0]).commands
        return next((one for one in found if one.name == cmd_name), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(say("click.Commands")):
            formatter.write_dl([(name, say(help_key)) for name, (_, help_key) in COMMANDS.items()])


@click.command("istmo", cls=Istmo, help="cli.istmo")
@option("--lang", type=click.Choice(LANGUAGES), help="cli.option.lang")
@click.version_option(__version__, prog_name="istmo", cls=Option, help="cli.option.version")
def istmo(lang: str | None) -> None:
    """The root of all commands; ``--lang`` was read before click began."""


def main() -> None:
    """Entry point: choose the language, then hand over to click."""
    prepare()
    speak(language_of(sys.argv[1:], dict(os.environ)))
    translate_click()
    # stdout belongs to the result; ``serve`` sets up a log of its own
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            # without local variables: they may hold what must never be written down
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    )
    try:
        try:
            istmo(prog_name="istmo")
        finally:
            sys.stdout.flush()
    except OSError as error:  # help or version, to where it cannot be written
        Teller().fail(machine_refused(error))
