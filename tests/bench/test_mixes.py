"""The events that benches make are what their names say."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import orjson
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from mixes import ADVERSARIAL, unrepeated
from sigma_engine import attack, routed


def test_no_text_comes_twice_and_its_ends_stay() -> None:
    event = {"Channel": "Security", "EventID": 4688, "Image": r"C:\Windows\cmd.exe", "User": "caja"}
    dice = random.Random(1)
    one, two = unrepeated(event, dice), unrepeated(event, dice)
    assert one["Channel"] == two["Channel"] == "Security"
    assert one["Image"] != two["Image"]
    assert one["Image"].startswith("C:\\")
    assert one["Image"].endswith("cmd.exe")
    assert one["EventID"] == 4688


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_mix_is_made_by_its_own_maker(name: str) -> None:
    mixes = {one: attack(make, 3, random.Random(1)) for one, make in ADVERSARIAL.items()}
    made = list(mixes[name])
    alone = [ADVERSARIAL[name](random.Random(1))]
    assert made[:1] == alone
    assert orjson.loads(orjson.dumps(made)) == made


def test_script_blocks_are_as_long_as_windows_writes_them() -> None:
    assert len(ADVERSARIAL["script_blocks"](random.Random(1))["ScriptBlockText"]) > 60_000


def test_a_rival_is_handed_the_log_source_with_the_most_rules() -> None:
    event = {"Channel": "Microsoft-Windows-Sysmon/Operational", "EventID": 13, "TargetObject": "HKLM"}
    assert routed(event)["category"] == "registry_set"
