"""rsyslog, as Debian ships it and as our page configures it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from detect.intake.listeners.test_tls import Holder
from peers.conftest import Receiver, Sender, write_lines
from peers.pages import blocks, put_in

APP = "/var/log/app/app.log"
AGAIN = 'action.resumeInterval="5"'
SOON = 'action.resumeInterval="1"'
Run = Callable[[Sequence[str]], Sender]


def version(program: str) -> str:
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0]


def command(rsyslogd: str, folder: Path, configuration: str) -> list[str]:
    queue = folder / "spool"
    queue.mkdir(exist_ok=True)
    path = folder / "rsyslog.conf"
    path.write_text(f'global(workDirectory="{queue}")\n{configuration}', "utf-8")
    return [rsyslogd, "-n", "-f", str(path), "-i", str(folder / "pid")]


@pytest.mark.rsyslog
@pytest.mark.parametrize("number", [1_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_followed_file_comes_in_whole_though_rsyslog_is_killed_in_the_middle(
    receiver: Receiver, rsyslogd: str, run_sender: Run, tmp_path: Path, number: int
) -> None:
    _, block, _ = blocks("rsyslog", "rsyslog")
    here = {"istmo.example": "127.0.0.1", "5514": receiver.syslog_tcp, APP: tmp_path / "app.log"}
    started = command(rsyslogd, tmp_path, put_in(block, here))
    write_lines(tmp_path / "app.log", 0, number // 2)
    sender = run_sender(started)
    receiver.wait_for(number // 10)
    sender.kill()
    (tmp_path / "pid").unlink(missing_ok=True)
    write_lines(tmp_path / "app.log", number // 2, number)
    run_sender(started)
    found = receiver.wait_for(number)
    print(version(rsyslogd), "twice:", found.total() - len(found))
    assert sorted(found) == list(range(number))


# On a busy machine one message of 5,000 was missing once, after the node came back; on which side is not
# settled (docs/plan.md). The more there are, the sooner it is seen: many are sent in the long run.
@pytest.mark.rsyslog
@pytest.mark.parametrize("number", [1_000, pytest.param(100_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("restarted", ["node", "rsyslog"])
def test_nothing_is_lost_where_one_of_the_two_is_restarted_in_good_order(
    receiver: Receiver, rsyslogd: str, run_sender: Run, tmp_path: Path, number: int, restarted: str
) -> None:
    block, *_ = blocks("rsyslog", "rsyslog")
    here = {"istmo.example": "127.0.0.1", "5514": receiver.syslog_tcp, AGAIN: SOON}
    follow = f'module(load="imfile")\ninput(type="imfile" file="{tmp_path}/app.log" tag="app:")\n'
    started = command(rsyslogd, tmp_path, follow + put_in(block, here))
    write_lines(tmp_path / "app.log", 0, number // 2)
    sender = run_sender(started)
    receiver.wait_for(number // 10)
    if restarted == "node":
        receiver.end()
        write_lines(tmp_path / "app.log", number // 2, number)
        receiver.listen()
    else:
        sender.end()
        write_lines(tmp_path / "app.log", number // 2, number)
        run_sender(started)
    found = receiver.wait_for(number)
    print(version(rsyslogd), restarted, "twice:", found.total() - len(found), "lost:", number - len(found))
    assert sorted(found) == list(range(number))


@pytest.fixture
def client(tmp_path: Path) -> Holder:
    return Holder(tmp_path, "client")


@pytest.fixture
def secure_receiver(tmp_path_factory: pytest.TempPathFactory, client: Holder) -> Iterator[Receiver]:
    folder = tmp_path_factory.mktemp("n")
    made = Receiver(folder / "d", certificate=client.fingerprint)
    made.holder = Holder(folder, "node")
    made.listen()
    yield made
    made.close()


# rsyslog 8.2302 over TLS has lost whole batches of 128 in about one run of five on a machine that was busy
# with other things; on which side is not settled (docs/plan.md), so it is not among the tests of each change.
@pytest.mark.long
@pytest.mark.rsyslog
def test_over_tls_a_self_signed_certificate_says_who_sends(
    secure_receiver: Receiver, rsyslogd: str, run_sender: Run, tmp_path: Path, client: Holder
) -> None:
    assert secure_receiver.holder is not None
    _, _, block = blocks("rsyslog", "rsyslog")
    here = {
        "istmo.example": "127.0.0.1",
        "6514": secure_receiver.syslog_tls,
        "/etc/rsyslog.d/istmo.pem": secure_receiver.holder.certificate,
        "/etc/rsyslog.d/client.pem": client.certificate,
        "/etc/rsyslog.d/client.key": client.key,
    }
    follow = f'module(load="imfile")\ninput(type="imfile" file="{tmp_path}/app.log" tag="app:")\n'
    write_lines(tmp_path / "app.log", 0, 2_000)
    run_sender(command(rsyslogd, tmp_path, follow + put_in(block, here)))
    assert sorted(secure_receiver.wait_for(2_000)) == list(range(2_000))
