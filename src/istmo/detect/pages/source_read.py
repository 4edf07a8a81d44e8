"""The sources of events: what each sends, how much, since when it is silent, and how to connect one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Request, Response, get
from markupsafe import Markup

from istmo.clock import Clock
from istmo.detect.connecting import Address, address_for_senders, examples
from istmo.detect.explaining import lag_text
from istmo.detect.objects_source import Source
from istmo.detect.reading import FORMS
from istmo.detect.service import Detect
from istmo.detect.source_answers import LATE_SECONDS, narrowed, refusals
from istmo.kit.access import PEOPLE
from istmo.kit.asking import Asker
from istmo.kit.forms import Form
from istmo.kit.pages import asker_of, faces_of, page
from istmo.kit.sparkline import spark
from istmo.model import durations
from istmo.policy.actions import Action

STATES: Final = ("sending", "silent", "waiting", "paused", "expired", "revoked")
ENDED: Final = ("revoked", "expired")
LABELS: Final = {
    "name": "console.source.name",
    "silent_after": "detect.source.silent_after",
    "form": "detect.source.form",
    "time_zone": "detect.source.zone",
    "networks": "detect.source.networks",
    "certificate": "detect.source.certificate",
    "rate": "detect.source.bound",
}
"""What each field of the settings is called."""


@get("/sources", opt=PEOPLE, sync_to_thread=True)
def source_list(request: Request[Any, Any, Any], asker: Asker, detect: Detect, clock: Clock) -> Response[Any]:
    """Sources that may send, the silent ones first; with ``all`` in the address all others, too."""
    is_all = "all" in request.query_params
    chosen = {name: request.query_params.get(name, "")[:200] for name in ("q", "state")}
    found, now = detect.sources(asker.principal), clock.now()
    some = narrowed(found, now, chosen["q"], chosen["state"] if chosen["state"] in STATES else "")
    hides = not is_all and not chosen["state"]
    shown = [one for one in some if not hides or one.state(now) not in ENDED]
    told = {name: value for name, value in chosen.items() if value}
    return page(
        request,
        "detect/sources.html",
        json_path="/api/v1/sources" + (f"?{urlencode(told)}" if told else ""),
        found=[
            (one, one.state(now), _lag(one), _spark(request, one))
            for one in sorted(shown, key=lambda one: (not one.silence, one.paused is None))
        ],
        chosen=chosen,
        is_filtered=bool(told),
        states=STATES,
        is_all=is_all,
        gone=len(some) - len(shown),
        may_manage=faces_of(request).may(asker.principal, Action.SOURCE_MANAGE),
    )


@get("/sources/new", opt=PEOPLE, sync_to_thread=True)
def new_source(request: Request[Any, Any, Any], detect: Detect) -> Response[Any]:
    """What a new source is called, and how it is known and read."""
    return show_new(request, detect, Form())


@get("/sources/{id:str}", opt=PEOPLE, sync_to_thread=True)
def source_page(request: Request[Any, Any, Any], id: str, detect: Detect) -> Response[Any]:
    """One source: what it sent, what was refused and why, its settings, how to connect it."""
    return show_source(request, id, detect)


def show_new(request: Request[Any, Any, Any], detect: Detect, form: Form) -> Response[Any]:
    """The form of a new source, with what was typed."""
    asker = asker_of(request)
    detect.require_managing_sources(asker.principal)
    return page(request, "detect/source_new.html", form=form, forms=FORMS)


def show_made(
    request: Request[Any, Any, Any], detect: Detect, source: Source, secret: str, *, is_new: bool = True
) -> Response[Any]:
    """A source's new token, this once, and what to put where. Never kept: not by caches either."""
    address = intake_address(request, detect)
    return page(
        request,
        "detect/source_made.html",
        status=201,
        source=source,
        is_new=is_new,
        secret=secret,
        address=address,
        examples=examples(address, secret),
    )


def show_source(
    request: Request[Any, Any, Any],
    id: str,
    detect: Detect,
    form: Form | None = None,
    *,
    is_changed: bool = False,
) -> Response[Any]:
    """The page of a source, with what was typed into ``form`` when something stood against it.

    ``is_changed``: somebody else was faster, and both versions are shown.
    """
    asker, faces = asker_of(request), faces_of(request)
    source = detect.read_source(asker.principal, id)
    address = intake_address(request, detect)
    lag = None if source.lag is None else source.lag / 1_000_000
    now, form = settings_of(source), form or Form(settings_of(source))

    def say(name: str, values: Mapping[str, str]) -> str:
        text = values[name]
        if name == "form" and text in ("", *FORMS):
            key = f"is.{text}" if text else "any"
            return faces.catalogue.text(asker.language, f"console.source.form.{key}")
        return text

    both = (
        [(key, say(name, now), say(name, form.values)) for name, key in LABELS.items()] if is_changed else []
    )
    if is_changed:
        form.values["version"] = now["version"]  # who has seen both decides
    return page(
        request,
        "detect/source.html",
        status=409 if is_changed else 200,
        both=both,
        json_path=f"/api/v1/sources/{source.id}",
        spark=_spark(request, source),
        form=form,
        source=source,
        state=source.state(faces.clock.now()),
        lag=_lag(source),
        is_first_day=source.first_event is not None
        and faces.clock.now() - source.first_event < timedelta(hours=1),
        is_ahead=lag is not None and lag < 0,
        is_late=lag is not None and abs(lag) >= LATE_SECONDS,
        reasons=refusals(source.reasons, asker.language, faces.catalogue, faces.settings.limits),
        forms=FORMS,
        form_words=say("form", now),
        address=address,
        examples=examples(address),
        may_manage=faces.may(asker.principal, Action.SOURCE_MANAGE),
    )


def _spark(request: Request[Any, Any, Any], source: Source) -> Markup | str:
    minutes = source.recent.minutes
    if not minutes:
        return ""
    faces, language = faces_of(request), asker_of(request).language
    title = faces.catalogue.text(language, "console.sourcework.spark", n=sum(minutes), most=max(minutes))
    return spark(minutes, title=title)


def _lag(source: Source) -> str:
    return "" if source.lag is None else lag_text(source.lag / 1_000_000)


def settings_of(source: Source) -> dict[str, str]:
    """Name and settings as the fields of a form show them."""
    settings = source.settings
    return {
        "name": source.name,
        "networks": "\n".join(settings.networks),
        "certificate": settings.certificate,
        "form": settings.form,
        "time_zone": settings.zone,
        "rate": str(settings.rate) if settings.rate else "",
        "silent_after": durations.format(settings.silent_after) if settings.silent_after else "",
        "version": source.version,
    }


def intake_address(request: Request[Any, Any, Any], detect: Detect) -> Address:
    """Where senders find this node."""
    asker, faces = asker_of(request), faces_of(request)
    return address_for_senders(faces.settings, detect.intake(asker.principal))


routes = [source_list, new_source, source_page]
