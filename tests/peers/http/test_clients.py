"""Clients that others have written send to a real node, and either side is killed in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from peers.http.conftest import Node, Sender

PACKAGES = {
    "elasticsearch": "elasticsearch",
    "opentelemetry": "opentelemetry-exporter-otlp-proto-http",
    "splunk": "splunk-handler",
    "gelf": "pygelf",
}
NUMBERS = [3_000, pytest.param(100_000, marks=pytest.mark.long)]
Make = Callable[[str, int], Sender]


@pytest.fixture
def make_sender(node: Node, tmp_path: Path) -> Iterator[Make]:
    made: list[Sender] = []

    def make(client: str, number: int) -> Sender:
        made.append(Sender(client, node, tmp_path, number))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("client", ["elasticsearch", "opentelemetry", "splunk"])
def test_all_that_was_sent_is_there_though_node_and_sender_are_killed(
    node: Node, make_sender: Make, client: str, number: int
) -> None:
    sender = make_sender(client, number)
    sender.start()
    sender.wait_for(number // 4)
    node.kill()
    node.listen()
    sender.wait_for(number // 2)
    sender.kill()
    sender.start()
    sender.finish()
    found = node.numbers()
    print(PACKAGES[client], version(PACKAGES[client]), "twice:", found.total() - len(found))
    assert sorted(found) == list(range(number))
    if client == "elasticsearch":
        assert found.total() == number, "what has an id is stored once"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_handler_that_reads_no_answer_loses_nothing_while_the_node_is_up(
    node: Node, make_sender: Make, number: int
) -> None:
    sender = make_sender("gelf", number)
    sender.start()
    sender.wait_for(number // 2)
    sender.kill()
    sender.start()
    sender.finish()
    node.send({"after": "all"})  # answered once what came before it is on disk
    found = node.numbers()
    print("pygelf", version("pygelf"), "twice:", found.total() - len(found))
    assert sorted(found) == list(range(number))
