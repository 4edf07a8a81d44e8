"""How a log lies in plain files: C2SP tlog-tiles (c2sp.org/tlog-tiles).

``checkpoint``, ``tile/<L>/<N>[.p/<W>]`` (hashes, 256 to a tile) and ``tile/entries/<N>[.p/<W>]``
(entries, each a commitment of 32 bytes after its length).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from istmo.ledger.merkle import HASH_BYTES, Node, node_hash, root_of

WIDTH = 256
HEIGHT = 8
CHECKPOINT = "checkpoint"
ENTRIES = "entries"
ENTRY_BYTES = 32


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """Where a tile lies, e.g. ``tile/0/x001/x234/067.p/5``; ``level`` is a number or ``entries``."""
    return f"tile/{level}/{index_path(index)}{'' if width == WIDTH else f'.p/{width}'}"


def index_path(index: int) -> str:
    """A tile's index in groups of three digits: 1234067 is ``x001/x234/067``."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    return "/".join(groups)


def levels(size: int) -> Iterator[tuple[int, int]]:
    """Each level of a log of ``size`` entries with the number of hashes that stand in it."""
    level = 0
    while size:
        yield level, size
        level, size = level + 1, size >> HEIGHT


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: every entry after its length (big-endian, two bytes)."""
    return b"".join(len(one).to_bytes(2, "big") + one for one in entries)


def bundles_of(entries: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Every entry bundle of a log: path and content."""
    for index, start in enumerate(range(0, len(entries), WIDTH)):
        part = entries[start : start + WIDTH]
        yield tile_path(ENTRIES, index, len(part)), encode_bundle(part)


def tiles_of(leaves: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Every tile over these leaf hashes, level by level: path and content."""
    hashes = list(leaves)
    for level, _ in levels(len(leaves)):
        tiles = [hashes[at : at + WIDTH] for at in range(0, len(hashes), WIDTH)]
        for index, tile in enumerate(tiles):
            yield tile_path(level, index, len(tile)), b"".join(tile)
        hashes = [root_of(tile) for tile in tiles if len(tile) == WIDTH]


def paths_of(size: int) -> Iterator[str]:
    """Every bundle and tile that a log of ``size`` entries must have."""
    kinds: list[tuple[int | str, int]] = [(ENTRIES, size), *levels(size)]
    for level, count in kinds:
        if count:
            for index in range(-(-count // WIDTH)):
                yield tile_path(level, index, min(WIDTH, count - index * WIDTH))


def stored_nodes(folder: Path, size: int) -> Node:
    """``node(level, index)`` read from the tiles of a log of ``size`` entries.

    Raises FileNotFoundError or ValueError where a tile is missing or short; verify what you build.
    """
    counts = dict(levels(size))

    def node(level: int, index: int) -> bytes:
        tile_level, rise = divmod(level, HEIGHT)
        first = index << rise
        tile, offset = divmod(first, WIDTH)
        width = min(WIDTH, counts[tile_level] - tile * WIDTH)
        content = (folder / tile_path(tile_level, tile, width)).read_bytes()
        if len(content) != width * HASH_BYTES:
            raise ValueError(f"tile {tile_level}/{tile} has {len(content)} bytes")
        found = content[offset * HASH_BYTES : (offset + (1 << rise)) * HASH_BYTES]
        return tile_root(found)

    return node


def tile_root(content: bytes) -> bytes:
    """The Merkle root over the hashes of a full tile, or of a perfect part of one."""
    hashes = [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def write_durably(path: Path, content: bytes) -> None:
    """Put a file in place whole or not at all, and on disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
