"""Events to measure with: recordings as they are, with no value twice, and as an attacker writes them."""

from __future__ import annotations

import random
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

Event = dict[str, Any]
KEPT = frozenset({"Channel"})
"""What routes an event to its rules stays as it is: with another channel no rule would be asked."""
WITNESSES = (
    "powershell -enc", "cmd /c", r"\Temp\ ", "-ExecutionPolicy Bypass", "DownloadString(", "IEX ",
    "rundll32.exe", r"\AppData\Local\ ", "Invoke-Mimikatz", "http://", "reg add", "-w hidden", "mshta",
    "certutil -urlcache", "FromBase64String", "vssadmin delete", "net user", "whoami", "schtasks /create",
    "lsass", r"\CurrentVersion\Run", "bitsadmin",
)  # fmt: skip
"""Words that very many rules look for."""
SYSMON = "Microsoft-Windows-Sysmon/Operational"


def recorded(folder: Path, most: int = 0) -> Iterator[Event]:
    """The events of every zip of JSON lines in a folder; ``most`` of them, as many from each zip."""
    zips = sorted(folder.glob("*.zip"))
    for place, path in enumerate(zips):
        wanted = (most + place) // len(zips) if most else 1 << 60
        if wanted:
            yield from _of_zip(path, wanted)


def _of_zip(path: Path, wanted: int) -> Iterator[Event]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("__MACOSX") or not name.endswith(".json"):
                continue
            with archive.open(name) as lines:
                for line in lines:
                    yield orjson.loads(line)
                    wanted -= 1
                    if not wanted:
                        return


def some_of_each(folder: Path, most: int) -> Iterator[Event]:
    """The first recorded events of each channel and event id: what an engine may learn of."""
    seen: Counter[tuple[Any, Any]] = Counter()
    for event in recorded(folder):
        kind = (event.get("Channel"), event.get("EventID"))
        seen[kind] += 1
        if seen[kind] <= most:
            yield event


def unrepeated(event: Event, dice: random.Random) -> Event:
    """The same event with a nonce in the middle of every text, so that beginnings and ends survive."""
    return {
        name: _nonce(value, dice) if type(value) is str and name not in KEPT else value
        for name, value in event.items()
    }


def _nonce(text: str, dice: random.Random) -> str:
    slash = text.find("\\", 3)
    at = slash + 1 if 0 < slash < len(text) - 1 else len(text) // 2
    return f"{text[:at]}{dice.getrandbits(32):08x}{text[at:]}"


def _crammed(length: int, dice: random.Random) -> str:
    words: list[str] = []
    size = 0
    while size < length:
        words.append(f"{dice.choice(WITNESSES)}{dice.getrandbits(16):x}")
        size += len(words[-1]) + 1
    return " ".join(words)


def _process(line: str, image: str, parent: str) -> Event:
    return {
        "Channel": SYSMON, "EventID": 1, "Image": image, "CommandLine": line, "ParentImage": parent,
        "ParentCommandLine": line, "CurrentDirectory": "C:\\Users\\caja\\", "User": "RED\\caja",
        "OriginalFileName": "Cmd.Exe", "IntegrityLevel": "Medium", "Hashes": "SHA256=00",
    }  # fmt: skip


def long_lines(dice: random.Random) -> Event:
    """Command lines of 8,000 letters, the most that a shell takes."""
    line = "".join(dice.choices("abcdefghij /\\-.", k=8_000))
    return _process(line, r"C:\Windows\System32\cmd.exe", r"C:\Windows\explorer.exe")


def script_blocks(dice: random.Random) -> Event:
    """Script blocks of 64 KB, of words that scripts hold."""
    lines = [f"$v{dice.getrandbits(32):x} = Get-Item 'C:\\d{dice.getrandbits(32):x}'" for _ in range(1_700)]
    channel = "Microsoft-Windows-PowerShell/Operational"
    return {"Channel": channel, "EventID": 4104, "ScriptBlockText": "\n".join(lines)[:65_536], "Path": ""}


def not_ascii(dice: random.Random) -> Event:
    """Every value beyond ASCII."""
    text = "".join(dice.choices("áñüçßİıſKЖщЁ漢字かな💾", k=120))
    return _process(text, f"C:\\{text}\\ñandú.exe", f"D:\\{text[::-1]}\\águila.exe")


def crammed(dice: random.Random) -> Event:
    """Command lines of 400 letters made of what rules look for."""
    image = rf"C:\Users\Public\Temp\{dice.getrandbits(32):x}\powershell.exe"
    return _process(_crammed(400, dice), image, r"C:\Windows\System32\cmd.exe")


def crammed_long(dice: random.Random) -> Event:
    """The same with 8,000 letters."""
    image = rf"C:\Users\Public\Temp\{dice.getrandbits(32):x}\powershell.exe"
    return _process(_crammed(8_000, dice), image, r"C:\Windows\System32\cmd.exe")


def odd_keys(dice: random.Random) -> Event:
    """The keys in another order each time, with others between that nobody asks for."""
    event = crammed(dice) | {f"x{dice.getrandbits(32):x}": "y" for _ in range(20)}
    names = list(event)
    dice.shuffle(names)
    return {name: event[name] for name in names}


def nested(dice: random.Random) -> Event:
    """An object forty deep beside the fields."""
    inner: Any = f"{dice.getrandbits(64):x}"
    for _ in range(40):
        inner = {"a": inner}
    return _process(f"cmd /c {dice.getrandbits(64):x}", r"C:\a.exe", r"C:\b.exe") | {"Extra": inner}


ADVERSARIAL: dict[str, Callable[[random.Random], Event]] = {
    one.__name__: one
    for one in (long_lines, script_blocks, not_ascii, crammed, crammed_long, odd_keys, nested)
}


def write_lines(events: Iterable[Event], path: Path) -> int:
    """Write events as JSON lines; how many there were."""
    count = 0
    with path.open("wb") as out:
        for event in events:
            out.write(orjson.dumps(event) + b"\n")
            count += 1
    return count
