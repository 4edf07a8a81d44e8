"""What may never happen: the table in ``docs/architecture.md`` names a test for each, and they are there.

Here stand those that no single room could prove: that an exercise reaches no exit (6), that no secret
rests anywhere in clear (7), and that SQL and HTTP keep to their rooms (9).
"""

from __future__ import annotations

import ast
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from istmo.cli.demo.region import RunningNode, make_node, running
from istmo.clock import ManualClock
from istmo.errors import IstmoError
from istmo.federation.objects import Cursor
from istmo.founding import found_node
from istmo.kit.client import NodeClient
from istmo.kit.i18n import Catalogue
from istmo.model.ids import new_id
from istmo.model.markings import Tlp
from istmo.node import Node, create_node
from istmo.policy.actions import Action
from istmo.policy.decisions import Context, Resource, decide, who_will_see
from istmo.policy.principals import Operator, Peer
from istmo.settings import Settings
from leak.worlds import RULE, START, indicator

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "istmo"
TABLES = ("What may never happen", "What bad input meets")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node of its own processes."""
    made = make_node(tmp_path_factory.mktemp("running") / "node", "CSIRT de prueba", "GT")
    with running([made]):
        yield made


# --- the tables --------------------------------------------------------------------------------------


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading of ``docs/architecture.md``, without its head."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = text.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:] if not set(row[0]) <= {"-", " ", "|"}]


def named_tests(cell: str) -> list[tuple[str, str]]:
    """(file, test) for each ``file::test`` in a cell."""
    return [(file, test) for file, test in re.findall(r"`([\w/]+\.py)::([\w:]+)`", cell)]


def cases_of(file: str) -> dict[str, str]:
    """Every test of a file (``test`` or ``Class::test``), with its own name and docstring and its file's."""
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    about, found = ast.get_docstring(tree) or "", {}
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        outer = ast.get_docstring(node) or "" if isinstance(node, ast.ClassDef) else ""
        for one in inner:
            if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)) and one.name.startswith("test"):
                said = ast.get_docstring(one) or ""
                body = ast.unparse(one)
                found[prefix + one.name] = f"{prefix}{one.name} {said} {outer} {about} {body}"
    return found


def test_each_of_the_nine_has_a_test() -> None:
    rows = table(TABLES[0])
    assert [row[0] for row in rows] == [str(number) for number in range(1, 10)]
    assert all(named_tests(row[-1]) for row in rows)


@pytest.mark.parametrize("heading", TABLES)
def test_every_test_that_the_tables_name_exists(heading: str) -> None:
    missing = [
        f"{file}::{test}"
        for row in table(heading)
        for file, test in named_tests(row[-1])
        if not (ROOT / "tests" / file).exists() or test not in cases_of(file)
    ]
    assert not missing


def test_the_tests_name_what_they_prove() -> None:
    """Of the tests in each row of the nine, at least one says the number in its name, docstring or file."""
    for number, *_, tests in table(TABLES[0]):
        said = " ".join(cases_of(file)[test] for file, test in named_tests(tests))
        names = rf"(invariants?|house rules?)[ _][^.:]{{0,40}}?(?<!\d){number}(?!\d)"
        assert re.search(names, said, re.I), f"no test of invariant {number} names it"


@pytest.mark.parametrize("language", ["es", "en"])
def test_bad_input_is_told_in_words_with_a_way_out(language: str) -> None:
    """Every code that the table of bad inputs names has its words and its remedy, in both languages."""
    catalogue = Catalogue(strict=True)
    told = " ".join(row[1] for row in table(TABLES[1]))
    codes = set(re.findall(r"`([a-z]+\.[a-z0-9_.]+)`", told))
    assert len(codes) > 12
    for code in sorted(codes):
        keys = [f"error.{code}", f"error.{code}.remedy"] if not code.startswith("sigma.") else [code]
        for key in keys:
            assert catalogue.has(language, key), f"{language}: {key}"


def test_one_bad_object_of_a_thousand_is_told_over_http_in_both_languages(node: RunningNode) -> None:
    """House invariant 8: 999 of a thousand are kept, and the path of the error is told."""
    objects = [indicator(ManualClock(START), f"n{number}.example", f"n{number}") for number in range(1000)]
    objects[417]["confidence"] = 101
    bundle = orjson.dumps({"type": "bundle", "id": new_id("bundle"), "objects": objects})
    words = set()
    for language in ("es", "en"):
        with NodeClient.by_key(node.settings, language=language) as client:
            told = client.post("/api/v1/objects/import", bundle, tlp="TLP:GREEN")
        (problem,) = told["problems"]
        assert len(told["items"]) == 999 and told["counts"]["refused"] == 1
        assert (problem["index"], problem["path"]) == (417, "$.confidence"), problem
        words.add(str(problem))
    assert len(words) == 2


def test_a_rule_with_a_syntax_error_is_told_over_http_in_both_languages(node: RunningNode) -> None:
    """House invariant 8: the rule beside it is taken in."""
    good = RULE.format(title="Codificado", id="6c9a36b0-1c2e-4bd5-9b54-2b1a55d0a001")
    bad = "title: rota\nlogsource:\n    product: windows\ndetection: [abierta\n"
    words = set()
    for language in ("es", "en"):
        with NodeClient.by_key(node.settings, language=language) as client:
            told = client.post("/api/v1/rules/import", f"{good}---\n{bad}".encode())
        (problem,) = told["problems"]
        assert told["added"] + told["unchanged"] == 1 and problem["line"] > 9
        words.add(str(problem))
    assert len(words) == 2


# --- 6: an exercise reaches no exit --------------------------------------------------------------------


@pytest.fixture
def exercise(tmp_path: Path, clock: ManualClock) -> Iterator[Node]:
    """A node that lives in an exercise, and that was a member of a real region before."""
    values = {"name": "Equipo azul", "country": "HN", "url": "http://127.0.0.1:1"}
    settings = found_node(
        Settings(data=tmp_path / "node", **values), administrator="raiz", password="", clock=clock
    )
    before = create_node(settings, clock)
    before.federation.found(Operator(), "Región real")
    before.store.close()
    node = create_node(replace(settings, space="ejercicio-1"), clock)
    yield node
    node.store.close()


EXITS: dict[str, Callable[[Node], Any]] = {
    "found": lambda node: node.federation.found(Operator(), "Otra"),
    "invite": lambda node: node.federation.invite(Operator(), "Alguien"),
    "accept": lambda node: node.federation.accept(Operator(), "code"),
    "confirm": lambda node: node.federation.confirm(Operator(), "identity--x", "0"),
    "remove": lambda node: node.federation.remove(Operator(), "identity--x"),
    "withdraw": lambda node: node.federation.withdraw(Operator(), "x"),
    "hello": lambda node: node.federation.hello("nonce"),
    "join": lambda node: node.federation.answer_join(b"{}"),
    "feed": lambda node: node.federation.open_feed(_peer(node), Cursor(), "session", False),
    "acknowledge": lambda node: node.federation.acknowledge(_peer(node), b"{}"),
    "frames": lambda node: node.federation.take_frames(_peer(node), b""),
    "charters": lambda node: node.federation.charters(_peer(node), 0),
    "export": lambda node: list(node.federation.export(Operator(), "identity--x")),
    "import": lambda node: node.federation.import_file(Operator(), [b"x"]),
}


def _peer(node: Node) -> Peer:
    return Peer(node.settings.member)


@pytest.mark.parametrize("exit_", EXITS)
def test_house_invariant_6_no_exit_of_an_exercise_opens(exercise: Node, exit_: str) -> None:
    with pytest.raises(IstmoError) as refused:
        EXITS[exit_](exercise)
    assert refused.value.code == "federation.no_exit"


def test_house_invariant_6_every_door_of_the_federation_is_among_those_tried() -> None:
    """A new way in or out of the federation is either tried above or said here to touch no other node."""
    inside = {
        "start",
        "stop",
        "who_signed",
        "signer",
        "members",
        "member",
        "name_of",
        "context",
        "invitations",
        "asking",
        "joining",
    }
    inside |= {"charter", "peers", "reconciliation", "acknowledged", "acknowledgements"}
    tree = ast.parse((SOURCES / "federation" / "service.py").read_text("utf-8"))
    service = next(one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == "Federation")
    public = {
        one.name for one in service.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")
    }
    tried = {re.search(r"federation\.(\w+)\(", line)[1] for line in _exit_lines()}  # type: ignore[index]
    assert public - inside == tried


def _exit_lines() -> list[str]:
    text = Path(__file__).read_text("utf-8").split("EXITS: ")[1].split("\n}\n")[0]
    return [line for line in text.splitlines() if "node.federation." in line]


def test_house_invariant_6_an_exercise_dials_nobody(exercise: Node) -> None:
    before = set(threading.enumerate())
    exercise.federation.start()
    try:
        names = {one.name for one in set(threading.enumerate()) - before}
        assert not [one for one in names if one.startswith(("federation", "dial", "ack-", "push"))], names
    finally:
        exercise.federation.stop()


def test_house_invariant_6_nothing_of_an_exercise_is_meant_for_a_peer(clock: ManualClock) -> None:
    members = frozenset({"identity--a", "identity--b"})
    context = Context("identity--a", members, "ejercicio-1", clock.now())
    resource = Resource("object", "identity--a", members, Tlp.CLEAR, "ejercicio-1")
    for action in (Action.OBJECT_READ, Action.FEED_READ, Action.CASE_READ):
        answer = decide(Peer("identity--b"), action, resource, context)
        assert not answer and answer.reasons[0].code == "no_exit"
    assert [one.allowed for one in who_will_see(resource, context)] == [True, False]


# --- 7: no secret rests in clear -----------------------------------------------------------------------


def test_house_invariant_7_no_password_token_or_code_rests_in_folder_or_log(
    node: RunningNode,
) -> None:
    """Sign in, fail to, make tokens of every kind, invite: then read every byte that the node has written."""
    secrets = {"the first password": node.password, "a wrong password": "equivocada 83 tejas"}
    secrets["a password typed as a name"] = "contrasena escrita en el nombre 59"
    secrets["a token that is no one's"] = "istmo_" + "Zz9" * 14
    api = node.operator
    with httpx.Client(base_url=node.url, trust_env=False) as browser:
        page = browser.get("/sign-in").text
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
        assert token
        for name, password in (
            ("admin", secrets["a wrong password"]),
            (secrets["a password typed as a name"], "x" * 12),
            ("admin", node.password),
        ):
            data = {"name": name, "password": password, "csrf": token[1]}
            answer = browser.post("/sign-in", data=data)
        assert answer.status_code == 303
        (secrets["a session"],) = [v for name, v in browser.cookies.items() if name.endswith("session")]
        body = {"name": "admin", "password": secrets["a wrong password"]}
        assert httpx.post(f"{node.url}/api/v1/session", json=body, trust_env=False).status_code in (401, 429)
    unknown = {"Authorization": "Bearer " + secrets["a token that is no one's"]}
    for url in (f"{node.url}/api/v1/node", f"{node.intake_url}/api/v1/events"):
        assert httpx.post(url, headers=unknown, trust_env=False).status_code in (401, 405)
    account = api.post("/api/v1/accounts", {"name": "ana", "role": "analyst"})
    secrets["an account's password"] = account["password"]
    made = api.post("/api/v1/tokens", {"name": "guion", "account": account["id"], "scopes": ["read"]})
    secrets["an API token"] = made["secret"]
    secrets["a new password"] = "nueva y larga 71 canoas"
    api.post("/api/v1/accounts/ana", {"new_password": True, "password": secrets["a new password"]})
    source = node.source("cortafuegos")
    secrets["an intake token"] = source.token
    api.post("/api/v1/peers/region", {"name": "Una"})
    secrets["an invitation's code"] = api.post("/api/v1/peers/invitations", {"name": "Otra"})["code"]
    assert all(len(one) > 8 for one in secrets.values())
    node.stop()
    files = [one for one in node.settings.data.rglob("*") if one.is_file()]
    assert any(one.name == "node.db" for one in files) and node.log_path in files
    written = {one: one.read_bytes() for one in files}
    for what, secret in secrets.items():
        forms = {
            secret,
            urllib.parse.quote(secret),
            urllib.parse.quote_plus(secret),
            re.sub("^istmo_(src_)?", "", secret),
        }
        for file, content in written.items():
            found = [form for form in forms if form.encode() in content]
            assert not found, f"{what} stands in {file.relative_to(node.settings.data)}"


# --- 9: SQL and HTTP keep to their rooms ---------------------------------------------------------------

SQL_ROOMS = re.compile(
    r"^(store|ledger)/|(^|/)records(\.py$|/)|^detect/(eventstore/columns|search/sql/running)\.py$"
)
"""The last two are the event store's: DuckDB over its own Parquet files, no table of the node."""
HTTP_ROOMS = re.compile(r"^(web|kit)/|(^|/)pages/|(^|/)api(_\w+)?\.py$|^federation/wire\.py$")
TYPES_OF_SQL = {"Connection", "DataError", "IntegrityError"}
"""A service hands a connection on and tells a clash; it writes no statement."""
HTTP = {"litestar", "starlette", "fastapi", "flask", "aiohttp"}
STATEMENT = re.compile(
    r"^\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX)|ALTER\s+TABLE"
    r"|DROP\s+TABLE|PRAGMA\s+\w+)\b",
    re.I | re.S,
)


@cache
def modules() -> list[tuple[str, ast.Module]]:
    """Every module of the program, by its path below ``src/istmo``."""
    paths = sorted(SOURCES.rglob("*.py"))
    return [(path.relative_to(SOURCES).as_posix(), ast.parse(path.read_text("utf-8"))) for path in paths]


def imports_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(module, name) for everything that is imported, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, one.name) for one in node.names)


def test_house_invariant_9_sql_stands_in_store_ledger_and_records_alone() -> None:
    found = []
    for path, tree in modules():
        if SQL_ROOMS.search(path):
            continue
        found += [
            f"{path}: imports {module}.{name}"
            for module, name in imports_of(tree)
            if module.split(".")[0] in ("sqlalchemy", "sqlite3", "psycopg", "alembic")
            and name not in TYPES_OF_SQL
        ]
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            f"{path}:{node.lineno}: {node.value[:60]!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
            if STATEMENT.match(node.value)
        ]
    assert not found


def test_house_invariant_9_http_types_stand_in_web_kit_pages_and_api_alone() -> None:
    found = [
        f"{path}: {module}"
        for path, tree in modules()
        if not HTTP_ROOMS.search(path)
        for module, _ in imports_of(tree)
        if module.split(".")[0] in HTTP
    ]
    assert not found
