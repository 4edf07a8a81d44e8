"""Logs of web servers and of Squid, one request a line."""

from __future__ import annotations

from typing import Any

import re2  # type: ignore[import-untyped]

from istmo.detect.normalise.lines.syslog import MONTHS, matched

_REQUEST = re2.compile(
    r"^(?:(\S+:\d{1,5}) )?(\S+) \S+ (\S+(?: \S+)*?) "
    r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})\] "
    r'"((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?'
)
_SQUID = re2.compile(
    r"^(\d{9,11}\.\d{1,6}) +(\d+) (\S+) ([A-Z_]+)/(\d{3}) (\d+) (\S+) (\S+) (\S+) ([A-Z_]+)/(\S+) (\S+)"
)
_APACHE = re2.compile(
    r"^\[\w{3} ([A-Z][a-z]{2}) (\d\d) (\d\d:\d\d:\d\d)(\.\d{1,6})? (\d{4})\] \[(?:[\w-]*:)?(\w+)\] (.*)$"
)
_NGINX = re2.compile(r"^(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d) \[(\w+)\] (\d+)#\d+: (.*)$")


def is_request(text: str) -> bool:
    return matched(_REQUEST, text) is not None


def is_squid(text: str) -> bool:
    return matched(_SQUID, text) is not None


def is_error_log(text: str) -> bool:
    return matched(_APACHE, text) is not None or matched(_NGINX, text) is not None


def named(**values: Any) -> dict[str, Any]:
    """Fields by their W3C names (``cs_uri`` is ``cs-uri``); what the log leaves open is left out."""
    return {name.replace("_", "-"): value for name, value in values.items() if value not in (None, "-", "")}


class _OneLine:
    def finish(self) -> dict[str, Any] | None:
        return None


class RequestReader(_OneLine):
    """Common and combined logs of Apache and nginx, with or without the virtual host before."""

    def read(self, text: str) -> dict[str, Any] | None:
        found = matched(_REQUEST, text)
        if found is None:
            return {"message": text}
        site, client, user, day, month, year, clock, zone, request, status, size, referer, agent = (
            found.groups()
        )
        method, _, rest = request.partition(" ")
        uri, _, version = rest.rpartition(" ") if " " in rest else (rest, "", "")
        number = MONTHS.index(month) + 1 if month in MONTHS else 0
        return named(
            timestamp=f"{year}-{number:02}-{day}T{clock}{zone}",
            cs_host=site,
            c_ip=client,
            cs_username=user,
            cs_method=method,
            cs_uri=uri or "/",
            cs_version=version,
            sc_status=status,
            sc_bytes=size,
            cs_referer=referer,
            cs_user_agent=agent,
        )


class SquidReader(_OneLine):
    """Squid's native access log. (It tells no user agent: its ``combined`` format does.)"""

    def read(self, text: str) -> dict[str, Any] | None:
        found = matched(_SQUID, text)
        if found is None:
            return {"message": text}
        time, taken, client, action, status, size, method, uri, user, hierarchy, peer, kind = found.groups()
        return named(
            timestamp=time,
            time_taken=taken,
            c_ip=client,
            s_action=action,
            sc_status=status,
            sc_bytes=size,
            cs_method=method,
            c_uri=uri,
            cs_username=user,
            s_hierarchy=hierarchy,
            r_ip=peer,
            rs_content_type=kind,
        )


class ErrorLogReader(_OneLine):
    """Error logs of Apache and nginx; their times name no zone."""

    def read(self, text: str) -> dict[str, Any] | None:
        found = matched(_APACHE, text)
        if found is not None:
            month, day, clock, fraction, year, severity, message = found.groups()
            number = MONTHS.index(month) + 1 if month in MONTHS else 0
            time = f"{year}-{number:02}-{day} {clock}{fraction or ''}"
            return {"server": "apache", "timestamp": time, "severity": severity, "message": message}
        found = matched(_NGINX, text)
        if found is None:
            return {"message": text}
        year, month, day, clock, severity, pid, message = found.groups()
        time = f"{year}-{month}-{day} {clock}"
        return {"server": "nginx", "timestamp": time, "severity": severity, "pid": pid, "message": message}
