"""Rules from several places, and what is told of those that were left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from istmo.detect.sigma import Problem, RuleFile, RuleSet, collect_rules, rule_files
from istmo.detect.sigma.kept_rules import KeptRules
from istmo.detect.sigma.pipelines import Pipeline, read_pipelines
from istmo.detect.triage.cache import kept_files
from istmo.errors import InvalidInput, IstmoError, NotFound
from istmo.kit.cli import CATALOGUE, say, spoken


def files_of(paths: Iterable[Path]) -> Iterator[RuleFile | Problem]:
    """Every rule file of these, one path after another.

    Raises NotFound ``detect.no_such_file`` for a path that leads nowhere.
    """
    for path in paths:
        if not path.exists():
            raise NotFound("detect.no_such_file", file=str(path))
        yield from rule_files(path)


def load_pipelines(paths: Iterable[Path]) -> tuple[Pipeline, ...]:
    """The processing pipelines of these files, or of those in these folders.

    Raises InvalidInput ``detect.pipeline_unusable`` for the first that cannot be applied in full: rules
    would silently ask for something else.
    """
    pipelines, problems = read_pipelines(files_of(paths))
    for one in problems:
        place = f"{one.file}:{one.line}" if one.line else one.file
        raise InvalidInput("detect.pipeline_unusable", place=place, reason=problem_told(one)["message"])
    return pipelines


def load_all(paths: Iterable[Path], pipelines: Sequence[Pipeline] = ()) -> RuleSet:
    """The rules of all these paths as one set; an id that comes twice is a problem the second time."""
    files = kept_files()
    if files is None or pipelines:
        return collect_rules(files_of(paths), pipelines=pipelines)
    kept = KeptRules(files)
    ruleset = collect_rules(files_of(paths), kept=kept)
    kept.keep()
    return ruleset


def problem_told(problem: Problem) -> dict[str, Any]:
    """A problem with a rule in the asker's words."""
    return {
        "code": problem.code,
        "file": problem.file,
        "line": problem.line,
        "rule": problem.rule,
        "not_served": problem.is_not_served,
        "message": say(problem.key, **problem.params),
    }


def words_of(error: IstmoError) -> dict[str, str]:
    """An error in the asker's words."""
    told = CATALOGUE.error(spoken(), error)
    return {"code": error.code, "message": told.message, "remedy": told.remedy}
