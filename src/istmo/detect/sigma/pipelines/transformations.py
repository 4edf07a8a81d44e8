"""Every transformation by the name that pipelines give it."""

from __future__ import annotations

from istmo.detect.sigma.pipelines import name_transformations as names
from istmo.detect.sigma.pipelines import rule_transformations as rules
from istmo.detect.sigma.pipelines import value_transformations as values
from istmo.detect.sigma.pipelines.items import Maker

TRANSFORMATIONS: dict[str, Maker] = {
    "field_name_mapping": names.field_name_mapping,
    "field_name_prefix_mapping": names.field_name_prefix_mapping,
    "field_name_prefix": names.field_name_prefix,
    "field_name_suffix": names.field_name_suffix,
    "strict_field_mapping_failure": names.strict_field_mapping_failure,
    "drop_detection_item": rules.drop_detection_item,
    "detection_item_failure": rules.detection_item_failure,
    "rule_failure": rules.rule_failure,
    "add_condition": rules.add_condition,
    "change_logsource": rules.change_logsource,
    "set_state": rules.set_state,
    "set_custom_attribute": rules.set_custom_attribute,
    "add_field": rules.add_field,
    "remove_field": rules.remove_field,
    "set_field": rules.set_field,
    "hashes_fields": values.hashes_fields,
    "replace_string": values.replace_string,
    "map_string": values.map_string,
    "set_value": values.set_value,
    "convert_type": values.convert_type,
    "value_placeholders": values.value_placeholders,
    "wildcard_placeholders": values.wildcard_placeholders,
    "regex": values.regex,
    "case": values.case,
}
