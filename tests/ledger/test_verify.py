"""The exported log: whatever is changed in it is found and named, by istmo and by a stranger's program."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from istmo.ledger.export import export_log
from istmo.ledger.verify import verify_folder
from istmo.ledger.verify_node import verify_node

from .conftest import RED

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "verify_log.py"
_spec = importlib.util.spec_from_file_location("verify_log", SCRIPT)
verify_log = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(verify_log)


def export(side, folder: Path) -> Path:
    with side.store.read() as connection:
        export_log(connection, side.keys, side.member, folder)
    return folder


def check_node(side):
    with side.store.read() as connection:
        return verify_node(connection, side.keys, side.member, side.ledger.files)


@pytest.fixture
def small_log(make_side, tmp_path: Path) -> Path:
    """Four entries: plain for two readers, sealed, erased, and the record of that erasure."""
    gt, hn, sv = make_side("gt"), make_side("hn"), make_side("sv")
    gt.append(b'{"a":1}', hn, sv)
    gt.append(b"sealed", hn, markings=RED)
    gt.append(b"a name", hn)
    with gt.store.write() as tx:
        gt.ledger.erase(tx, gt.member, 3, "asked for by the person")
    return export(gt, tmp_path / "export")


def test_an_untouched_log_is_found_good(small_log):
    report = verify_folder(small_log)
    assert report.problems == []
    assert (report.size, report.erased, report.sealed, report.chains) == (4, 1, 1, 2)
    assert verify_log.check(small_log) == []


def test_the_stranger_s_program_runs_on_its_own(small_log):
    good = subprocess.run([sys.executable, "-I", str(SCRIPT), str(small_log)], capture_output=True, text=True)
    assert (good.returncode, good.stdout) == (0, "everything agrees\n")
    assert "istmo." not in good.stderr
    (small_log / "checkpoint").write_bytes(b"")
    bad = subprocess.run([sys.executable, "-I", str(SCRIPT), str(small_log)], capture_output=True, text=True)
    assert bad.returncode == 1
    assert bad.stdout.startswith("checkpoint: ")


def test_the_stranger_s_program_does_not_import_istmo():
    lines = SCRIPT.read_text("utf-8").splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert imports
    assert not any("istmo" in line for line in imports)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def names_the_place(told: str, path: str, content: bytes, at: int) -> bool:
    """Whether what was reported names the file, or the entry whose line or hash was changed."""
    if path in told:
        return True
    if path.startswith("envelopes/"):
        return f"entry {content[:at].count(10) + 1}" in told
    return False


def flip_each(folder: Path, mask: int, step: int = 1) -> int:
    """Change every byte in turn; both verifiers must find it and name where it is."""
    done = 0
    for path in files(folder):
        name, content = path.relative_to(folder).as_posix(), path.read_bytes()
        for at in range(0, len(content), step):
            changed = bytearray(content)
            changed[at] ^= mask
            path.write_bytes(changed)
            ours = " ".join(
                f"{one.code} {one.params.get('file')} entry {one.params.get('entry')}"
                for one in verify_folder(folder).problems
            )
            theirs = " ".join(verify_log.check(folder))
            assert names_the_place(ours, name, content, at), (name, at, mask, ours)
            assert names_the_place(theirs, name, content, at), (name, at, mask, theirs)
            done += 1
        path.write_bytes(content)
    return done


def test_a_byte_flipped_anywhere_is_found_and_named(small_log):
    """Invariant 3: nobody changes bytes unseen, not one bit of one file. Each byte: in the long run."""
    total = sum(path.stat().st_size for path in files(small_log))
    assert flip_each(small_log, 0x01, step=4) >= total // 4


@pytest.mark.long
@pytest.mark.parametrize("mask", [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF])
def test_each_bit_of_each_byte_is_found_and_named(small_log, mask):
    flip_each(small_log, mask)


def test_letters_in_another_case_are_found(small_log):
    """0x20 turns ``a`` into ``A``: base64 and hexadecimal must have one spelling only."""
    flip_each(small_log, 0x20, step=7)


@pytest.mark.parametrize("change", ["cut", "grow", "remove"])
def test_a_file_cut_grown_or_gone_is_named(small_log, change):
    for path in files(small_log):
        name, content = path.relative_to(small_log).as_posix(), path.read_bytes()
        if change == "remove":
            path.unlink()
        else:
            path.write_bytes(content[:-1] if change == "cut" else content + b"\n")
        assert any(one.params.get("file") == name for one in verify_folder(small_log).problems), name
        assert any(one.startswith(name) for one in verify_log.check(small_log)), name
        path.write_bytes(content)


def test_a_file_that_does_not_belong_is_named(small_log):
    (small_log / "tile" / "notes.txt").write_text("hello")
    assert [one.params["file"] for one in verify_folder(small_log).problems] == ["tile/notes.txt"]
    assert len(verify_log.check(small_log)) == 1


def test_a_body_taken_out_without_erasure_record_is_found(small_log, make_side, tmp_path):
    path = small_log / "envelopes/000.jsonl"
    lines = path.read_bytes().split(b"\n")
    head, _, _ = lines[0].partition(b',"body":')
    lines[0] = head + b',"body":null}'
    path.write_bytes(b"\n".join(lines))
    (problem,) = verify_folder(small_log).problems
    assert (problem.code, problem.params) == ("missing_body", {"entry": 1})
    assert verify_log.check(small_log) == ["entry 1: no body and no erasure record"]


def test_another_node_s_key_is_not_the_expected_one(small_log, node_keys):
    assert verify_folder(small_log, expected=node_keys["gt"].fingerprint).is_good
    (problem,) = verify_folder(small_log, expected=node_keys["hn"].fingerprint).problems
    assert problem.code == "other_key"
    assert verify_log.check(small_log, node_keys["gt"].fingerprint) == []
    assert verify_log.check(small_log, node_keys["hn"].fingerprint) != []


def test_a_log_of_several_tiles_is_good_by_both(make_side, tmp_path):
    gt, hn = make_side("gt"), make_side("hn")
    with gt.store.write() as tx:
        for at in range(515):
            gt.ledger.append(
                tx, "stix", b"%d" % at, audience=(gt.member, hn.member), markings=("marking-definition--"
                "55d920b0-5e8b-4f79-9ee9-91f868d9b421",)
            )  # fmt: skip
    folder = export(gt, tmp_path / "export")
    assert (folder / "tile/1/000.p/2").is_file()
    assert verify_folder(folder).problems == []
    assert verify_log.check(folder) == []
    shutil.rmtree(folder)


def test_an_empty_log_can_be_exported_and_checked(make_side, tmp_path):
    folder = export(make_side("gt"), tmp_path / "export")
    assert verify_folder(folder).problems == []
    assert verify_log.check(folder) == []
