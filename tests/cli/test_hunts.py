"""``istmo hunts`` as it is typed, against a running node that runs them by itself as well."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.cli.doctor import doctor
from istmo.detect.commands_saved_hunts import HANDED_ON, hunts, read_hunt_file, yaml_of
from istmo.doctor import _hunts
from istmo.errors import InvalidInput
from istmo.kit.cli import speak
from istmo.kit.client import NodeClient
from istmo.settings import load_settings

from .running import istmo, new_node, started

EVENTS = [
    {
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "EventID": 1,
        "Hostname": "PC-7",
        "UtcTime": "2026-03-02 09:00:00.000",
        "Image": f"C:\\{name}.exe",
    }
    for name in ("whoami", "whoami", "other")
]
RULE = r"""title: Who am I
id: 11111111-1111-4111-8111-111111111111
logsource: {product: windows}
detection: {s: {Image|endswith: '\whoami.exe'}, condition: s}
level: high
"""
LONG = ("--window", "3650d")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hunts") / "node"
    new_node(folder)
    (folder.parent / "events.jsonl").write_text("\n".join(map(json.dumps, EVENTS)))
    (folder.parent / "rule.yml").write_text(RULE)
    with started("serve", "--data", folder) as running:
        running.says("worker_connected")
        done = istmo("ingest", folder.parent / "events.jsonl", "--data", folder)
        assert done.returncode == 0, done.stderr
        yield folder


def run(*arguments: str | Path, lang: str = "es", command: Any = hunts) -> Result:
    speak(lang)
    try:
        return CliRunner(env={"COLUMNS": "200"}).invoke(command, [*map(str, arguments)])
    finally:
        speak("es")


def told(node: Path, *arguments: str | Path, status: int = 0) -> Any:
    done = run(*arguments, "--data", node, "--json")
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("lang", ["es", "en"])
def test_where_there_is_none_one_is_told_how_to_begin(node: Path, lang: str) -> None:
    if told(node, "list")["items"]:
        pytest.skip("another test was here first")
    done = run("list", "--data", node, lang=lang)
    assert done.exit_code == 0 and "istmo hunts save" in done.stdout


@pytest.mark.parametrize("lang", ["es", "en"])
def test_a_hunt_is_saved_run_shown_shared_handed_on_and_deleted(
    node: Path, lang: str, tmp_path: Path
) -> None:
    name = f"Quién soy {lang}"
    done = run("save", name, "--query", "Image:*whoami.exe", *LONG, "--data", node, lang=lang)
    assert done.exit_code == 0 and name in done.stdout, done.output
    done = run("run", name, "--data", node, lang=lang)
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 2, done.output
    (shared, file) = (run("share", name, "--data", node, lang=lang), tmp_path / "hunt.yml")
    assert shared.exit_code == 0 and told(node, "show", name)["shared"]
    done = run("show", name, "--data", node, lang=lang)
    assert "Image:*whoami.exe" in done.stdout and "⟦" not in done.output, done.output
    done = run("list", "--data", node, lang=lang)
    assert name in done.stdout and {"es": "a mano", "en": "by hand"}[lang] in done.stdout
    for made in (file, tmp_path / "hunt.json"):
        assert run("export", name, made, "--data", node, lang=lang).exit_code == 0
    assert json.loads((tmp_path / "hunt.json").read_text()) == yaml.safe_load(file.read_text())
    assert run("import", file, "--data", node).exit_code == 1, "there is one of that name"
    imported = told(node, "import", file, "--name", f"{name} copia")
    assert imported["text"] == "Image:*whoami.exe" and (imported["on"], imported["shared"]) == (False, False)
    for one in (name, f"{name} copia"):
        done = run("delete", one, "--data", node, lang=lang)
        assert done.exit_code == 0 and one in done.stdout
    gone = run("show", name, "--data", node, lang=lang)
    assert gone.exit_code == 1 and "istmo hunts list" in gone.stderr


def test_a_hunt_by_rules_tells_matches_and_sums(node: Path) -> None:
    told(node, "save", "por reglas", "--rules", node.parent / "rule.yml", *LONG)
    done = run("run", "por reglas", "--data", node)
    assert done.exit_code == 0 and done.stdout.count("Who am I") == 2, done.output
    assert "Who am I" in done.stderr
    refused = run("save", "all", "--rules", "all", "--query", "x", "--data", node)
    assert refused.exit_code == 1 and "--query" in refused.stderr


def test_a_scheduled_hunt_runs_by_itself_and_raises_an_alert(node: Path) -> None:
    told(node, "save", "programada", "--query", "Image:*whoami.exe", *LONG)
    done = run("schedule", "programada", "1h", "--alert", "--data", node)
    assert done.exit_code == 0, done.output
    deadline = time.monotonic() + 40
    while not (found := told(node, "show", "programada"))["last"]:
        assert time.monotonic() < deadline, "it did not run"
        time.sleep(0.2)  # the pace of looking
    assert (found["last"]["found"], found["last"]["by"], found["every"]) == (2, "system:detect", "1h")
    assert not told(node, "schedule", "programada", "never")["on"]
    health = run("--data", node, "--json", command=doctor)
    states = {one["check"]: one["state"] for one in json.loads(health.stdout)["checks"]}
    assert states["hunts"] == "ok"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "istmo-hunt: 2\nname: x\ntext: y",
        "istmo-hunt: 1\nname: x",
        "istmo-hunt: 1\nname: x\ntext: [y]",
        "istmo-hunt: 1\nname: x\ntext: y\nalert: yes, please",
        "istmo-hunt: 1\nname: &a x\ntext: *a",
        "[" * 10_000,
        "!!python/object/apply:os.system ['true']",
    ],
)
def test_a_file_that_holds_no_hunt_is_refused_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "hunt.yml").write_text(text)
    done = run("import", tmp_path / "hunt.yml", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1 and "hunt.yml" in done.stderr and "Traceback" not in done.output


def test_a_file_of_two_megabytes_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "hunt.yml").write_text("a" * (2 << 20))
    assert run("import", tmp_path / "hunt.yml", "--url", "http://127.0.0.1:1").exit_code == 1


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(HANDED_ON), st.text(max_size=40), min_size=1))
def test_what_is_handed_on_is_read_back_as_it_was(texts: dict[str, str]) -> None:
    hunt = {"name": "x", "text": "y", **texts, "alert": True}
    for written in (
        yaml_of({"istmo-hunt": 1, **hunt}),
        json.dumps({"istmo-hunt": 1, **hunt}),
    ):
        assert read_hunt_file(written.encode(), "f") == hunt
    with pytest.raises(InvalidInput):
        read_hunt_file(json.dumps(hunt).encode(), "f")


def test_the_doctor_names_a_hunt_that_fails_again_and_again() -> None:
    found = _hunts([{"name": "programada"}])
    assert (found.state, found.params) == ("warn", {"n": 1, "names": "programada"})
    assert "programada" in found.text() and "istmo hunts show" in found.text()
    assert _hunts([]).state == "ok"


@pytest.mark.long
def test_a_node_that_is_killed_again_and_again_tells_each_event_once(tmp_path: Path) -> None:
    """Events come in while it lives, a hunt runs each minute, and no kill waits for a run to end."""
    folder = tmp_path / "node"
    new_node(folder)
    sent, alive = 0, (3.0, 11.0, 14.0, 90.0)
    chance = random.Random(7)
    for life, seconds in enumerate(alive):
        with started("serve", "--data", folder) as running:
            running.says("worker_connected")
            begun = time.monotonic()
            if not life:
                options = ("--every", "1m", "--alert", *LONG)
                told(folder, "save", "cada minuto", "--query", "Image:*whoami.exe", *options)
            while time.monotonic() - begun < seconds and (life < len(alive) - 1 or sent < 200):
                number = chance.randint(1, 9)
                (tmp_path / "events.jsonl").write_text("\n".join([json.dumps(EVENTS[0])] * number))
                done = istmo("ingest", tmp_path / "events.jsonl", "--data", folder)
                assert done.returncode == 0, done.stderr
                sent += number
            while life == len(alive) - 1 and time.monotonic() - begun < 150:
                if (last := told(folder, "show", "cada minuto")["last"]) and last["found"] == 0:
                    break  # a run that found nothing more: all that came in was looked at
                time.sleep(1)  # the pace of looking
            if life == len(alive) - 1:
                with NodeClient.by_key(load_settings(folder)) as client:
                    items = client.get("/api/v1/alerts", detector="hunt")["items"]
                assert [one["count"] for one in items] == [sent]
        # leaving the block kills every process of the node
