"""The pages about files: their commands are ones that there are, and both languages show the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from istmo.detect.commands import ingest
from istmo.detect.following.places import is_rotated

PAGES = Path(__file__).parents[3] / "docs" / "intake"
BLOCK = re.compile(r"```(sh|ini)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    return [found[1] for found in BLOCK.findall((PAGES / f"files.{language}.md").read_text())]


def test_both_languages_show_the_same_examples() -> None:
    assert blocks("es") == blocks("en") != []


def test_every_command_of_the_pages_is_understood() -> None:
    lines = [line for block in blocks("en") for line in block.splitlines() if "istmo ingest" in line]
    assert len(lines) == 3
    for line in lines:
        _, _, rest = line.partition("istmo ingest ")
        context = click.Context(ingest)
        ingest.parse_args(context, shlex.split(rest))
        assert context.params["files"]
        assert context.params["is_followed"] == ("--follow" in line)
        assert not any(name.startswith("-") for name in context.params["files"])


def test_what_a_named_file_is_rotated_to_is_what_the_page_says() -> None:
    assert is_rotated("app.log.1", "app.log")
