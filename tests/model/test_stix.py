"""Objects as views over their bytes: what is valid, what is not and where, and that the good rest is kept."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from istmo.errors import InvalidInput, TooLarge
from istmo.model import stix_types
from istmo.model.ids import new_id
from istmo.model.markings import Pap, Tlp
from istmo.model.stix import StixObject, parse_bundle
from istmo.settings import Limits

NOW = "2026-03-02T09:00:00.000Z"
MARKING = "marking-definition--00000000-0000-4000-8000-000000000001"


def indicator(**more: Any) -> dict[str, Any]:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
        "created": NOW,
        "modified": NOW,
        "pattern": "[ipv4-addr:value = '198.51.100.7']",
        "pattern_type": "stix",
        "valid_from": NOW,
        **more,
    }


def raw(data: Any) -> bytes:
    return json.dumps(data).encode()


def bundle(*objects: Any) -> bytes:
    return raw({"type": "bundle", "id": new_id("bundle"), "objects": list(objects)})


def problems(data: Any) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        StixObject.parse(raw(data))
    assert caught.value.code == "stix.invalid"
    return [(one.path, one.code) for one in caught.value.params["problems"]]


def test_an_object_is_a_view_and_its_bytes_stay_as_they_came() -> None:
    text = b'{ "x_ours": [1.0, {"\\u00f1": null}],\n ' + raw(indicator()).lstrip(b"{")
    found = StixObject.parse(text)
    assert found.raw == text
    assert found.data["x_ours"] == [1.0, {"ñ": None}]
    assert (found.type, found.id) == ("indicator", indicator()["id"])
    assert found.modified == found.version
    assert found.pattern is not None
    assert found.pattern.terms[0].value == "198.51.100.7"


def test_every_problem_is_told_with_its_path() -> None:
    data = indicator(
        created="yesterday",
        confidence=101,
        labels=[],
        external_references=[{"source_name": "x", "url": 7}, {"url": "u"}],
        valid_until="2020-01-01T00:00:00Z",
        granular_markings=[{"selectors": ["name"]}],
        pattern="[a:b =",
    )
    del data["pattern_type"]
    assert sorted(problems(data)) == sorted(
        [
            ("$.created", "stix.time"),
            ("$.confidence", "stix.range"),
            ("$.labels", "stix.empty"),
            ("$.external_references[0].url", "stix.kind"),
            ("$.external_references[1].source_name", "stix.missing"),
            ("$.granular_markings[0]", "stix.at_least_one"),
            ("$.pattern_type", "stix.missing"),
            ("$.valid_until", "stix.order"),
        ]
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (indicator(id="malware--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"), ("$.id", "stix.id_type")),
        (indicator(id="indicator--1"), ("$.id", "stix.id")),
        (indicator(spec_version="2.0"), ("$.spec_version", "stix.enum")),
        (indicator(modified="2020-01-01T00:00:00Z"), ("$.modified", "stix.order")),
        (indicator(revoked="yes"), ("$.revoked", "stix.kind")),
        (indicator(created_by_ref=new_id("malware")), ("$.created_by_ref", "stix.reference")),
        (indicator(object_marking_refs=["x"]), ("$.object_marking_refs[0]", "stix.id")),
        (indicator(pattern="[a:b = 'c'"), ("$.pattern", "stix.pattern_unfinished")),
        (indicator(pattern="[a:b = 'c']]"), ("$.pattern", "stix.pattern")),
        (indicator(type="bundle"), ("$.type", "stix.type_name")),
        (indicator(type="Bad Type"), ("$.type", "stix.type_name")),
        ({}, ("$.type", "stix.missing")),
        ([], ("$", "stix.not_object")),
        ({"type": "file", "id": new_id("file")}, ("$", "stix.at_least_one")),
        (
            {"type": "file", "id": new_id("file"), "hashes": {"MD5": "abc"}},
            ("$.hashes.MD5", "stix.hash"),
        ),
        (
            {"type": "artifact", "id": new_id("artifact"), "payload_bin": "???"},
            ("$.payload_bin", "stix.base64"),
        ),
        (
            {
                "type": "artifact",
                "id": new_id("artifact"),
                "payload_bin": "eA==",
                "url": "http://x",
                "hashes": {"MD5": "0" * 32},
            },
            ("$", "stix.only_one"),
        ),
        ({"type": "artifact", "id": new_id("artifact"), "url": "http://x"}, ("$.hashes", "stix.needs")),
        (
            {"type": "file", "id": new_id("file"), "name": "x", "magic_number_hex": "abc"},
            ("$.magic_number_hex", "stix.hex"),
        ),
        (
            {
                "type": "network-traffic",
                "id": new_id("network-traffic"),
                "src_ref": new_id("ipv4-addr"),
                "protocols": ["tcp"],
                "end": NOW,
                "is_active": True,
            },
            ("$.is_active", "stix.active_ended"),
        ),
    ],
)
def test_each_rule_is_checked(data: Any, expected: tuple[str, str]) -> None:
    assert expected in problems(data)


@pytest.mark.parametrize(
    "type", [*stix_types.DOMAIN, *stix_types.RELATIONSHIP, *stix_types.OBSERVABLE, *stix_types.META]
)
def test_of_every_type_each_required_property_is_missed(type: str) -> None:
    data = {"type": type, "id": new_id(type)}
    if type not in stix_types.OBSERVABLE:
        data |= {"spec_version": "2.1", "created": NOW, "modified": NOW}
    tables = (stix_types.DOMAIN, stix_types.RELATIONSHIP, stix_types.OBSERVABLE, stix_types.META)
    text = next(table[type] for table in tables if type in table)
    required = {one.partition("!")[0] for one in text.split() if "!:" in one}
    if not required and type not in stix_types.AT_LEAST_ONE:
        assert StixObject.parse(raw(data)).type == type
        return
    found = problems(data)
    assert required <= {path.removeprefix("$.") for path, code in found if code == "stix.missing"}


def test_the_table_of_types_has_all_of_the_standard() -> None:
    assert len(stix_types.DOMAIN) == 19
    assert len(stix_types.RELATIONSHIP) == 2
    assert len(stix_types.OBSERVABLE) == 18
    assert len(stix_types.META) == 3


def test_a_type_that_nobody_knows_is_kept() -> None:
    ours = {**indicator(), "type": "x-ours", "id": new_id("x-ours"), "anything": {"goes": [1]}}
    assert StixObject.parse(raw(ours)).type == "x-ours"
    observable = {"type": "x-thing", "id": new_id("x-thing"), "value": "v"}
    assert StixObject.parse(raw(observable)).name == "v"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"a": 1', "json.syntax"),
        (b'{"a": 1} x', "json.syntax"),
        (b"\xff", "json.utf8"),
        (b'{"a": 1, "a": 2}', "json.duplicate_key"),
        (b'{"b": {"a": 1, "a": 2}}', "json.duplicate_key"),
        (b'{"a": NaN}', "json.number"),
        (b'{"a": 1e999}', "json.number"),
        (b'{"a": ' + b"1" * 5000 + b"}", "json.number"),
        (b'{"a": "\\ud800"}', "json.surrogate"),
        (b'{"\\udfff": 1}', "json.surrogate"),
        (b"[" * 100 + b"]" * 100, "json.too_deep"),
        (b"[" * 200_000, "json.too_deep"),
        (b'{"a":' * 200_000, "json.too_deep"),
    ],
)
def test_json_that_is_none_or_means_two_things_is_refused(text: bytes, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        StixObject.parse(text)
    assert caught.value.params["problem"] == code


def test_whole_surrogate_pairs_are_characters() -> None:
    found = StixObject.parse(raw(indicator(name="\N{GRINNING FACE}")))
    assert found.name == "\N{GRINNING FACE}"


def test_an_object_past_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge) as caught:
        StixObject.parse(raw(indicator(description="x" * 100)), replace(Limits(), body_bytes=100))
    assert caught.value.code == "stix.too_large"


# --- markings ------------------------------------------------------------------------------------------


def test_a_granular_marking_binds_the_whole_object() -> None:
    data = indicator(
        object_marking_refs=[Tlp.GREEN.marking_id],
        granular_markings=[
            {"marking_ref": Tlp.RED.marking_id, "selectors": ["description"]},
            {"lang": "es", "selectors": ["name"]},
        ],
        description="x",
    )
    assert StixObject.parse(raw(data)).markings().effective is Tlp.RED


def test_a_label_tightens_and_never_loosens() -> None:
    def level(labels: list[str], *refs: Tlp) -> Tlp | None:
        data = indicator(labels=labels)
        if refs:
            data["object_marking_refs"] = [one.marking_id for one in refs]
        return StixObject.parse(raw(data)).markings().tlp

    assert level(["tlp:red"], Tlp.GREEN) is Tlp.RED
    assert level(["tlp:white"], Tlp.AMBER) is Tlp.AMBER
    assert level(["tlp:white"]) is None
    assert StixObject.parse(raw(indicator(labels=["PAP:AMBER"]))).markings().pap is Pap.AMBER


def test_markings_are_read_with_the_definitions_of_the_bundle() -> None:
    definition = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": MARKING,
        "created": NOW,
        "definition_type": "statement",
        "definition": {"statement": "(c) CSIRT"},
    }
    found = parse_bundle(bundle(definition, indicator(object_marking_refs=[MARKING, Tlp.AMBER.marking_id])))
    marked = found.objects[1]
    assert marked.markings(found.definitions).effective is Tlp.AMBER
    assert marked.markings(found.definitions).statements == ("(c) CSIRT",)
    assert marked.markings().effective is Tlp.RED


def test_references_are_those_to_other_objects() -> None:
    a, b = new_id("malware"), new_id("ipv4-addr")
    data = {
        **indicator(object_marking_refs=[MARKING]),
        "x_refs": [a],
        "nested": {"one_ref": b, "list": [{"deep_ref": a}]},
    }
    assert StixObject.parse(raw(data)).references == (a, b)


# --- bundles -------------------------------------------------------------------------------------------


def test_house_invariant_8_one_bad_object_among_a_thousand_costs_only_itself() -> None:
    objects = [indicator(id=new_id("indicator")) for _ in range(1000)]
    objects[417]["confidence"] = -1
    found = parse_bundle(bundle(*objects))
    assert len(found.objects) == 999
    assert [(one.index, one.id, one.path, one.code) for one in found.problems] == [
        (417, objects[417]["id"], "$.confidence", "stix.range")
    ]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"type": "indicator", }', "json.syntax"),
        (b'{"type": "a]}", "b": [1, {"c": "}"}], oops}', "json.syntax"),
        (b"oops", "json.syntax"),
        (b'{"type": "x-caf\xe9", "id": "1"}', "json.utf8"),
        (b'{"a": 1, "a": 1}', "json.duplicate_key"),
        (b'{"a": "' + b"x" * 3000 + b'"}', "json.too_large"),
        (b"[" * 90 + b"]" * 90, "json.too_deep"),
        (b"7", "stix.not_object"),
        (b'{"a": [}', "json.syntax"),
    ],
)
def test_a_broken_object_costs_only_itself(bad: bytes, code: str) -> None:
    first, last = raw(indicator()), raw(indicator(id=new_id("indicator"), name="ñandú"))
    text = b'{"type": "bundle", "objects": [' + first + b" , " + bad + b",\n" + last + b'], "x": 1}'
    found = parse_bundle(text, replace(Limits(), body_bytes=2000))
    if bad == b'{"a": [}':  # its brackets do not match: where it ends is anyone's guess
        assert found.objects[0].raw == first
        assert found.problems
        return
    assert [one.raw for one in found.objects] == [first, last]
    assert [(one.index, one.code) for one in found.problems] == [(1, code)]


def test_a_file_that_breaks_off_keeps_what_came_before() -> None:
    text = bundle(*(indicator(id=new_id("indicator")) for _ in range(5)))
    found = parse_bundle(text[: len(text) * 3 // 5])
    assert 2 <= len(found.objects) <= 3
    assert found.problems
    assert {one.code for one in found.problems} <= {"json.syntax", "json.truncated"}


def test_a_list_of_objects_and_one_object_alone_are_read_too() -> None:
    assert len(parse_bundle(raw([indicator()])).objects) == 1
    assert len(parse_bundle(b"\xef\xbb\xbf" + raw(indicator())).objects) == 1
    assert parse_bundle(bundle()).objects == ()


@pytest.mark.parametrize("text", [b"", b"   ", b"hello", b"\x00\x01", b"7", b'"x"', b"{1: 2}", b"{'a': 1}"])
def test_what_is_no_bundle_at_all_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_bundle(text)
    assert caught.value.code == "bundle.invalid"


def test_a_foreign_json_document_is_a_problem_with_a_path() -> None:
    found = parse_bundle(raw({"Event": {"info": "x"}}))
    assert [(one.path, one.code) for one in found.problems] == [("$.type", "stix.missing")]


def test_limits_of_size_and_number() -> None:
    text = bundle(*(indicator(id=new_id("indicator")) for _ in range(5)))
    with pytest.raises(TooLarge):
        parse_bundle(text, replace(Limits(), bundle_bytes=100))
    found = parse_bundle(text, replace(Limits(), bundle_objects=3))
    assert (len(found.objects), [one.code for one in found.problems]) == (3, ["bundle.too_many"])


def test_the_same_version_twice_is_one_and_a_different_one_is_a_problem() -> None:
    assert len(parse_bundle(bundle(indicator(), indicator())).objects) == 1
    found = parse_bundle(bundle(indicator(), indicator(name="other")))
    assert (len(found.objects), [one.code for one in found.problems]) == (1, ["bundle.duplicate"])
    newer = indicator(modified="2026-03-03T09:00:00Z")
    assert len(parse_bundle(bundle(indicator(), newer)).objects) == 2


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 500), st.integers(0, 30))
def test_house_invariant_3_whatever_comes_the_kept_bytes_are_the_senders(
    noise: bytes, at: int, cut: int
) -> None:
    text = bundle(indicator(name="á"), indicator(id=new_id("indicator")))
    at = min(at, len(text))
    damaged = text[:at] + noise + text[at + cut :]
    try:
        found = parse_bundle(damaged)
    except InvalidInput as error:
        assert error.code == "bundle.invalid"
        return
    for one in found.objects:
        assert one.raw in damaged
        assert json.loads(one.raw) == one.data


@pytest.mark.shared_data
def test_real_bundles_are_read_whole(shared_data: Path) -> None:
    read = 0
    for path in sorted((shared_data / "stix").glob("*")):
        if "stix21" in path.name or path.name.endswith(".json.gz"):
            text = path.read_bytes()
            text = gzip.decompress(text) if path.suffix == ".gz" else text
            found = parse_bundle(text)
            assert found.problems == (), path.name
            assert len(found.objects) == len(json.loads(text)["objects"])
            assert all(one.name and one.raw in text for one in found.objects[:50])
            read += len(found.objects)
    assert read > 4000
