"""The examples on the pages for syslog and GELF, run against a real worker."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib

import pytest

from istmo.settings import Settings
from machine import missing
from peers.conftest import Receiver
from peers.pages import LANGUAGES, blocks, put_in


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_settings_on_the_page_are_settings(language: str) -> None:
    (block,) = blocks("syslog", "toml", language)
    assert tomllib.loads(block).keys() <= Settings.__dataclass_fields__.keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_message_to_try_it_with_arrives(receiver: Receiver, language: str) -> None:
    if not shutil.which("logger"):
        missing("needs logger (bsdutils)")
    (block,) = blocks("syslog", "bash", language)
    command = put_in(block, {"istmo.example": "127.0.0.1", "5514": receiver.syslog_tcp})
    subprocess.run(["bash", "-c", command], check=True, timeout=20)
    assert receiver.wait_for_text("prueba de istmo")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_gelf_message_arrives(receiver: Receiver, language: str) -> None:
    (block,) = blocks("gelf-udp", "python", language)
    program = put_in(block, {"istmo.example": "127.0.0.1", "12201": receiver.gelf_tcp})
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
    assert receiver.wait_for_text("prueba de istmo")


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("rsyslog", "rsyslog"),
        ("syslog-ng", "syslog-ng"),
        ("syslog", "toml"),
        ("syslog", "bash"),
        ("gelf-udp", "python"),
    ],
)
def test_both_languages_give_the_same_to_be_copied(page: str, kind: str) -> None:
    spanish, english = (blocks(page, kind, language) for language in LANGUAGES)
    assert spanish == english != []
