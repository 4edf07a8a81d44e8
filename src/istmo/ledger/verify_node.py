"""Re-check a whole node: its own log, what it received, the delivery chains, checkpoints and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from istmo.errors import IstmoError
from istmo.ledger import keys, records
from istmo.ledger.check import LogCheck
from istmo.ledger.checkpoint import Checkpoint, origin_line, read_checkpoint
from istmo.ledger.entry import envelope_of
from istmo.ledger.keys import NodeKeys
from istmo.ledger.merkle import CompactRange, leaf_hash, root_of
from istmo.ledger.records import ERASED, Chain
from istmo.ledger.report import Progress, Report
from istmo.ledger.stored import open_stored
from istmo.ledger.tiles import CHECKPOINT
from istmo.ledger.verify import check_bundles, check_tiles
from istmo.settings import Settings

_PAGE = 256
_TRIES = 3


def verify_settings(settings: Settings, progress: Progress = lambda done: None) -> Report:
    """Check the node in ``settings.data``, running or not. Raises as ``open_stored`` and ``keys.load``."""
    loaded = keys.load(settings.keys)
    report = Report()
    for _ in range(_TRIES):
        signed = _signed(settings.log_files)
        with open_stored(settings) as store, store.read() as connection:
            report = verify_node(connection, loaded, settings.member, settings.log_files, progress)
        # A log that grows under our hands puts a wider tile in the place of a narrow one.
        is_torn = bool(report.problems) and all(one.code == "missing_file" for one in report.problems)
        if not is_torn or _signed(settings.log_files) == signed:
            break
    return report


def _signed(files: Path) -> bytes:
    try:
        return (files / CHECKPOINT).read_bytes()
    except OSError:
        return b""


def verify_node(
    connection: Connection,
    own_keys: NodeKeys,
    member_id: str,
    files: Path,
    progress: Progress = lambda done: None,
) -> Report:
    """Check everything that the ledger of ``member_id`` keeps. Reads only; ``connection`` is a snapshot.

    The log files may lag behind the database by a few seconds; what they hold must agree with it.
    """
    report = Report(log=origin_line(member_id), fingerprint=own_keys.fingerprint)
    own = LogCheck(member_id, own_keys.public, report, keys=own_keys)
    entries = _check_own(connection, own, progress)
    others = [one for one in records.origins(connection) if one != member_id]
    for origin in others:
        _check_received(connection, origin, member_id, own, progress)
    is_signed = records.last_checkpoint(connection, member_id) is not None
    _check_files(files, own_keys.public, entries, report, is_signed)
    return report


def _check_own(connection: Connection, check: LogCheck, progress: Progress) -> list[bytes]:
    """Check this node's own log; its entries (commitments)."""
    report, entries, tree = check.report, list[bytes](), CompactRange()
    signed = {row.size: row for row in records.checkpoints_of(connection, check.origin)}
    for row in _rows(connection, check.origin):
        if row.sequence != len(entries) + 1:
            report.add("gap", entry=len(entries) + 1, found=row.sequence)
        _check_row(check, row)
        entries.append(bytes(row.commitment))
        tree = tree.append(leaf_hash(entries[-1]))
        if tree.size in signed:
            _check_signed(signed.pop(tree.size), tree, check)
        progress(1)
    if 0 in signed:
        _check_signed(signed.pop(0), CompactRange(), check)
    for size in signed:
        report.add("checkpoint_too_long", file=f"{CHECKPOINT} {size}", size=size)
    check.finish()
    report.size, report.root = tree.size, tree.root().hex()
    by_sequence = dict(enumerate(entries, 1))
    _check_deliveries(connection, check, by_sequence, check.chains)
    return entries


def _check_received(
    connection: Connection, origin: str, member_id: str, own: LogCheck, progress: Progress
) -> None:
    """Check what was received of one origin: entries with gaps, since not all were meant for us."""
    report, commitments = own.report, dict[int, bytes]()
    check = LogCheck(origin, b"", report, is_own=False, keys=own.keys)
    for row in _rows(connection, origin):
        check.public = bytes(row.signer)
        _check_row(check, row)
        commitments[row.sequence] = bytes(row.commitment)
        report.received += 1
        progress(1)
    report.erased += len(check.missing)
    ours = check.chains.get(member_id)
    report.chains += ours is not None
    _check_deliveries(connection, check, commitments, {member_id: ours} if ours else {})


def _check_row(check: LogCheck, row: Row[Any]) -> None:
    """The envelope in a row, and the columns that repeat parts of it."""
    header = check.entry(row.sequence, envelope_of(row), bytes(row.commitment))
    if header is None:
        return
    for column in ("type", "lane", "created", "expires"):
        if getattr(row, column) != getattr(header, column):
            check.report.add("wrong_column", entry=check.name(row.sequence), column=column)
    if (row.state == ERASED) != (row.body is None):
        check.report.add("wrong_column", entry=check.name(row.sequence), column="state")
    if bytes(row.signer) != check.public:
        check.report.add("wrong_column", entry=check.name(row.sequence), column="signer")


def _check_signed(row: Row[Any], tree: CompactRange, check: LogCheck) -> None:
    name = f"{CHECKPOINT} {row.size}"
    signed = _read_note(bytes(row.note), check.origin, check.public, name, check.report)
    is_same = bytes(row.root) == tree.root() and bytes(row.peaks or b"") == tree.encode()
    if signed is not None and not (is_same and (signed.size, signed.root) == (tree.size, tree.root())):
        check.report.add("wrong_root", file=name, size=tree.size)


def _check_deliveries(
    connection: Connection, check: LogCheck, commitments: dict[int, bytes], wanted: dict[str, Chain]
) -> None:
    """Every step of every delivery chain, and that each ends where the entries say."""
    found: dict[str, Chain] = {}
    broken: set[str] = set()
    for row in records.delivery_rows(connection, check.origin):
        chain = found.get(row.recipient, Chain()).add(commitments.get(row.sequence, b""))
        found[row.recipient] = chain
        if (row.number, bytes(row.head)) != (chain.count, chain.head) and row.recipient not in broken:
            broken.add(row.recipient)
            check.report.add("broken_chain", entry=check.name(row.sequence), recipient=row.recipient)
    for recipient in sorted(set(found) | set(wanted)):
        if recipient not in broken and found.get(recipient) != wanted.get(recipient):
            check.report.add("wrong_chain", file=check.origin, recipient=recipient)


def _check_files(files: Path, public: bytes, entries: list[bytes], report: Report, is_signed: bool) -> None:
    try:
        note = (files / CHECKPOINT).read_bytes()
    except FileNotFoundError:
        if is_signed:  # before the first checkpoint there is nothing to miss
            report.add("missing_file", file=CHECKPOINT, detail="")
        return
    signed = _read_note(note, "identity--" + report.log.removeprefix("istmo."), public, CHECKPOINT, report)
    if signed is None:
        return
    if signed.size > len(entries):
        report.add("checkpoint_too_long", file=CHECKPOINT, size=signed.size)
        return
    published = entries[: signed.size]
    leaves = [leaf_hash(one) for one in published]
    check_bundles(files, published, report)
    check_tiles(files, leaves, report)
    if root_of(leaves) != signed.root:
        report.add("wrong_root", file=CHECKPOINT, size=signed.size)


def _read_note(note: bytes, origin: str, public: bytes, file: str, report: Report) -> Checkpoint | None:
    try:
        return read_checkpoint(note, origin_line(origin), public)
    except IstmoError as error:
        is_signature = error.code == "ledger.bad_checkpoint_signature"
        report.add("bad_checkpoint_signature" if is_signature else "bad_checkpoint", file=file)
    return None


def _rows(connection: Connection, origin: str) -> Iterator[Row[Any]]:
    after = 0
    while page := records.entries_of(connection, origin, after, _PAGE):
        yield from page
        after = page[-1].sequence
