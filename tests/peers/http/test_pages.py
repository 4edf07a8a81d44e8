"""The pages that tell how to send: their examples are run, or read by what reads their language."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from detect.intake.conftest import SECRET, Port
from istmo.clock import ManualClock
from istmo.ledger import keys
from istmo.settings import Limits
from listening import listening
from machine import find_program, missing
from peers.pages import LANGUAGES, PAGES, blocks, put_in

NODE, CERTIFICATE, TOKEN = "istmo.example:8444", "istmo-tls.crt", "TOKEN"
HTTP = (
    "elastic",
    "winlogbeat",
    "filebeat",
    "vector",
    "fluent-bit",
    "wazuh",
    "logstash",
    "hec",
    "otlp",
    "gelf",
)


@dataclass
class Node:
    """A port that speaks TLS with a certificate as a node makes it."""

    port: Port
    number: int
    certificate: Path

    def run(self, *command: str) -> str:
        """Run a program, or fail with what it said."""
        # The HTTP library of some clients prefers these to the certificate that it is given.
        around = {name: text for name, text in os.environ.items() if not name.endswith("_CA_BUNDLE")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=around)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def here(self) -> dict[str, object]:
        """What a reader puts in the place of an example's own."""
        return {NODE: f"localhost:{self.number}", CERTIFICATE: self.certificate, TOKEN: SECRET}


@pytest.fixture
def node(tmp_path: Path, clock: ManualClock) -> Iterator[Node]:
    made = keys.create(tmp_path / "keys", url="https://localhost:8443")
    port = Port(tmp_path / "events", clock, Limits())
    shown = {"ssl_certfile": str(made.tls_certificate), "ssl_keyfile": str(made.tls_key)}
    with listening(port.app, **shown) as number:
        yield Node(port, number, made.tls_certificate)
    port.log.close()


def every(kind: str) -> list[Any]:
    """Each block of a kind, by page and place."""
    return [
        pytest.param(block, id=f"{page}-{number}")
        for page in HTTP
        for number, block in enumerate(blocks(page, kind), 1)
    ]


@pytest.mark.parametrize("page", HTTP)
def test_both_languages_give_the_same_to_copy(page: str) -> None:
    kinds = ("sh", "yaml", "json", "python", "logstash")
    given = [[blocks(page, kind, language) for kind in kinds] for language in LANGUAGES]
    assert given[0] == given[1]
    assert any(given[0])


def test_pages_lead_to_pages_that_are_there() -> None:
    for path in PAGES.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8")):
            if target.partition(".")[0] in HTTP:
                assert (PAGES / target).is_file(), f"{path.name} leads to {target}"


@pytest.mark.parametrize("block", every("sh"))
def test_a_trial_is_taken_as_it_stands(node: Node, block: str) -> None:
    if find_program("curl") is None:
        missing("needs curl")
    node.run("sh", "-ec", put_in(block, node.here()).replace("curl -sS", "curl -sS --fail-with-body"))
    (event,) = node.port.events()
    assert "hello" in str(event) or event["program"] == "sshd"


@pytest.mark.parametrize("block", every("python"))
def test_a_program_sends_as_it_stands(node: Node, block: str) -> None:
    # Some handlers take host and port apart.
    block = block.replace(NODE, f"localhost:{node.number}")
    block = block.replace('"istmo.example", 8444', f'"localhost", {node.number}')
    node.run(sys.executable, "-c", put_in(block, {CERTIFICATE: node.certificate, TOKEN: SECRET}))
    deadline = time.monotonic() + 10
    while not (events := node.port.events()) and time.monotonic() < deadline:
        time.sleep(0.02)  # the pace of polling: a handler that reads no answer is gone before the event rests
    (event,) = events
    assert "hello" in str(event) or event["EventID"] == 4625


@pytest.mark.parametrize("block", every("yaml"))
def test_yaml_is_yaml_and_names_node_and_token_where_it_sends(block: str) -> None:
    read = yaml.safe_load(block)
    assert isinstance(read, dict)
    if "output" in block or "exporters" in block or "sinks" in block:
        assert "istmo.example" in block and CERTIFICATE in block and TOKEN in block


@pytest.mark.parametrize("block", every("json"))
def test_json_is_json(block: str) -> None:
    assert json.loads(block)["log-opts"]["splunk-url"] == f"https://{NODE}"


@pytest.mark.parametrize("block", every("logstash"))
def test_what_logstash_reads_is_well_formed(block: str) -> None:
    """Sections of plugins, with settings of strings, lists and booleans: its language, as far as is used."""
    value = r'(?:"[^"\n]*"|\["[^"\n]*"(?:, "[^"\n]*")*\]|true|false|\d+)'
    setting = rf"[a-z_]+ => {value}"
    plugin = rf"[a-z]+ \{{\s*(?:{setting}\s+)*(?:{setting})?\s*\}}"
    assert re.fullmatch(rf"(?:(?:input|filter|output) \{{\s*(?:{plugin}\s*)+\}}\s*)+", block)
