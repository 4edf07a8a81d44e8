"""The main job with real recordings and the rules as users download them, over HTTP alone."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from istmo.cli.demo.play import Material, Play
from istmo.cli.demo.region import RunningNode
from istmo.model.ids import new_id

from .asking import is_idle, until

ADDRESS = "172.18.38.5"
RECORDINGS = (
    "cmd_bitsadmin_download_psh_script.zip",
    "covenant_getdomaingroup_ldap_searchrequest_domain_admins.zip",
    "covenant_sharpsc_stop_dcerpc_smb_svcctl.zip",
)
GOLDEN = Path(__file__).parent.parent / "golden" / "sigma_matches.json"


def recorded_events(path: Path) -> list[dict[str, Any]]:
    """The events of one recording, without the archive's stray members."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
        return [json.loads(line) for name in names for line in archive.open(name) if line.strip()]


def golden_counts() -> Counter[str]:
    """How often each rule matches in the recordings, by its id: the golden figures."""
    names = {name.removesuffix(".zip") for name in RECORDINGS}
    found: Counter[str] = Counter()
    for row in json.loads(GOLDEN.read_text("utf-8")):
        if row["recording"] in names:
            found[row["rule"]] += row["count"]
    return found


def golden_titles() -> tuple[str, ...]:
    """The titles of those rules."""
    wanted = golden_counts()
    rows = json.loads(GOLDEN.read_text("utf-8"))
    return tuple(sorted({row["title"] for row in rows if row["rule"] in wanted}))


def indicator(pattern: str, name: str) -> dict[str, Any]:
    """A STIX 2.1 indicator valid from the year of the recordings."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": new_id("indicator"),
        "created": "2026-03-02T08:00:00.000000Z",
        "modified": "2026-03-02T08:00:00.000000Z",
        "name": name,
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": "2020-01-01T00:00:00Z",
    }


@pytest.fixture
def material(shared_data: Path) -> Material:
    """Real recordings, real rules, and indicators for values that occur in the recordings."""
    batches = [recorded_events(shared_data / "events" / name) for name in RECORDINGS]
    watched = indicator(f"[ipv4-addr:value = '{ADDRESS}']", "Host used by the intruder")
    others = [
        indicator("[domain-name:value = 'raw.githubusercontent.com']", "Download site"),
        indicator("[file:name = 'bitsadmin1_flag.ps1']", "Dropped script"),
    ]
    carrying = next(event for batch in batches for event in batch if event.get("DestinationIp") == ADDRESS)
    return Material(
        batches=batches,
        bundle=orjson.dumps({"type": "bundle", "id": new_id("bundle"), "objects": [watched, *others]}),
        rules=(shared_data / "sigma" / "sigma_rules.zip").read_bytes(),
        watched=watched["id"],
        search=f"DestinationIp:{ADDRESS}",
        rule_titles=golden_titles(),
        next_event=lambda: carrying | {"@timestamp": datetime.now(UTC).isoformat()},
        case_title="Intruder on the file server",
        note_here="Host isolated.",
        note_there="The address was reassigned.",
        started=datetime(2020, 9, 1, tzinfo=UTC),
    )


@pytest.mark.shared_data
def test_an_indicator_published_in_one_nation_protects_the_next(
    region: Callable[..., list[RunningNode]], material: Material
) -> None:
    nodes = region(3)
    play = Play(nodes, material)

    happened = play.play()

    assert happened, [step.document() for step in play.steps if not step.ok]
    until(lambda: is_idle(nodes[1]), "everything looked at")
    counted: Counter[str] = Counter()
    for alert in nodes[1].operator.get("/api/v1/alerts", detector="sigma", limit=200)["items"]:
        counted[alert["subject"]] += alert["count"]
    assert counted == golden_counts(), "every rule that matches, each match once, and no other"
    pids = {pid for node in nodes for pid in node.pids()}
    assert len(pids) == 6, "each node is a web process and a worker of its own"
    publish = next(step for step in play.steps if step.name == "publish")
    assert publish.milliseconds < 1000
    retract = next(step for step in play.steps if step.name == "retract")
    assert retract.milliseconds < 1000


@pytest.mark.shared_data
def test_events_read_from_files_by_the_ingest_command_are_stored_and_searchable(
    region: Callable[..., list[RunningNode]], shared_data: Path
) -> None:
    (node,) = region(1, joined=False)
    recording = shared_data / "events" / "cmd_stop_event_logging_controlset_minint_key.zip"

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "istmo",
            "ingest",
            "--data",
            str(node.settings.data),
            "--json",
            str(recording),
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    told = json.loads(done.stdout)
    assert told["accepted"] == len(recorded_events(recording))
    found = list(node.operator.stream("/api/v1/events/search", q="DestinationIp:192.168.56.40", limit=100))
    assert [row for row in found if "event" in row]


@pytest.mark.long
def test_the_path_is_the_same_over_encrypted_links(
    region: Callable[..., list[RunningNode]],
) -> None:
    from istmo.cli.demo.command import material as demonstration

    play = Play(region(3, tls="own"), demonstration())

    happened = play.play()

    assert happened, [step.document() for step in play.steps if not step.ok]
