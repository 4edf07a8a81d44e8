"""Sigma 2.1, evaluated as the specification is written: slow and right. Knows nothing of istmo."""

from istmo.detect.sigma.correlations import Correlation
from istmo.detect.sigma.evaluator import Evaluator, Match
from istmo.detect.sigma.files import RuleFile, rule_files
from istmo.detect.sigma.filters import Filter
from istmo.detect.sigma.limits import RuleLimits
from istmo.detect.sigma.logsources import Logsource
from istmo.detect.sigma.placeholders import AskedPlaceholders, read_placeholders
from istmo.detect.sigma.problems import Problem
from istmo.detect.sigma.rules import LEVELS, Rule
from istmo.detect.sigma.ruleset import (
    ReadPart,
    ReadRule,
    RuleSet,
    collect_rules,
    combine,
    load_rules,
    read_rules,
)

__all__ = [
    "LEVELS",
    "AskedPlaceholders",
    "Correlation",
    "Evaluator",
    "Filter",
    "Logsource",
    "Match",
    "Problem",
    "ReadPart",
    "ReadRule",
    "Rule",
    "RuleFile",
    "RuleLimits",
    "RuleSet",
    "collect_rules",
    "combine",
    "load_rules",
    "read_placeholders",
    "read_rules",
    "rule_files",
]
