"""``istmo init``: a whole node or none; what will not do is told with its remedy in both languages."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from istmo.cli import main
from istmo.clock import SystemClock
from istmo.kit.cli import speak
from istmo.kit.i18n import Catalogue
from istmo.node import create_node
from istmo.policy import Operator
from istmo.settings import load_settings

from .running import istmo

LONG_ENOUGH = "correct horse battery\n"


def here(folder: Path, *options: str, stdin: str = "", lang: str = "en") -> Result:
    """``istmo init`` in this very process, answering in JSON."""
    speak(lang)
    try:
        return CliRunner().invoke(
            main.istmo, ["init", "--data", str(folder), *options, "--json"], input=stdin
        )
    finally:
        speak("es")


def test_a_second_init_in_the_same_folder_touches_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "mi nodo"
    first = istmo("init", "--data", folder, "--name", "CSIRT X", "--country", "gt", "--json")
    told = json.loads(first.stdout)
    assert first.returncode == 0
    assert told["password"] and told["member"].startswith("identity--")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for lang in ("es", "en"):
        again = istmo("init", "--data", folder, "--name", "Other", "--country", "HN", lang=lang)
        assert again.returncode == 1
        assert Catalogue().text(lang, "error.cli.folder_taken", folder=str(folder)) in again.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_new_node_has_the_reserved_lists_in_force(tmp_path: Path) -> None:
    assert here(tmp_path / "node", "--name", "X", "--country", "GT").exit_code == 0
    node = create_node(load_settings(tmp_path / "node"), SystemClock())
    try:
        values = [("ipv4", "10.0.0.5"), ("md5", "d41d8cd98f00b204e9800998ecf8427e"), ("ipv4", "8.8.8.8")]
        assert list(node.detect.warned.lists_of(values)) == values[:2]
        assert node.intel.is_warning()
        lines = [
            line.subject for line in node.identity.audit_trail(Operator()) if "warning-list" in line.subject
        ]
        assert len(lines) == 3
    finally:
        node.store.close()


def test_secrets_are_readable_by_nobody_else(tmp_path: Path) -> None:
    done = istmo("init", "--data", tmp_path / "node", "--name", "X", "--country", "GT")
    assert done.returncode == 0
    assert stat.S_IMODE((tmp_path / "node").stat().st_mode) == 0o700
    for path in (tmp_path / "node" / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("lang", ["es", "en"])
@pytest.mark.parametrize(
    ("options", "stdin", "code"),
    [
        (("--name", "X"), "", "cli.init_needs"),
        (("--country", "GT"), "", "cli.init_needs"),
        (("--name", "  ", "--country", "GT"), "", "cli.bad_name"),
        (("--name", "a\nb", "--country", "GT"), "", "cli.bad_name"),
        (("--name", "X", "--country", "GTM"), "", "cli.bad_country"),
        (("--name", "X", "--country", "GT", "--address", "http://example.org"), "", "cli.bad_url"),
        (("--name", "X", "--country", "GT", "--address", "http://[::1"), "", "cli.bad_url"),
        (("--name", "X", "--country", "GT", "--address", "nonsense"), "", "cli.bad_url"),
        (("--name", "X", "--country", "GT", "--port", "9", "--intake-port", "9"), "", "cli.same_port"),
        (("--name", "X", "--country", "GT", "--password-stdin"), "short\n", "identity.password_too_short"),
        (("--name", "X", "--country", "GT", "--admin", ""), "", "identity.bad_name"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_what_will_not_do_leaves_nothing_behind(
    tmp_path: Path, options: tuple[str, ...], stdin: str, code: str, lang: str
) -> None:
    folder = tmp_path / "node"
    done = here(folder, *options, stdin=stdin, lang=lang)
    assert done.exit_code == 1
    told = json.loads(done.stdout)["error"]
    assert told["code"] == code
    assert told["message"] and told["remedy"]
    assert "{" not in told["message"] + told["remedy"]
    assert "Traceback" not in done.stderr
    assert not folder.exists(), "so that the next try begins anew"


@pytest.mark.parametrize("lang", ["es", pytest.param("en", marks=pytest.mark.long)])
def test_a_database_that_does_not_answer_is_told_in_one_document(tmp_path: Path, lang: str) -> None:
    nobody = "postgresql+psycopg://istmo@127.0.0.1:1/istmo"
    folder = tmp_path / "node"
    done = istmo(
        "init", "--data", folder, "--name", "X", "--country", "GT", "--database", nobody, "--json", lang=lang
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "store.unreachable"
    assert not folder.exists()


def test_a_folder_that_holds_other_things_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    failed = istmo("init", "--data", tmp_path, "--name", "X", "--country", "G")
    assert failed.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    done = istmo(
        "init", "--data", tmp_path, "--name", "X", "--country", "GT", "--password-stdin", stdin=LONG_ENOUGH
    )
    assert done.returncode == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert LONG_ENOUGH.strip() not in done.stdout + done.stderr


def test_a_place_that_cannot_hold_a_node_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/istmo")):
        done = here(folder, "--name", "X", "--country", "GT")
        assert done.exit_code == 1
        assert json.loads(done.stdout)["error"]["code"] == "cli.bad_folder"


def test_the_address_follows_from_port_and_encryption(tmp_path: Path) -> None:
    for number, (options, url) in enumerate(
        (
            (("--port", "9000"), "http://127.0.0.1:9000"),
            (("--port", "9000", "--tls", "own"), "https://127.0.0.1:9000"),
            (("--host", "::1"), "http://[::1]:8443"),
            (("--address", "https://csirt.example/", "--port", "9000"), "https://csirt.example"),
        )
    ):
        done = here(tmp_path / str(number), "--name", "X", "--country", "GT", *options)
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["url"] == url
