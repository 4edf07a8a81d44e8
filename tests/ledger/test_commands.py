"""``istmo ledger``: verify, export, show, over a node's real folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from istmo.cli.ledger import ledger as command
from istmo.ledger import keys
from istmo.ledger.log import Ledger
from istmo.ledger.log_files import LogFiles
from istmo.settings import Settings, save_settings
from istmo.store.engine import Store, metadata

from .conftest import AMBER, MEMBERS


@pytest.fixture
def node(tmp_path: Path, clock) -> Settings:
    settings = Settings(data=tmp_path / "node", name="Guatemala", country="GT", member=MEMBERS["gt"])
    save_settings(settings)
    store = Store(settings.database_url)
    metadata.create_all(store.engine)
    ledger = Ledger(store, keys.create(settings.keys), MEMBERS["gt"], clock, settings.log_files)
    for text in (b"one", b"two"):
        with store.write() as tx:
            ledger.append(tx, "stix", text, audience=(MEMBERS["gt"], MEMBERS["hn"]), markings=AMBER)
    LogFiles(ledger).publish()
    store.close()
    return settings


def run(node: Settings, *words: str):
    return CliRunner().invoke(command, [*words, "--data", str(node.data)], catch_exceptions=False)


def test_a_good_node_is_told_to_be_good(node):
    done = run(node, "verify")
    assert done.exit_code == 0
    assert keys.load(node.keys).fingerprint in done.stdout


def test_verify_as_json(node):
    told = json.loads(run(node, "verify", "--json").stdout)
    assert (told["ok"], told["size"], told["problems"]) == (True, 2, [])


def test_a_changed_file_is_named_and_the_status_says_so(node):
    tile = node.log_files / "tile/0/000.p/2"
    tile.write_bytes(tile.read_bytes()[:-1] + b"x")
    done = run(node, "verify")
    assert done.exit_code == 1
    assert "tile/0/000.p/2" in done.stdout
    (problem,) = json.loads(run(node, "verify", "--json").stdout)["problems"]
    assert problem == {"code": "wrong_tile", "file": "tile/0/000.p/2", "index": 1}


def test_an_export_is_verified_by_its_fingerprint(node, tmp_path):
    folder = tmp_path / "export"
    told = json.loads(run(node, "export", str(folder), "--json").stdout)
    assert told["size"] == 2
    assert run(node, "verify", str(folder), "--fingerprint", told["fingerprint"]).exit_code == 0
    other = "-".join(["AAAA"] * 6)
    assert run(node, "verify", str(folder), "--fingerprint", other).exit_code == 1


def test_an_export_does_not_write_into_a_folder_in_use(node, tmp_path):
    (tmp_path / "file").write_text("mine")
    done = run(node, "export", str(tmp_path), "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["code"] == "ledger.folder_not_empty"


def test_show_lists_and_shows_one(node):
    assert [one["sequence"] for one in json.loads(run(node, "show", "--json").stdout)] == [1, 2]
    one = json.loads(run(node, "show", "2", "--json").stdout)
    assert (one["type"], one["audience"]) == ("stix", [MEMBERS["gt"], MEMBERS["hn"]])
    assert one["commitment"] in "".join(run(node, "show", "2").stdout.split())
    assert json.loads(run(node, "show", "9", "--json").stdout)["error"]["code"] == "ledger.no_entry"
    assert json.loads(run(node, "show", "x", "--json").stdout)["error"]["code"] == "ledger.bad_place"


def test_a_folder_without_database_is_told(node):
    (node.data / "node.db").unlink()
    assert json.loads(run(node, "verify", "--json").stdout)["error"]["code"] == "ledger.no_database"
