"""Pipelines applied here and by pySigma come to rules that name the same fields and match the same events."""

from __future__ import annotations

import random
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sigma.collection import SigmaCollection
from sigma.conditions import ConditionAND, ConditionNOT, ConditionOR
from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule

from istmo.detect.sigma import Rule, RuleSet
from istmo.detect.sigma.evaluator import RuleMatcher
from istmo.detect.sigma.fields import EventView
from istmo.detect.sigma.pipelines import apply_pipelines, read_pipeline
from istmo.detect.sigma.problems import Refused

from ..recordings import RULES  # noqa: TID252 - works with and without tests as a package
from ..test_against_pysigma import Fields, made_for, truth  # noqa: TID252

MADE = 4
"""Events made of each rule's own values."""
EVERY = 9
"""Every so-manieth rule is asked."""

PIPELINES = {
    "mapping": """
transformations:
  - id: names
    type: field_name_mapping
    mapping: {Image: process.executable, CommandLine: [process.command_line, cmd], EventID: event.code}
    rule_conditions: [{type: logsource, product: windows}]
""",
    "prefix mapping": """
transformations:
  - type: field_name_prefix_mapping
    mapping: {Target: [file., dest.], cs-: http.}
""",
    "prefix and suffix by conditions on names": """
transformations:
  - type: field_name_prefix
    prefix: win.
    rule_conditions: [{type: logsource, product: windows}, {type: logsource, category: proxy}]
    rule_cond_op: or
    field_name_conditions: [{type: include_fields, fields: [Image, ParentImage, 'c-.*'], mode: re}]
  - type: field_name_suffix
    suffix: .keyword
    field_name_conditions: [{type: exclude_fields, fields: [EventID, Image]}]
""",
    "drop": """
transformations:
  - type: drop_detection_item
    field_name_conditions: [{type: include_fields, fields: [OriginalFileName, EventID, sc-status]}]
""",
    "hashes": """
transformations:
  - type: hashes_fields
    valid_hash_algos: [MD5, SHA1, SHA256, IMPHASH]
    field_prefix: file.
""",
    "add condition": """
transformations:
  - type: add_condition
    conditions: {index: 'log-$product-$category', EventID: [1, 4688], tenant|endswith: x}
    template: true
    rule_conditions: [{type: logsource, category: process_creation}]
  - type: add_condition
    conditions: {noise: 'yes'}
    negated: true
    rule_conditions: [{type: logsource, product: windows}]
    rule_cond_not: true
""",
    "logsource by expression": """
transformations:
  - type: change_logsource
    category: proc
    product: any
    rule_conditions:
      win: {type: logsource, product: windows}
      mac: {type: logsource, product: macos}
      cli: {type: contains_field, field: CommandLine}
    rule_cond_expr: (win or mac) and not cli
""",
    "state and applied items": """
transformations:
  - {id: first, type: set_state, key: index, val: a, rule_conditions: [{type: logsource, product: linux}]}
  - type: field_name_mapping
    id: second
    mapping: {Image: image_a}
    rule_conditions: [{type: processing_state, key: index, val: a}]
  - type: field_name_prefix
    prefix: b.
    detection_item_conditions: [{type: processing_item_applied, processing_item_id: second}]
  - type: change_logsource
    service: other
    rule_conditions: [{type: processing_item_applied, processing_item_id: first}]
""",
    "strings": r"""
transformations:
  - {type: replace_string, regex: '^\*\\', replacement: '*/'}
  - {type: replace_string, regex: 'exe', replacement: 'bin', skip_special: true}
  - {type: replace_string, regex: '([a-z])32', replacement: '\g<1>64'}
""",
    "map, set and convert": """
transformations:
  - type: map_string
    mapping: {'4688': '1', High: [Max, System], 'true': 'yes'}
  - {type: set_value, value: 5, field_name_conditions: [{type: include_fields, fields: [EventID]}]}
  - type: convert_type
    target_type: str
    field_name_conditions: [{type: exclude_fields, fields: [sc-status]}]
""",
    "conditions on values": r"""
transformations:
  - type: field_name_suffix
    suffix: .w
    detection_item_conditions: [{type: contains_wildcard, cond: all}]
  - type: field_name_suffix
    suffix: .n
    detection_item_conditions: [{type: is_null, cond: any}]
  - type: field_name_suffix
    suffix: .p
    detection_item_conditions: [{type: match_string, cond: any, pattern: '.*powershell.*'}]
""",
    "case": "transformations: [{type: case, method: upper}]",
    "regex": "transformations: [{type: regex, method: ignore_case_flag, field_name_conditions: [{type: include_fields, fields: [Image]}]}]",  # noqa: E501
    "attributes and tags": """
transformations:
  - {type: field_name_prefix, prefix: high., rule_conditions: [{type: rule_attribute, attribute: level, value: high, op: gte}]}
  - {type: field_name_suffix, suffix: .t, rule_conditions: [{type: tag, tag: attack.execution}]}
  - {type: set_custom_attribute, attribute: team, value: a, rule_conditions: [{type: rule_attribute, attribute: status, value: test}]}
  - {type: field_name_suffix, suffix: .a, rule_conditions: [{type: rule_attribute, attribute: team, value: a}]}
""",  # noqa: E501
    "nest and lists of fields": """
transformations:
  - type: nest
    rule_conditions: [{type: is_sigma_rule}]
    items:
      - {type: field_name_mapping, mapping: {Image: img}}
      - {type: add_field, field: [extra, host]}
      - {type: remove_field, field: host}
""",
    "failures": """
transformations:
  - {type: rule_failure, message: no linux, rule_conditions: [{type: logsource, product: linux}]}
  - type: detection_item_failure
    message: no ids
    field_name_conditions: [{type: include_fields, fields: [EventID]}]
""",
    "strict": """
transformations:
  - {type: field_name_mapping, mapping: {Image: Image, CommandLine: cmd, ParentImage: parent}}
  - {type: strict_field_mapping_failure}
""",
}

OF_VALUES = frozenset({"strings", "map, set and convert", "conditions on values", "case", "regex"})
"""To pySigma what ``windash`` and ``base64offset`` make is no text; here it is one like any other."""


def is_expanded(rule: bytes) -> bool:
    return b"|windash" in rule or b"|base64offset" in rule


def without_nothing(node: Any) -> Any:
    """pySigma's tree without what dropped items leave in it, as its backends read it."""
    if not isinstance(node, (ConditionAND, ConditionOR, ConditionNOT)):
        return node
    node.args = [one for one in map(without_nothing, node.args) if one is not None]
    return node if node.args else None


def asked(rule: SigmaRule) -> Callable[[Fields], bool]:
    trees = [without_nothing(condition.parsed) for condition in rule.detection.parsed_condition]
    return lambda event: any(truth(tree, event) for tree in trees)


def named(detection: SigmaDetection) -> Iterator[str]:
    for one in detection.detection_items:
        if isinstance(one, SigmaDetectionItem):
            yield one.field or ""
        else:
            yield from named(one)


@pytest.mark.long
@pytest.mark.shared_data
@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_does_what_it_does_in_pysigma(
    name: str, released_rules: RuleSet, shared_data: Path
) -> None:
    ours_read = read_pipeline(PIPELINES[name].encode())
    chance = random.Random(2026)
    changed = matching = 0
    with zipfile.ZipFile(shared_data / RULES) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rule in released_rules.rules[::EVERY]:
            if name in OF_VALUES and is_expanded(archive.read(rule.file)):
                continue
            (theirs,) = SigmaCollection.from_yaml(archive.read(rule.file).decode()).rules
            assert isinstance(theirs, SigmaRule)
            ours = after(rule, ours_read)
            refused = False
            try:
                ProcessingPipeline.from_yaml(PIPELINES[name]).apply(theirs)
                trees = [without_nothing(one.parsed) for one in theirs.detection.parsed_condition]
                refused = all(one is None for one in trees)  # nothing is left of it
            except SigmaError:
                refused = True
            assert (ours is None) is refused, rule.title
            if ours is None:
                changed += 1
                continue
            matching += compare(rule, ours, theirs, chance)
            changed += ours is not rule
    assert changed
    assert matching


def after(rule: Rule, pipeline: Any) -> Rule | None:
    try:
        return apply_pipelines(rule, [pipeline])
    except Refused:
        return None


def compare(rule: Rule, ours: Rule, theirs: SigmaRule, chance: random.Random) -> int:
    """Log source, field list, names and answers; how many events matched."""
    source = theirs.logsource
    assert tuple(ours.logsource) == (source.category or "", source.product or "", source.service or "")
    assert list(ours.fields) == theirs.fields
    own = {item.field for search in ours.searches.values() for group in search.groups for item in group}
    assert own == {field for one in theirs.detection.detections.values() for field in named(one)}, rule.title
    matcher, is_asked = RuleMatcher(ours), asked(theirs)
    matching = 0
    for event in [made_for(ours, chance) for _ in range(MADE)]:
        answer = matcher.holds(EventView(event))
        assert answer is is_asked(event), (rule.title, event)
        matching += answer
    return matching
