"""What the commands of intel say of a plan: how many, what was refused, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from istmo.kit.cli import Teller, say

SHOWN = 30
"""Lines of each kind before the rest is only counted."""


def is_refused(plan: dict[str, Any]) -> bool:
    """Whether something that was given is not there afterwards."""
    return bool(plan["counts"]["refused"] or plan["problems"])


def tell_counts(teller: Teller, key: str, plan: dict[str, Any], **params: Any) -> None:
    """One sentence with the counts of a plan."""
    counts = plan["counts"]
    teller.tell(
        key,
        n=counts["publish"],
        already=counts["already"],
        refused=counts["refused"],
        **params,
    )


def tell_problems(teller: Teller, plan: dict[str, Any]) -> None:
    """A line for each object that was refused, for each problem in the bundle, and for values that are too
    common to be alarmed by."""
    refused = [item for item in plan["items"] if item["problem"]]
    lines = [(item["id"], item["problem"]["text"]) for item in refused]
    lines += [(_place(one, plan), one["text"]) for one in plan["problems"]]
    lines += [
        (item["name"], say("console.publish.warned", value=value, lists=", ".join(lists)))
        for item in plan["items"]
        for value, lists in item.get("warning_lists", {}).items()
    ]
    tell_lines(teller, lines)


def _place(problem: dict[str, Any], plan: dict[str, Any]) -> str:
    """Where a bundle's problem is: an object by id or number, or the whole file, by name where it has one."""
    if problem["id"] or problem["index"] >= 0:
        return f"{problem['id'] or problem['index']} {problem['path']}".strip()
    return str(plan.get("file") or say("intel.command.whole_file"))


def tell_lines(teller: Teller, lines: Sequence[tuple[str, str]]) -> None:
    """(where, what) a line."""
    for where, text in lines[:SHOWN]:
        teller.note("intel.command.problem", where=where, text=text)
    if len(lines) > SHOWN:
        teller.note("intel.command.more", n=len(lines) - SHOWN)
