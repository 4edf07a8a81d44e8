"""``istmo hunt`` over logs of lines: published rules match them, and what is unreadable is told."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from istmo.detect import commands_hunt

LOGS = {
    "auth.log": (
        ["Mar  2 09:00:00 web1 sshd[8]: Corrupted MAC on input"],
        "e76b413a-83d0-4b94-8e4c-85db4a5b8bdc",
    ),
    "audit.log": (
        [
            'type=SYSCALL msg=audit(1772442000.125:417): syscall=59 exe="/usr/bin/chattr" SYSCALL=execve',
            'type=EXECVE msg=audit(1772442000.125:417): argc=3 a0="chattr" a1="-i" a2="/etc/passwd"',
        ],
        "a5b977d6-8a81-4475-91b9-49dbfcd941f7",
    ),
    "access.log": (
        [
            '192.0.2.9 - - [02/Mar/2026:09:00:00 -0600] "GET /?q=${jndi:ldap://198.51.100.4/a} HTTP/1.1" 404 1 "-" "curl"'  # noqa: E501
        ],
        "5ea8faa8-db8b-45be-89b0-151b84c82702",
    ),
    "u_ex.log": (
        [
            "#Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status",
            "2026-03-02 09:00:00 192.0.2.9 GET /index.php q=${jndi:ldap://198.51.100.4/a} 404",
        ],
        "5ea8faa8-db8b-45be-89b0-151b84c82702",
    ),
    "squid.log": (
        [
            "1772442000.125 90 192.0.2.9 TCP_MISS/200 934 GET http://files.example/a/update.exe?v=1 - HIER_DIRECT/198.51.100.7 text/html"  # noqa: E501
        ],
        "b5de2919-b74a-4805-91a7-5049accbaefe",
    ),
    "dns.log": (
        [
            "#separator \\x09",
            "#path\tdns",
            "#fields\tts\tuid\tid.orig_h\tquery\tqtype_name",
            "#types\ttime\tstring\taddr\tstring\tstring",
            "1772442000.125000\tC1\t192.0.2.7\tapi.telegram.org\tA",
        ],
        "c64c5175-5189-431b-a55e-6d9882158251",
    ),
    "error.log": (
        ["[Sun Dec 04 04:47:44 2005] [notice] child pid 77 exit signal Segmentation Fault (11)"],
        "1da8ce0b-855d-4004-8860-7d64d42063b1",
    ),
}


def run(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(commands_hunt.hunt, [str(one) for one in arguments])


def document(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="session")
def published(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those published rules alone that the logs are to match."""
    folder = tmp_path_factory.mktemp("rules")
    wanted = {id_.encode() for _, id_ in LOGS.values()}
    with zipfile.ZipFile(shared_data / "sigma" / "sigma_rules.zip") as archive:
        for number, name in enumerate(archive.namelist()):
            if name.endswith(".yml"):
                data = archive.read(name)
                if any(b"\nid: " + id_ in data for id_ in wanted):
                    (folder / f"{number}.yml").write_bytes(data)
    return folder


@pytest.mark.shared_data
def test_published_rules_match_lines_of_every_form(tmp_path: Path, published: Path) -> None:
    for name, (lines, _) in LOGS.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", "utf-8")
    done = document(run(tmp_path, "--rules", published, "--json"))
    hits = {(Path(file).name, one["id"]) for one in done["matches"] for file in one["files"]}
    assert {(name, id_) for name, (_, id_) in LOGS.items()} <= hits
    assert done["problems"] == []
    assert {
        one["form"]: (one["files"], one["events"], one["unreadable"]) for one in done["read"]
    } == dict.fromkeys(("auditd", "combined", "squid", "syslog", "w3c", "weberror", "zeek"), (1, 1, 0))


RULE = """title: Palabra
id: 5f0a3a5e-6a09-413f-8743-e6cf35561777
status: test
level: high
logsource: {product: linux}
detection:
  keywords: [malo]
  condition: keywords
"""


@pytest.mark.parametrize("form", [(), ("--format", "syslog")])
def test_a_line_of_another_form_is_counted_told_and_searched_for_indicators(
    tmp_path: Path, form: tuple[str, ...]
) -> None:
    (tmp_path / "r.yml").write_text(RULE, "utf-8")
    (tmp_path / "list.txt").write_text("192.0.2.9\n", "utf-8")
    good = "Mar  2 09:00:00 web1 sshd[8]: malo\n"
    (tmp_path / "a.log").write_text(good + "== 192.0.2.9 malo ==\n" * 3 + good, "utf-8")
    options = ("--rules", tmp_path / "r.yml", "--indicators", tmp_path / "list.txt", *form)
    done = document(run(tmp_path / "a.log", *options, "--json"))
    assert {one["title"]: one["count"] for one in done["matches"]} == {"Palabra": 2, "192.0.2.9": 3}
    assert (done["summary"]["events"], done["summary"]["unreadable"]) == (5, 3)
    (problem,) = done["problems"]
    assert (problem["line"], problem["count"], problem["code"]) == (2, 3, "detect.line_other_form")
    told = run(tmp_path / "a.log", *options)
    assert told.exit_code == 0
    assert "a.log:2" in told.stderr
    assert "3" in told.stderr


def test_what_may_be_said_of_a_form_is_said(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("192.0.2.9\n", "utf-8")
    (tmp_path / "a.txt").write_text("notes\nseen: 192.0.2.9\n", "utf-8")
    arguments = (tmp_path / "a.txt", "--indicators", tmp_path / "list.txt", "--json")
    done = run(*arguments)
    assert done.exit_code == 1
    (problem,) = document(done)["problems"]
    assert problem["code"] == "detect.form_unknown"
    assert "--format" in problem["remedy"]
    (found,) = document(run(*arguments, "--format", "text"))["matches"]
    assert found["samples"][0]["number"] == 2
    assert run(*arguments, "--format", "parquet").exit_code == 2
