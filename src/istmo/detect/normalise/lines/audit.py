"""Records of the Linux audit daemon; those of one serial are one event.

SigmaHQ's rules look at a record's type and its own fields. Of an event's records, a field that
several have becomes a list of their values, so that a rule of any one record finds it. EXECVE's
arguments stand once more as ``argv``, in order, and names of created files as ``created``.
"""

from __future__ import annotations

from typing import Any

import re2  # type: ignore[import-untyped]

from istmo.detect.normalise.lines.syslog import matched

RECORDS = 200
"""Of one event; more begin a new one."""
FIELDS = 2000
"""Of one record."""
_RECORD = re2.compile(
    r"(?:node=(\S{1,255}) )?type=([A-Z0-9_]{1,64}|UNKNOWN\[\d+\]) "
    r"msg=audit\((\d{1,12}\.\d{1,9}):(\d{1,20})\): ?(.*)$"
)
_FIELD = re2.compile(r"""([A-Za-z_][A-Za-z0-9_\-\[\]]*)=("[^"]*"|'[^']*'|[^\s"']\S*)""")
_HEX = re2.compile(r"^(?:[0-9A-F]{2})+$")
_ARGUMENT = re2.compile(r"^a\d{1,4}$")
TEXTS = frozenset({"exe", "comm", "cwd", "name", "proctitle", "cmd", "path", "acct", "key", "data", "vm"})
"""Written in hexadecimal where they hold blanks, quotes or other bytes."""


def is_audit(text: str) -> bool:
    found = matched(_RECORD, text)
    return found is not None


class AuditReader:
    """Joins records until another serial, ``EOE``, or a record that stands alone."""

    def __init__(self) -> None:
        self._serial = ""
        self._event: dict[str, Any] = {}
        self._count = 0

    def read(self, text: str) -> dict[str, Any] | None:
        found = matched(_RECORD, text)
        if found is None:
            return {"message": text}
        node, kind, time, serial, rest = found.groups()
        done = None
        if (time + serial) != self._serial or self._count >= RECORDS:
            done = self.finish()
            self._serial = time + serial
            self._event = {"audit_serial": serial, "time": time}
            if node is not None:
                self._event["node"] = node
        self._count += 1
        if kind != "EOE":
            self._add(kind, read_fields(kind, rest))
        return done

    def finish(self) -> dict[str, Any] | None:
        done = self._event if "type" in self._event else None
        self._event, self._serial, self._count = {}, "", 0
        return done

    def _add(self, kind: str, record: dict[str, str]) -> None:
        event = self._event
        for name, value in {"type": kind, **record}.items():
            if name not in event:
                event[name] = value
            elif isinstance(event[name], list):
                event[name].append(value)
            else:
                event[name] = [event[name], value]
        if kind == "EXECVE":
            arguments = [(int(name[1:]), value) for name, value in record.items() if _ARGUMENT.match(name)]
            event.setdefault("argv", []).extend(value for _, value in sorted(arguments))
        if kind == "PATH" and record.get("nametype") == "CREATE" and "name" in record:
            event.setdefault("created", []).append(record["name"])


def read_fields(kind: str, text: str) -> dict[str, str]:
    """A record's fields. Those that the daemon resolved (after the group separator) are in upper case."""
    fields: dict[str, str] = {}
    try:
        pairs = _FIELD.findall(text.replace("\x1d", " "))
    except UnicodeEncodeError:
        return fields
    for name, value in pairs[:FIELDS]:
        if value[0] in "\"'":
            inner = value[1:-1]
            if name == "msg":  # records of user space carry their fields in one more layer
                fields.update(read_fields(kind, inner))
                continue
            fields[name] = inner
        elif value not in ("(null)", "?"):
            is_text = name in TEXTS or (kind == "EXECVE" and _ARGUMENT.match(name) is not None)
            fields[name] = unhex(value) if is_text else value
    return fields


def unhex(value: str) -> str:
    """Text that was written in hexadecimal; blanks for the NULs between a title's words."""
    if not _HEX.match(value):
        return value
    return bytes.fromhex(value).replace(b"\0", b" ").decode("utf-8", "replace")
