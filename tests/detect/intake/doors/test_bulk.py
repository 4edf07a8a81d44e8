"""Elasticsearch's ``_bulk`` as its clients use it."""

from __future__ import annotations

import base64
import gzip

import orjson
import pytest

from detect.intake.conftest import SECRET, Port, source


def bulk(*documents: bytes, action: bytes = b'{"create":{"_index":"filebeat-8"}}') -> bytes:
    return b"".join(action + b"\n" + document + b"\n" for document in documents)


def test_documents_come_in_as_they_are_and_each_is_answered(port: Port) -> None:
    answer = port.ask("POST", "/_bulk", bulk(b'{"a":1.50}', b'{"a":2}'))
    told = answer.json()
    assert (answer.status_code, told["errors"]) == (200, False)
    assert [one["create"]["status"] for one in told["items"]] == [201, 201]
    assert [one["create"]["_index"] for one in told["items"]] == ["filebeat-8", "filebeat-8"]
    assert answer.headers["x-elastic-product"] == "Elasticsearch"
    assert b'"event":{"a":1.50}' in port.log.folder.wal_path(1).read_bytes()


def test_the_index_may_stand_in_the_address(port: Port) -> None:
    answer = port.ask("PUT", "/logs-istmo/_bulk", bulk(b"{}", action=b'{"index":{}}'))
    assert answer.json()["items"][0]["index"]["_index"] == "logs-istmo"


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {SECRET}",
        f"ApiKey {SECRET}",
        "ApiKey " + base64.b64encode(f"id:{SECRET}".encode()).decode(),
        "Basic " + base64.b64encode(f"elastic:{SECRET}".encode()).decode(),
    ],
)
def test_the_token_comes_in_each_way_that_clients_can_send_it(port: Port, header: str) -> None:
    assert port.ask("POST", "/_bulk", bulk(b"{}"), Authorization=header).status_code == 200


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!", "ApiKey e30=", "Digest x", "Bearer wrong"])
def test_without_it_nothing_is_told_and_nothing_stored(port: Port, header: str) -> None:
    for method, path in (("GET", "/"), ("HEAD", "/x"), ("POST", "/_bulk"), ("PUT", "/_index_template/x")):
        answer = port.ask(method, path, bulk(b"{}") if method == "POST" else b"", Authorization=header)
        assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "security_exception"
    assert port.stored() == []


def test_what_clients_ask_first_is_answered(port: Port) -> None:
    assert port.ask("GET", "/").json()["version"]["number"].startswith("8.")
    assert port.ask("GET", "/_license").json()["license"]["status"] == "active"
    for path in ("/logs", "/_index_template/filebeat", "/_ilm/policy/x", "/_cluster/health"):
        assert port.ask("HEAD", path).status_code == 200
    assert port.ask("PUT", "/_ingest/pipeline/x", b"{}").json()["acknowledged"] is True


def test_a_client_that_asks_for_its_own_media_type_gets_it(port: Port) -> None:
    wanted = "application/vnd.elasticsearch+json; compatible-with=9"
    answer = port.ask("GET", "/", Accept=wanted)
    assert answer.headers["content-type"] == "application/vnd.elasticsearch+json;compatible-with=9"


def test_what_carries_an_id_is_stored_once_however_often_it_is_sent(port: Port) -> None:
    body = bulk(b'{"n":1}', action=b'{"create":{"_index":"i","_id":"a"}}')
    body += bulk(b'{"n":2}', action=b'{"index":{"_index":"i","_id":"b"}}')
    body += bulk(b'{"n":3}')
    first = port.ask("POST", "/_bulk", body).json()
    again = port.ask("POST", "/_bulk", body).json()
    assert [next(iter(one.values()))["status"] for one in first["items"]] == [201, 201, 201]
    assert [next(iter(one.values()))["status"] for one in again["items"]] == [409, 200, 201]
    assert [one["n"] for one in port.events()] == [1, 2, 3, 3]
    assert port.count() | {"last": 0} == {
        "id": "s1",
        "accepted": 4,
        "refused": 0,
        "last": 0,
        "unreadable": 0,
        "doubled": 2,
        "reasons": {},
    }


def test_the_same_id_in_another_index_or_of_another_source_is_another_event(port: Port) -> None:
    port.sources.replace([source(), source("other", id="s2")])
    for index, secret in (("i", SECRET), ("j", SECRET), ("i", "other")):
        action = orjson.dumps({"create": {"_index": index, "_id": "a"}})
        port.ask("POST", "/_bulk", bulk(b"{}", action=action), secret=secret)
    assert len(port.stored()) == 3


def test_a_document_that_is_no_json_is_kept_as_text_and_no_other_suffers(port: Port) -> None:
    answer = port.ask("POST", "/_bulk", bulk(b'{"n":1}', b'{"n":2', b'{"n":3}'))
    assert answer.json()["errors"] is False, "a client throws away what is answered with an error"
    assert port.events() == [
        {"n": 1},
        {"message": '{"n":2', "istmo.unreadable": "line_not_json"},
        {"n": 3},
    ]
    assert port.count()["reasons"] == {"detect.line_not_json": 1}


def test_a_document_past_the_limit_is_refused_and_no_other_suffers(port: Port) -> None:
    answer = port.ask("POST", "/_bulk", bulk(b'{"n":1}', b'{"n":"%b"}' % (b"x" * (1 << 20)), b'{"n":3}'))
    items = answer.json()["items"]
    assert [one["create"]["status"] for one in items] == [201, 400, 201]
    assert answer.json()["errors"] is True
    assert port.events() == [{"n": 1}, {"n": 3}]


def test_ids_that_begin_alike_are_not_taken_for_one_and_longer_ones_are_refused_each_alone(
    port: Port,
) -> None:
    ids = ["x" * 512, "x" * 511 + "y", "x" * 513, "ñ" * 256, "ñ" * 257]
    actions = [orjson.dumps({"create": {"_index": "i" * 255, "_id": one}}) for one in ids]
    actions.append(orjson.dumps({"create": {"_index": "i" * 256, "_id": "a"}}))
    body = b"".join(bulk(b'{"n":%d}' % n, action=action) for n, action in enumerate(actions))
    told = port.ask("POST", "/_bulk", body).json()
    items = [one["create"] for one in told["items"]]
    assert [one["status"] for one in items] == [201, 201, 400, 201, 400, 400] and told["errors"]
    assert items[2]["error"]["type"] == "illegal_argument_exception" and len(items[2]["_id"]) == 512
    assert port.events() == [{"n": 0}, {"n": 1}, {"n": 3}]
    again = port.ask("POST", "/_bulk", body).json()
    assert [one["create"]["status"] for one in again["items"]] == [409, 409, 400, 409, 400, 400]
    assert port.ask("PUT", f"/i/_doc/{'x' * 513}", b"{}").status_code == 400
    assert port.count()["reasons"] == {"detect.bulk_name_too_long": 7}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"delete":{"_id":"a"}}\n{}\n', 400),
        (b'{"create":{}}\n{}\n{"create":{}}\n', 400),
        (b"nonsense\n{}\n", 400),
        (b'{"create":[]}\n{}\n', 400),
        (b'{"create":{"_id":{}},"index":{}}\n{}\n', 400),
        (b"[1]\n{}\n", 400),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_whole_in_the_clients_own_words(
    port: Port, body: bytes, code: int
) -> None:
    answer = port.ask("POST", "/_bulk", body, Accept_Language="es")
    told = answer.json()
    assert (answer.status_code, told["status"], told["error"]["type"]) == (code, code, "parse_exception")
    assert "No se guardó nada" in told["error"]["reason"]
    assert port.stored() == []


def test_packed_bodies_are_read(port: Port) -> None:
    answer = port.ask("POST", "/_bulk", gzip.compress(bulk(b'{"n":1}')), Content_Encoding="gzip")
    assert answer.status_code == 200
    assert port.events() == [{"n": 1}]


def test_single_documents_come_in_too(port: Port) -> None:
    assert port.ask("POST", "/logs/_doc", b'{"n":1}').status_code == 201
    assert port.ask("PUT", "/logs/_doc/a", b'{"n":2}').json()["result"] == "created"
    assert port.ask("PUT", "/logs/_doc/a", b'{"n":2}').json()["result"] == "updated"
    assert port.ask("PUT", "/logs/_create/a2", b'{"n":3}').status_code == 201
    assert port.ask("PUT", "/logs/_create/a2", b'{"n":3}').status_code == 409
    assert [one["n"] for one in port.events()] == [1, 2, 3]


def test_a_full_disk_is_told_as_busy_so_that_clients_come_back(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("istmo.detect.eventstore.log.has_room", lambda folder, size: False)
    answer = port.ask("POST", "/_bulk", bulk(b"{}"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "es_rejected_execution_exception")
    monkeypatch.undo()
    assert port.ask("POST", "/_bulk", bulk(b"{}")).status_code == 200
