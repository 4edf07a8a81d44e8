"""``istmo peer`` as it is typed, where it must ask first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from istmo.federation.commands import peer
from istmo.kit.cli import Teller


class Node:
    """A node that only notes what it was told to do."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def delete(self, path: str) -> dict[str, Any]:
        self.deleted.append(path)
        return {"members": [{}, {}]}


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    one = Node()
    monkeypatch.setattr(Teller, "client", lambda teller: one)
    return one


@pytest.mark.parametrize(
    ("options", "answer", "status"),
    [((), "n\n", 1), ((), "", 1), (("--json",), "", 1), ((), "s\n", 0), (("--yes",), "", 0)],
)
def test_a_member_is_removed_only_by_a_yes(
    node: Node, options: tuple[str, ...], answer: str, status: int
) -> None:
    done = CliRunner().invoke(peer, ["remove", "CSIRT Belice", *options], input=answer)
    assert done.exit_code == status, done.output
    assert node.deleted == ([] if status else ["/api/v1/peers/CSIRT%20Belice"])
    if "--yes" not in options:
        assert "CSIRT Belice" in done.stderr
    if "--json" in options:
        assert json.loads(done.stdout)["error"]["code"] == "cli.not_confirmed"
