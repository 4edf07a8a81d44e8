"""Nodes that speak to each other without a network: what one writes lies in the others' post until taken."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from istmo.respond import entries
from istmo.respond.fold import Folded, admitted_by, merge
from istmo.respond.objects import Author, Body, Case, CaseEntry, Opening, Severity, Share

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MARKINGS = ("marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",)


class Writer:
    """One member's node, as far as a case goes: pure, no database."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held: dict[str, CaseEntry] = {}
        self.post: list[tuple[str, entries.Copy]] = []
        self.case_id = ""

    @property
    def folded(self) -> Folded:
        return Folded(self.case_id, self.held.values())

    @property
    def case(self) -> Case:
        return self.folded.case()

    def take(self, origin: str, copy: entries.Copy) -> None:
        found = entries.decode_payload(copy.payload, origin, copy.audience, MARKINGS)
        self.case_id = found.case
        known = self.held.get(found.id)
        self.held[found.id] = merge(known, found) if known else found


class Sending:
    """Some nodes and what is on its way between them."""

    def __init__(self, *names: str) -> None:
        self.nodes = {name: Writer(name) for name in names}
        self.tick = 0

    def body(self, kind: Any, node: str, **values: Any) -> Body:
        self.tick += 1
        found: Body = kind(
            author=Author(node, f"person of {node}"),
            created=START + timedelta(seconds=self.tick),
            nonce=secrets.token_hex(16),
            **values,
        )
        return found

    def send(self, origin: str, copies: list[entries.Copy]) -> None:
        for copy in copies:
            self.nodes[origin].take(origin, copy)
            for reader in copy.audience - {origin}:
                self.nodes[reader].post.append((origin, copy))

    def open(self, node: str, title: str = "Correo con adjunto") -> None:
        opening = self.body(Opening, node, title=title, severity=Severity.MEDIUM, tlp="TLP:AMBER")
        assert isinstance(opening, Opening)
        self.send(node, [entries.open_with(opening, node)[1]])

    def add(self, node: str, kind: Any, **values: Any) -> str:
        folded = self.nodes[node].folded
        body = self.body(kind, node, **values)
        self.send(node, entries.compose(folded, body, node, admitted_by(folded, node)))
        return entries.entry_id(folded.id, entries.encode_body(body))

    def share(self, node: str, member: str) -> None:
        folded = self.nodes[node].folded
        self.send(node, entries.reissue(folded, node, member, frozenset()))
        folded = self.nodes[node].folded
        named = tuple(sorted(folded.members | {member}))
        body = self.body(Share, node, member=member, members=named)
        self.send(node, entries.compose(folded, body, node, admitted_by(folded, node) | {member}))

    def deliver(self, node: str, place: int = 0) -> None:
        post = self.nodes[node].post
        if post:
            origin, copy = post.pop(place % len(post))
            self.nodes[node].take(origin, copy)

    def deliver_all(self) -> None:
        for node in self.nodes:
            while self.nodes[node].post:
                self.deliver(node)
