"""The ``istmo`` command: every room's commands under one name."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from istmo import __version__
from istmo.kit.cli import Group, language_of, option, speak, translate_click

# One line a command: where it stands. A command's module is read only when the command is asked for,
# so that `istmo --help` answers at once on an old machine.
COMMANDS = {
    "init": "istmo.cli.init",
    "serve": "istmo.cli.serve",
    "demo": "istmo.cli.demo.command",
    "doctor": "istmo.cli.doctor",
    "import": "istmo.intel.commands",
    "publish": "istmo.intel.commands",
    "retract": "istmo.intel.commands",
    "ingest": "istmo.detect.commands",
    "search": "istmo.detect.commands",
    "case": "istmo.respond.commands",
    "peer": "istmo.federation.commands",
    "ledger": "istmo.cli.ledger",
    "account": "istmo.identity.commands",
    "token": "istmo.identity.commands",
}


class Istmo(Group):
    """All commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: list[click.Command] = import_module(COMMANDS[cmd_name]).commands
        return next((one for one in found if one.name == cmd_name), None)


@click.command("istmo", cls=Istmo, help="cli.istmo")
@option("--lang", type=click.Choice(["es", "en"]), help="cli.option.lang")
@click.version_option(__version__, prog_name="istmo")
def istmo(lang: str | None) -> None:
    """The root of all commands; ``--lang`` was read before click began."""


def main() -> None:
    """Entry point: choose the language, then hand over to click."""
    speak(language_of(sys.argv[1:], dict(os.environ)))
    translate_click()
    istmo(prog_name="istmo")
