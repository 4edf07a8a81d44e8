"""Re-check everything that a log claims, from what lies on disk alone.

``verify_folder`` reads an exported folder (``ledger.export``); ``verify_node.verify_node`` a node's
database and log files. Both go on after a problem, so that one report names all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from istmo.errors import InvalidInput, IstmoError
from istmo.ledger.check import LogCheck
from istmo.ledger.checkpoint import Checkpoint, read_checkpoint, read_verifier_key
from istmo.ledger.envelope import Envelope
from istmo.ledger.export import CHAINS, KEY, encode_chains, envelopes_path
from istmo.ledger.keys import fingerprint
from istmo.ledger.merkle import HASH_BYTES, leaf_hash, root_of
from istmo.ledger.records import Chain
from istmo.ledger.report import Progress, Report
from istmo.ledger.tiles import (
    CHECKPOINT,
    ENTRIES,
    ENTRY_BYTES,
    WIDTH,
    bundles_of,
    paths_of,
    tile_path,
    tiles_of,
)

BODY_LIMIT = 64 << 20
"""A verifier takes any body that was ever allowed."""
_STEP = ENTRY_BYTES + 2


def verify_folder(
    folder: Path, *, expected: str | None = None, progress: Progress = lambda done: None
) -> Report:
    """Check an exported log. ``expected`` is the fingerprint that the reader knows to be the node's."""
    report = Report()
    key = _read_key(folder, report, expected)
    if key is None:
        return report
    name, public = key
    signed = _read_checkpoint(folder, name, public, report)
    if signed is None:
        return report
    report.log, report.fingerprint, report.size = name, fingerprint(public), signed.size
    entries = _true_entries(folder, signed, report)
    check = LogCheck("identity--" + name.removeprefix("istmo."), public, report)
    for sequence, envelope in _read_envelopes(folder, signed.size, report):
        check.entry(sequence, envelope, entries[sequence - 1])
        progress(1)
    check.finish()
    _check_strangers(folder, signed.size, report)
    chains = _read(folder, CHAINS, report)
    if None not in entries and chains not in (None, encode_chains(check.chains)):
        _name_chain(folder, check.chains, report)
    return report


def _true_entries(folder: Path, signed: Checkpoint, report: Report) -> list[bytes | None]:
    """The entries that stand under the signed root; None for each that cannot be known.

    Bundles and tiles say the same thing twice, so one of them shows what was changed in the other.
    """
    entries = _read_bundles(folder, signed.size, report)
    leaves = [leaf_hash(one or b"") for one in entries]
    if root_of(leaves) != signed.root:
        true = _read_leaf_tiles(folder, signed.size, report)
        if root_of(true) != signed.root:
            report.add("wrong_root", file=CHECKPOINT, size=signed.size)
        for at, (leaf, wanted) in enumerate(zip(leaves, true, strict=True)):
            if leaf != wanted:
                width = min(WIDTH, signed.size - at // WIDTH * WIDTH)
                file = tile_path(ENTRIES, at // WIDTH, width)
                report.add("wrong_entry", file=file, entry=at + 1)
                entries[at] = None
        leaves = true
    report.root = signed.root.hex()
    check_tiles(folder, leaves, report)
    return entries


def check_bundles(folder: Path, entries: list[bytes], report: Report) -> None:
    """Compare every entry bundle with the entries that are known to be right."""
    for index, (path, content) in enumerate(bundles_of(entries)):
        found = _read(folder, path, report)
        if found is not None and found != content:
            at = _first_difference(found, content) // _STEP
            report.add("wrong_entry", file=path, entry=index * WIDTH + at + 1)


def check_tiles(folder: Path, leaves: list[bytes], report: Report) -> None:
    """Compare every tile with what the leaf hashes come to."""
    for path, content in tiles_of(leaves):
        found = _read(folder, path, report)
        if found is not None and found != content:
            report.add("wrong_tile", file=path, index=_first_difference(found, content) // HASH_BYTES)


def _first_difference(found: bytes, wanted: bytes) -> int:
    shorter = min(len(found), len(wanted))
    return next((at for at in range(shorter) if found[at] != wanted[at]), shorter)


def _read_key(folder: Path, report: Report, expected: str | None) -> tuple[str, bytes] | None:
    raw = _read(folder, KEY, report)
    if raw is None:
        return None
    try:
        text = raw.decode("ascii")
        name, public = read_verifier_key(text.removesuffix("\n"))
    except (UnicodeDecodeError, InvalidInput):
        report.add("bad_key", file=KEY)
        return None
    if not text.endswith("\n"):
        report.add("bad_key", file=KEY)
        return None
    if expected is not None and fingerprint(public) != expected.strip().upper():
        report.add("other_key", file=KEY, expected=expected, found=fingerprint(public))
    return name, public


def _read_checkpoint(folder: Path, name: str, public: bytes, report: Report) -> Checkpoint | None:
    """The checkpoint; None when there is no good one to go by."""
    note = _read(folder, CHECKPOINT, report)
    if note is None:
        return None
    try:
        return read_checkpoint(note, name, public)
    except IstmoError as error:
        is_signature = error.code == "ledger.bad_checkpoint_signature"
        report.add("bad_checkpoint_signature" if is_signature else "bad_checkpoint", file=CHECKPOINT)
        return None


def _read_leaf_tiles(folder: Path, size: int, report: Report) -> list[bytes]:
    leaves: list[bytes] = []
    for index in range(-(-size // WIDTH)):
        width = min(WIDTH, size - index * WIDTH)
        raw = _read(folder, tile_path(0, index, width), Report()) or b""  # told by check_tiles
        leaves += [raw[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(width)]
    return leaves


def _read_bundles(folder: Path, size: int, report: Report) -> list[bytes | None]:
    """The log's entries by index; None where a bundle is missing or cannot be read."""
    entries: list[bytes | None] = []
    for index in range(-(-size // WIDTH)):
        width = min(WIDTH, size - index * WIDTH)
        path = tile_path(ENTRIES, index, width)
        raw = _read(folder, path, report)
        for at in range(width):
            part = b"" if raw is None else raw[at * _STEP : (at + 1) * _STEP]
            is_whole = len(part) == _STEP and int.from_bytes(part[:2], "big") == ENTRY_BYTES
            if raw is not None and not is_whole:
                report.add("bad_bundle", file=path, entry=index * WIDTH + at + 1)
            entries.append(part[2:] if is_whole else None)
        if raw is not None and len(raw) > width * _STEP:
            report.add("bad_bundle", file=path, entry=index * WIDTH + width)
    return entries


def _read_envelopes(folder: Path, size: int, report: Report) -> Iterator[tuple[int, Envelope]]:
    for index in range(-(-size // WIDTH)):
        width = min(WIDTH, size - index * WIDTH)
        path = envelopes_path(index)
        raw = _read(folder, path, report)
        if raw is None:
            continue
        lines = raw.split(b"\n")
        if lines.pop() != b"" or len(lines) != width:
            report.add("wrong_lines", file=path, expected=width, found=len(lines))
        for at, line in enumerate(lines[:width]):
            sequence = index * WIDTH + at + 1
            try:
                yield sequence, Envelope.decode(line, body_limit=BODY_LIMIT)
            except IstmoError as error:
                report.add(
                    "bad_line", file=path, entry=sequence, part=str(error.params.get("part", "envelope"))
                )


def _check_strangers(folder: Path, size: int, report: Report) -> None:
    """A file that no part of the log accounts for is named: nothing rides along unchecked."""
    known = {KEY, CHECKPOINT, CHAINS}
    known |= {envelopes_path(at) for at in range(-(-size // WIDTH))} | set(paths_of(size))
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and name not in known:
            report.add("unexpected_file", file=name)


def _name_chain(folder: Path, chains: dict[str, Chain], report: Report) -> None:
    """Say which recipient's chain differs; where the file cannot be read, say that."""
    try:
        found = json.loads((folder / CHAINS).read_bytes())
        wrong = [
            one
            for one in sorted(set(found) | set(chains))
            if one not in chains
            or found.get(one) != {"count": chains[one].count, "head": chains[one].head.hex()}
        ]
    except (ValueError, AttributeError, TypeError):
        wrong = []
    for recipient in wrong or [""]:
        report.add("wrong_chain" if recipient else "bad_chains", file=CHAINS, recipient=recipient)


def _read(folder: Path, name: str, report: Report) -> bytes | None:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        report.add("missing_file", file=name, detail=error.strerror or "")
        return None
