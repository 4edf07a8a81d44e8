"""What senders are told: it works as it stands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from detect.intake.conftest import SECRET, Port
from istmo.clock import ManualClock
from istmo.detect.connecting import Address, address_for_senders, examples
from istmo.settings import Limits, Settings
from listening import listening
from machine import find_program, missing


def told(address: Address, name: str) -> str:
    return next(one.text for one in examples(address, SECRET) if one.name == name)


def test_the_trial_with_curl_is_taken_as_it_stands(tmp_path: Path, clock: ManualClock) -> None:
    if find_program("curl") is None:
        missing("needs curl")
    port = Port(tmp_path / "events", clock, Limits())
    with listening(port.app) as number:
        command = told(Address("http", "127.0.0.1", number), "curl")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
        assert '"accepted":1' in done.stdout, done.stderr
        assert port.events() == [{"message": "istmo"}]
    port.log.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("beat", ["filebeat", "winlogbeat"])
def test_the_text_for_a_beat_is_its_configuration(scheme: str, beat: str) -> None:
    read = yaml.safe_load(told(Address(scheme, "nodo.example", 8444), beat))
    output = read["output.elasticsearch"]
    assert output["hosts"] == [f"{scheme}://nodo.example:8444"]
    assert output["password"] == SECRET
    assert ("ssl.certificate_authorities" in output) == (scheme == "https")
    assert read["setup.template.enabled"] is False


def test_an_intake_that_listens_everywhere_is_reached_by_the_node_s_name(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "x", "HN", url="https://nodo.example:8443", tls="own")
    local = address_for_senders(settings, "127.0.0.1:9000")
    assert (local.url, local.is_local) == ("https://127.0.0.1:9000", True)
    for host in ("0.0.0.0", "::"):
        open_ = Settings(tmp_path, "x", "HN", url="https://nodo.example:8443", intake_host=host)
        found = address_for_senders(open_)
        assert (found.url, found.is_local) == ("http://nodo.example:8444", False)
    six = Settings(tmp_path, "x", "HN", intake_host="2001:db8::7")
    assert address_for_senders(six).url == "http://[2001:db8::7]:8444"
