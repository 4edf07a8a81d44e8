"""The log as plain files: derived from the database, brought up to date behind it, mended when damaged."""

from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.errors import InvalidInput, NotFound
from istmo.ledger import tiles
from istmo.ledger.checkpoint import read_checkpoint, sign_checkpoint
from istmo.ledger.log_files import LogFiles
from istmo.ledger.merkle import (
    inclusion_proof,
    leaf_hash,
    nodes_of,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from machine import both_databases

from .conftest import AMBER


def grow(side, count: int) -> None:
    with side.store.write() as tx:
        for _ in range(count):
            side.ledger.append(tx, "stix", b"x", audience=(side.member,), markings=AMBER)


def whole(side) -> dict[str, bytes]:
    """What the files of the log must be, by the pure definition."""
    with side.store.read() as connection:
        size = side.ledger.last_sequence(connection)
        entries = [side.ledger.entry(connection, side.member, at + 1).commitment for at in range(size)]
    files = dict(tiles.bundles_of(entries)) | dict(tiles.tiles_of([leaf_hash(one) for one in entries]))
    assert set(files) == set(tiles.paths_of(size))
    return files


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "checkpoint"
    }


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (0, 5, 256, "tile/0/005"),
        (1, 1234067, 256, "tile/1/x001/x234/067"),
        ("entries", 1000, 5, "tile/entries/x001/000.p/5"),
    ],
)
def test_paths_are_those_of_the_specification(level, index, width, path):
    assert tiles.tile_path(level, index, width) == path


def test_the_specification_s_own_example_of_70000_entries():
    paths = list(tiles.paths_of(70_000))
    assert sum(1 for one in paths if one.startswith("tile/0/") and ".p" not in one) == 273
    assert "tile/0/273.p/112" in paths
    assert [one for one in paths if one.startswith(("tile/1", "tile/2"))] == [
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert list(tiles.paths_of(256)) == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 1200), st.data())
def test_proofs_come_out_of_tiles_as_out_of_memory(tmp_path_factory, size, data):
    folder = tmp_path_factory.mktemp("tiles")
    leaves = [leaf_hash(at.to_bytes(4, "big")) for at in range(size)]
    for path, content in tiles.tiles_of(leaves):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, tiles.stored_nodes(folder, size))
    assert proof == inclusion_proof(index, size, nodes_of(leaves))
    assert verify_inclusion(index, size, leaves[index], proof, root_of(leaves))
    shutil.rmtree(folder)


@pytest.mark.parametrize("steps", [[1, 4], [255, 1, 1], [256], [300, 300, 5], [0, 3]])
def test_growing_in_steps_gives_the_files_of_the_definition(make_side, steps):
    gt = make_side("gt")
    files = LogFiles(gt.ledger)
    for count in steps:
        grow(gt, count)
        checkpoint = files.publish()
        note = (gt.ledger.files / "checkpoint").read_bytes()
        assert read_checkpoint(note, checkpoint.origin, gt.keys.public) == checkpoint
        assert checkpoint.size == len(whole(gt)) == 0 or whole(gt).items() <= found(gt.ledger.files).items()
    assert not [
        one for one in found(gt.ledger.files) if one.startswith("tile/0/000.p/") and sum(steps) >= 256
    ]


@pytest.mark.parametrize("harm", ["remove", "shorten", "checkpoint", "everything"])
def test_what_is_missing_or_damaged_is_written_again(make_side, harm):
    gt = make_side("gt")
    grow(gt, 260)
    LogFiles(gt.ledger).publish()
    tile = gt.ledger.files / "tile/0/001.p/4"
    if harm == "remove":
        tile.unlink()
    elif harm == "shorten":
        tile.write_bytes(tile.read_bytes()[:-1])
    elif harm == "checkpoint":
        (gt.ledger.files / "checkpoint").write_bytes(b"junk")
        tile.unlink()
    else:
        shutil.rmtree(gt.ledger.files)
    LogFiles(gt.ledger).mend()
    assert found(gt.ledger.files) == whole(gt)


def test_files_of_another_log_are_not_built_upon(make_side, tmp_path):
    """A database restored from a backup has fewer entries than the files say, or other ones."""
    gt = make_side("gt")
    grow(gt, 300)
    LogFiles(gt.ledger).publish()
    restored = make_side("gt", f"sqlite:///{tmp_path / 'restored.db'}")
    grow(restored, 258)
    LogFiles(restored.ledger).publish()
    assert whole(restored).items() <= found(restored.ledger.files).items()


def test_a_thread_follows_the_log(make_side):
    gt = make_side("gt")
    written = threading.Event()
    files = LogFiles(gt.ledger, interval=0.0)
    real = files._write

    def write(name: str, content: bytes) -> None:
        real(name, content)
        if name == "checkpoint" and b"\n3\n" in content:
            written.set()

    files._write = write
    files.start()
    try:
        for _ in range(3):
            grow(gt, 1)
        assert written.wait(20)
    finally:
        files.stop()
    assert whole(gt).items() <= found(gt.ledger.files).items()


@both_databases
def test_a_proof_is_given_from_tiles_and_from_the_database_alike(gt):
    grow(gt, 300)
    by_database = gt.ledger.history.prove(77)
    LogFiles(gt.ledger).publish()
    by_tiles = gt.ledger.history.prove(77)
    assert by_database == by_tiles
    tile = gt.ledger.files / "tile/0/000"
    tile.write_bytes(bytes(8192))
    assert gt.ledger.history.prove(77) == by_tiles
    with gt.store.read() as connection:
        entry = gt.ledger.entry(connection, gt.member, 77)
    assert by_tiles.verify(entry.commitment, gt.ledger.history.name, gt.keys.public).size == 300


@both_databases
def test_a_proof_with_opening_shows_what_was_committed_to(gt):
    grow(gt, 3)
    proof = gt.ledger.history.prove(2, with_opening=True)
    salt, header = proof.extra[:32], proof.extra[32:]
    with gt.store.read() as connection:
        entry = gt.ledger.entry(connection, gt.member, 2)
    assert header == entry.envelope.header
    assert tiles.encode_bundle([entry.commitment])[2:] == hashlib.sha256(salt + header).digest()
    with pytest.raises(NotFound, match=r"ledger\.no_entry"):
        gt.ledger.history.prove(4)


@both_databases
def test_growth_is_proven_between_any_two_checkpoints(gt):
    roots = {0: gt.ledger.checkpoint().root}
    for _ in range(9):
        grow(gt, 1)
        checkpoint = gt.ledger.checkpoint()
        roots[checkpoint.size] = checkpoint.root
    for old in roots:
        for new in range(old, 10):
            proof = gt.ledger.history.prove_growth(old, new)
            assert verify_consistency(old, new, roots[old], roots[new], proof)
    with pytest.raises(InvalidInput, match=r"ledger\.no_such_size"):
        gt.ledger.history.prove_growth(3, 10)


@both_databases
def test_the_same_log_is_not_signed_twice(gt):
    grow(gt, 2)
    assert gt.ledger.checkpoint() == gt.ledger.checkpoint()


@both_databases
def test_two_checkpoints_of_one_size_are_evidence(gt, hn):
    name = gt.ledger.history.name
    good = sign_checkpoint(name, 5, bytes(32), gt.keys)
    other = sign_checkpoint(name, 5, bytes(31) + b"x", gt.keys)
    with hn.store.write() as tx:
        assert hn.ledger.history.see(tx, gt.member, good.note, key=gt.keys.public)
        assert hn.ledger.history.see(tx, gt.member, good.note, key=gt.keys.public)
        assert not hn.ledger.history.see(tx, gt.member, other.note, key=gt.keys.public)
        assert not hn.ledger.history.see(tx, gt.member, other.note, key=gt.keys.public)
    with hn.store.read() as connection:
        (found,) = hn.ledger.evidence(connection)
    assert (found.kind, found.known, found.other) == ("checkpoint", good.note, other.note)
    with pytest.raises(InvalidInput), hn.store.write() as tx:
        hn.ledger.history.see(tx, gt.member, good.note, key=hn.keys.public)
