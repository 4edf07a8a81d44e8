"""A site whose detection worker really runs, and events that tell of a small break-in."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson
from web_site import Site

from istmo.clock import SystemClock
from istmo.policy.principals import Operator
from istmo.settings import save_settings

POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
HOSTILE = "<script>alert(1)</script>"


@contextmanager
def working(site: Site) -> Iterator[None]:
    """The worker of a site's node, for as long as it is needed."""
    link, data = site.node.link, site.node.settings.data
    save_settings(site.node.settings)
    link.start()
    with (data / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "istmo.detect.worker", str(data)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        assert link.wait_ready(30), (data / "worker.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(15)
        link.stop()


def send(site: Site, events: list[dict[str, Any]]) -> None:
    """Post events as a shipper does; they are on disk afterwards."""
    _, secret = site.node.detect.create_source(Operator(), "Equipos de la sede")
    ready = site.node.link.ready
    assert ready
    answer = httpx.post(
        f"http://127.0.0.1:{ready.intake_port}/api/v1/events",
        content=b"\n".join(orjson.dumps(one) for one in events),
        headers={"Authorization": f"Bearer {secret}"},
        trust_env=False,
        timeout=30,
    )
    answer.raise_for_status()
    assert answer.json()["accepted"] == len(events)


def break_in(now: datetime, number: int = 240) -> list[dict[str, Any]]:
    """Programs that start and connect on three hosts, over the last hours; the last is the newest."""
    found = []
    for at in range(number):
        when = now - timedelta(minutes=4 * (number - at))
        event: dict[str, Any] = {
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "UtcTime": f"{when:%Y-%m-%d %H:%M:%S}.000",
            "Computer": f"CAJA-{at % 3}",
            "User": "SEDE\\ana" if at % 2 else "SEDE\\respaldo",
        }
        if at % 4 == 3:
            event |= {"EventID": 3, "Image": POWERSHELL, "DestinationIp": f"203.0.113.{at % 7}"}
            event |= {"DestinationPort": 443, "DestinationHostname": "update.evil.example"}
        else:
            order = f"powershell -enc {'ZQBjAGgAbwA=' * 12}" if at % 40 == 0 else f"cmd /c dir {at}"
            image = POWERSHELL if at % 40 == 0 else r"C:\Windows\System32\cmd.exe"
            event |= {"EventID": 1, "Image": image, "CommandLine": order}
        found.append(event)
    return [*found, {"Channel": "x", "message": HOSTILE, "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}Z"}]


def until(is_true: Any, seconds: float = 20) -> None:
    """Wait for what the worker does in its own time."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)  # the pace of looking


CLOCK = SystemClock()
