"""What is typed into the forms of publishing, and the bundle that comes of it. Nothing typed is lost."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final

from litestar import Request

from istmo.errors import TooLarge
from istmo.intel.composing import (
    LONGEST_LABEL,
    MOST_LABELS,
    MOST_LINKED,
    pattern_of,
    read_labels,
    read_links,
    report_of,
)
from istmo.intel.pasting import bundle_with, indicators_of, read_pasted
from istmo.kit.asking import Asker
from istmo.kit.forms import Form, one, several, upload
from istmo.kit.pages import faces_of, told
from istmo.model import instants
from istmo.model.markings import Tlp

LIMIT: Final = 4 << 20
"""Bytes of a bundle that the console takes; more goes by ``istmo publish`` or the API."""
PATHS: Final = {
    "values": "/publish",
    "report": "/publish/report",
    "file": "/publish/file",
    "pattern": "/publish/pattern",
}
"""Where each kind of publication begins."""
LEVELS: Final = tuple(level.label.removeprefix("TLP:") for level in Tlp)
KEPT: Final = ("values", "name", "until", "title", "text", "links", "labels", "stix", "pattern", "file_name")
"""Fields that go through the preview and come back from it."""
_LONGEST: Final = {"name": 200, "title": 300}
"""Characters of what an object is called."""
_SHOWN: Final = 5

Requested = Request[Any, Any, Any]


def typed(data: Mapping[str, Any]) -> Form:
    """The form as it was sent. ``sent`` is the bundle that an earlier step made, in Base64."""
    what = one(data, "what")
    values: dict[str, Any] = {name: one(data, name) for name in KEPT}
    return Form(
        {
            **values,
            "what": what if what in PATHS else "file" if what == "stix" else "values",
            "tlp": one(data, "tlp"),
            "audience": several(data, "audience"),
            "sent": one(data, "sent"),
        }
    )


def sent_bundle(form: Form) -> bytes | None:
    """The bundle that an earlier step made; None where it is damaged or was never there."""
    try:
        return base64.b64decode(form.values["sent"], validate=True) or None
    except (binascii.Error, ValueError):
        return None


def keep_bundle(form: Form, bundle: bytes) -> None:
    """Let the form carry a bundle from here on."""
    form.values["sent"] = base64.b64encode(bundle).decode("ascii")


def bundle_of_form(
    request: Requested, form: Form, data: Mapping[str, Any], asker: Asker, now: datetime
) -> bytes:
    """The bundle that was listed, written or uploaded; problems stand beside their fields otherwise."""
    for name, longest in _LONGEST.items():
        if len(form.values[name]) > longest:
            form.problems[name] = say(request, asker, "publish.too_long", limit=longest)
    match form.values["what"]:
        case "report":
            return _report(request, form, asker, now)
        case "pattern":
            return _pattern(request, form, asker, now)
        case "file":
            return _file(request, form, data, asker)
    return _values(request, form, asker, now)


def check_ways(request: Requested, form: Form, asker: Asker) -> None:
    """Whether a marking and somebody to publish to were chosen."""
    if not form.values["audience"]:
        form.problems["audience"] = say(request, asker, "console.publish.nobody_chosen")
    if form.values["tlp"] not in LEVELS:
        form.problems["tlp"] = say(request, asker, "console.publish.choose_tlp")


def say(request: Requested, asker: Asker, key: str, /, **params: Any) -> str:
    """A text in the asker's language."""
    return faces_of(request).catalogue.text(asker.language, key, **params)


def _values(request: Requested, form: Form, asker: Asker, now: datetime) -> bytes:
    until = _until(request, form, asker, now)
    pasted = read_pasted(form.values["values"])
    _tell_unreadable(request, form, asker, pasted.unreadable)
    if not pasted.values and not pasted.unreadable:
        form.problems["values"] = say(request, asker, "console.publish.no_values")
    made = indicators_of(pasted, name=form.values["name"], now=now)
    if until is not None:
        made = [{**one, "valid_until": instants.format(until)} for one in made]
    return bundle_with(made)


def _report(request: Requested, form: Form, asker: Asker, now: datetime) -> bytes:
    pasted = read_pasted(form.values["values"])
    _tell_unreadable(request, form, asker, pasted.unreadable)
    links, others = read_links(form.values["links"])
    if others:
        form.problems["links"] = say(
            request, asker, "publish.no_ids", n=len(others), words=", ".join(others[:_SHOWN])
        )
    elif len(links) > MOST_LINKED:
        form.problems["links"] = say(request, asker, "publish.too_many_links", limit=MOST_LINKED)
    labels = read_labels(form.values["labels"])
    if len(labels) > MOST_LABELS or any(len(label) > LONGEST_LABEL for label in labels):
        form.problems["labels"] = say(
            request, asker, "publish.labels_wrong", most=MOST_LABELS, limit=LONGEST_LABEL
        )
    if not form.values["title"]:
        form.problems["title"] = say(request, asker, "publish.no_title")
    if not links and not pasted.values and not form.problems:
        form.problems["links"] = say(request, asker, "publish.report_about_nothing")
    return report_of(
        form.values["title"],
        form.values["text"],
        links=links,
        labels=labels,
        pasted=pasted,
        now=now,
    )


def _pattern(request: Requested, form: Form, asker: Asker, now: datetime) -> bytes:
    until = _until(request, form, asker, now)
    if not form.values["pattern"]:
        form.problems["pattern"] = say(request, asker, "publish.no_pattern")
    return pattern_of(
        form.values["name"], form.values["pattern"], description=form.values["text"], until=until, now=now
    )


def _file(request: Requested, form: Form, data: Mapping[str, Any], asker: Asker) -> bytes:
    bundle = upload(data, "file")
    if bundle:
        form.values["file_name"] = str(getattr(data.get("file"), "filename", ""))[:200]
        form.values["stix"] = ""
    elif form.values["stix"]:
        bundle = form.values["stix"].encode("utf-8")
        form.values["file_name"] = ""
    else:
        bundle = sent_bundle(form) or b""
    if not bundle:
        form.problems["file"] = say(request, asker, "console.publish.nothing_sent")
    elif len(bundle) > LIMIT:
        form.problems["file"] = " ".join(
            told(request, TooLarge("console.publish_too_large", limit=LIMIT >> 20))
        )
        form.values["sent"] = ""
    elif not form.values["stix"]:
        keep_bundle(form, bundle)  # a browser gives no file back
    return bundle


def _tell_unreadable(
    request: Requested, form: Form, asker: Asker, unreadable: tuple[tuple[int, str], ...]
) -> None:
    if unreadable:
        lines = "; ".join(f"{number}: {text}" for number, text in unreadable[:_SHOWN])
        form.problems["values"] = say(
            request, asker, "console.publish.unreadable", n=len(unreadable), lines=lines
        )


def _until(request: Requested, form: Form, asker: Asker, now: datetime) -> datetime | None:
    text = form.values["until"]
    if not text:
        return None
    try:
        found = datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        found = None
    if found is None or found <= now:
        form.problems["until"] = say(request, asker, "publish.until_wrong")
        return None
    return found
