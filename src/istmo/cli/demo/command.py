"""``istmo demo``: the whole job on one machine, told while it happens."""

from __future__ import annotations

import errno
import io
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import Any

from istmo.cli.demo import attack
from istmo.cli.demo.play import ANALYST, Material, Play, Step
from istmo.cli.demo.region import RunningNode, join_region, make_node, running
from istmo.kit.cli import Teller, command, option, say, spoken, told_apart

NATIONS = (("CSIRT Guatemala", "GT"), ("CSIRT Honduras", "HN"), ("CSIRT El Salvador", "SV"))
EVENTS = 3_000
BATCH = 500
LEFTOVERS = 5
"""How many of the files that could not be removed are named."""
GENTLE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WATCHED = "indicator--0d3f6f4e-6a0c-4d38-9a53-2f6b3c8f1a01"


@command("demo", help="demo.command")
@option("--once", is_flag=True, help="demo.command.once")
@told_apart
def demo(teller: Teller, once: bool) -> None:
    """Start three nodes, play the path, tell it, and (unless ``--once``) stay up until Ctrl-C."""
    folder = Path(tempfile.mkdtemp(prefix="istmo-demo-"))
    with _stopped_gently():
        try:
            ok = _show(teller, folder, once)
        except KeyboardInterrupt:
            ok = not once
        finally:
            clear_away(teller, folder)
    if not ok:
        raise SystemExit(1)


def clear_away(teller: Teller, folder: Path) -> None:
    """Remove what the demo made. What stays, with keys in it, is named: nobody would look for it."""
    kept: list[tuple[str, str]] = []

    def keep(_: Any, path: str, failure: tuple[Any, BaseException, Any]) -> None:
        error = failure[1]
        if isinstance(error, OSError) and error.errno != errno.ENOTEMPTY:  # that follows from what stayed
            kept.append((path, error.strerror or type(error).__name__))

    shutil.rmtree(folder, onerror=keep)
    for path, detail in kept[:LEFTOVERS]:
        teller.note("demo.leftover", path=path, detail=detail)
    if folder.exists():
        teller.note("demo.leftovers", folder=str(folder))


def _show(teller: Teller, folder: Path, once: bool) -> bool:
    began = time.monotonic()
    teller.tell("demo.opening")
    nodes = [make_node(folder / country.lower(), name, country) for name, country in NATIONS]
    with running(nodes, {"ISTMO_LANG": spoken()}):  # what they print is for the same person
        teller.tell("demo.started", n=len(nodes), seconds=f"{time.monotonic() - began:.1f}")
        join_region(nodes, say("demo.region"))
        teller.tell("demo.joined")
        play = Play(nodes, material(), lambda step: _narrate(teller, step), spoken())
        ok = play.play()
        if teller.json:
            teller.print_json(_document(nodes, play, ok, time.monotonic() - began))
        if once or not ok:
            _say_end(teller, ok)
            return ok
        _invite_to_look(teller, nodes)
        signal.pause()
    return ok


def material() -> Material:
    """The demo's own attack, this very morning."""
    start = datetime.now(UTC) - timedelta(hours=6)
    events = list(attack.ordinary_morning(start, EVENTS)) + list(attack.attack(start + timedelta(hours=3)))
    events.sort(key=lambda event: str(event["UtcTime"]))
    pack = resources.files("istmo.packs") / "demo"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for rule in sorted((pack / "rules").iterdir(), key=lambda one: one.name):
            archive.writestr(f"rules/{rule.name}", rule.read_bytes())
    host = "CAJA-03.aduana.example"
    return Material(
        batches=[events[at : at + BATCH] for at in range(0, len(events), BATCH)],
        bundle=(pack / "indicators.json").read_bytes(),
        rules=packed.getvalue(),
        watched=WATCHED,
        search=f"DestinationIp:{attack.MASTER}",
        rule_titles=(
            "Office Program Starts PowerShell",
            "Memory of LSASS Written to a File",
            "Shadow Copies Deleted",
        ),
        next_event=lambda: attack.call_home(datetime.now(UTC), host),
        case_title=say("demo.case"),
        note_here=say("demo.note.victim"),
        note_there=say("demo.note.publisher"),
        started=start,
    )


def _narrate(teller: Teller, step: Step) -> None:
    if not step.ok:
        teller.tell("demo.step_not_done", step=say(f"demo.step.{step.name}"), problem=step.problem)
        return
    line = say(f"demo.step.{step.name}.done", **{**_flat(step.facts), "ms": f"{step.milliseconds:.0f}"})
    teller.line(f"✓ {line}")


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    told_: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            told_[name] = ", ".join(f"{key} {ms:.0f} ms" for key, ms in value.items())
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            told_[name] = ", ".join(f"{one['where']} ({one['count']})" for one in value)
        elif isinstance(value, list):
            told_[name] = ", ".join(str(one) for one in value)
        else:
            told_[name] = value
    return told_


def _document(nodes: list[RunningNode], play: Play, ok: bool, seconds: float) -> dict[str, Any]:
    return {
        "ok": ok,
        "seconds": round(seconds, 2),
        "nodes": [
            {
                "name": node.settings.name,
                "country": node.settings.country,
                "member": node.settings.member,
                "address": node.url,
                "intake": node.intake_url,
                "pids": node.pids(),
            }
            for node in nodes
        ],
        "steps": [step.document() for step in play.steps],
    }


def _invite_to_look(teller: Teller, nodes: list[RunningNode]) -> None:
    teller.tell("demo.look")
    for node in nodes:
        teller.tell(
            "demo.address",
            name=node.settings.name,
            url=node.url,
            user=ANALYST,
            password=node.passwords[ANALYST],
            admin=node.administrator,
            admin_password=node.password,
        )
    teller.tell("demo.leave")
    sys.stdout.flush()


def _say_end(teller: Teller, ok: bool) -> None:
    teller.tell("demo.end.ok" if ok else "demo.end.failed")


@contextmanager
def _stopped_gently() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that nothing is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in GENTLE}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


commands = [demo]
