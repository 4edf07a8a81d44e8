"""``istmo source`` and what ``istmo doctor`` says of sources, against a running node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from istmo.cli.doctor import doctor
from istmo.clock import SystemClock
from istmo.detect.commands_kept import events
from istmo.detect.commands_source import source
from istmo.kit.cli import speak
from istmo.model import instants
from istmo.settings import load_settings

from .running import new_node, started


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("source") / "node"
    new_node(folder)
    with started("serve", "--data", folder) as running:
        running.says("worker_connected")
        yield folder


def run(command: click.Command, *arguments: str | Path, lang: str = "es") -> Result:
    speak(lang)
    try:
        return CliRunner(env={"COLUMNS": "200"}).invoke(command, [*map(str, arguments)])
    finally:
        speak("es")


def told(folder: Path, *arguments: str | Path, status: int = 0) -> Any:
    done = run(source, *arguments, "--data", folder, "--json")
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def test_a_source_is_added_set_shown_listed_and_revoked(node: Path) -> None:
    certificate = load_settings(node).keys / "tls.crt"
    made = told(
        node, "add", "Proxy central", "--expires", "90d", "--network", "10.1.0.0/16",
        "--network", "192.0.2.7", "--certificate", certificate, "--format", "syslog",
        "--zone", "America/Tegucigalpa", "--rate", "500", "--silent-after", "15m",
    )  # fmt: skip
    assert made["secret"].startswith("istmo_src_")
    left = instants.parse(made["expires"]) - SystemClock().now()
    assert timedelta(days=89) < left < timedelta(days=91)
    settings = made["settings"]
    assert settings.pop("version"), "by which one who changes them later says what they saw"
    assert settings == {
        "networks": ["10.1.0.0/16", "192.0.2.7/32"],
        "certificate": settings["certificate"],
        "form": "syslog",
        "zone": "America/Tegucigalpa",
        "rate": 500,
        "silent_after": 900,
    }
    assert len(settings["certificate"]) == 64
    after = told(node, "set", "proxy CENTRAL", "--silent-after", "never", "--network", "none", "--rate", "0")
    assert (after["settings"]["silent_after"], after["settings"]["networks"]) == (0, [])
    assert after["settings"]["zone"] == "America/Tegucigalpa" and "secret" not in after
    assert told(node, "show", made["id"])["settings"] == after["settings"]
    assert [one["name"] for one in told(node, "list")["items"]] == ["Proxy central"]
    kept = told(node, "set", "proxy central", "--keep-days", "90", "--budget", "20GB", "--rate", "7")
    assert kept["settings"]["rate"] == 7
    told(node, "set", "proxy central", "--budget", "500MB")
    done = run(events, "--data", node, "--json")
    (one,) = [one for one in json.loads(done.stdout)["sources"] if one["id"] == made["id"]]
    assert (one["keep_days"], one["budget_bytes"]) == (90, 500_000_000)
    for lang in ("es", "en"):
        shown = run(events, "--data", node, lang=lang).stdout
        assert "Proxy central" in shown and "500.0 MB" in shown and "⟦" not in shown
    assert told(node, "revoke", "proxy central") == {"revoked": made["id"]}
    assert told(node, "show", "proxy central")["state"] == "revoked"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("add", "x", "--rate", "muchos"), "detect.source_rate"),
        (("add", "x", "--silent-after", "1s"), "detect.source_silent_after"),
        (("add", "x", "--format", "evtx"), "detect.source_form"),
        (("add", "x", "--network", "10.1.2.3/16"), "detect.source_network_host"),
        (("show", "nadie"), "detect.unknown_source"),
        (("set", "nadie"), "detect.source_nothing_given"),
        (("set", "nadie", "--rate", "1"), "detect.unknown_source"),
        (("set", "nadie", "--keep-days", "1"), "detect.unknown_source"),
    ],
)
def test_what_is_no_good_is_told_and_nothing_is_made(node: Path, arguments: Any, code: str) -> None:
    assert told(node, *arguments, status=1)["error"]["code"] == code
    assert all(one["name"] != "x" for one in told(node, "list")["items"])


@pytest.mark.parametrize(("lang", "words"), [("es", "Última hora"), ("en", "Last hour")])
def test_a_person_reads_what_was_no_good_and_the_doctor_says_so(node: Path, lang: str, words: str) -> None:
    name = f"cortafuegos {lang}"
    secret = told(node, "add", name)["secret"]
    intake = load_settings(node).intake_port
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {secret}"}) as http:
        body = b"\n".join([b'{"a": 1}'] * 10 + [b"no es JSON"] * 40)
        assert http.post(f"http://127.0.0.1:{intake}/api/v1/events", content=body).status_code == 200
    while told(node, "show", name)["accepted"] < 50:
        pass
    shown = run(source, "show", name, "--data", node, lang=lang)
    assert words in shown.stdout and "40 ×" in shown.stdout
    assert "⟦" not in shown.stdout
    listed = run(source, "list", "--data", node, lang=lang)
    assert name in listed.stdout and "⟦" not in listed.stdout
    found = json.loads(run(doctor, "--data", node, "--json", lang=lang).stdout)["checks"]
    (finding,) = [one for one in found if one["check"] == "sources"]
    assert finding["state"] == "warn" and name in finding["names"] and "source show" in finding["text"]
    told(node, "revoke", name)
