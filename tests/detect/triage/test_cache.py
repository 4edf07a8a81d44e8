"""Where hunts keep what they worked out: in a place of the person's own, or nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from istmo.detect.triage.cache import kept_files, kept_folder


def test_it_is_below_the_persons_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept_folder() == tmp_path / "istmo"
    assert (tmp_path / "istmo").stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert kept_folder() == tmp_path / "home" / ".cache" / "istmo"


def test_where_others_may_write_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "istmo").mkdir()
    (tmp_path / "istmo").chmod(0o777)
    assert kept_folder() is None and kept_files() is None


def test_nor_where_there_is_no_room_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kept_folder() is None
