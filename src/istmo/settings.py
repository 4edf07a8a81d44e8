"""What a node is told at its start: ``istmo.toml`` in its data folder, nothing else."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from istmo.errors import InvalidInput, NotFound

FILE = "istmo.toml"
TLP = ("TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED")


@dataclass(frozen=True)
class Limits:
    """Bounds on what comes from outside. Sizes in bytes, times in seconds."""

    line_bytes: int = 1 << 20
    batch_bytes: int = 16 << 20
    json_depth: int = 64
    bundle_bytes: int = 64 << 20
    bundle_objects: int = 100_000
    archive_bytes: int = 4 << 30
    archive_ratio: int = 200
    archive_members: int = 100_000
    body_bytes: int = 1 << 20
    peer_frames_per_second: int = 5_000
    search_seconds: int = 30
    search_rows: int = 10_000
    lateness_seconds: int = 10
    """How much later than a newer one an event may come in and still count for correlations."""


@dataclass(frozen=True)
class Retention:
    """How stored events are kept: the table ``[events]``. 0 is no bound."""

    keep_days: int = 0
    """Counted from when an event came in; a source may have its own."""
    budget_bytes: int = 0
    """Disk that all stored events may take: the oldest go first."""
    key_file: str = ""
    """Keys that seal stored events, one a line; empty where there are none."""
    seal: bool = True
    """With a key file: what is written is sealed. Without this, what is sealed is only read."""


@dataclass(frozen=True)
class Mail:
    """How notices leave by e-mail: the table ``[mail]``. Without a host, none do."""

    host: str = ""
    port: int = 587
    security: str = "starttls"
    """``starttls``, ``tls`` (from the first byte), or ``none``, for a server on this very machine alone."""
    user: str = ""
    password_file: str = ""
    """A file with the password alone, readable by the node."""
    sender: str = ""
    """The address that they come from."""
    ca_file: str = ""
    """Certificates that are trusted besides the system's, for a server of one's own."""


@dataclass(frozen=True)
class Notices:
    """What people are told of: the table ``[notices]``."""

    outward: str = "TLP:GREEN"
    """The strictest marking whose content leaves by mail or webhook; of the rest, that there is something."""
    private_addresses: bool = False
    """Whether webhooks may go to addresses of private networks, and to this very machine."""
    peer_away_minutes: int = 15
    ca_file: str = ""
    """Certificates that are trusted besides the system's, for a receiver of one's own."""


@dataclass(frozen=True)
class Settings:
    """One node's settings. ``data`` is its folder: database, keys, log files, events."""

    data: Path
    name: str
    country: str
    """ISO 3166-1 alpha-2, upper case."""
    member: str = ""
    """The node's STIX identity id, given once by ``istmo init``: its name in the region for good."""
    languages: tuple[str, ...] = ("es", "en")
    """The first is the one used where nobody has said otherwise."""
    url: str = "http://127.0.0.1:8443"
    """Where people and peers reach the node. Plain http only on a loopback address."""
    host: str = "127.0.0.1"
    port: int = 8443
    intake_host: str = "127.0.0.1"
    intake_port: int = 8444
    syslog_udp: int = 0
    """Ports for senders that speak syslog or GELF, at ``intake_host``; 0 where there is none."""
    syslog_tcp: int = 0
    syslog_tls: int = 0
    gelf_udp: int = 0
    gelf_tcp: int = 0
    tls: str = "none"
    """``none`` (loopback, or behind a proxy) or ``own`` (the node's certificate, pinned by peers)."""
    database: str = ""
    """An SQLAlchemy URL; empty means ``sqlite:///<data>/node.db``."""
    space: str = "real"
    """``real``, or the id of an exercise: an exit refuses everything that is not real."""
    limits: Limits = field(default_factory=Limits)
    retention: Retention = field(default_factory=Retention)
    mail: Mail = field(default_factory=Mail)
    notices: Notices = field(default_factory=Notices)

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'node.db'}"

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def run(self) -> Path:
        """Sockets and process ids: what is worth nothing after a restart."""
        return self.data / "run"

    @property
    def events(self) -> Path:
        return self.data / "events"

    @property
    def plans(self) -> Path:
        """Sigma rules as detection has compiled them: may be deleted, and is made anew."""
        return self.data / "plans"

    @property
    def log_files(self) -> Path:
        """The Merkle log as plain files (C2SP tlog-tiles)."""
        return self.data / "log"


def load_settings(data: Path) -> Settings:
    """Read ``istmo.toml`` of a data folder.

    Raises NotFound when the folder holds no node, InvalidInput naming the field that is wrong.
    """
    path = data / FILE
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFound("settings.no_node", folder=str(data)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("settings.not_toml", file=str(path), detail=str(error)) from None
    limits = _typed(Limits, found.pop("limits", {}), path)
    retention = _typed(Retention, found.pop("events", {}), path)
    mail = _typed(Mail, found.pop("mail", {}), path)
    notices = _typed(Notices, found.pop("notices", {}), path)
    if "retention" in found:
        raise InvalidInput("settings.unknown", file=str(path), field="retention")
    values = _typed(Settings, found | {"data": str(data)}, path)
    values["data"], values["limits"], values["retention"] = data, Limits(**limits), Retention(**retention)
    values["mail"], values["notices"] = Mail(**mail), Notices(**notices)
    if values["mail"].security not in ("starttls", "tls", "none"):
        raise InvalidInput(
            "settings.wrong_type", file=str(path), field="security", expected="starttls|tls|none"
        )
    if values["notices"].outward not in TLP:
        raise InvalidInput("settings.wrong_type", file=str(path), field="outward", expected="|".join(TLP))
    for needed in ("name", "country"):
        if not values.get(needed):
            raise InvalidInput("settings.missing", file=str(path), field=needed)
    return Settings(**values)


def _typed(cls: type, found: dict[str, Any], path: Path) -> dict[str, Any]:
    known = cls.__dataclass_fields__  # type: ignore[attr-defined]
    values: dict[str, Any] = {}
    for name, value in found.items():
        if name not in known:
            raise InvalidInput("settings.unknown", file=str(path), field=name)
        wanted = str(known[name].type)
        if wanted.startswith("tuple"):
            good = isinstance(value, list) and all(isinstance(one, str) for one in value)
            value = tuple(value) if good else value
        else:
            good = wanted not in ("int", "str", "bool") or type(value).__name__ == wanted
        if not good:
            raise InvalidInput("settings.wrong_type", file=str(path), field=name, expected=wanted)
        values[name] = value
    return values


def save_settings(settings: Settings) -> None:
    """Write ``istmo.toml`` (a new node, or a changed setting)."""
    lines = [
        f"{name} = {_toml(value)}"
        for name, value in asdict(settings).items()
        if name not in ("data", "limits", "retention", "mail", "notices")
    ]
    for table, found, standard in (
        ("limits", settings.limits, Limits()),
        ("events", settings.retention, Retention()),
        ("mail", settings.mail, Mail()),
        ("notices", settings.notices, Notices()),
    ):
        usual = asdict(standard)
        changed = {name: value for name, value in asdict(found).items() if value != usual[name]}
        if changed:
            lines += ["", f"[{table}]", *(f"{name} = {_toml(value)}" for name, value in changed.items())]
    settings.data.mkdir(parents=True, exist_ok=True)
    (settings.data / FILE).write_text("\n".join(lines) + "\n", "utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " else f"\\u{ord(c):04x}" for c in escaped) + '"'
