"""``istmo doctor`` on a healthy node, a stopped one, and on ones that something has happened to."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from istmo import doctor
from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import Closed, EventFolder
from istmo.detect.eventstore.lines import compose
from istmo.kit.i18n import Catalogue

from .running import istmo, new_node, started

BUNDLE = {
    "type": "bundle",
    "id": "bundle--6f9e2f0c-3f1b-4a52-9d11-0c7e5a6d0a11",
    "objects": [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--6f9e2f0c-3f1b-4a52-9d11-0c7e5a6d{number:04d}",
            "created": "2026-03-02T08:00:00.000Z",
            "modified": "2026-03-02T08:00:00.000Z",
            "name": "Servidor de mando",
            "pattern": f"[ipv4-addr:value = '203.0.113.{number}']",
            "pattern_type": "stix",
            "valid_from": "2026-03-02T08:00:00Z",
        }
        for number in range(1, 6)
    ],
}


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A node with a few published objects, stopped; and what the doctor said while it ran."""
    folder = tmp_path_factory.mktemp("doctor") / "node"
    new_node(folder)
    (folder.parent / "bundle.json").write_text(json.dumps(BUNDLE))
    with started("serve", "--data", folder) as node:
        node.says("worker_connected")
        done = istmo(
            "publish", folder.parent / "bundle.json", "--audience", "region", "--tlp", "amber", "--yes",
            "--data", folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        running = istmo("doctor", "--data", folder, "--json")
        assert running.returncode == 0, running.stdout
        node.process.terminate()
        node.process.wait(30)
    yield folder, json.loads(running.stdout)


def states(told: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in told["checks"]:
        if found.get(one["check"]) != "bad":
            found[one["check"]] = one["state"]
    return found


def examine(folder: Path) -> tuple[int, dict[str, str], str]:
    done = istmo("doctor", "--data", folder, "--json")
    assert "Traceback" not in done.stderr, done.stderr
    told = json.loads(done.stdout)
    assert told["healthy"] == (done.returncode == 0)
    return done.returncode, states(told), done.stdout


@pytest.fixture
def copy(examined: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    shutil.copytree(examined[0], tmp_path / "node")
    return tmp_path / "node"


def test_a_healthy_node_is_told_so(examined: tuple[Path, dict[str, Any]]) -> None:
    told = examined[1]
    assert told["healthy"]
    assert set(states(told)) >= {
        "settings",
        "keys",
        "database",
        "disk",
        "events",
        "ledger",
        "running",
        "worker",
        "jobs",
    }
    assert set(states(told).values()) == {"ok"}


@pytest.mark.parametrize("lang", [pytest.param("es", marks=pytest.mark.long), "en"])
def test_a_stopped_node_is_well_and_told_how_to_start(copy: Path, lang: str) -> None:
    done = istmo("doctor", "--data", copy, lang=lang)
    assert done.returncode == 0
    assert "istmo serve" in " ".join(done.stdout.split())
    assert Catalogue().text(lang, "cli.doctor.healthy") in done.stdout
    assert examine(copy)[1]["running"] == "warn"


def test_a_flipped_byte_in_an_envelope_is_found(copy: Path) -> None:
    with sqlite3.connect(copy / "node.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    path = copy / "node.db"
    raw = bytearray(path.read_bytes())
    place = raw.index(b'"audience":')
    raw[place + 20] ^= 1
    path.write_bytes(raw)
    status, found, said = examine(copy)
    assert status == 1
    assert "bad" in (found["ledger"], found["database"]), said
    verified = istmo("ledger", "verify", "--data", copy, "--json")
    assert verified.returncode == 1
    assert json.loads(verified.stdout)["problems"]


def test_a_database_that_is_torn_is_found_and_is_no_defect(copy: Path) -> None:
    path = copy / "node.db"
    raw = bytearray(path.read_bytes())
    for place in range(100, len(raw), 4096):
        raw[place : place + 8] = b"\xff" * 8
    path.write_bytes(raw)
    for name in ("node.db-wal", "node.db-shm"):
        (copy / name).unlink(missing_ok=True)
    status, found, _ = examine(copy)
    assert status == 1
    assert found["database"] == "bad"
    for command in (("ledger", "verify"), ("serve",)):
        done = istmo(*command, "--data", copy)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr, done.stderr[-2000:]


@pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.long)])
@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_node_whose_database_is_gone_does_not_begin_anew(copy: Path, lang: str, left: str) -> None:
    for path in copy.glob("node.db*"):
        path.unlink()
    if left != "nothing":
        (copy / "node.db").touch()
    before = sorted(path.name for path in copy.iterdir())
    signed = (copy / "log" / "checkpoint").read_bytes()
    assert signed.splitlines()[1] != b"0"

    for command in (("serve",), ("ledger", "verify")):
        refused = istmo(*command, "--data", copy, lang=lang)
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr, refused.stderr
        words = Catalogue().text(lang, "error.ledger.no_database.remedy")
        assert words in refused.stderr

    status, found, said = examine(copy)
    assert (status, found["database"], found["ledger"]) == (1, "bad", "bad"), said
    assert (copy / "log" / "checkpoint").read_bytes() == signed
    if left == "nothing":
        assert sorted(path.name for path in copy.iterdir()) in (before, sorted([*before, "node.lock"]))


def test_a_database_from_before_what_the_node_has_signed_is_not_run(copy: Path) -> None:
    with sqlite3.connect(copy / "node.db") as db:
        db.execute("DELETE FROM log_entries")
    db.close()
    signed = (copy / "log" / "checkpoint").read_bytes()
    refused = istmo("serve", "--data", copy)
    assert refused.returncode == 1
    assert Catalogue().text("en", "error.ledger.database_behind.remedy") in refused.stderr
    assert (copy / "log" / "checkpoint").read_bytes() == signed
    assert examine(copy)[1]["ledger"] == "bad"


def test_a_flipped_byte_in_the_log_files_is_found(copy: Path) -> None:
    tiles = [path for path in (copy / "log").rglob("*") if path.is_file() and path.name != "checkpoint"]
    assert tiles, "the log stands as plain files"
    for path in (tiles[0], copy / "log" / "checkpoint"):
        whole = path.read_bytes()
        raw = bytearray(whole)
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
        status, found, said = examine(copy)
        assert (status, found["ledger"]) == (1, "bad"), (path.name, said)
        path.write_bytes(whole)
    assert examine(copy)[0] == 0


def test_stored_events_that_cannot_be_read_are_found(copy: Path) -> None:
    events = EventFolder(copy / "events")
    for segment in (101, 102):
        stored = [compose(segment, line, 1, b'""', b'{"n":%d}' % line) for line in range(20)]
        events.wal_path(segment).write_bytes(b"".join(stored))
        close_segment(events, segment)
    assert examine(copy)[1]["events"] == "ok"
    columns, lines = events.columns_path(Closed(101, 101)), events.raw_path(Closed(102, 102))
    columns.write_bytes(columns.read_bytes()[:-20])
    status, found, said = examine(copy)
    assert (status, found["events"]) == (0, "warn"), "no event is lost"
    assert columns.name in said
    whole = lines.read_bytes()
    lines.write_bytes(whole[:40] + b"\xff" * 8 + whole[48:])
    assert examine(copy)[0] == 0, "the ends of the file are whole"
    done = istmo("doctor", "--events", "--data", copy)
    assert done.returncode == 1
    assert lines.name in " ".join(done.stdout.split())
    lines.write_bytes(whole[:-9])
    status, found, said = examine(copy)
    assert (status, found["events"]) == (1, "bad")
    assert lines.name in said


def test_keys_that_others_can_read_or_that_are_gone_are_found(copy: Path) -> None:
    key = copy / "keys" / "signing.pem"
    key.chmod(0o644)
    status, found, _ = examine(copy)
    assert (status, found["keys"]) == (1, "bad")
    key.unlink()
    status, found, _ = examine(copy)
    assert (status, found["keys"]) == (1, "bad")


def test_a_folder_without_a_node_is_told_what_to_do(tmp_path: Path) -> None:
    done = istmo("doctor", "--data", tmp_path / "nothing", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "settings.no_node"


def test_patterns_that_had_to_forget_are_a_warning() -> None:
    counts = {"patterns": 3, "remembered": 40, "displaced": 7, "forgotten": 0, "given_up": 0}
    well = doctor._patterns(counts)
    assert (well.state, well.key) == ("ok", "patterns.ok")
    assert doctor._patterns(counts | {"forgotten": 12}).key == "patterns.bad"
    assert doctor._patterns(counts | {"given_up": 1}).key == "patterns.bad"


def test_times_are_told_in_the_zone_of_whoever_reads_and_numbers_in_groups() -> None:
    def speak(key: str, **params: Any) -> str:
        return Catalogue(strict=True).text("es", key, **params)

    kept = {
        "oldest": "2026-11-28T08:35:38.295831Z",
        "bytes": 7 * 10**9,
        "days_left": 1_240,
        "budget_bytes": 0,
    }
    found = doctor._kept(kept)
    said = found.text(speak, "America/Tegucigalpa")
    assert "2026-11-28 02:35:38 −06:00" in said and "1\u202f240 días" in said
    assert found.told(speak)["oldest"] == kept["oldest"] and found.told(speak)["n"] == 1_240
    assert "en un día" in doctor._kept({**kept, "days_left": 1}).text(speak)
    worker = doctor._worker({"state": "ready", "indicators": 0, "rules": 3_752})
    assert "3\u202f752 reglas" in worker.text(speak)
