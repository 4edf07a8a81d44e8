"""What ``istmo doctor`` says of the key file of stored events, and of events whose key is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from istmo.detect.eventstore.closing import close_segment
from istmo.detect.eventstore.folder import EventFolder
from istmo.detect.eventstore.lines import compose
from istmo.detect.eventstore.sealing import Keys, make_key_file, read_keys
from istmo.detect.eventstore.wal import WriteAhead
from istmo.doctor import Finding, check_events, check_sealing
from istmo.settings import Retention, Settings


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk than the data: in memory, or not."""
    places = (Path("/dev/shm"), Path("/var/tmp"), Path(__file__).parent)
    place = next(one for one in places if one.is_dir() and one.stat().st_dev != tmp_path.stat().st_dev)
    with TemporaryDirectory(dir=place) as name:
        yield Path(name)


def settings(data: Path, key_file: Path | str, *, seal: bool = True) -> Settings:
    return Settings(data, "Prueba", "HN", retention=Retention(key_file=str(key_file), seal=seal))


def finding(found: Iterator[Finding]) -> Finding:
    (one,) = found
    assert one.text()
    return one


def told(found: Iterator[Finding]) -> tuple[str, str]:
    one = finding(found)
    return one.state, one.key


def test_a_node_without_a_key_file_is_told_what_there_is(tmp_path: Path) -> None:
    assert told(check_sealing(Settings(tmp_path, "Prueba", "HN"))) == ("ok", "sealing.off")


def test_a_key_file_is_good_apart_from_the_data_and_for_us_alone(tmp_path: Path, elsewhere: Path) -> None:
    path = elsewhere / "keys"
    make_key_file(path)
    assert told(check_sealing(settings(tmp_path, path))) == ("ok", "sealing.ok")
    assert told(check_sealing(settings(tmp_path, path, seal=False))) == ("ok", "sealing.ending")
    path.chmod(0o640)
    assert told(check_sealing(settings(tmp_path, path))) == ("bad", "sealing.open")
    make_key_file(tmp_path / "keys")
    assert told(check_sealing(settings(tmp_path, "keys"))) == ("warn", "sealing.same_disk")


def test_a_key_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    assert told(check_sealing(settings(tmp_path, "none"))) == ("bad", "sealing.bad")
    (tmp_path / "keys").write_text("no key\n")
    one = finding(check_sealing(settings(tmp_path, "keys")))
    assert (one.state, one.key) == ("bad", "sealing.bad")
    assert "no key" not in one.text(), "what stands in it is not shown"


def test_events_whose_key_is_not_there_are_not_called_damaged(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    make_key_file(one)
    make_key_file(other)
    keys = Keys(read_keys(one))
    folder = EventFolder(tmp_path / "events", keys)
    folder.create()
    wal = WriteAhead(folder.wal_path(1), keys)
    wal.append(compose(1, 0, 1, b'""', b"{}"), 1)
    wal.close()
    close_segment(folder, 1)
    for every_event in (False, True):
        assert told(check_events(settings(tmp_path, one), every_event=every_event))[0] == "ok"
        shut = finding(check_events(settings(tmp_path, other), every_event=every_event))
        assert (shut.state, shut.key) == ("bad", "events.shut")
        assert "00000001.raw.zst" in shut.text()
        away = finding(check_events(settings(tmp_path, tmp_path / "away"), every_event=every_event))
        assert (away.state, away.key) == ("bad", "events.not_opened")
