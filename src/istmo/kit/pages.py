"""Pages: a template, the asker's language, and what every template may use.

    return page(request, "intel/object.html", title="intel.object.title", object=found)

Templates live in ``<room>/templates/`` and extend ``kit/shell.html``. They write texts with
``t("room.key", name=value)``; everything is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from jinja2 import BytecodeCache, Environment, PrefixLoader, StrictUndefined
from jinja2.loaders import FileSystemLoader
from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.enums import MediaType

from istmo.clock import Clock
from istmo.errors import IstmoError
from istmo.kit import times
from istmo.kit.asking import Asker
from istmo.kit.assets import Assets
from istmo.kit.forms import Form
from istmo.kit.i18n import LANGUAGES, Catalogue, grouped
from istmo.kit.visible import visible
from istmo.model import instants
from istmo.model.markings import Tlp
from istmo.model.values import defang
from istmo.policy.actions import Action
from istmo.policy.decisions import Reason
from istmo.policy.principals import Anonymous, Principal
from istmo.settings import Settings

ROOMS = Path(__file__).parent.parent
Requested = Request[Any, Any, Any]


@dataclass(frozen=True)
class Entry:
    """One place of the navigation: its path, text, jump key, and the action that must be allowed."""

    path: str
    key: str
    jump: str
    action: Action
    also: tuple[str, ...] = ()
    """Other paths that belong to this place."""

    def holds(self, here: str) -> bool:
        """Whether a page belongs to it."""
        if self.path == "/":
            return here == "/"
        return any(here == path or here.startswith(f"{path}/") for path in (self.path, *self.also))


NAVIGATION: Final = (
    Entry("/", "kit.nav.situation", "i", Action.NODE_READ),
    Entry("/alerts", "kit.nav.alerts", "a", Action.ALERT_READ),
    Entry("/cases", "kit.nav.cases", "c", Action.CASE_READ),
    Entry("/objects", "kit.nav.objects", "o", Action.OBJECT_READ),
    Entry("/publish", "kit.nav.publish", "p", Action.OBJECT_PUBLISH),
    Entry("/rules", "kit.nav.rules", "s", Action.RULE_READ, ("/value-lists", "/warning-lists")),
    Entry("/hunt", "kit.nav.hunts", "h", Action.HUNT_READ, ("/hunts",)),
    Entry("/sources", "kit.nav.sources", "f", Action.SOURCE_READ),
    Entry("/peers", "kit.nav.peers", "r", Action.PEER_READ),
    Entry("/administration", "kit.nav.administration", "m", Action.AUDIT_READ),
)


@dataclass(frozen=True)
class Undo:
    """How a change is taken back: a form under its notice. ``path`` ends in ``/undo``."""

    path: str
    fields: Mapping[str, str]


class Faces:
    """What one node's pages share: templates, texts, static files. One instance a node."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Settings,
        clock: Clock,
        may: Callable[[Principal, Action], bool],
        fingerprint: str,
        names: Callable[[], Mapping[str, str]] = dict,
        bytecode: BytecodeCache | None = None,
        unread: Callable[[Principal], int] = lambda _: 0,
    ) -> None:
        self.catalogue = catalogue
        self.settings = settings
        self.clock = clock
        self.may = may
        self.names = names
        self.unread = unread
        self.assets = Assets()
        self._cookies = "istmo-" + "".join(one for one in fingerprint.lower() if one.isalnum())[:12]
        self.is_secure = settings.url.startswith("https:")
        self.zone = times.zone_of_country(settings.country)
        rooms = [one for one in sorted(ROOMS.iterdir()) if (one / "templates").is_dir()]
        self.templates = Environment(
            loader=PrefixLoader({one.name: FileSystemLoader(one / "templates") for one in rooms}),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=bytecode,
            finalize=visible,
        )
        self.templates.globals.update(
            asset=self.assets.path, languages=LANGUAGES, zones=times.ZONES, defang=defang
        )

    def cookie(self, name: str) -> str:
        """A cookie's name on this node: cookies ignore ports, and several nodes may share a host."""
        return f"{'__Host-' if self.is_secure else ''}{self._cookies}-{name}"

    def bake(self, name: str, value: str, *, seconds: int | None = None, lax: bool = False) -> Cookie:
        """A cookie that scripts cannot read and other sites cannot send; ``seconds=0`` takes it back."""
        return Cookie(
            key=self.cookie(name),
            value=value,
            max_age=seconds,
            path="/",
            httponly=True,
            secure=self.is_secure,
            samesite="lax" if lax else "strict",
        )

    def render(self, asker: Asker, template: str, context: Mapping[str, Any]) -> str:
        """HTML for one asker."""
        say = Speaker(self.catalogue, asker.language, asker.zone, self.clock, self.names)
        entries = [one for one in NAVIGATION if self.may(asker.principal, one.action)]
        return self.templates.get_template(template).render(
            {
                "t": say.text,
                "when": say.when,
                "minute": say.minute,
                "written": say.clock.now(),
                "machine": say.machine,
                "ago": say.ago,
                "number": say.number,
                "reason": say.reason,
                "tlp_of": tlp_name,
                "with_query": lambda **changes: with_query(asker.path, **changes),
                "may": lambda action: self.may(asker.principal, Action(action)),
                "asker": asker,
                "is_known": not isinstance(asker.principal, Anonymous),
                "node": self.settings,
                "navigation": entries,
                "unread": self.unread(asker.principal),
                "here": urlsplit(asker.path).path,
                "notice": "",
                "undo": None,
                "json_path": "",
                "is_answer": False,
                **context,
            }
        )


_LONGEST_AGE: Final = 60
"""Days that are told as such."""


@dataclass(frozen=True)
class Speaker:
    """Texts, times and numbers in one asker's language and zone."""

    catalogue: Catalogue
    language: str
    zone: str
    clock: Clock
    names: Callable[[], Mapping[str, str]]

    def text(self, key: str, /, **params: Any) -> str:
        """A text of the catalogue."""
        return self.catalogue.text(self.language, key, **params)

    def reason(self, reason: Reason) -> str:
        """Why policy decided so, in words; members inside are called by their names."""
        names = self.names()
        told = {name: names.get(value, value) for name, value in reason.params.items()}
        return self.text(reason.key, **told)

    def when(self, instant: datetime | str) -> str:
        """ISO 8601 with the asker's zone."""
        return times.local(_instant(instant), self.zone)

    def minute(self, instant: datetime | str) -> str:
        """As ``when``, without the seconds: for the ends of a chart, whose steps have none."""
        return times.local(_instant(instant), self.zone, "%H:%M")

    def machine(self, instant: datetime | str) -> str:
        """RFC 3339 in UTC."""
        return times.machine(_instant(instant))

    def ago(self, instant: datetime | str) -> str:
        """How long ago, in words; of what is long past, the day."""
        unit, n = times.age(_instant(instant), self.clock.now())
        if unit == "day" and n > _LONGEST_AGE:
            return times.day(_instant(instant), self.zone)
        return self.text(f"kit.ago.{unit}", n=n)

    def number(self, value: float) -> str:
        """As ``grouped`` writes it."""
        return grouped(value)


def faces_of(request: Requested) -> Faces:
    """The node's faces."""
    faces: Faces = request.app.state.faces
    return faces


def asker_of(request: Requested) -> Asker:
    """Who asks this request."""
    asker: Asker = request.scope["state"]["asker"]
    return asker


def page(
    request: Requested, template: str, *, status: int = 200, form: Form | None = None, **context: Any
) -> Response[str]:
    """A page for whoever asks. With a form that has problems the status is 422 unless said otherwise.

    ``json_path``, where given, is the address of the same data in the API.
    """
    asker, faces = asker_of(request), faces_of(request)
    # What a form was answered with is in no address: whoever left it for a moment would not find it again.
    context["is_answer"] = request.method == "POST"
    if form is not None:
        context["form"] = form
        if status == 200 and (form.problems or form.general):
            status = 422
    cookies = []
    waiting = request.cookies.get(faces.cookie("notice"))
    if waiting:
        context["notice"], context["undo"] = _read_notice(waiting, faces.catalogue, asker.language)
        cookies.append(faces.bake("notice", "", seconds=0))
    return Response(
        faces.render(asker, template, context), status_code=status, media_type=MediaType.HTML, cookies=cookies
    )


def told(request: Requested, error: IstmoError) -> tuple[str, str]:
    """An error in the asker's words: what happened, what to do."""
    words = faces_of(request).catalogue.error(asker_of(request).language, error)
    return words.message, words.remedy


def back_to(
    request: Requested, path: str, notice: str = "", *, undo: Undo | None = None, **params: str | int
) -> Response[str]:
    """After a change: see ``path`` (303), with a notice there. Only paths of this node are gone to."""
    cookies = []
    if notice:
        back = [undo.path, dict(undo.fields)] if undo else None
        value = quote(json.dumps([notice, params, back], ensure_ascii=True))
        cookies.append(faces_of(request).bake("notice", value[:3500], seconds=60))
    headers = {"Location": local_path(path)}
    return Response("", status_code=303, headers=headers, cookies=cookies, media_type=MediaType.TEXT)


def local_path(path: str | None, otherwise: str = "/") -> str:
    """``path`` if it surely stays on this node, else ``otherwise``: no scheme, host, backslash or control."""
    if not path or len(path) > 2000 or not path.startswith("/") or path.startswith(("//", "/\\")):
        return otherwise
    if "\\" in path or not path.isprintable() or not path.isascii():
        return otherwise
    return path


def with_query(path: str, **changes: str | int | None) -> str:
    """``path`` with parts of its query set, or taken out (None or empty)."""
    parts = urlsplit(path)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in changes]
    query += [(name, str(value)) for name, value in changes.items() if value not in (None, "")]
    return parts.path + (f"?{urlencode(query)}" if query else "")


def tlp_name(value: object) -> str:
    """``AMBER+STRICT`` of a Tlp, its label or its name; what we do not know reads as RED."""
    text = value.label if isinstance(value, Tlp) else str(value)
    name = text.upper().removeprefix("TLP:").replace("_", "+")
    return name if name in ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT") else "RED"


def _read_notice(value: str, catalogue: Catalogue, language: str) -> tuple[str, Undo | None]:
    """A notice in words and its undoing. A cookie is outside data: what is not as we bake it is nothing."""
    try:
        key, params, back = json.loads(unquote(value))
        json.dumps([key, params, back], ensure_ascii=False).encode()  # half a character is none
    except (ValueError, TypeError, RecursionError):
        return "", None
    if not isinstance(key, str) or ".notice." not in key or not isinstance(params, dict):
        return "", None
    text = catalogue.text(language, key, **params) if catalogue.has(language, key) else ""
    return text, _read_undo(back)


def _read_undo(back: object) -> Undo | None:
    match back:
        case [str(path), dict(fields)] if local_path(path) == path and path.endswith("/undo"):
            return Undo(path, {str(name): str(value) for name, value in fields.items()})
    return None


def _instant(value: datetime | str) -> datetime:
    return value if isinstance(value, datetime) else instants.parse(value)
