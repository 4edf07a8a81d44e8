"""The checks of one log, entry by entry, whatever it was read from."""

from __future__ import annotations

from dataclasses import dataclass, field

from istmo.errors import InvalidInput, IstmoError
from istmo.ledger.envelope import ERASURE, SALT_BYTES, SEAL_AGE, Envelope, Header, commitment_of
from istmo.ledger.keys import NodeKeys
from istmo.ledger.records import Chain
from istmo.ledger.report import Report


@dataclass
class LogCheck:
    """Checks the entries of one log in order, and gathers what the whole must come to."""

    origin: str
    public: bytes
    report: Report
    is_own: bool = True
    """Whether the log is the one that the report is about: then its number alone names an entry."""
    keys: NodeKeys | None = None
    """To open what is sealed to this node; without them the salt in a sealed body stays unchecked."""
    chains: dict[str, Chain] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    erased: set[tuple[str, int]] = field(default_factory=set)
    """Entries that a signed erasure record in this log names."""

    def entry(self, sequence: int, envelope: Envelope, commitment: bytes | None) -> Header | None:
        """Check one entry; its header, or None when even that cannot be read."""
        try:
            header = Header.decode(envelope.header)
        except IstmoError as error:
            self.report.add(
                "bad_header", entry=self.name(sequence), field=str(error.params.get("field", "header"))
            )
            return None
        if (header.origin, header.sequence) != (self.origin, sequence):
            self.report.add(
                "wrong_place", entry=self.name(sequence), found=f"{header.origin}/{header.sequence}"
            )
        if not envelope.is_signed_by(self.public):
            self.report.add("bad_signature", entry=self.name(sequence))
        self._body(sequence, header, envelope, commitment)
        self._note_erasure(header)
        for recipient in header.audience:
            if recipient != self.origin and commitment is not None:
                self.chains[recipient] = self.chains.get(recipient, Chain()).add(commitment)
        return header

    def name(self, sequence: int) -> int | str:
        """How the report names an entry of this log."""
        return sequence if self.is_own else f"{self.origin}/{sequence}"

    def _note_erasure(self, header: Header) -> None:
        erases = header.extra.get("erases")
        if header.type == ERASURE and isinstance(erases, dict):
            origin, sequence = erases.get("origin"), erases.get("sequence")
            if isinstance(origin, str) and isinstance(sequence, int):
                self.erased.add((origin, sequence))

    def _body(self, sequence: int, header: Header, envelope: Envelope, commitment: bytes | None) -> None:
        if envelope.body is None:
            self.missing.append(sequence)
            return
        try:
            envelope.check_body(header)
        except InvalidInput:
            self.report.add("body_mismatch", entry=self.name(sequence))
            return
        opened: bytes | None = envelope.body
        if header.seal == SEAL_AGE:
            opened = self._opened(sequence, envelope.body)
        if opened is None or commitment is None:
            return
        if len(opened) < SALT_BYTES or commitment_of(opened[:SALT_BYTES], envelope.header) != commitment:
            self.report.add("wrong_commitment", entry=self.name(sequence))

    def _opened(self, sequence: int, body: bytes) -> bytes | None:
        if self.keys is None:
            self.report.sealed += 1
            return None
        try:
            return self.keys.open(body)
        except InvalidInput:
            self.report.add("cannot_open", entry=self.name(sequence))
            return None

    def finish(self) -> None:
        """After the last entry: every missing body must have its erasure record."""
        for sequence in self.missing:
            if (self.origin, sequence) not in self.erased:
                self.report.add("missing_body", entry=self.name(sequence))
        self.report.erased += len(self.missing)
        self.report.chains += len(self.chains)
