"""One frame format, other carriers: a node that cannot be reached posts, a file is carried, TLS is pinned."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from istmo.errors import IstmoError
from istmo.federation import wire
from istmo.federation.objects import Cursor
from istmo.ledger import keys as node_keys
from istmo.policy.principals import Peer
from machine import both_databases

from .sites import OPERATOR, Site, eventually, has_all, is_settled, join


def lines_of(site: Site, member: Site) -> list[bytes]:
    return list(site.federation.export(OPERATOR, member.id))


def test_a_node_that_nobody_can_reach_posts_its_entries(make_site) -> None:
    gt = make_site("Guatemala")
    hn = make_site("Honduras", url="")
    join(gt, hn)
    hn.publish_many(700, gt)
    gt.publish_many(30, hn)
    eventually(lambda: is_settled(gt, hn), "settled", 60)
    live = hn.publish(gt)
    eventually(lambda: (hn.id, live.sequence) in gt.applied, "live too", 3)
    eventually(lambda: hn.report(gt)["complete"], "complete")
    eventually(lambda: gt.report(hn)["complete"], "complete")
    assert gt.report(hn)["state"] == "connected"


def test_posted_frames_that_are_refused_are_told_to_the_sender(make_site) -> None:
    gt = make_site("Guatemala")
    hn = make_site("Honduras", url="")
    gt.refuse.add(b"bad one")
    join(gt, hn)
    hn.publish(gt, payload=b"bad one")
    good = hn.publish(gt)
    eventually(lambda: (hn.id, good.sequence) in gt.applied)
    eventually(lambda: hn.report(gt)["refused_there"] == 1)


def test_junk_that_is_posted_changes_nothing(pair: tuple[Site, Site]) -> None:
    gt, hn = pair
    before = gt.log_of(hn)
    answer = gt.federation.take_frames(Peer(hn.id), b"junk\njunk")
    assert answer["problem"] == "federation.bad_statement"
    assert gt.log_of(hn) == before
    own = b"".join(lines_of(gt, hn))
    assert gt.federation.take_frames(Peer(hn.id), own)["problem"] == "federation.forged"


def test_a_carried_file_brings_what_no_line_could(make_site) -> None:
    gt, hn = make_site("Guatemala"), make_site("Honduras")
    join(gt, hn)
    eventually(lambda: is_settled(gt, hn))
    hn.federation.stop()
    gt.publish_many(1300, hn)
    lines = lines_of(gt, hn)
    peer, taken = hn.federation.import_file(OPERATOR, lines)
    assert (peer.id, taken.new, taken.problem) == (gt.id, 1300, None)
    assert has_all(hn, gt)
    again = hn.federation.import_file(OPERATOR, lines)[1]
    assert (again.new, again.problem) == (0, None)


def test_a_file_carried_back_acknowledges(make_site) -> None:
    gt, hn = make_site("Guatemala"), make_site("Honduras")
    join(gt, hn)
    eventually(lambda: is_settled(gt, hn))
    hn.stop()
    hn.open()
    gt.publish_many(10, hn)
    hn.federation.import_file(OPERATOR, lines_of(gt, hn))
    assert gt.acknowledged_by(hn) < len(gt.due_to(hn))
    gt.federation.import_file(OPERATOR, lines_of(hn, gt))
    eventually(lambda: gt.acknowledged_by(hn) == len(gt.due_to(hn)), "acknowledged by file")


def code_of(call: Any) -> str:
    with pytest.raises(IstmoError) as caught:
        call()
    return caught.value.code


def test_a_damaged_file_keeps_what_came_before_the_damage(make_site) -> None:
    gt, hn = make_site("Guatemala"), make_site("Honduras")
    join(gt, hn)
    hn.federation.stop()
    gt.publish_many(1100, hn)
    lines = lines_of(gt, hn)
    lines[1] = lines[1].replace(b'"number"', b'"nummer"', 1)
    taken = hn.federation.import_file(OPERATOR, lines)[1]
    assert taken.problem is not None
    assert taken.problem.code == "federation.forged"
    assert 0 < taken.new < 1100


def test_a_file_for_another_or_from_a_stranger_is_refused(make_site) -> None:
    gt, hn, sv = (make_site(name) for name in ("Guatemala", "Honduras", "El Salvador"))
    join(gt, hn, sv)
    eventually(lambda: is_settled(gt, hn, sv))
    for_sv = lines_of(gt, sv)
    assert code_of(lambda: hn.federation.import_file(OPERATOR, for_sv)) == "federation.frame_not_ours"
    assert code_of(lambda: hn.federation.import_file(OPERATOR, [b"\n"])) == "federation.empty_file"
    assert code_of(lambda: hn.federation.import_file(OPERATOR, [b"x"])) == "federation.bad_statement"


# --- TLS ---------------------------------------------------------------------------------------


def test_over_tls_of_its_own_a_node_joins_and_shares(make_site) -> None:
    gt, hn = make_site("Guatemala", tls="own"), make_site("Honduras", tls="own")
    join(gt, hn)
    gt.publish_many(5, hn)
    hn.publish_many(5, gt)
    eventually(lambda: is_settled(gt, hn), "settled")
    assert gt.settings.url.startswith("https:")


def test_another_certificate_at_the_peers_address_is_not_spoken_to(make_site, tmp_path) -> None:
    gt, hn = make_site("Guatemala", tls="own"), make_site("Honduras", tls="own")
    join(gt, hn)
    eventually(lambda: is_settled(gt, hn))
    gt.stop()
    other = node_keys.create(tmp_path / "other", url=gt.settings.url)
    gt.certificate = (str(other.tls_certificate), str(other.tls_key))
    gt.restart()
    eventually(lambda: hn.problem_with(gt) == "federation.wrong_certificate", "found out")
    assert not gt.federation.links.get(hn.id).is_listening
    gt.stop()
    gt.certificate = None
    gt.restart()
    gt.publish(hn)
    eventually(lambda: is_settled(gt, hn), "settled")


def test_a_trusted_certificate_is_the_only_one_trusted(key_store) -> None:
    pem = key_store["Guatemala"].certificate_pem.decode("ascii")
    context = wire.trust_exactly(pem)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs(binary_form=True)) <= 1


def test_plain_http_leaves_this_machine_never(key_store, clock) -> None:
    assert (
        code_of(lambda: wire.PeerClient("http://192.0.2.1:80", "", key_store["Guatemala"], clock))
        == "federation.plain_http"
    )


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://user@x", "https://x/path", "https://", "https://x:0", "x"]
)
def test_an_address_is_scheme_host_and_port(key_store, clock, url: str) -> None:
    assert code_of(lambda: wire.PeerClient(url, "", key_store["Guatemala"], clock)) == "federation.bad_url"


# --- both databases ----------------------------------------------------------------------------


@both_databases
def test_sharing_works_on_either_database(make_site) -> None:
    gt, hn = make_site("Guatemala"), make_site("Honduras")
    join(gt, hn)
    gt.publish_many(120, hn)
    hn.publish_many(620, gt)
    eventually(lambda: is_settled(gt, hn), "settled", 60)
    gt.refuse.add(b"bad one")
    bad = hn.publish(gt, payload=b"bad one")
    eventually(lambda: hn.report(gt)["refused_there"] == 1, "refusal reported")
    gt.stop()
    hn.publish(gt)
    gt.restart()
    eventually(lambda: is_settled(gt, hn), "settled after a restart", 60)
    states = {one[0]: one[4] for one in gt.log_of(hn)}
    assert [number for number, state in states.items() if state == "refused"] == [bad.sequence]
    assert gt.federation.inbox.cursor(hn.id) != Cursor()
