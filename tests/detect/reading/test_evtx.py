"""Windows event logs: packed or not, whole or damaged."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import orjson
import pytest

from istmo.detect.normalise import normalise
from istmo.detect.reading import FileProblem, Found, Line, open_events, open_stream
from istmo.settings import Limits

LIMITS = Limits()
CHUNK = 65536


def sorted_out(found: list[Found]) -> tuple[list[Line], list[str]]:
    lines = [one for one in found if isinstance(one, Line)]
    return lines, [one.error.code for one in found if isinstance(one, FileProblem)]


@pytest.fixture(scope="module")
def samples(shared_data: Path) -> Path:
    return shared_data / "evtx" / "evtx_attack_samples.zip"


@pytest.fixture(scope="module")
def log(samples: Path) -> bytes:
    """A log of more than one chunk that holds events."""
    with zipfile.ZipFile(samples) as archive:
        return archive.read("Privilege Escalation/privesc_unquoted_svc_sysmon_1_11.evtx")


@pytest.mark.shared_data
def test_a_log_is_the_same_packed_and_not(tmp_path: Path, log: bytes) -> None:
    path = tmp_path / "a.evtx"
    path.write_bytes(log)
    plain, problems = sorted_out(list(open_events(path, LIMITS)))
    assert problems == []
    assert len(plain) == 87
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../a.evtx", log)
    packed, problems = sorted_out(list(open_events(tmp_path / "a.zip", LIMITS)))
    assert problems == []
    assert [one.raw for one in packed] == [one.raw for one in plain]
    assert sorted_out(list(open_stream(io.BytesIO(log), "-", LIMITS)))[0][0].number == 1
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".evtx"] == ["a.evtx"]


@pytest.mark.shared_data
def test_a_damaged_chunk_does_not_cost_the_others(log: bytes) -> None:
    damaged = bytearray(log)
    damaged[4096 + CHUNK : 4096 + CHUNK + 200] = bytes(200)
    lines, problems = sorted_out(list(open_stream(io.BytesIO(damaged), "a", LIMITS)))
    assert problems == ["detect.evtx_damaged"]
    assert 0 < len(lines) < 87


@pytest.mark.shared_data
def test_a_log_that_is_cut_short_is_told(log: bytes) -> None:
    lines, problems = sorted_out(list(open_stream(io.BytesIO(log[: 4096 + CHUNK + 100]), "a", LIMITS)))
    assert problems == ["detect.evtx_cut_short"]
    assert lines


@pytest.mark.shared_data
def test_an_event_has_sigmas_names_and_keeps_its_own_channel(samples: Path) -> None:
    cleared = [
        normalise(orjson.loads(one.raw))
        for one in open_events(samples, LIMITS)
        if isinstance(one, Line) and one.place.endswith("DE_104_system_log_cleared.evtx")
    ]
    fields = cleared[0].fields
    assert (fields["Channel"], fields["EventID"], fields["Computer"]) == ("System", 104, "PC01.example.corp")
    assert fields["Provider_Name"] == "Microsoft-Windows-Eventlog"
    assert fields["SubjectUserName"] == "user01", "out of UserData"
    assert cleared[0].time is not None
    assert cleared[0].time.year == 2019
